/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_PRODUCER_CLIENT_WORLD_H
#define UNIT_PRODUCER_CLIENT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/client_impl.h"

/* A client on a bus and a clock that the test moves. What the client asks of the bus, and what it tells, is noted by lines. */
#define WORLD_SHARDS 4
#define WORLD_SECOND_US 1000000

struct world_message;
struct world_sent;

struct world {
	struct bus bus; /* first: the bus is the world */
	struct bus_callbacks callbacks;
	struct mr_client *client;
	int64_t now_us;
	int partitions; /* of every topic, as the bus knows them */
	enum mr_status produce_status;
	struct world_message *head, *tail; /* to be taken */
	struct world_sent *first_sent, *last_sent;
	size_t held; /* messages taken and not freed */
	struct bus_partition asked[WORLD_SHARDS];
	size_t n_asked;
	struct buf notes;
	struct mr_result *result;               /* of the last MR_OK; freed with the world */
	struct mr_error err;                    /* of the last failure told */
	void (*on_done)(struct world *world);   /* called inside the callback of an await */
	enum mr_cancellation_type cancellation; /* of what is submitted and awaited from now on */
};

struct world *world_new(void);
void world_free(struct world *world);
void world_pass(struct world *world, int64_t us);

/* submit() of a task with id `key` that is awaited, or not. */
enum mr_status world_submit(struct world *world, const char *key, bool await, int64_t wait_ms);
enum mr_status world_submit_task(struct world *world, const struct mr_task *task, bool await, int64_t wait_ms);
struct mr_task world_task(const char *key);
enum mr_status world_await(struct world *world, const char *key, bool from_start, bool existing_only, int64_t wait_ms);
enum mr_status world_command(struct world *world, const struct mr_command *command);
/* The value of the record sent last as a command; borrowed from the arena. */
struct control world_sent_command(struct world *world, struct arena *arena);
/* The bus answers the question for ends, with the same for all; negative: it could not be told. */
void world_answer_ends(struct world *world, int64_t end);
/* The oldest record sent is acknowledged, or not. */
void world_deliver(struct world *world, enum mr_status status, int32_t partition, int64_t offset);
/* The value of the record sent last. */
struct bytes world_sent_value(const struct world *world);
struct headers world_sent_headers(const struct world *world);
/* A run id that the client gave to what it sent last. */
const char *world_sent_run(struct world *world, struct arena *arena);
/* A record in the partition of `key`. `status` NULL: not a result. */
void world_result(struct world *world, const char *key, int64_t offset, const char *run, const char *status);
void world_answer(struct world *world, const char *key, int64_t offset, const char *run); /* with millrace-not-state */
/* Compares what was noted since the last call. "" is nothing. */
#define assert_notes(world, text) world_assert_notes(world, text, __FILE__, __LINE__)
void world_assert_notes(struct world *world, const char *text, const char *file, int line);
/* The partition of a key. */
int world_shard(const char *key);

#endif
