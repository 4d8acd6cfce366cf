/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"

#include <assert.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/conf_impl.h"
#include "base/mem.h"

const struct conf_option *conf_find(const struct conf_program *program, const char *name)
{
	for (const struct conf_option *option = program->options; !conf_is_end(option); option++)
		if (option->kind != CONF_GROUP && strcmp(option->name, name) == 0)
			return option;
	return NULL;
}

static enum mr_status value_refused(struct conf_parser *parser, const struct conf_option *option, enum conf_source source,
				    const char *where, const char *text)
{
	struct buf expected = {0};

	conf_value_expected(option, &expected);
	if (option->kind == CONF_ENUM) {
		size_t n;
		CLEANUP_FREE const char **choices = conf_choices(option, &n);
		const char *nearest = conf_nearest(text, choices, n);

		if (nearest)
			buf_printf(&expected, "; did you mean %s", nearest);
	}
	/* Of a file, `where` is the line. */
	mr_error_set(parser->err, MR_EINVAL, where, "%s%s\"%.80s\" is not %s", source == CONF_FROM_FILE ? option->name : "",
		     source == CONF_FROM_FILE ? ": " : "", text, buf_cstr(&expected));
	buf_deinit(&expected);
	return MR_EINVAL;
}

enum mr_status conf_take(struct conf_parser *parser, size_t i, enum conf_source source, const char *where, const char *text)
{
	const struct conf_option *option = &parser->program->options[i];

	assert(i < parser->n_options);
	if (parser->sources[i] > source)
		return MR_OK;
	if (parser->sources[i] < source)
		conf_value_clear(option, parser->target);
	parser->sources[i] = source;
	if (!conf_value_add(option, text, parser->target))
		return value_refused(parser, option, source, where, text);
	return MR_OK;
}

/* A variable or a default of a list holds several words. */
static enum mr_status take_words(struct conf_parser *parser, size_t i, enum conf_source source, const char *where,
				 const char *text)
{
	CLEANUP_FREE char *copy = mem_strdup(text);
	char *rest = copy;
	const char *word;

	if (parser->program->options[i].kind != CONF_LIST)
		return conf_take(parser, i, source, where, text);
	while ((word = strsep(&rest, " \t\n"))) {
		enum mr_status status = *word ? conf_take(parser, i, source, where, word) : MR_OK;

		if (status != MR_OK)
			return status;
	}
	return MR_OK;
}

static enum mr_status variables_take(struct conf_parser *parser)
{
	for (size_t i = 0; i < parser->n_options; i++) {
		const char *name = parser->program->options[i].env;
		const char *text = name ? getenv(name) : NULL;

		if (!text || !*text)
			continue;
		enum mr_status status = take_words(parser, i, CONF_FROM_ENV, name, text);
		if (status != MR_OK)
			return status;
	}
	return MR_OK;
}

static enum mr_status file_take(struct conf_parser *parser)
{
	const char *name = parser->program->file_option;
	const struct conf_option *option = name ? conf_find(parser->program, name) : NULL;

	if (!option)
		return MR_OK;
	assert(option->kind == CONF_STRING);
	const char *path = *(const char **)((char *)parser->target + option->offset);
	return path ? conf_file_read(parser, path) : MR_OK;
}

/* First of all, so that an option which nothing else sets has it; and a default that its own table refuses is noticed at once. */
static void defaults_take(struct conf_parser *parser)
{
	for (size_t i = 0; i < parser->n_options; i++) {
		const struct conf_option *option = &parser->program->options[i];

		if (option->kind == CONF_GROUP || !option->def)
			continue;
		enum mr_status status = take_words(parser, i, CONF_FROM_DEFAULT, option->name, option->def);
		if (status != MR_OK) {
			fprintf(stderr, "%s: the default of --%s is wrong: \"%s\"\n", parser->program->name, option->name,
				option->def);
			abort();
		}
	}
}

static enum mr_status args_check(struct conf_parser *parser, const struct conf_list *args)
{
	const struct conf_program *program = parser->program;
	size_t min = (size_t)program->min_args, max = program->max_args < 0 ? SIZE_MAX : (size_t)program->max_args;

	if (args->len > max)
		return mr_error_set(parser->err, MR_EINVAL, "", "unexpected argument \"%.80s\"; see %s --help", args->items[max],
				    program->name);
	if (args->len < min)
		return mr_error_set(parser->err, MR_EINVAL, "", "an argument is missing: %s %s", program->name, program->usage);
	return MR_OK;
}

static bool is_color_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
}

static size_t terminal_columns(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col > 100)
		return 100;
	return size.ws_col < 60 ? 60 : size.ws_col;
}

static void help_print(const struct conf_program *program)
{
	struct buf help = {0};

	conf_describe_help(program, terminal_columns(), is_color_terminal(), &help);
	fwrite(help.data, 1, help.len, stdout);
	fflush(stdout);
	buf_deinit(&help);
}

static void markdown_print(const struct conf_program *program)
{
	struct buf page = {0};

	conf_describe_markdown(program, &page);
	fwrite(page.data, 1, page.len, stdout);
	buf_deinit(&page);
}

static void answer(const struct conf_program *program, enum conf_request request)
{
	switch (request) {
	case CONF_RUN:
		break;
	case CONF_HELP:
		help_print(program);
		break;
	case CONF_MARKDOWN:
		markdown_print(program);
		break;
	case CONF_VERSION:
		printf("%s %s\n", program->name, mr_version());
		break;
	}
	fflush(stdout);
}

static enum mr_status parse(struct conf_parser *parser, int argc, char **argv, struct conf_list *ret_args, int *ret_exit)
{
	enum conf_request request;

	defaults_take(parser);
	enum mr_status status = conf_flags_take(parser, argc, argv, ret_args, &request);
	if (status == MR_OK && request == CONF_RUN)
		status = variables_take(parser);
	if (status == MR_OK && request == CONF_RUN)
		status = file_take(parser);
	if (status == MR_OK && request == CONF_RUN)
		status = args_check(parser, ret_args);
	if (status != MR_OK || request == CONF_RUN)
		return status;
	answer(parser->program, request);
	*ret_exit = 0;
	return MR_OK;
}

enum mr_status conf_parse(const struct conf_program *program, int argc, char **argv, void *target, struct conf_list *ret_args,
			  int *ret_exit, struct mr_error *err)
{
	struct conf_parser parser = {.program = program, .target = target, .err = err};
	struct conf_list args = {0};

	assert(argc >= 1);
	for (const struct conf_option *option = program->options; !conf_is_end(option); option++, parser.n_options++)
		memset((char *)target + option->offset, 0, conf_kinds[option->kind].size);
	parser.sources = mem_alloc((parser.n_options + 1) * sizeof(*parser.sources));
	*ret_exit = -1;
	enum mr_status status = parse(&parser, argc, argv, &args, ret_exit);
	if (status != MR_OK || *ret_exit >= 0)
		conf_deinit(program, target);
	else if (ret_args)
		*ret_args = args;
	free(parser.sources);
	return status;
}

void conf_deinit(const struct conf_program *program, void *target)
{
	for (const struct conf_option *option = program->options; !conf_is_end(option); option++)
		conf_value_clear(option, target);
}
