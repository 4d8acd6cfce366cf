/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MILLRACE_STATUS_H
#define MILLRACE_STATUS_H

#include <stdbool.h>

/*
 * Status codes of every Millrace call, and the error a caller may ask for.
 *
 * A call returns a status by value. Where it takes a `struct mr_error *`, that may be NULL; when it is not and the call
 * fails, it is filled in with the same code, the place (a field, a flag, a file) and one sentence for a person.
 */

/* XX(name, retryable, text). Retryable: the same call may succeed later without a change by the caller. */
#define MR_STATUS_MAP(XX)                                                                                                        \
	XX(MR_OK, false, "ok")                                                                                                   \
	XX(MR_EINVAL, false, "invalid argument")                                                                                 \
	XX(MR_EBAD_RECORD, false, "the record cannot be understood")                                                             \
	XX(MR_ETOO_LARGE, false, "too large")                                                                                    \
	XX(MR_ENOT_FOUND, false, "not found")                                                                                    \
	XX(MR_EEXISTS, false, "exists already")                                                                                  \
	XX(MR_ECONFLICT, false, "conflicts with what exists")                                                                    \
	XX(MR_EKAFKA, true, "Kafka is unreachable or refused the request")                                                       \
	XX(MR_EREDIS, true, "Redis is unreachable or refused the request")                                                       \
	XX(MR_ETIMEOUT, true, "the time ran out")                                                                                \
	XX(MR_EFULL, true, "a configured limit is reached")                                                                      \
	XX(MR_ECLOSED, false, "closed")                                                                                          \
	XX(MR_ECANCELED, false, "canceled by the caller")                                                                        \
	XX(MR_ENOMEM, true, "out of memory")                                                                                     \
	XX(MR_ESYSTEM, false, "the operating system refused the request")

enum mr_status {
#define XX(name, retryable, text) name,
	MR_STATUS_MAP(XX)
#undef XX
};

struct mr_error {
	enum mr_status code;
	char where[128];   /* field, flag, file or address; may be empty */
	char message[512]; /* one sentence; names what is accepted where that helps */
};

/* The name of a code ("MR_EINVAL") and its text; never NULL. */
const char *mr_status_name(enum mr_status status);
const char *mr_status_text(enum mr_status status);
bool mr_status_retryable(enum mr_status status);

/* The version of the library, "0.1.0". */
const char *mr_version(void);

/* Fills `err` (where not NULL) and returns `code`, so that it can be returned at once. Messages that do not fit are cut. */
enum mr_status mr_error_set(struct mr_error *err, enum mr_status code, const char *where, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
