/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/dev_stack.h"

/* millrace dev: everything on this machine, for trying things out. */

#define DEFAULT_REDIS "redis://127.0.0.1:6379/0"

struct options {
	bool kafka;
	int64_t port, redis_port;
	const char *http;
	struct conf_list queues, libraries;
	struct program_common common;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_GROUP, .name = "What runs"},
	{.kind = CONF_BOOL,
	 .name = "kafka",
	 .offset = offsetof(struct options, kafka),
	 .help = "Uses the Kafka that runs at --brokers, and creates its topics there, instead of the embedded broker."},
	{.kind = CONF_INT,
	 .name = "port",
	 .arg = "PORT",
	 .min = 0,
	 .max = 65535,
	 .offset = offsetof(struct options, port),
	 .help = "Port of 127.0.0.1 for the embedded broker. 0 = the one of --brokers, 9092 unless changed."},
	{.kind = CONF_INT,
	 .name = "redis-port",
	 .arg = "PORT",
	 .min = 0,
	 .max = 65535,
	 .offset = offsetof(struct options, redis_port),
	 .help = "Port of 127.0.0.1 for the redis-server that is started. 0 = the one of --redis, 6379 unless changed, or a free "
		 "one "
		 "where that default is taken."},
	{.kind = CONF_STRING,
	 .name = "http",
	 .env = "MILLRACE_HTTP",
	 .arg = "ADDR:PORT",
	 .offset = offsetof(struct options, http),
	 .help = "The worker serves /metrics (for Prometheus), /healthz and /readyz there, the scheduler at the next port."},
	CLI_QUEUES_OPTION(struct options, "Task queue of the worker."),
	{.kind = CONF_LIST,
	 .name = "activity-lib",
	 .env = "MILLRACE_ACTIVITY_LIBS",
	 .arg = "FILE.so",
	 .offset = offsetof(struct options, libraries),
	 .help = "Shared object with activities of your own, besides the examples."},
	PROGRAM_COMMON_OPTIONS(struct options, common),
	CONF_END,
};

static const struct conf_program CONF = {
	.name = "millrace dev",
	.usage = "",
	.purpose = "Runs everything on this machine, for trying things out: a broker, a redis-server, millrace-scheduler and "
		   "millrace-worker "
		   "with the example activities. Nothing of it survives. Ctrl-C ends all of it.",
	.epilog = "Exit: 0 ended by a signal, 1 one of the programs ended, 2 usage (a port is taken, a program is missing), 6 "
		  "--kafka is "
		  "unreachable.\n",
	.options = OPTIONS,
	.file_option = "config",
};

/* ---- Addresses ---- */

static int bind_errno(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, failed = 0;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		failed = errno;
	close(fd);
	return failed;
}

static enum mr_status check_port(int port, const char *flag, struct mr_error *err)
{
	int failed = bind_errno(port);

	if (!failed)
		return MR_OK;
	return mr_error_set(err, MR_EINVAL, flag, "port %d of 127.0.0.1 cannot be used: %s; %s names another one", port,
			    strerror(failed), flag);
}

/* A free port, -1 where there is none. */
static int free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && !bind(fd, (const struct sockaddr *)&address, len) && !getsockname(fd, (struct sockaddr *)&address, &len))
		port = ntohs(address.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

/* The port of "<scheme>127.0.0.1:PORT<end>", 0 where the address is another one. */
static int loopback_port(const char *address, const char *scheme, char end)
{
	static const char *const hosts[] = {"127.0.0.1:", "localhost:"};
	size_t scheme_len = strlen(scheme);

	if (strncmp(address, scheme, scheme_len))
		return 0;
	address += scheme_len;
	for (size_t i = 0; i < 2; i++) {
		char *rest;
		long port;

		if (strncmp(address, hosts[i], strlen(hosts[i])))
			continue;
		port = strtol(address + strlen(hosts[i]), &rest, 10);
		return port > 0 && port < 65536 && (*rest == '\0' || *rest == end) ? (int)port : 0;
	}
	return 0;
}

static enum mr_status choose_broker(struct options *options, int *ret_port, char **ret_address, struct mr_error *err)
{
	int port = (int)options->port;
	struct buf text = {0};

	*ret_port = 0;
	if (options->kafka) {
		*ret_address = mem_strdup(options->common.brokers);
		return port ? mr_error_set(err, MR_EINVAL, "--port", "it is for the embedded broker, and --kafka excludes that")
			    : MR_OK;
	}
	if (!port && !(port = loopback_port(options->common.brokers, "", '\0')))
		return mr_error_set(err, MR_EINVAL, "--brokers",
				    "%s: the embedded broker listens on 127.0.0.1:PORT; --kafka uses one that runs elsewhere",
				    options->common.brokers);
	buf_printf(&text, "127.0.0.1:%d", port);
	buf_cstr(&text);
	*ret_port = port;
	*ret_address = text.data;
	return check_port(port, "--port", err);
}

static enum mr_status choose_redis(struct options *options, int *ret_port, char **ret_url, struct mr_error *err)
{
	bool is_default = !options->redis_port && !strcmp(options->common.redis, DEFAULT_REDIS);
	int port = (int)options->redis_port;
	struct buf text = {0};

	if (!port && !(port = loopback_port(options->common.redis, "redis://", '/')))
		return mr_error_set(err, MR_EINVAL, "--redis",
				    "dev starts a redis-server of its own, at redis://127.0.0.1:PORT/0");
	if (is_default && bind_errno(port))
		port = free_port();
	buf_printf(&text, "redis://127.0.0.1:%d/0", port);
	buf_cstr(&text);
	*ret_port = port;
	*ret_url = text.data;
	return check_port(port, "--redis-port", err);
}

/* The same address with the next port; NULL where none is wanted. The rest of it is the business of the programs that listen there. */
static enum mr_status choose_http(const struct options *options, char **ret_next, struct mr_error *err)
{
	const char *colon = options->http ? strrchr(options->http, ':') : NULL;
	struct buf text = {0};
	char *end = NULL;
	long port;

	*ret_next = NULL;
	if (!options->http)
		return MR_OK;
	port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : 0;
	if (port < 1 || port > 65534 || *end)
		return mr_error_set(err, MR_EINVAL, "--http",
				    "\"%s\": accepted are HOST:PORT, [IPv6]:PORT and :PORT, with a port from 1 to 65534",
				    options->http);
	buf_printf(&text, "%.*s:%ld", (int)(colon - options->http), options->http, port + 1);
	buf_cstr(&text);
	*ret_next = text.data;
	return MR_OK;
}

/* ---- What it says ---- */

static void say_what_lasts(const struct dev_stack *stack)
{
	if (stack->broker_port)
		puts("  Not durable: the embedded broker keeps records in memory, 5 MiB a partition, and drops older ones "
		     "without a\n"
		     "  word; it has no compaction and no retention. Redis keeps nothing on disk. All is gone when this program "
		     "ends.\n"
		     "  --kafka uses a real Kafka instead: then tasks and results survive, and Redis is rebuilt from them.");
	else
		puts("  Durable: tasks and results, in your Kafka. Redis keeps nothing on disk and is rebuilt from Kafka at each "
		     "start.");
}

static void say_http(const char *who, const char *address)
{
	if (address)
		printf("  The %s's metrics: http://%s%s/metrics, and /healthz, /readyz\n", who,
		       address[0] == ':' ? "127.0.0.1" : "", address);
}

static void say(const struct dev_stack *stack)
{
	const struct program_common *common = stack->common;
	const char *queue = stack->queues->items[0];

	printf("millrace dev\n"
	       "  broker %s%s, Redis %s, topics %s*\n"
	       "  queue%s",
	       common->brokers, stack->broker_port ? " (embedded)" : "", common->redis, common->prefix,
	       stack->queues->len == 1 ? "" : "s");
	for (size_t i = 0; i < stack->queues->len; i++)
		printf(" %s", stack->queues->items[i]);
	printf("; activities greet, echo, process_large_file, charge_card, update_inventory, send_confirmation, "
	       "arrange_shipment\n");
	say_what_lasts(stack);
	say_http("worker", stack->worker_http);
	say_http("scheduler", stack->scheduler_http);
	printf("  To talk to it from another terminal:\n\n"
	       "    export MILLRACE_BROKERS=%s MILLRACE_REDIS=%s MILLRACE_PREFIX=%s\n"
	       "    millrace execute -q %s -t greet --input '\"Ada\"'\n"
	       "    echo '{\"activity_type\":\"greet\",\"input\":\"Ada\"}' | kcat -P -b %s -t %stasks.%s\n"
	       "    kcat -C -e -b %s -t %sresults\n\n"
	       "  What the programs say: %s/*.log, until the end. Ctrl-C ends all of it.\n"
	       "ready\n",
	       common->brokers, common->redis, common->prefix, queue, common->brokers, common->prefix, queue, common->brokers,
	       common->prefix, stack->folder);
	fflush(stdout);
}

static int run(struct dev_stack *stack)
{
	struct mr_error err = {0};
	enum mr_status status = dev_stack_start(stack, &err);
	int exit_code = PROGRAM_FAILED;

	if (status == MR_OK) {
		say(stack);
		status = dev_stack_run(stack);
	}
	if (status == MR_ECLOSED)
		exit_code = PROGRAM_OK;
	else if (err.code != MR_OK)
		exit_code = program_fail(CONF.name, &err);
	dev_stack_stop(stack);
	return exit_code;
}

int command_dev(int argc, char **argv)
{
	struct mr_error err = {0};
	struct options options;
	struct program_common common;
	struct dev_stack stack = {0};
	CLEANUP_FREE char *brokers = NULL, *redis = NULL, *next = NULL;
	int exit_code = cli_begin(&CONF, argc, argv, &options, offsetof(struct options, common), NULL);

	if (exit_code >= 0)
		return exit_code;
	if (choose_broker(&options, &stack.broker_port, &brokers, &err) ||
	    choose_redis(&options, &stack.redis_port, &redis, &err) || choose_http(&options, &next, &err) ||
	    program_signal_fd(&stack.signal_fd, &err)) {
		exit_code = program_fail(CONF.name, &err);
	} else {
		common = options.common;
		common.brokers = brokers;
		common.redis = redis;
		stack.common = &common;
		stack.queues = &options.queues;
		stack.libraries = &options.libraries;
		stack.worker_http = options.http;
		stack.scheduler_http = next;
		exit_code = run(&stack);
		close(stack.signal_fd);
	}
	conf_deinit(&CONF, &options);
	return exit_code;
}
