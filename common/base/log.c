/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* A line fits into PIPE_BUF, so that a write to a pipe is never mixed with another process's. A field that does not fit is left out. */
#define LINE_BYTES 4096
#define VALUE_MAX_BYTES 1024
#define TAIL_BYTES 32

static const char *const level_names[] = {[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
#define LEVEL_COUNT (sizeof(level_names) / sizeof(level_names[0]))

static struct {
	const char *program;
	enum log_level level;
	enum log_format format;
} setup = {.level = LOG_INFO};

struct line {
	size_t len;
	bool full; /* something did not fit; what was added since must be taken back */
	char data[LINE_BYTES];
};

void log_setup(const char *program, enum log_level level, enum log_format format)
{
	assert((size_t)level < LEVEL_COUNT);
	assert(format == LOG_TEXT || format == LOG_JSON);
	setup.program = program;
	setup.level = level;
	setup.format = format;
}

bool log_enabled(enum log_level level)
{
	return level >= setup.level;
}

static void line_add(struct line *line, const char *data, size_t len)
{
	if (line->full || len > sizeof(line->data) - TAIL_BYTES - line->len) {
		line->full = true;
		return;
	}
	memcpy(line->data + line->len, data, len);
	line->len += len;
}

static void line_text(struct line *line, const char *text)
{
	line_add(line, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void line_printf(struct line *line, const char *format, ...)
{
	char text[64];
	va_list args;

	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert(len >= 0 && (size_t)len < sizeof(text));
	line_add(line, text, (size_t)len);
}

static uint32_t utf8_decode(const uint8_t *p, size_t len)
{
	uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);

	for (size_t i = 1; i < len; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

/* Controls, line and paragraph separators, and the marks that turn the direction of text and so make a line read differently. */
static bool is_printable(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
		return false;
	if (c == 0x061c || c == 0x200e || c == 0x200f || c == 0xfeff)
		return false;
	return !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

static void escape_char(struct line *line, const char *p, size_t len)
{
	uint32_t c = utf8_decode((const uint8_t *)p, len);

	if (c == '"' || c == '\\')
		line_printf(line, "\\%c", (char)c);
	else if (c == '\n')
		line_text(line, "\\n");
	else if (c == '\t')
		line_text(line, "\\t");
	else if (is_printable(c))
		line_add(line, p, len);
	else
		line_printf(line, "\\u%04x", c);
}

/* The inside of a quoted string, the same for both formats but for bytes that are no UTF-8: \xNN, in JSON with the backslash doubled. */
static void escape(struct line *line, struct bytes b)
{
	bool cut = b.len > VALUE_MAX_BYTES;

	if (cut)
		b.len = VALUE_MAX_BYTES;
	while (b.len > 0) {
		size_t len = bytes_utf8_char(b);

		if (len > 0)
			escape_char(line, b.data, len);
		else if (cut && b.len < 4)
			break;
		else
			line_printf(line, setup.format == LOG_JSON ? "\\\\x%02x" : "\\x%02x", (unsigned char)b.data[0]);
		b.data += len ? len : 1;
		b.len -= len ? len : 1;
	}
	if (cut)
		line_text(line, "...");
}

static void quoted(struct line *line, struct bytes b)
{
	line_add(line, "\"", 1);
	escape(line, b);
	line_add(line, "\"", 1);
}

/* Text values stand without quotes where nothing in them could be mistaken. */
static bool is_plain(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		char c = b.data[i];

		if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return b.len > 0 && b.len <= VALUE_MAX_BYTES;
}

static void add_bytes(struct line *line, struct bytes b)
{
	if (!bytes_present(b))
		line_text(line, setup.format == LOG_JSON ? "null" : "-");
	else if (setup.format == LOG_TEXT && is_plain(b) && !bytes_is(b, "-"))
		line_add(line, b.data, b.len);
	else
		quoted(line, b);
}

static void add_value(struct line *line, const struct log_field *field)
{
	switch (field->kind) {
	case LOG_FIELD_STR:
		add_bytes(line, bytes_of(field->str));
		return;
	case LOG_FIELD_BYTES:
		add_bytes(line, field->bytes);
		return;
	case LOG_FIELD_INT:
		line_printf(line, "%lld", field->num);
		return;
	}
	assert(!"a log field has a kind");
}

static void add_time(struct line *line)
{
	int64_t now_ms = clock_wall_ms();
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	line_printf(line, "%s.%03dZ", text, (int)(now_ms % 1000));
}

static void begin_text(struct line *line, enum log_level level, const char *message)
{
	add_time(line);
	line_printf(line, " %-5s ", level_names[level]);
	if (setup.program) {
		escape(line, bytes_of(setup.program));
		line_text(line, ": ");
	}
	escape(line, bytes_of(message));
}

static void begin_json(struct line *line, enum log_level level, const char *message)
{
	line_text(line, "{\"time\":\"");
	add_time(line);
	line_printf(line, "\",\"level\":\"%s\"", level_names[level]);
	if (setup.program) {
		line_text(line, ",\"program\":");
		quoted(line, bytes_of(setup.program));
	}
	line_text(line, ",\"message\":");
	quoted(line, bytes_of(message));
}

static void add_field(struct line *line, const struct log_field *field)
{
	size_t former_len = line->len;

	if (setup.format == LOG_JSON) {
		line_text(line, ",");
		quoted(line, bytes_of(field->key));
		line_text(line, ":");
	} else {
		line_text(line, " ");
		line_text(line, field->key);
		line_text(line, "=");
	}
	add_value(line, field);
	if (line->full)
		line->len = former_len;
}

/* Goes into the TAIL_BYTES that line_add leaves free. */
static void line_end(struct line *line)
{
	const char *cut = !line->full ? "" : setup.format == LOG_JSON ? ",\"cut\":true" : " cut=true";
	int len = snprintf(line->data + line->len, TAIL_BYTES, "%s%s\n", cut, setup.format == LOG_JSON ? "}" : "");

	assert(len > 0 && len < TAIL_BYTES);
	line->len += (size_t)len;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	struct line line;
	int former_errno = errno;
	ssize_t n;

	assert((size_t)level < LEVEL_COUNT);
	assert(message);
	line.len = 0;
	line.full = false;
	if (setup.format == LOG_JSON)
		begin_json(&line, level, message);
	else
		begin_text(&line, level, message);
	assert(!line.full);
	for (; fields && fields->key && !line.full; fields++)
		add_field(&line, fields);
	line_end(&line);
	do
		n = write(STDERR_FILENO, line.data, line.len);
	while (n < 0 && errno == EINTR);
	errno = former_errno;
}
