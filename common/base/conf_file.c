/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/conf_impl.h"
#include "base/mem.h"

static void filep_close(FILE **file)
{
	if (*file)
		fclose(*file);
}

static char *trim(char *text)
{
	static const char space[] = " \t\r\n";
	char *begin = text + strspn(text, space);
	size_t len = strlen(begin);

	while (len > 0 && strchr(space, begin[len - 1]))
		begin[--len] = '\0';
	return begin;
}

static char *unquote(char *value)
{
	size_t len = strlen(value);

	if (len < 2 || value[0] != '"' || value[len - 1] != '"')
		return value;
	value[len - 1] = '\0';
	return value + 1;
}

static enum mr_status unknown_name(struct conf_parser *parser, const char *where, const char *name)
{
	struct buf hint = {0};

	conf_suggest(parser->program, name, "", &hint);
	mr_error_set(parser->err, MR_EINVAL, where, "unknown name %.80s%s", name, buf_cstr(&hint));
	buf_deinit(&hint);
	return MR_EINVAL;
}

static enum mr_status line_take(struct conf_parser *parser, const char *where, char *line)
{
	char *name = trim(line);
	char *equals = strchr(name, '=');

	if (name[0] == '\0' || name[0] == '#')
		return MR_OK;
	if (!equals)
		return mr_error_set(parser->err, MR_EINVAL, where, "\"%.80s\" is not \"name = value\" or a # comment", name);
	*equals = '\0';
	name = trim(name);
	const struct conf_option *option = conf_find(parser->program, name);
	if (!option)
		return unknown_name(parser, where, name);
	if (strcmp(option->name, parser->program->file_option) == 0)
		return mr_error_set(parser->err, MR_EINVAL, where, "%s cannot be set in a file", name);
	return conf_take(parser, (size_t)(option - parser->program->options), CONF_FROM_FILE, where, unquote(trim(equals + 1)));
}

static enum mr_status lines_take(struct conf_parser *parser, const char *path, FILE *file)
{
	CLEANUP_FREE char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	for (int number = 1; (len = getline(&line, &cap, file)) >= 0; number++) {
		char where[sizeof(parser->err->where)];

		snprintf(where, sizeof(where), "%.100s:%d", path, number);
		if (strlen(line) != (size_t)len)
			return mr_error_set(parser->err, MR_EINVAL, where, "the line contains a NUL");
		enum mr_status status = line_take(parser, where, line);
		if (status != MR_OK)
			return status;
	}
	if (ferror(file))
		return mr_error_set(parser->err, MR_EINVAL, path, "the file cannot be read: %s", strerror(errno));
	return MR_OK;
}

enum mr_status conf_file_read(struct conf_parser *parser, const char *path)
{
	__attribute__((cleanup(filep_close))) FILE *file = fopen(path, "re");

	assert(parser->program->file_option);
	if (!file)
		return mr_error_set(parser->err, MR_EINVAL, path, "the file cannot be opened: %s", strerror(errno));
	return lines_take(parser, path, file);
}
