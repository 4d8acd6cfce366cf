/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROGRAM_PROGRAM_H
#define PROGRAM_PROGRAM_H

#include "base/conf.h"
#include "bus/bus.h"
#include "bus/topics.h"
#include "store/store.h"

/*
 * What every program of Millrace does in the same way: the flags they share, exit codes, logging, signals, and the start-
 * up checks of Kafka and Redis with one clear line for the person who has to act. The layer above bus and store, below
 * producer, consumer and scheduler.
 */

/* Exit codes (protocol.md); UNREACHABLE: Kafka or Redis. */
enum program_exit {
	PROGRAM_OK = 0,
	PROGRAM_FAILED = 1,
	PROGRAM_USAGE = 2,
	PROGRAM_TIMED_OUT = 3,
	PROGRAM_CANCELED = 4,
	PROGRAM_WAIT_OVER = 5,
	PROGRAM_UNREACHABLE = 6,
};

/* Values of the flags that all programs have; a member of the program's own options structure. */
struct program_common {
	const char *brokers;
	const char *redis;
	const char *prefix;
	const char *config;
	struct conf_list properties;
	int log_level;  /* enum log_level */
	int log_format; /* enum log_format */
};

/* Rows for the program's table: PROGRAM_COMMON_OPTIONS(struct worker_options, common), before CONF_END. Name "config" as
 * the table's file_option. */
#define PROGRAM_COMMON_OPTIONS(type, member)                                                                                     \
	{.kind = CONF_GROUP, .name = "Kafka and Redis"},                                                                         \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "brokers",                                                                                              \
		 .letter = 'b',                                                                                                  \
		 .env = "MILLRACE_BROKERS",                                                                                      \
		 .arg = "HOST:PORT,...",                                                                                         \
		 .def = "127.0.0.1:9092",                                                                                        \
		 .offset = offsetof(type, member.brokers),                                                                       \
		 .help = "Kafka brokers to start from."},                                                                        \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "redis",                                                                                                \
		 .env = "MILLRACE_REDIS",                                                                                        \
		 .arg = "URL",                                                                                                   \
		 .def = "redis://127.0.0.1:6379/0",                                                                              \
		 .offset = offsetof(type, member.redis),                                                                         \
		 .help = "Redis, as redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], unix:///PATH, or rediss:// for TLS."},           \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "prefix",                                                                                               \
		 .env = "MILLRACE_PREFIX",                                                                                       \
		 .arg = "PREFIX",                                                                                                \
		 .def = "millrace.",                                                                                             \
		 .offset = offsetof(type, member.prefix),                                                                        \
		 .help = "What the names of all topics, groups and Redis keys begin with."},                                     \
		{.kind = CONF_LIST,                                                                                              \
		 .name = "property",                                                                                             \
		 .letter = 'X',                                                                                                  \
		 .env = "MILLRACE_PROPERTIES",                                                                                   \
		 .arg = "NAME=VALUE",                                                                                            \
		 .offset = offsetof(type, member.properties),                                                                    \
		 .help = "A property for librdkafka, such as security.protocol=ssl."},                               \
		{.kind = CONF_GROUP, .name = "General"},                                                                         \
		{.kind = CONF_STRING,                                                                                            \
		 .name = "config",                                                                                               \
		 .env = "MILLRACE_CONFIG",                                                                                       \
		 .arg = "FILE",                                                                                                  \
		 .offset = offsetof(type, member.config),                                                                        \
		 .help = "File with one `name = value` a line; names are the long flags."},                                      \
		{.kind = CONF_ENUM,                                                                                              \
		 .name = "log-level",                                                                                            \
		 .env = "MILLRACE_LOG_LEVEL",                                                                                    \
		 .arg = "LEVEL",                                                                                                 \
		 .def = "info",                                                                                                  \
		 .choices = "debug|info|warn|error",                                                                             \
		 .offset = offsetof(type, member.log_level),                                                                     \
		 .help = "Least severe log lines to write."},                                                                    \
	{                                                                                                                        \
		.kind = CONF_ENUM, .name = "log-format", .env = "MILLRACE_LOG_FORMAT", .arg = "FORMAT", .def = "text",           \
		.choices = "text|json", .offset = offsetof(type, member.log_format),                                             \
		.help = "Log lines for people or for machines."                                                                  \
	}

/*
 * The beginning of main: parses flags into `options` (its `common` member is at common_offset), sets up logging and the
 * hash key, ignores SIGPIPE. Returns -1 to go on, else the exit code: help and version were printed, or an error was told
 * in one line on stderr.
 */
int program_begin(const struct conf_program *program, int argc, char **argv, void *options, size_t common_offset,
		  struct conf_list *ret_args);

/* One line on stderr: "millrace-worker: --slots: must be from 1 to 1024". Returns the exit code that fits err->code. */
int program_fail(const char *program, const struct mr_error *err);

/* The parts of the configuration that follow from the shared flags; the rest is zero for the caller to fill. The flags
 * must outlive it. */
struct bus_config program_bus_config(const struct program_common *common, const char *client_id);
struct store_config program_store_config(const struct program_common *common, int shards);

/* "<prefix><name>": results, journal, control, dead. The caller frees. */
char *program_topic(const char *prefix, const char *name);
/* "host-pid-xxxxxxxx", fit for Kafka's client.id and for Redis fields. The caller frees. */
char *program_identity(void);

/* Blocks SIGTERM and SIGINT for this thread (and its children) and returns a non-blocking signalfd for them. */
enum mr_status program_signal_fd(int *ret_fd, struct mr_error *err);
/* The next signal from it, 0 where there is none. */
int program_signal_read(int fd);

/*
 * Start-up. Both try again until it works, wait_ms ran out (< 0: never) or a signal waits in signal_fd (-1: none): a
 * daemon that starts before Kafka or Redis waits for them and says why, at once and then each 10 s. MR_EKAFKA, MR_EREDIS:
 * the time ran out; MR_ECLOSED: a signal came (it is left in the fd); others at once: trying again would not help.
 */
enum mr_status program_wait_topics(const struct topics_spec *spec, int wait_ms, int signal_fd, struct topics_info *ret,
				   struct mr_error *err);
enum mr_status program_wait_store(const struct store_config *config, int wait_ms, int signal_fd, struct mr_error *err);

#endif
