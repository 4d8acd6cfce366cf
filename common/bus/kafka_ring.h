/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BUS_KAFKA_RING_H
#define BUS_KAFKA_RING_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <unistd.h>

/* One non-blocking eventfd stands for all queues. A queue rings it when it was empty and gets something. */

static inline void kafka_ring(int fd)
{
	uint64_t one = 1;

	/* It fails only where the counter is at its maximum, and then the fd is readable already. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

static inline void kafka_ring_clear(int fd)
{
	uint64_t count;

	/* It fails only where nothing rang. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

static inline void kafka_ring_from(rd_kafka_queue_t *queue, int fd)
{
	uint64_t one = 1;

	rd_kafka_queue_io_event_enable(queue, fd, &one, sizeof(one));
}

#endif
