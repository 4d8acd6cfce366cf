/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/conf_impl.h"

#define LEFT_MIN 20
#define LEFT_MAX 32
#define GAP 2

struct page {
	struct buf *out;
	size_t columns;
	size_t left; /* columns of the flags, gap counted */
	bool bold;
};

/* Columns on the screen: one for each character. */
static size_t width(struct bytes b)
{
	size_t n = 0;

	for (size_t i = 0; i < b.len; i++)
		n += ((unsigned char)b.data[i] & 0xc0) != 0x80;
	return n;
}

static void spaces(struct page *page, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_append_char(page->out, ' ');
}

/* "Work:" at the begin of a line. */
static void heading(struct page *page, const char *text)
{
	buf_printf(page->out, page->bold ? "\033[1m%s:\033[0m" : "%s:", text);
}

static void section(struct page *page, const char *text)
{
	buf_append_char(page->out, '\n');
	heading(page, text);
	buf_append_char(page->out, '\n');
}

/* Appends the words of `text` from column `at` on, breaking lines so that they go on at column `indent`; ends the line. */
static void wrap(struct page *page, const char *text, size_t at, size_t indent)
{
	bool first = true;

	for (;;) {
		text += strspn(text, " \n");
		struct bytes word = {text, strcspn(text, " \n")};
		if (word.len == 0)
			break;
		if (!first && at + 1 + width(word) > page->columns) {
			buf_append_char(page->out, '\n');
			spaces(page, indent);
			at = indent;
			first = true;
		}
		if (!first)
			buf_append_char(page->out, ' ');
		buf_append_bytes(page->out, word);
		at += !first + width(word);
		first = false;
		text += word.len;
	}
	buf_append_char(page->out, '\n');
}

static const char *value_name(const struct conf_option *option)
{
	if (option->arg)
		return option->arg;
	return option->kind == CONF_ENUM ? option->choices : conf_kinds[option->kind].value;
}

static bool bool_default(const struct conf_option *option)
{
	bool value = false;
	struct conf_option at_zero = *option;

	at_zero.offset = 0;
	if (option->def)
		conf_value_add(&at_zero, option->def, &value);
	return value;
}

/* "-s, --slots N", "    --[no-]color" where it is on unless told otherwise. */
static void flag_print(const struct conf_option *option, struct buf *out)
{
	const char *value = value_name(option);
	bool is_bool = option->kind == CONF_BOOL;

	if (option->letter)
		buf_printf(out, "-%c, ", option->letter);
	else
		buf_printf(out, "    ");
	buf_printf(out, "--%s%s", is_bool && bool_default(option) ? "[no-]" : "", option->name);
	if (value && !is_bool)
		buf_printf(out, " %s", value);
}

static void remark(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s%s%s", out->len ? "; " : "", name, value);
}

/* "may repeat; 1 to 64; default 8; $MILLRACE_SLOTS" */
static void remarks_print(const struct conf_option *option, struct buf *out)
{
	struct buf range = {0};

	if (option->kind == CONF_LIST)
		remark(out, "may repeat", "");
	if (option->kind == CONF_ENUM && option->arg)
		remark(out, option->choices, "");
	conf_value_range(option, &range);
	if (range.len)
		remark(out, buf_cstr(&range), "");
	if (option->def && option->kind != CONF_BOOL)
		remark(out, "default ", *option->def ? option->def : "empty");
	else if (option->kind == CONF_BOOL && bool_default(option))
		remark(out, "default on", "");
	if (option->env)
		remark(out, "$", option->env);
	buf_deinit(&range);
}

static void entry(struct page *page, const char *flag, const char *text)
{
	size_t at = GAP + width(bytes_of(flag));

	spaces(page, GAP);
	buf_printf(page->out, "%s", flag);
	if (at + GAP > page->left) {
		buf_append_char(page->out, '\n');
		at = 0;
	}
	spaces(page, page->left - at);
	wrap(page, text, page->left, page->left);
}

static void option_print(struct page *page, const struct conf_option *option)
{
	struct buf flag = {0}, text = {0}, remarks = {0};

	flag_print(option, &flag);
	remarks_print(option, &remarks);
	buf_printf(&text, "%s", option->help ? option->help : "");
	if (remarks.len)
		buf_printf(&text, " [%s]", buf_cstr(&remarks));
	entry(page, buf_cstr(&flag), buf_cstr(&text));
	buf_deinit(&flag);
	buf_deinit(&text);
	buf_deinit(&remarks);
}

static size_t left_columns(const struct conf_program *program)
{
	size_t left = LEFT_MIN;
	struct buf flag = {0};

	for (const struct conf_option *option = program->options; !conf_is_end(option); option++) {
		if (option->kind == CONF_GROUP)
			continue;
		buf_reset(&flag);
		flag_print(option, &flag);
		size_t need = width(buf_bytes(&flag)) + 2 * GAP;
		if (need > left && need <= LEFT_MAX)
			left = need;
	}
	buf_deinit(&flag);
	return left;
}

static bool has_letter(const struct conf_program *program, char letter)
{
	for (const struct conf_option *option = program->options; !conf_is_end(option); option++)
		if (option->kind != CONF_GROUP && option->letter == letter)
			return true;
	return false;
}

static void usage_print(struct page *page, const struct conf_program *program)
{
	size_t at = sizeof("Usage: ") - 1 + strlen(program->name) + 1;
	struct buf text = {0};

	heading(page, "Usage");
	buf_printf(page->out, " %s ", program->name);
	buf_printf(&text, "[OPTION]... %s", program->usage ? program->usage : "");
	wrap(page, buf_cstr(&text), at, at);
	buf_deinit(&text);
}

static void options_print(struct page *page, const struct conf_program *program)
{
	const struct conf_option *option = program->options;

	if (option->kind != CONF_GROUP)
		section(page, "Options");
	for (; !conf_is_end(option); option++) {
		if (option->kind == CONF_GROUP)
			section(page, option->name);
		else
			option_print(page, option);
	}
}

void conf_describe_help(const struct conf_program *program, size_t columns, bool bold, struct buf *out)
{
	struct page page = {.out = out, .columns = columns, .left = left_columns(program), .bold = bold};

	assert(columns > LEFT_MAX);
	usage_print(&page, program);
	if (program->purpose) {
		buf_append_char(out, '\n');
		wrap(&page, program->purpose, 0, 0);
	}
	options_print(&page, program);
	section(&page, "Help");
	entry(&page, has_letter(program, 'h') ? "    --help" : "-h, --help", "Show this help and exit.");
	entry(&page, "    --version", "Show the version and exit.");
	if (program->epilog) {
		size_t len = strlen(program->epilog);

		buf_printf(out, "\n%s%s", program->epilog, len > 0 && program->epilog[len - 1] == '\n' ? "" : "\n");
	}
}

/* A cell of a table: its separator is escaped. */
static void cell(struct buf *out, const char *before, const char *text, const char *after)
{
	buf_printf(out, "%s", before);
	for (; *text; text++) {
		if (*text == '|')
			buf_append_char(out, '\\');
		buf_append_char(out, *text);
	}
	buf_printf(out, "%s", after);
}

static void table_row(const struct conf_option *option, struct buf *out)
{
	struct buf flag = {0}, range = {0};

	flag_print(option, &flag);
	const char *text = buf_cstr(&flag);
	cell(out, "| `", text + strspn(text, " "), "` | ");
	if (option->env)
		cell(out, "`", option->env, "`");
	buf_printf(out, " | ");
	if (option->def && *option->def)
		cell(out, "`", option->def, "`");
	conf_value_range(option, &range);
	cell(out, " | ", option->help ? option->help : "", "");
	if (option->kind == CONF_LIST)
		buf_printf(out, " May repeat.");
	if (option->kind == CONF_ENUM && option->arg)
		cell(out, " One of `", option->choices, "`.");
	if (range.len)
		buf_printf(out, " Range: %s.", buf_cstr(&range));
	buf_printf(out, " |\n");
	buf_deinit(&flag);
	buf_deinit(&range);
}

void conf_describe_markdown(const struct conf_program *program, struct buf *out)
{
	bool in_table = false;

	for (const struct conf_option *option = program->options; !conf_is_end(option); option++) {
		if (option->kind == CONF_GROUP) {
			buf_printf(out, "%s### %s\n", out->len ? "\n" : "", option->name);
			in_table = false;
			continue;
		}
		if (!in_table)
			buf_printf(out, "%s| flag | variable | default | meaning |\n|---|---|---|---|\n", out->len ? "\n" : "");
		in_table = true;
		table_row(option, out);
	}
}
