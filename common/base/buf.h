/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/bytes.h"

/* A growing byte buffer. Zero-initialise it; buf_deinit frees. Aborts the program where malloc fails. */
struct buf {
	char *data;
	size_t len;
	size_t cap;
};

void buf_deinit(struct buf *buf);
/* Room for `extra` more bytes; returns where they begin (data + len). */
char *buf_reserve(struct buf *buf, size_t extra);
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_bytes(struct buf *buf, struct bytes b);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* A NUL behind the last byte, not counted in len; the pointer is valid until the next change. */
const char *buf_cstr(struct buf *buf);
/* Forgets `n` bytes at the front. */
void buf_consume(struct buf *buf, size_t n);

static inline struct bytes buf_bytes(const struct buf *buf)
{
	return (struct bytes){buf->data ? buf->data : "", buf->len};
}

static inline void buf_reset(struct buf *buf)
{
	buf->len = 0;
}

/* RFC 4648 base64 with padding. */
void buf_append_base64(struct buf *buf, struct bytes b);
/* False where `b` is not valid base64 (padding required, no white space); nothing is appended then. */
bool buf_append_base64_decoded(struct buf *buf, struct bytes b);

#endif
