/* SPDX-License-Identifier: Apache-2.0 */

/* What a program asks of Redis before it begins. */

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/link.h"
#include "store/store_impl.h"

#define REDIS_MAJOR_MIN 7

struct check {
	struct link link;
	struct redis_url url;
	int64_t end_us;
};

static enum mr_status wait_for(struct check *check, short events, struct mr_error *err)
{
	int64_t left_us = check->end_us - clock_mono_us();
	struct pollfd pollfd = {.fd = link_fd(&check->link), .events = events};

	if (left_us <= 0)
		return mr_error_set(err, MR_EREDIS, "redis", "no answer");
	poll(&pollfd, 1, (int)((left_us + 999) / 1000));
	return MR_OK;
}

static enum mr_status check_connect(struct check *check, struct mr_error *err)
{
	bool done = false;
	enum mr_status status = link_open(&check->link, &check->url, err);

	while (status == MR_OK && !done) {
		status = wait_for(check, POLLOUT, err);
		if (status == MR_OK)
			status = link_establish(&check->link, &check->url, &done, err);
	}
	return status;
}

/* Sends a command and waits for its answer. */
static enum mr_status ask(struct check *check, const struct bytes *words, size_t n, redisReply **ret, struct mr_error *err)
{
	struct call *call = call_command(words, n);
	enum mr_status status = MR_OK;

	link_append(&check->link, buf_bytes(&call->request));
	call_free(call);
	*ret = NULL;
	while (status == MR_OK && !*ret) {
		status = link_flush(&check->link, err);
		if (status == MR_OK)
			status = wait_for(check, (short)(check->link.unsent ? POLLOUT : POLLIN), err);
		if (status == MR_OK && !check->link.unsent)
			status = link_read(&check->link, err);
		if (status == MR_OK)
			status = link_reply(&check->link, ret, err);
	}
	if (status == MR_OK && (*ret)->type == REDIS_REPLY_ERROR) {
		status = mr_error_set(err, MR_EREDIS, "redis", "refused: %.*s", (int)(*ret)->len, (*ret)->str);
		freeReplyObject(*ret);
		*ret = NULL;
	}
	return status;
}

static enum mr_status tell(struct check *check, const struct bytes *words, size_t n, struct mr_error *err)
{
	redisReply *reply = NULL;
	enum mr_status status = ask(check, words, n, &reply, err);

	freeReplyObject(reply);
	return status;
}

static enum mr_status check_login(struct check *check, struct mr_error *err)
{
	char db[16];
	enum mr_status status = MR_OK;

	if (check->url.password) {
		struct bytes user = bytes_of(check->url.user ? check->url.user : "default");

		status = tell(check, (struct bytes[]){BYTES_LIT("AUTH"), user, bytes_of(check->url.password)}, 3, err);
	}
	snprintf(db, sizeof(db), "%d", check->url.db);
	if (status == MR_OK && check->url.db)
		status = tell(check, (struct bytes[]){BYTES_LIT("SELECT"), bytes_of(db)}, 2, err);
	return status;
}

static enum mr_status check_version(const char *info, struct mr_error *err)
{
	const char *version = strstr(info, "redis_version:");
	int major = 0;

	if (!version || sscanf(version, "redis_version:%d", &major) != 1)
		return mr_error_set(err, MR_EREDIS, "redis", "INFO tells no redis_version");
	if (major < REDIS_MAJOR_MIN)
		return mr_error_set(err, MR_EINVAL, "redis", "Redis %d is too old; expected %d.0 or newer", major,
				    REDIS_MAJOR_MIN);
	return MR_OK;
}

static enum mr_status check_policy(const char *info, struct mr_error *err)
{
	static const char name[] = "maxmemory_policy:";
	const char *policy = strstr(info, name);

	if (!policy || strncmp(policy + sizeof(name) - 1, "noeviction", 10) == 0)
		return MR_OK;
	policy += sizeof(name) - 1;
	return mr_error_set(err, MR_EINVAL, "redis",
			    "maxmemory-policy is %.*s, so that Redis may drop tasks; expected noeviction",
			    (int)strcspn(policy, "\r\n"), policy);
}

static enum mr_status check_info(struct check *check, struct mr_error *err)
{
	redisReply *reply = NULL;
	enum mr_status status = ask(check, (struct bytes[]){BYTES_LIT("INFO")}, 1, &reply, err);

	if (status != MR_OK)
		return status;
	if (reply->type != REDIS_REPLY_STRING || !reply->str)
		status = mr_error_set(err, MR_EREDIS, "redis", "INFO has no answer");
	if (status == MR_OK)
		status = check_version(reply->str, err);
	if (status == MR_OK)
		status = check_policy(reply->str, err);
	freeReplyObject(reply);
	return status;
}

enum mr_status store_check(const struct store_config *config, int timeout_ms, struct mr_error *err)
{
	struct check check = {.end_us = clock_mono_us() + (int64_t)timeout_ms * 1000};
	enum mr_status status = redis_url_parse(config->url, &check.url, err);

	if (status != MR_OK)
		return status;
	status = link_check(&check.url, err);
	if (status == MR_OK)
		status = check_connect(&check, err);
	if (status == MR_OK)
		status = check_login(&check, err);
	if (status == MR_OK)
		status = check_info(&check, err);
	link_close(&check.link);
	redis_url_deinit(&check.url);
	return status;
}
