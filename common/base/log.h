/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/bytes.h"

/* Structured log lines on stderr: a message and key-value fields. Text is logfmt-like for people, JSON for machines. Bytes that are
 * not printable are escaped in both, so that no id or message can forge a line. One write(2) a line of at most 4096 bytes: safe from
 * several processes. Values are cut after 1024 bytes ("..."); fields that no longer fit are left out and cut=true says so. */

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
	const char *key; /* NULL ends the list */
	enum { LOG_FIELD_STR, LOG_FIELD_BYTES, LOG_FIELD_INT } kind;
	union {
		const char *str;
		struct bytes bytes;
		long long num;
	};
};

#define LOG_S(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = (v)})
#define LOG_B(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_BYTES, .bytes = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .num = (long long)(v)})

/* Process-wide; set once before threads start. `program` is borrowed and named in each line. */
void log_setup(const char *program, enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/* log_info("worker ready", LOG_S("queue", queue), LOG_I("slots", n)); the message is a constant sentence without a full stop. */
#define log_at(level, message, ...)                                                                                              \
	do {                                                                                                                     \
		if (log_enabled(level))                                                                                          \
			log_write(level, message, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}});          \
	} while (0)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
