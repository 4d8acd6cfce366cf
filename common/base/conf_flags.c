/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <getopt.h>

#include "base/conf_impl.h"

/* What getopt_long returns for long flags, beyond every letter: two numbers an option, the second one for the opposite of a bool. */
#define LONG_FIRST 256

/* The table in the form getopt wants. */
struct flags {
	struct conf_parser *parser;
	struct arena arena;
	struct buf letters;
	struct option *longs;
	size_t n_longs;
	int help;
	int version;
	int markdown;
};

static void flag_add(struct flags *flags, const char *name, int argument, int value)
{
	flags->longs[flags->n_longs++] = (struct option){.name = name, .has_arg = argument, .val = value};
}

static void option_add(struct flags *flags, const struct conf_option *option, int value)
{
	bool is_bool = option->kind == CONF_BOOL;

	flag_add(flags, option->name, is_bool ? optional_argument : required_argument, value);
	if (is_bool)
		flag_add(flags, conf_negative(option, &flags->arena).data, no_argument, value + 1);
	if (option->letter)
		buf_printf(&flags->letters, "%c%s", option->letter, is_bool ? "" : ":");
}

static void flags_init(struct flags *flags, struct conf_parser *parser)
{
	int n = (int)parser->n_options;

	*flags = (struct flags){.parser = parser,
				.help = LONG_FIRST + 2 * n,
				.version = LONG_FIRST + 2 * n + 1,
				.markdown = LONG_FIRST + 2 * n + 2};
	flags->longs = arena_alloc(&flags->arena, (2 * parser->n_options + 4) * sizeof(*flags->longs));
	/* A colon first: getopt tells a missing value from an unknown flag. */
	buf_append_char(&flags->letters, ':');
	for (int i = 0; i < n; i++)
		if (parser->program->options[i].kind != CONF_GROUP)
			option_add(flags, &parser->program->options[i], LONG_FIRST + 2 * i);
	flag_add(flags, "help", no_argument, flags->help);
	flag_add(flags, "version", no_argument, flags->version);
	flag_add(flags, "help-markdown", no_argument, flags->markdown);
	if (!memchr(flags->letters.data, 'h', flags->letters.len))
		buf_append_char(&flags->letters, 'h');
}

static void flags_deinit(struct flags *flags)
{
	buf_deinit(&flags->letters);
	arena_deinit(&flags->arena);
}

static const char *long_name(const struct flags *flags, int value)
{
	for (size_t i = 0; i < flags->n_longs; i++)
		if (flags->longs[i].val == value)
			return flags->longs[i].name;
	return NULL;
}

static enum mr_status unknown_long(struct flags *flags, const char *typed)
{
	struct bytes name = {typed + 2, strcspn(typed + 2, "=")};
	struct buf hint = {0};

	conf_suggest(flags->parser->program, arena_copy(&flags->arena, name).data, "--", &hint);
	mr_error_set(flags->parser->err, MR_EINVAL, "", "unknown flag --%.*s%s", name.len < 80 ? (int)name.len : 80, name.data,
		     buf_cstr(&hint));
	buf_deinit(&hint);
	return MR_EINVAL;
}

/* getopt takes a beginning for the whole; we do not, so that a new flag never changes what an old command means. */
static bool typed_in_full(const struct flags *flags, const char *typed, int value)
{
	const char *name = long_name(flags, value);

	return name && bytes_is((struct bytes){typed + 2, strcspn(typed + 2, "=")}, name);
}

static size_t option_index(const struct flags *flags, int value)
{
	const struct conf_parser *parser = flags->parser;

	if (value >= LONG_FIRST)
		return (size_t)(value - LONG_FIRST) / 2;
	for (size_t i = 0; i < parser->n_options; i++)
		if (parser->program->options[i].letter == value)
			return i;
	return parser->n_options;
}

static enum mr_status value_missing(struct flags *flags, const char *typed)
{
	const struct conf_option *option = &flags->parser->program->options[option_index(flags, optopt)];
	struct buf expected = {0};

	if (optopt >= LONG_FIRST && !typed_in_full(flags, typed, optopt))
		return unknown_long(flags, typed);
	const char *where = arena_printf(&flags->arena, "--%s", option->name).data;
	conf_value_expected(option, &expected);
	if (option->arg && (option->kind == CONF_STRING || option->kind == CONF_LIST)) {
		buf_reset(&expected);
		buf_printf(&expected, "%s", option->arg);
	}
	mr_error_set(flags->parser->err, MR_EINVAL, where, "the value is missing: %s", buf_cstr(&expected));
	buf_deinit(&expected);
	return MR_EINVAL;
}

static enum mr_status flag_refused(struct flags *flags, const char *typed)
{
	if (optopt > 0 && optopt < LONG_FIRST)
		return mr_error_set(flags->parser->err, MR_EINVAL, "", "unknown flag -%c; see %s --help", optopt,
				    flags->parser->program->name);
	if (optopt >= LONG_FIRST && typed_in_full(flags, typed, optopt))
		return mr_error_set(flags->parser->err, MR_EINVAL, "", "--%s takes no value", long_name(flags, optopt));
	return unknown_long(flags, typed);
}

static enum mr_status flag_take(struct flags *flags, int value, const char *text)
{
	size_t i = option_index(flags, value);

	assert(i < flags->parser->n_options);
	const struct conf_option *option = &flags->parser->program->options[i];
	bool is_opposite = value >= LONG_FIRST && value % 2 == 1;
	const char *where = arena_printf(&flags->arena, "--%s", option->name).data;
	if (option->kind == CONF_BOOL && !text)
		text = is_opposite ? "false" : "true";
	return conf_take(flags->parser, i, CONF_FROM_FLAG, where, text);
}

static enum mr_status flags_walk(struct flags *flags, int argc, char **argv, enum conf_request *ret_request)
{
	enum mr_status status = MR_OK;
	int value;

	while (status == MR_OK && (value = getopt_long(argc, argv, buf_cstr(&flags->letters), flags->longs, NULL)) != -1) {
		/* The element of argv that holds the flag, where it is a long one. */
		const char *typed = argv[optarg && optarg == argv[optind - 1] ? optind - 2 : optind - 1];

		if (value == ':')
			status = value_missing(flags, typed);
		else if (value == '?')
			status = flag_refused(flags, typed);
		else if (value >= LONG_FIRST && !typed_in_full(flags, typed, value))
			status = unknown_long(flags, typed);
		else if (value == flags->version)
			*ret_request = CONF_VERSION;
		else if (value == flags->markdown)
			*ret_request = CONF_MARKDOWN;
		else if (value == flags->help || (value == 'h' && option_index(flags, 'h') == flags->parser->n_options))
			*ret_request = CONF_HELP;
		else
			status = flag_take(flags, value, optarg);
		if (*ret_request != CONF_RUN)
			break;
	}
	return status;
}

enum mr_status conf_flags_take(struct conf_parser *parser, int argc, char **argv, struct conf_list *ret_args,
			       enum conf_request *ret_request)
{
	struct flags flags;

	flags_init(&flags, parser);
	*ret_request = CONF_RUN;
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	enum mr_status status = flags_walk(&flags, argc, argv, ret_request);
	*ret_args = (struct conf_list){0};
	if (status == MR_OK && optind < argc)
		*ret_args = (struct conf_list){.items = argv + optind, .len = (size_t)(argc - optind)};
	flags_deinit(&flags);
	return status;
}
