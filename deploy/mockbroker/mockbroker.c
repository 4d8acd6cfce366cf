/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded broker of `millrace dev`: librdkafka's mock cluster, one broker, on a port that one can tell other programs. */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/mem.h"
#include "bind.h"

#define EXIT_USAGE 2
#define TOPIC_PARTITIONS_MAX 1000

struct options {
	int64_t port;
	struct conf_list topics;
	bool exit_with_parent;
};

static const struct conf_option OPTIONS[] = {
	{.kind = CONF_INT,
	 .name = "port",
	 .letter = 'p',
	 .arg = "PORT",
	 .def = "9092",
	 .min = 1,
	 .max = 65535,
	 .offset = offsetof(struct options, port),
	 .help = "Port of 127.0.0.1 to listen on."},
	{.kind = CONF_LIST,
	 .name = "topic",
	 .letter = 't',
	 .arg = "NAME:PARTITIONS",
	 .offset = offsetof(struct options, topics),
	 .help = "Creates a topic; may repeat. Other topics appear when a client asks for them, with 4 partitions."},
	{.kind = CONF_BOOL,
	 .name = "exit-with-parent",
	 .offset = offsetof(struct options, exit_with_parent),
	 .help = "Exit when the parent process ends, or closes the pipe that is standard input."},
	CONF_END,
};

static const struct conf_program PROGRAM = {
	.name = "millrace-mockbroker",
	.purpose = "A Kafka broker for trying things out, in memory, in one process. It prints \"ready\" when it can be used and "
		   "runs until SIGTERM or SIGINT.",
	.epilog =
		"Nothing here is durable or complete:\n"
		"  everything is gone when it exits;\n"
		"  a partition keeps at most 5 MiB or 100000 batches, older records are dropped without a word;\n"
		"  there is no compaction, no retention by age and no deleting of records;\n"
		"  timestamps are the clients' (no LogAppendTime), transactions are a facade, there is no admin API;\n"
		"  all members of a group must use the same assignor, or the broker crashes;\n"
		"  a member that joins or leaves stalls its group for about 5 s;\n"
		"  a fetch waits out its fetch.wait.max.ms: run clients with -X fetch.wait.max.ms=5.\n"
		"\n"
		"Exit codes: 0 ended by a signal or with its parent, 1 the port is taken or the broker cannot start, 2 usage.\n",
	.options = OPTIONS,
};

/* rk and cluster live as long as the program; returns NULL after telling why. */
static rd_kafka_mock_cluster_t *start(uint16_t port, rd_kafka_t **ret_rk)
{
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[256];
	rd_kafka_t *rk;
	int err = bind_probe(port);

	if (err) {
		fprintf(stderr, "millrace-mockbroker: cannot listen on 127.0.0.1:%d: %s\n", port, strerror(err));
		return NULL;
	}
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (!rk) {
		fprintf(stderr, "millrace-mockbroker: librdkafka: %s\n", text);
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	bind_force_port(port);
	cluster = rd_kafka_mock_cluster_new(rk, 1);
	if (!cluster) {
		fprintf(stderr, "millrace-mockbroker: librdkafka has no mock cluster for us\n");
	} else if (!bind_port_was_used()) {
		fprintf(stderr,
			"millrace-mockbroker: librdkafka %s does not let its port be chosen; it must be linked dynamically\n",
			rd_kafka_version_str());
		rd_kafka_mock_cluster_destroy(cluster);
		cluster = NULL;
	}
	if (!cluster) {
		rd_kafka_destroy(rk);
		return NULL;
	}
#if RD_KAFKA_VERSION >= 0x020800ff
	rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
#endif
	*ret_rk = rk;
	return cluster;
}

static bool create_topic(rd_kafka_mock_cluster_t *cluster, const char *text)
{
	const char *colon = strrchr(text, ':');
	char *end = NULL;
	long partitions = colon ? strtol(colon + 1, &end, 10) : 0;

	if (!colon || colon == text || end == colon + 1 || *end || partitions < 1 || partitions > TOPIC_PARTITIONS_MAX) {
		fprintf(stderr, "millrace-mockbroker: --topic %s: NAME:PARTITIONS with 1 to %d partitions is accepted\n", text,
			TOPIC_PARTITIONS_MAX);
		return false;
	}
	CLEANUP_FREE char *name = mem_strndup(text, (size_t)(colon - text));
	rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, name, (int)partitions, 1);
	if (err)
		fprintf(stderr, "millrace-mockbroker: --topic %s: %s\n", text, rd_kafka_err2str(err));
	return !err;
}

/* Someone holds the other end of standard input; /dev/null or a file would be at its end at once. */
static bool stdin_is_held(void)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static void wait_for_end(int signal_fd, bool watch_stdin)
{
	struct pollfd fds[2] = {{.fd = signal_fd, .events = POLLIN}, {.fd = watch_stdin ? STDIN_FILENO : -1, .events = POLLIN}};
	char ignored[256];

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents)
			return;
		if (fds[1].revents && read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
			return;
	}
}

static int run(const struct options *options, int signal_fd)
{
	rd_kafka_t *rk;
	rd_kafka_mock_cluster_t *cluster = start((uint16_t)options->port, &rk);
	int rc = 0;

	if (!cluster)
		return 1;
	for (size_t i = 0; i < options->topics.len && rc == 0; i++)
		if (!create_topic(cluster, options->topics.items[i]))
			rc = EXIT_USAGE;
	if (rc == 0) {
		puts("ready");
		fflush(stdout);
		wait_for_end(signal_fd, options->exit_with_parent && stdin_is_held());
	}
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return rc;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct mr_error err = {0};
	pid_t parent = getppid();
	sigset_t ends;
	int rc = -1;

	if (conf_parse(&PROGRAM, argc, argv, &options, NULL, &rc, &err) != MR_OK) {
		fprintf(stderr, "%s: %s\n", err.where, err.message);
		return EXIT_USAGE;
	}
	if (rc >= 0)
		return rc;

	/* Blocked before the library starts threads, so that only the signalfd gets them. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	int signal_fd = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signal_fd < 0) {
		perror("millrace-mockbroker: signalfd");
		return 1;
	}
	if (options.exit_with_parent && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent))
		return 0;

	rc = run(&options, signal_fd);
	conf_deinit(&PROGRAM, &options);
	return rc;
}
