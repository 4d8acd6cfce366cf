/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"

/* millrace setup: creates or checks the topics. */

#define TIMEOUT_MS 10000

struct setup_options {
	struct program_common common;
	struct conf_list queues;
	int64_t partitions;
	int64_t shards;
	int64_t replication_factor;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "Topics"},
	CLI_QUEUES_OPTION(struct setup_options, "Task queue."),
	{.kind = CONF_INT,
	 .name = "partitions",
	 .arg = "N",
	 .min = 1,
	 .max = 10000,
	 .def = "32",
	 .offset = offsetof(struct setup_options, partitions),
	 .help = "Partitions of task topics that are created: as many workers of a queue can share its tasks."},
	{.kind = CONF_INT,
	 .name = "shards",
	 .arg = "N",
	 .min = 1,
	 .max = 1000,
	 .def = "16",
	 .offset = offsetof(struct setup_options, shards),
	 .help = "Partitions of journal, control and results where they are created. They can never be changed."},
	{.kind = CONF_INT,
	 .name = "replication-factor",
	 .arg = "N",
	 .min = 0,
	 .max = 32,
	 .def = "0",
	 .offset = offsetof(struct setup_options, replication_factor),
	 .help = "Replicas of each partition that is created; 0 = the broker's default."},
	PROGRAM_COMMON_OPTIONS(struct setup_options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace setup",
	.usage = "",
	.purpose = "Creates the topics that are missing and says where existing ones differ from what they should be. Changes "
		   "nothing "
		   "that exists, so it may be repeated.",
	.epilog = "A line per topic on stdout. Exit: 0 all is there, 2 usage or partition counts that contradict each other, 6 "
		  "Kafka is "
		  "unreachable.\n",
	.options = OPTIONS,
	.file_option = "config",
};

int command_setup(int argc, char **argv)
{
	struct setup_options options;
	struct conf_list rest;
	struct topics_info info = {0};
	struct mr_error err = {0};
	int exit_code = program_begin(&CONF, argc, argv, &options, offsetof(struct setup_options, common), &rest);

	if (exit_code >= 0)
		return exit_code;
	const struct topics_spec spec = {
		.brokers = options.common.brokers,
		.properties = &options.common.properties,
		.prefix = options.common.prefix,
		.queues = (const char *const *)options.queues.items,
		.n_queues = options.queues.len,
		.partitions = (int)options.partitions,
		.shards = (int)options.shards,
		.replication_factor = (int)options.replication_factor,
		.timeout_ms = TIMEOUT_MS,
	};
	if (topics_setup(&spec, &info, &err)) {
		exit_code = program_fail(CONF.name, &err);
	} else {
		fputs(info.report, stdout);
		free(info.report);
		exit_code = fflush(stdout) ? PROGRAM_FAILED : PROGRAM_OK;
	}
	conf_deinit(&CONF, &options);
	return exit_code;
}
