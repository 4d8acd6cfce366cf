/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"

#define BUF_FIRST_BYTES 64

void buf_deinit(struct buf *buf)
{
	if (!buf)
		return;
	free(buf->data);
	*buf = (struct buf){0};
}

char *buf_reserve(struct buf *buf, size_t extra)
{
	assert(buf->len <= buf->cap);
	assert(extra <= SIZE_MAX / 2 - buf->len);
	size_t need = buf->len + extra;

	if (need > buf->cap || !buf->data) {
		size_t cap = buf->cap * 2 > BUF_FIRST_BYTES ? buf->cap * 2 : BUF_FIRST_BYTES;

		buf->cap = cap > need ? cap : need;
		buf->data = mem_realloc(buf->data, buf->cap);
	}
	return buf->data + buf->len;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_reserve(buf, len), data, len);
	buf->len += len;
}

void buf_append_bytes(struct buf *buf, struct bytes b)
{
	buf_append(buf, b.data, b.len);
}

void buf_append_char(struct buf *buf, char c)
{
	*buf_reserve(buf, 1) = c;
	buf->len++;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;

	va_copy(again, args);
	size_t room = buf->cap - buf->len;
	int len = vsnprintf(room ? buf->data + buf->len : NULL, room, format, args);
	assert(len >= 0);
	if ((size_t)len >= room)
		vsnprintf(buf_reserve(buf, (size_t)len + 1), (size_t)len + 1, format, again);
	va_end(again);
	buf->len += (size_t)len;
}

const char *buf_cstr(struct buf *buf)
{
	*buf_reserve(buf, 1) = '\0';
	return buf->data;
}

void buf_consume(struct buf *buf, size_t n)
{
	assert(n <= buf->len);
	if (n == 0)
		return;
	buf->len -= n;
	memmove(buf->data, buf->data + n, buf->len);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buf_append_base64(struct buf *buf, struct bytes b)
{
	const uint8_t *p = (const uint8_t *)b.data;

	assert(b.len <= SIZE_MAX / 4);
	buf_reserve(buf, (b.len + 2) / 3 * 4);
	for (size_t left = b.len; left > 0;) {
		size_t n = left < 3 ? left : 3;
		uint32_t group = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

		buf_append_char(buf, base64_digits[group >> 18]);
		buf_append_char(buf, base64_digits[group >> 12 & 63]);
		buf_append_char(buf, n > 1 ? base64_digits[group >> 6 & 63] : '=');
		buf_append_char(buf, n > 2 ? base64_digits[group & 63] : '=');
		p += n;
		left -= n;
	}
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes four characters, the last `pad` of which are '='. Bits that fall off the end must be zero: one text for each value. */
static bool base64_group(const char *in, size_t pad, char out[3])
{
	uint32_t group = 0;

	for (size_t i = 0; i < 4 - pad; i++) {
		int value = base64_value(in[i]);

		if (value < 0)
			return false;
		group |= (uint32_t)value << (18 - 6 * i);
	}
	if ((pad == 1 && (group & 0xff)) || (pad == 2 && (group & 0xffff)))
		return false;
	out[0] = (char)(group >> 16);
	out[1] = (char)(group >> 8);
	out[2] = (char)group;
	return true;
}

bool buf_append_base64_decoded(struct buf *buf, struct bytes b)
{
	size_t former_len = buf->len;

	if (b.len % 4 != 0)
		return false;
	buf_reserve(buf, b.len / 4 * 3);
	for (size_t i = 0; i < b.len; i += 4) {
		const char *in = b.data + i;
		bool last = i + 4 == b.len;
		size_t pad = !last || in[3] != '=' ? 0 : in[2] != '=' ? 1 : 2;
		char out[3];

		if (!base64_group(in, pad, out)) {
			buf->len = former_len;
			return false;
		}
		buf_append(buf, out, 3 - pad);
	}
	return true;
}
