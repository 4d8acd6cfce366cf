/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONF_IMPL_H
#define BASE_CONF_IMPL_H

/* Between the files of conf; nobody else includes this. */

#include "base/arena.h"
#include "base/conf.h"

/* In the order of their precedence. */
enum conf_source { CONF_FROM_NOWHERE, CONF_FROM_DEFAULT, CONF_FROM_FILE, CONF_FROM_ENV, CONF_FROM_FLAG };

struct conf_parser {
	const struct conf_program *program;
	void *target;
	size_t n_options;          /* groups counted too */
	enum conf_source *sources; /* one an option */
	struct mr_error *err;
};

/* What differs from kind to kind. */
struct conf_kind_traits {
	const char *noun;  /* "a duration" */
	const char *value; /* what a value is called where the table does not say: "DURATION" */
	size_t size;       /* of the member */
};
extern const struct conf_kind_traits conf_kinds[]; /* by enum conf_kind */

static inline bool conf_is_end(const struct conf_option *option)
{
	return option->kind == CONF_GROUP && !option->name;
}

/* conf_value.c: sets the member of `target`, or adds to it where it is a list; false where `text` is not accepted. */
bool conf_value_add(const struct conf_option *option, const char *text, void *target);
/* Frees what the member owns and zeroes it. */
void conf_value_clear(const struct conf_option *option, void *target);
/* "a whole number from 1 to 64": what conf_value_add accepts. */
void conf_value_expected(const struct conf_option *option, struct buf *out);
/* "1 to 64", or nothing where every value of the kind is accepted. */
void conf_value_range(const struct conf_option *option, struct buf *out);
/* The name of the flag that says the opposite: "no-x" for "x" and the other way round. For CONF_BOOL. */
struct bytes conf_negative(const struct conf_option *option, struct arena *arena);
/* The choices of a CONF_ENUM as strings, in one piece of memory: free() it. */
const char **conf_choices(const struct conf_option *option, size_t *ret_n);

/* conf.c: takes `text` for option `i`, unless a source of higher precedence has set it. `where` names the place for the error. */
enum mr_status conf_take(struct conf_parser *parser, size_t i, enum conf_source source, const char *where, const char *text);
/* The option called `name`; NULL where there is none. */
const struct conf_option *conf_find(const struct conf_program *program, const char *name);

/* conf_near.c: appends "; did you mean X" with `dashes` before X, or nothing. */
void conf_suggest(const struct conf_program *program, const char *name, const char *dashes, struct buf *out);

/* conf_flags.c: takes the flags of argv, which it reorders, and leaves the other arguments to *ret_args. */
enum conf_request { CONF_RUN, CONF_HELP, CONF_MARKDOWN, CONF_VERSION };
enum mr_status conf_flags_take(struct conf_parser *parser, int argc, char **argv, struct conf_list *ret_args,
			       enum conf_request *ret_request);

/* conf_file.c */
enum mr_status conf_file_read(struct conf_parser *parser, const char *path);

#endif
