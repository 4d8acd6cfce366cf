/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Purpose: an order as plain code: four steps, each an activity that a worker runs and Millrace retries.
 *
 *	order-workflow [--order ID]
 *
 * Needs a worker with example_activities.so (`millrace dev` has one). It starts order-services where none run; those are down for
 * the first 2 s, so that the card is charged at the third attempt:
 *
 *	1. charge_card
 *	    services at 0.00 s: charge order-17/charge_card: down (0.00 s after the question before)
 *	    services at 1.01 s: charge order-17/charge_card: down (1.01 s after the question before)
 *	    services at 3.02 s: charge order-17/charge_card: done (2.01 s after the question before)
 *	   COMPLETED at attempt 3, after 3.04 s: {"receipt":"charge-order-17/charge_card"}
 *	2. update_inventory
 *	   ...
 *	Order complete.
 *
 * Killed at any step and run again with the same ID it starts from the top: what is done already is joined or answered with the
 * stored result, so nothing is charged twice.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "millrace/client.h"

#define WAIT_MS 60000
#define DOWN_MS "2000" /* so that charge_card is tried at 0 s, 1 s and 3 s */

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool services_run(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ok = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The program beside this one. It ends with us; what it did stays in its folder. -1 where it does not run; it has said why. */
static pid_t start_services(const char *path)
{
	char program[1024], folder[256];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);
	pid_t pid;

	if (n < 0)
		return -1;
	program[n] = 0;
	strcpy(strrchr(program, '/') + 1, "order-services");
	snprintf(folder, sizeof(folder), "%s.d", path);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(program, program, path, folder, DOWN_MS, (char *)NULL);
		perror(program);
		_exit(127);
	}
	for (int i = 0; pid > 0 && i < 250; i++) {
		if (services_run(path))
			return pid;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -1;
		usleep(20000);
	}
	return -1;
}

static bool step(struct mr_client *client, const char *order, const char *type)
{
	/* The key of this task is ORDER/TYPE, whoever submits it and however often: that is what makes it run once. */
	struct mr_task task = {.size = sizeof(task),
			       .activity_type = type,
			       .workflow_id = order,
			       .activity_id = type,
			       .start_to_close_timeout_ms = 10000};
	struct mr_result *result;
	struct mr_error err;
	double begin_s = now_s();
	bool ok;

	if (mr_execute(client, &task, WAIT_MS, &result, &err)) {
		printf("   no result: %s\n   (Do a worker with example_activities.so and the scheduler run? Run again: --order "
		       "%s)\n",
		       err.message, order);
		return false;
	}
	ok = result->outcome == MR_COMPLETED;
	printf("   %s at attempt %lld, after %.2f s: %.*s\n", mr_outcome_name(result->outcome), (long long)result->attempt,
	       now_s() - begin_s, (int)result->result.bytes, result->result.data ? (const char *)result->result.data : "");
	if (!ok && result->failure)
		printf("   %s: %s\n", result->failure->type, result->failure->message);
	mr_result_free(result);
	return ok;
}

static void tell_beginning(const char *order)
{
	printf("Order %s: charge the card, take the goods from stock, confirm by e-mail, arrange the shipment.\n"
	       "If this is interrupted, go on with: order-workflow --order %s\n\n",
	       order, order);
}

static int run_order(const char *order)
{
	static const char *const steps[] = {"charge_card", "update_inventory", "send_confirmation", "arrange_shipment"};
	struct mr_client_options options = {.size = sizeof(options)};
	struct mr_client *client;
	struct mr_error err;
	bool ok = true;

	if (mr_client_new(&options, &client, &err)) {
		fprintf(stderr, "order-workflow: %s: %s\n", err.where, err.message);
		return 1;
	}
	tell_beginning(order);
	for (size_t i = 0; ok && i < sizeof(steps) / sizeof(*steps); i++) {
		printf("%zu. %s\n", i + 1, steps[i]);
		ok = step(client, order, steps[i]);
	}
	mr_client_free(client);
	printf(ok ? "Order complete.\n" : "Order not complete.\n");
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *path = getenv("MILLRACE_EXAMPLE_SOCKET");
	char order[64];
	pid_t services = 0;
	int rc;

	/* The services print between our lines. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	path = path ? path : "/tmp/millrace-order-services.sock";
	if (argc != 1 && (argc != 3 || strcmp(argv[1], "--order"))) {
		fprintf(stderr, "usage: order-workflow [--order ID]\n");
		return 2;
	}
	snprintf(order, sizeof(order), "order-%lld-%d", (long long)time(NULL), (int)getpid());
	if (!services_run(path))
		services = start_services(path);
	if (services < 0) {
		fprintf(stderr,
			"order-workflow: order-services does not run at %s; MILLRACE_EXAMPLE_SOCKET names another place\n", path);
		return 1;
	}
	rc = run_order(argc == 3 ? argv[2] : order);
	if (services > 0) {
		kill(services, SIGTERM);
		waitpid(services, NULL, 0);
	}
	return rc;
}
