/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CONF_RIG_H
#define TEST_CONF_RIG_H

#include "base/conf.h"

/* A program with an option of each kind, and its parser run over lines of words. */
#define CONF_RIG_ARGS_MAX 32

enum format { FORMAT_TEXT, FORMAT_JSON };

struct settings {
	const char *before; /* not in the table: must stay untouched */
	const char *brokers;
	const char *config;
	struct conf_list queues;
	struct conf_list properties;
	int64_t slots;
	int64_t grace_ms;
	int64_t memory_bytes;
	double coefficient;
	bool topics;
	bool no_color;
	int format;
};

/* What the last run gave. */
extern struct conf_rig {
	struct settings settings;
	struct conf_list args;
	int exit;
	struct mr_error err;
	char line[512];
	char *argv[CONF_RIG_ARGS_MAX];
} conf_rig;
extern struct conf_program conf_rig_program;

/* Runs the parser over `line`, split at blanks. */
enum mr_status conf_rig_run(const char *line);
void conf_rig_run_ok(const char *line);
void conf_rig_refused(const char *line, const char *where, const char *message);
/* Runs and returns what was written to stdout. */
const char *conf_rig_output(const char *line);
void conf_rig_done(void);

const char *conf_rig_path(void);
void conf_rig_write(const char *text, size_t len);

/* Before and after each test, and all of them. */
int conf_rig_clean(void **state);
int conf_rig_begin(void **state);
int conf_rig_end(void **state);

#define CONF_TEST(f) cmocka_unit_test_setup_teardown(f, conf_rig_clean, conf_rig_clean)

#endif
