/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Purpose: an activity that a person completes, hours or days later, while no worker holds a slot for it.
 *
 *	millrace submit -t ask_approval -w order-17 -i approval --input '{"what":"refund of order 17","cents":50000}'
 *
 * Small amounts it approves itself. Otherwise it leaves a note with the two commands to choose from, at the end of the file that
 * MILLRACE_EXAMPLE_INBOX names (default /tmp/millrace-approvals), where a real one would send an e-mail:
 *
 *	refund of order 17, 500.00?
 *	  yes: millrace complete 'order-17/approval' --token 'TOKEN' --result '{"approved":true}'
 *	  no:  millrace complete 'order-17/approval' --token 'TOKEN' --result '{"approved":false}'
 *
 * The token is that of this attempt: an old note does nothing once another attempt has asked again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "example.h"

#define APPROVED_BELOW_CENTS 10000
#define NOTE_BYTES 4096

/* Keys are percent-encoded where they are paths, but may hold quotes: what no shell word can carry is not asked for. */
static bool is_plain(const char *text)
{
	return !strchr(text, '\'');
}

static int write_note(char *note, size_t bytes, const struct mr_attempt_info *info, const char *what, int64_t cents)
{
	const char *key = info->task_key, *token = info->token;
	int token_bytes = (int)info->token_bytes;

	return snprintf(note, bytes,
			"%s, %" PRId64 ".%02" PRId64 "?\n"
			"  yes: millrace complete '%s' --token '%.*s' --result '{\"approved\":true}'\n"
			"  no:  millrace complete '%s' --token '%.*s' --result '{\"approved\":false}'\n",
			what, cents / 100, cents % 100, key, token_bytes, token, key, token_bytes, token);
}

/* One write, so that the notes of several attempts do not mix. */
static bool leave(const char *note, size_t bytes)
{
	const char *path = getenv("MILLRACE_EXAMPLE_INBOX");
	int fd = open(path ? path : "/tmp/millrace-approvals", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, note, bytes) == (ssize_t)bytes;
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return ok;
}

enum mr_attempt_end example_ask_approval(struct mr_attempt *attempt, void *user)
{
	const struct mr_attempt_info *info = mr_info(attempt);
	char note[NOTE_BYTES];
	struct mr_error err;
	const char *what;
	int64_t cents;
	int bytes;

	(void)user;
	if (mr_input_string(attempt, "what", &what, &err) || mr_input_int(attempt, "cents", &cents, &err))
		return mr_fail_input(attempt, &err);
	if (cents < APPROVED_BELOW_CENTS)
		return mr_complete_json(attempt, "{\"approved\":true}");
	bytes = write_note(note, sizeof(note), info, what, cents);
	if (!is_plain(info->task_key) || bytes < 0 || (size_t)bytes >= sizeof(note))
		return mr_failf(attempt, "BadNote", "the key or the question does not fit into a note");
	if (!leave(note, (size_t)bytes))
		return mr_failf(attempt, "InboxFull", "the note cannot be left: %s", strerror(errno));
	return mr_pending(attempt);
}
