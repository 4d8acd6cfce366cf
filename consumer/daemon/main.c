/* SPDX-License-Identifier: Apache-2.0 */
/* millrace-worker: the stock worker. Runs programs and the activities of shared objects. */
#include <stddef.h>

#include "http/monitor.h"
#include "millrace/worker.h"
#include "program/program.h"

struct options {
	struct program_common common;
	struct conf_list queues;
	int64_t slots;
	int isolation; /* enum mr_isolation */
	struct conf_list libraries;
	struct conf_list programs;
	struct conf_list limits;
	int64_t start_to_close_ms;
	int64_t grace_ms;
	int64_t park_after_ms;
	int64_t max_in_flight_bytes;
	int64_t max_input_bytes;
	int64_t max_result_bytes;
	bool no_setup;
	const char *http;
};

#define MEMBER(name) offsetof(struct options, name)
#define YEAR_MS (365.0 * 24 * 3600 * 1000)

static const struct conf_option table[] = {
	{.kind = CONF_GROUP, .name = "What to run"},
	{.kind = CONF_LIST,
	 .name = "queue",
	 .letter = 'q',
	 .env = "MILLRACE_QUEUES",
	 .arg = "QUEUE",
	 .offset = MEMBER(queues),
	 .help = "Task queue to work on."},
	{.kind = CONF_LIST,
	 .name = "activity-lib",
	 .env = "MILLRACE_ACTIVITY_LIBS",
	 .arg = "FILE.so",
	 .offset = MEMBER(libraries),
	 .help = "Shared object with activities (millrace/worker.h)."},
	{.kind = CONF_LIST,
	 .name = "exec",
	 .arg = "NAME=PROGRAM",
	 .offset = MEMBER(programs),
	 .help = "Activity that is a program: input on stdin, result on stdout, exit status 0 = completed, 100 = failed for "
		 "good, "
		 "others are retried. Arguments may follow the program."},
	{.kind = CONF_GROUP, .name = "Attempts"},
	{.kind = CONF_INT,
	 .name = "slots",
	 .env = "MILLRACE_SLOTS",
	 .arg = "N",
	 .def = "16",
	 .min = 1,
	 .max = 1024,
	 .offset = MEMBER(slots),
	 .help = "Attempts that run at once."},
	{.kind = CONF_LIST,
	 .name = "limit",
	 .arg = "TYPE=N",
	 .offset = MEMBER(limits),
	 .help = "Attempts of one activity type that run at once, where that is less than the slots."},
	{.kind = CONF_ENUM,
	 .name = "isolation",
	 .arg = "KIND",
	 .def = "process",
	 .choices = "process|thread",
	 .offset = MEMBER(isolation),
	 .help = "process: a crash costs one attempt, and deadlines can be enforced. thread: for trusted, very short "
		 "activities."},
	{.kind = CONF_DURATION,
	 .name = "start-to-close",
	 .arg = "D",
	 .def = "10m",
	 .min = 1,
	 .max = YEAR_MS,
	 .offset = MEMBER(start_to_close_ms),
	 .help = "How long an attempt may run where neither task nor activity says so."},
	{.kind = CONF_DURATION,
	 .name = "grace",
	 .arg = "D",
	 .def = "30s",
	 .min = 1,
	 .max = YEAR_MS,
	 .offset = MEMBER(grace_ms),
	 .help = "How long running attempts may go on after SIGTERM; also how long a program that was told to stop has before it "
		 "is killed."},
	{.kind = CONF_DURATION,
	 .name = "park-after",
	 .arg = "D",
	 .def = "1s",
	 .min = 1,
	 .max = YEAR_MS,
	 .offset = MEMBER(park_after_ms),
	 .help = "An attempt that runs for so long is written to the journal, so that nothing queues behind it in its "
		 "partition."},
	{.kind = CONF_GROUP, .name = "Limits"},
	{.kind = CONF_BYTES,
	 .name = "max-in-flight-bytes",
	 .arg = "BYTES",
	 .def = "16m",
	 .min = 65536,
	 .max = 1099511627776.0,
	 .offset = MEMBER(max_in_flight_bytes),
	 .help = "Bytes of tasks that are read and not ended; what is beyond stays in Kafka."},
	{.kind = CONF_BYTES,
	 .name = "max-input-bytes",
	 .arg = "BYTES",
	 .def = "1m",
	 .min = 1024,
	 .max = 1048576,
	 .offset = MEMBER(max_input_bytes),
	 .help = "Largest input of one task."},
	{.kind = CONF_BYTES,
	 .name = "max-result-bytes",
	 .arg = "BYTES",
	 .def = "1m",
	 .min = 1024,
	 .max = 1048576,
	 .offset = MEMBER(max_result_bytes),
	 .help = "Largest result; a larger one fails its task at once."},
	{.kind = CONF_BOOL, .name = "no-setup", .offset = MEMBER(no_setup), .help = "Do not create topics that are missing."},
	MONITOR_OPTION(struct options, http),
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program program = {
	.name = "millrace-worker",
	.usage = "-q QUEUE... [--activity-lib FILE.so]... [--exec NAME=PROGRAM]...",
	.purpose = "Runs activities: takes their tasks from Kafka, executes them in processes of their own, and publishes their "
		   "results.",
	.epilog = "SIGTERM drains: no new tasks, running attempts may end within --grace, the rest goes back. A second one ends "
		  "it at once.\n"
		  "Exit status: 0 drained, 1 failed, or the port of --http is taken, 2 wrong usage or nothing to run.\n"
		  "Example: millrace-worker -q default --exec greet=./greet.py",
	.options = table,
	.file_option = "config",
};

static enum mr_status register_all(struct mr_registry *registry, const struct options *options, struct mr_error *err)
{
	enum mr_status status = MR_OK;

	for (size_t i = 0; i < options->libraries.len && !status; i++)
		status = mr_register_library(registry, options->libraries.items[i], err);
	for (size_t i = 0; i < options->programs.len && !status; i++)
		status = mr_register_exec_text(registry, options->programs.items[i], err);
	for (size_t i = 0; i < options->limits.len && !status; i++)
		status = mr_register_limit_text(registry, options->limits.items[i], err);
	return status;
}

static struct mr_worker_options worker_options(const struct options *options)
{
	return (struct mr_worker_options){
		.size = sizeof(struct mr_worker_options),
		.brokers = options->common.brokers,
		.redis = options->common.redis,
		.prefix = options->common.prefix,
		.queues = (const char *const *)options->queues.items,
		.n_queues = options->queues.len,
		.properties = (const char *const *)options->common.properties.items,
		.n_properties = options->common.properties.len,
		.slots = (int)options->slots,
		.isolation = (enum mr_isolation)options->isolation,
		.start_to_close_ms = options->start_to_close_ms,
		.grace_ms = options->grace_ms,
		.park_after_ms = options->park_after_ms,
		.max_in_flight_bytes = options->max_in_flight_bytes,
		.max_input_bytes = options->max_input_bytes,
		.max_result_bytes = options->max_result_bytes,
		.no_setup = options->no_setup,
		.http = options->http,
	};
}

int main(int argc, char **argv)
{
	struct options options;
	struct mr_worker_options run;
	struct mr_registry *registry = NULL;
	struct mr_error err = {0};
	int code = program_begin(&program, argc, argv, &options, MEMBER(common), NULL);

	if (code >= 0)
		return code;
	code = PROGRAM_USAGE;
	if (mr_registry_new(&registry, &err) == MR_OK && register_all(registry, &options, &err) == MR_OK) {
		run = worker_options(&options);
		code = mr_worker_run(&run, registry, &err);
	}
	if (err.code)
		program_fail(program.name, &err);
	mr_registry_free(registry);
	conf_deinit(&program, &options);
	return code;
}
