/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_IMPL_H
#define LIB_CLIENT_IMPL_H

/* The client's own structure, between the files of the library; nobody else includes this. */

#include "base/buf.h"
#include "bus/bus.h"
#include "lib/awaits.h"
#include "lib/reader.h"
#include "lib/submissions.h"
#include "millrace/client.h"
#include "wire/wire.h"

/* Where the client meets the world: simulated ones take their places in tests. */
struct client_seams {
	enum mr_status (*bus_new)(void *ctx, const struct bus_config *config, const struct bus_callbacks *callbacks,
				  struct bus **ret, struct mr_error *err);
	int64_t (*now_us)(void *ctx);
	uint64_t (*random)(void *ctx);
	void *ctx;
};

struct mr_client {
	struct client_seams seams;
	struct bus *bus;
	struct wire *wire;
	char *brokers, *prefix, *results, *control;
	char *queue, *topic; /* of the last submission: most have the same */
	int64_t max_record_bytes;
	int64_t max_queue_bytes;
	int64_t submit_timeout_us;
	uint64_t nonce, counter; /* make run ids and request ids */
	struct submissions submissions;
	struct awaits awaits;
	struct reader reader;
	struct arena scratch; /* of one submission */
	struct buf value;
	enum mr_status health;
	char health_text[256];
	struct mr_error failed; /* first failure that nobody was told */
	bool closing;
	bool inside; /* of a poll: blocking calls and free are not allowed */
};

enum mr_status client_new(const struct mr_client_options *options, const struct client_seams *seams, struct mr_client **ret,
			  struct mr_error *err);
int64_t client_now_us(const struct mr_client *client);
/* Copies a structure that begins with its size, however old the caller's is; false where the size is not set. */
bool client_take_options(void *to, size_t to_size, const void *from);
/* The lowest `digits` of a value. */
void client_hex(char *out, uint64_t value, int digits);
/* What a record takes in Kafka: generous, so that a broker's limit is never met by surprise. */
size_t client_record_bytes(const struct bus_record *record);

#endif
