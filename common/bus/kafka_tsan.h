/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_TSAN_H
#define BUS_KAFKA_TSAN_H

/* Does nothing. Whoever calls it is linked with what kafka_tsan.c defines. */
void kafka_tsan_link(void);

#endif
