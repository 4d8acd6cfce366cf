/* SPDX-License-Identifier: Apache-2.0 */
#include "store/redis_url.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define REDIS_PORT 6379
#define DB_MAX 65535
#define PORT_MAX 65535

static const char accepted[] = "expected redis://[[user]:password@]host[:port][/db], rediss://... or unix:///path[?db=N]";

static enum mr_status refuse(struct mr_error *err, const char *what)
{
	return mr_error_set(err, MR_EINVAL, "redis", "%s; %s", what, accepted);
}

void redis_url_deinit(struct redis_url *url)
{
	if (!url)
		return;
	free(url->path);
	free(url->host);
	free(url->user);
	free(url->password);
	*url = (struct redis_url){0};
}

static bool number_parse(struct bytes text, int max, int *ret)
{
	int value = 0;

	if (text.len == 0 || text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret = value;
	return value <= max;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded; NULL where an escape is broken or hides a NUL. */
static char *decoded(struct bytes text)
{
	char *out = mem_alloc(text.len + 1), *at = out;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] != '%') {
			*at++ = text.data[i];
			continue;
		}
		int high = i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
		int low = i + 2 < text.len ? hex_digit(text.data[i + 2]) : -1;

		if (high < 0 || low < 0 || (high == 0 && low == 0)) {
			free(out);
			return NULL;
		}
		*at++ = (char)(high * 16 + low);
		i += 2;
	}
	return out;
}

/* Takes what is before the first `c` (or the last one) off the front of `rest`; false where there is none. */
static bool cut(struct bytes *rest, char c, bool last, struct bytes *ret_before)
{
	const char *at = last ? memrchr(rest->data, c, rest->len) : memchr(rest->data, c, rest->len);

	if (!at)
		return false;
	*ret_before = (struct bytes){rest->data, (size_t)(at - rest->data)};
	*rest = (struct bytes){at + 1, rest->len - ret_before->len - 1};
	return true;
}

static enum mr_status credentials_parse(struct bytes text, struct redis_url *url, struct mr_error *err)
{
	struct bytes user = BYTES_NONE;
	bool has_password = cut(&text, ':', false, &user);

	if (!has_password)
		return refuse(err, "the credentials have no ':' before the password");
	url->password = decoded(text);
	url->user = user.len ? decoded(user) : NULL;
	if (!url->password || (user.len && !url->user))
		return refuse(err, "the credentials have a broken percent escape");
	return MR_OK;
}

static enum mr_status address_parse(struct bytes text, struct redis_url *url, struct mr_error *err)
{
	struct bytes host = text, port = BYTES_NONE;

	if (text.len && text.data[0] == '[') {
		text.data++, text.len--;
		if (!cut(&text, ']', false, &host) || (text.len && text.data[0] != ':'))
			return refuse(err, "the IPv6 address is not closed by ']'");
		if (text.len)
			port = (struct bytes){text.data + 1, text.len - 1};
	} else if (cut(&text, ':', true, &host)) {
		port = text;
	}
	url->port = REDIS_PORT;
	if (bytes_present(port) && (!number_parse(port, PORT_MAX, &url->port) || url->port == 0))
		return refuse(err, "the port is not a number from 1 to 65535");
	url->host = host.len ? mem_strndup(host.data, host.len) : mem_strdup("127.0.0.1");
	return MR_OK;
}

static enum mr_status tcp_parse(struct bytes rest, struct redis_url *url, struct mr_error *err)
{
	struct bytes address = rest, credentials = BYTES_NONE;
	enum mr_status status = MR_OK;

	if (cut(&address, '@', true, &credentials))
		status = credentials_parse(credentials, url, err);
	struct bytes db = address;

	if (cut(&db, '/', false, &address)) {
		if (db.len && !number_parse(db, DB_MAX, &url->db))
			return refuse(err, "the database is not a number");
	}
	return status == MR_OK ? address_parse(address, url, err) : status;
}

static enum mr_status unix_parse(struct bytes rest, struct redis_url *url, struct mr_error *err)
{
	struct bytes path = rest, query = rest;

	if (cut(&query, '?', false, &path)) {
		if (query.len < 3 || memcmp(query.data, "db=", 3) != 0 ||
		    !number_parse((struct bytes){query.data + 3, query.len - 3}, DB_MAX, &url->db))
			return refuse(err, "what follows '?' is not db=N");
	}
	if (path.len == 0 || path.data[0] != '/')
		return refuse(err, "the path of the socket is not absolute");
	url->path = mem_strndup(path.data, path.len);
	return MR_OK;
}

enum mr_status redis_url_parse(const char *text, struct redis_url *ret, struct mr_error *err)
{
	struct redis_url url = {0};
	enum mr_status status;

	if (!text)
		return refuse(err, "no URL");
	if (strncmp(text, "redis://", 8) == 0) {
		status = tcp_parse(bytes_of(text + 8), &url, err);
	} else if (strncmp(text, "rediss://", 9) == 0) {
		url.tls = true;
		status = tcp_parse(bytes_of(text + 9), &url, err);
	} else if (strncmp(text, "unix://", 7) == 0) {
		status = unix_parse(bytes_of(text + 7), &url, err);
	} else {
		return refuse(err, "unknown scheme");
	}
	if (status == MR_OK)
		*ret = url;
	else
		redis_url_deinit(&url);
	return status;
}
