/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOCKBROKER_BIND_H
#define MOCKBROKER_BIND_H

#include <stdint.h>

/*
 * librdkafka's mock cluster listens on a port that the system chooses, and offers no way to say which. This program defines
 * bind() itself; the library, linked dynamically, calls that one, and the next socket that asks for any port of 127.0.0.1 gets
 * this port.
 */
void bind_force_port(uint16_t port);
/* 0, or the errno for which the port cannot be had. The library aborts where a bind fails. */
int bind_probe(uint16_t port);
/* The port was asked for and bound. */
int bind_port_was_used(void);

#endif
