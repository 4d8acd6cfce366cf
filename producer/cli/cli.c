/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>

#include "base/log.h"

int cli_begin(const struct conf_program *program, int argc, char **argv, void *options, size_t common_offset,
	      struct conf_list *ret_args)
{
	const struct program_common *common = (const void *)((const char *)options + common_offset);
	int exit_code = program_begin(program, argc, argv, options, common_offset, ret_args);

	if (exit_code < 0 && common->log_level > LOG_DEBUG)
		log_setup(program->name, LOG_ERROR, (enum log_format)common->log_format);
	return exit_code;
}

int cli_fail(const char *program, const struct mr_error *err)
{
	int exit_code = program_fail(program, err);

	return err->code == MR_ETOO_LARGE ? (int)PROGRAM_USAGE : exit_code;
}

enum mr_status cli_client_new(const struct program_common *common, struct mr_client **ret, struct mr_error *err)
{
	struct mr_client_options options = {
		.size = sizeof(options),
		.brokers = common->brokers,
		.prefix = common->prefix,
		.properties = (const char *const *)common->properties.items,
		.n_properties = common->properties.len,
		.submit_timeout_ms = CLI_SUBMIT_TIMEOUT_MS,
	};

	return mr_client_new(&options, ret, err);
}

static enum program_exit exit_of(enum mr_outcome outcome)
{
	switch (outcome) {
	case MR_COMPLETED:
		return PROGRAM_OK;
	case MR_FAILED:
		return PROGRAM_FAILED;
	case MR_TIMED_OUT:
		return PROGRAM_TIMED_OUT;
	case MR_CANCELED:
	case MR_TERMINATED:
		return PROGRAM_CANCELED;
	}
	return PROGRAM_FAILED;
}

static void tell_failure(const char *program, const struct mr_result *result)
{
	const struct mr_failure *failure = result->failure;

	fprintf(stderr, "%s: %s: %s at attempt %lld%s%s\n", program, result->task_key, mr_outcome_name(result->outcome),
		(long long)result->attempt, result->retry_state ? ", " : "", result->retry_state ? result->retry_state : "");
	for (; failure; failure = failure->cause)
		fprintf(stderr, "  %s%s: %s\n", failure == result->failure ? "" : "caused by ", failure->type, failure->message);
}

static bool print_payload(const struct mr_payload *payload)
{
	bool is_json = payload->content_type && !strcmp(payload->content_type, PAYLOAD_JSON);

	if (!payload->data)
		return true;
	if (fwrite(payload->data, 1, payload->bytes, stdout) != payload->bytes)
		return false;
	return !is_json || putchar('\n') != EOF;
}

int cli_print_result(const char *program, struct mr_result *result, bool json)
{
	bool printed = true;

	if (json)
		printed = puts(mr_result_json(result)) != EOF;
	else if (result->outcome == MR_COMPLETED)
		printed = print_payload(&result->result);
	else
		tell_failure(program, result);
	if (!printed || fflush(stdout)) {
		perror("millrace: standard output");
		return PROGRAM_FAILED;
	}
	return (int)exit_of(result->outcome);
}
