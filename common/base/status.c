/* SPDX-License-Identifier: Apache-2.0 */
#include "millrace/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"

static const struct {
	const char *name;
	const char *text;
	bool retryable;
} statuses[] = {
#define XX(status, can_retry, words) [status] = {.name = #status, .text = words, .retryable = can_retry},
	MR_STATUS_MAP(XX)
#undef XX
};

#define STATUS_COUNT (sizeof(statuses) / sizeof(statuses[0]))

static bool status_known(enum mr_status status)
{
	return (unsigned)status < STATUS_COUNT;
}

const char *mr_status_name(enum mr_status status)
{
	return status_known(status) ? statuses[status].name : "MR_E?";
}

const char *mr_status_text(enum mr_status status)
{
	return status_known(status) ? statuses[status].text : "unknown status";
}

bool mr_status_retryable(enum mr_status status)
{
	return status_known(status) && statuses[status].retryable;
}

const char *mr_version(void)
{
	return MILLRACE_VERSION;
}

/* Takes away the first part of a character that was cut off at the end. */
static void cut_at_character(char *text)
{
	size_t len = strlen(text);

	for (size_t back = 1; back <= 3 && back <= len; back++) {
		struct bytes tail = {text + len - back, back};

		if (((unsigned char)tail.data[0] & 0xc0) == 0x80)
			continue;
		if ((unsigned char)tail.data[0] >= 0xc0 && bytes_utf8_char(tail) == 0)
			text[len - back] = '\0';
		return;
	}
}

enum mr_status mr_error_set(struct mr_error *err, enum mr_status code, const char *where, const char *format, ...)
{
	va_list args;

	assert(status_known(code) && code != MR_OK);
	if (!err)
		return code;
	/* Built aside: `where` and the arguments may point into *err. */
	struct mr_error next = {.code = code};
	if (snprintf(next.where, sizeof(next.where), "%s", where ? where : "") >= (int)sizeof(next.where))
		cut_at_character(next.where);
	va_start(args, format);
	if (vsnprintf(next.message, sizeof(next.message), format, args) >= (int)sizeof(next.message))
		cut_at_character(next.message);
	va_end(args);
	*err = next;
	return code;
}
