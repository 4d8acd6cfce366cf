/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include "base/buf.h"
#include "millrace/status.h"

/*
 * Configuration as one table per program: the table yields the flag parser, environment variables, the config file, defaults, validation,
 * --help and the configuration page of the docs. Precedence: flag, environment, file, default; a variable that is empty counts as not set.
 * A config file (--config FILE) has one `name = value` a line (# begins a comment line; a value may stand in double quotes); names are the
 * long flags without dashes; a flag that may repeat may repeat there too, and takes several words from its variable. A list is taken whole
 * from the source of highest precedence. Flags cannot be abbreviated.
 * A wrong name is answered with the nearest right one; a wrong value with what is accepted.
 */

enum conf_kind {
	CONF_STRING,   /* const char * (owned by the conf) */
	CONF_LIST,     /* struct conf_list: may repeat; variable and default: words */
	CONF_INT,      /* int64_t */
	CONF_DOUBLE,   /* double */
	CONF_DURATION, /* int64_t milliseconds: 500ms, 30s, 5m, 1h, 2d, 1h30m; 0 needs no unit */
	CONF_BYTES,    /* int64_t bytes: 1048576, 64k, 8m, 1g */
	CONF_BOOL,     /* bool: --flag, --no-flag (--flag of "no-flag"); in files and variables: true false yes no 1 0 */
	CONF_ENUM,     /* int: index into choices */
	CONF_GROUP,    /* no value: a heading in --help */
};

struct conf_list {
	char **items;
	size_t len;
};

struct conf_option {
	enum conf_kind kind;
	const char *name;    /* long flag, "start-to-close" */
	char letter;         /* short flag or 0 */
	const char *env;     /* environment variable or NULL */
	const char *arg;     /* name of the value in --help: "ADDR", "N" */
	const char *def;     /* default as text, or NULL = zero */
	const char *choices; /* CONF_ENUM: "text|json" */
	double min, max;     /* CONF_INT, CONF_DOUBLE, CONF_DURATION (ms), CONF_BYTES: the accepted range where max > min */
	size_t offset;       /* of the member in the options structure */
	const char *help;    /* one sentence or more */
};

/* clang-format off */
#define CONF_END {.name = NULL, .kind = CONF_GROUP}
/* clang-format on */

struct conf_program {
	const char *name;                  /* "millrace-worker", or "millrace submit" for a subcommand */
	const char *usage;                 /* "-q QUEUE..." or what is behind the options: "KEY" */
	const char *purpose;               /* a sentence or two for --help */
	const char *epilog;                /* examples and exit codes, or NULL */
	const struct conf_option *options; /* ends with CONF_END */
	int min_args, max_args;            /* positional arguments; max_args < 0: no limit */
	const char *file_option;           /* name of the CONF_STRING option that names the config file, or NULL */
};

/*
 * Parses into `target` (the program's options structure, zeroed by this call where an option lies). On --help prints help to stdout and sets
 * *ret_exit to 0; on --version the same; else leaves *ret_exit = -1. `ret_args` gets the positional arguments: a part of argv, which this
 * call reorders; not to be freed; NULL where none are taken. --help, -h and --version are added to every table, and --help-markdown
 * (conf_describe_markdown), which only makes the docs.
 * Errors: MR_EINVAL naming flag (or variable, or file and line), the value, and what is accepted. Strings and lists live until conf_deinit,
 * which need not be called after an error or where *ret_exit is set. Not for several threads at once.
 */
enum mr_status conf_parse(const struct conf_program *program, int argc, char **argv, void *target, struct conf_list *ret_args,
			  int *ret_exit, struct mr_error *err);
void conf_deinit(const struct conf_program *program, void *target);

/* One value, for reuse: "30s" to ms; false where it is not understood. */
bool conf_duration_parse(const char *text, int64_t *ret_ms);
bool conf_bytes_parse(const char *text, int64_t *ret_bytes);
/* The shortest exact form: 90000 is "90s", 3600000 is "1h". */
void conf_duration_print(struct buf *out, int64_t ms);
/* The nearest of `candidates` to `word` by edit distance where it is near enough to be a slip, else NULL. */
const char *conf_nearest(const char *word, const char *const *candidates, size_t n);
/* A Markdown table of the options, for docs/configuration.md. */
void conf_describe_markdown(const struct conf_program *program, struct buf *out);
/* What --help prints, wrapped at `columns`; `bold` headings for a terminal. */
void conf_describe_help(const struct conf_program *program, size_t columns, bool bold, struct buf *out);

#endif
