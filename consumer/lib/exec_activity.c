/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/exec_activity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lib/context.h"
#include "lib/descendants.h"
#include "lib/exec_result.h"
#include "lib/spawn.h"
#include "wire/wire.h"

#define READ_BYTES 16384
#define PIPE_BYTES 65536
#define CANCEL_LOOK_MS 100
#define LEFTOVERS_TIMEOUT_MS 10000

struct run {
	struct mr_attempt *attempt;
	struct exec_end end;
	pid_t pid;
	int pidfd;
	int in, out, err, beat; /* our ends; -1 = closed */
	size_t in_done;
	struct buf stdout_data, stderr_tail, beat_line;
	bool beat_too_long;
	bool cancelled; /* it was told to stop */
	bool must_end;  /* and not only asked */
	int cancel_fd;
	int64_t kill_at_us; /* INT64_MAX: not yet */
	struct pids spared; /* children of this process before */
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void kill_group(struct run *run, int sig)
{
	kill(-run->pid, sig);
}

/* ---- what the program reads and writes ---- */

static void feed(struct run *run)
{
	struct bytes input = {run->attempt->input.data, run->attempt->input.bytes};

	while (run->in >= 0 && run->in_done < input.len) {
		ssize_t n = write(run->in, input.data + run->in_done, input.len - run->in_done);

		if (n > 0)
			run->in_done += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			return;
		else if (n == 0 || errno != EINTR)
			break; /* it does not want to read more */
	}
	close_fd(&run->in);
}

/* Reads what is there; false at end of file. */
static bool read_some(int fd, struct buf *out)
{
	ssize_t n = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES);

	if (n > 0)
		out->len += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void take_stdout(struct run *run)
{
	if (run->out < 0)
		return;
	if (!read_some(run->out, &run->stdout_data))
		close_fd(&run->out);
	if (run->stdout_data.len > (size_t)run->attempt->limits->max_output_bytes && !run->end.too_large) {
		run->end.too_large = true;
		close_fd(&run->out);
		kill_group(run, SIGKILL);
	}
}

static void take_stderr(struct run *run)
{
	if (run->err < 0)
		return;
	if (!read_some(run->err, &run->stderr_tail))
		close_fd(&run->err);
	if (run->stderr_tail.len > EXEC_STDERR_BYTES)
		buf_consume(&run->stderr_tail, run->stderr_tail.len - EXEC_STDERR_BYTES);
}

static void send_beat(struct run *run, struct bytes line)
{
	struct mr_attempt *attempt = run->attempt;
	bool ok = line.len > 0 && line.len <= MR_HEARTBEAT_MAX_BYTES - 64 && !run->beat_too_long;

	run->beat_too_long = false;
	mr_heartbeat(attempt, ok ? line.data : NULL, ok ? line.len : 0,
		     ok ? (wire_is_json(line) ? PAYLOAD_JSON : "text/plain") : NULL);
}

static void take_beats(struct run *run)
{
	char *newline;

	if (run->beat < 0)
		return;
	if (!read_some(run->beat, &run->beat_line))
		close_fd(&run->beat);
	while (run->beat_line.len > 0 && (newline = memchr(run->beat_line.data, '\n', run->beat_line.len))) {
		send_beat(run, (struct bytes){run->beat_line.data, (size_t)(newline - run->beat_line.data)});
		buf_consume(&run->beat_line, (size_t)(newline - run->beat_line.data) + 1);
	}
	if (run->beat_line.len > MR_HEARTBEAT_MAX_BYTES) {
		run->beat_too_long = true;
		buf_reset(&run->beat_line);
	}
}

/* ---- start ---- */

struct ends {
	int in, out, err, beat; /* the program's */
};

static bool open_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	*ret_read = fds[0];
	*ret_write = fds[1];
	return true;
}

static void set_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static bool open_pipes(struct run *run, struct ends *theirs)
{
	*theirs = (struct ends){-1, -1, -1, -1};
	if (!open_pipe(&theirs->in, &run->in) || !open_pipe(&run->out, &theirs->out) || !open_pipe(&run->err, &theirs->err) ||
	    !open_pipe(&run->beat, &theirs->beat))
		return false;
	set_nonblocking(run->in);
	set_nonblocking(run->out);
	set_nonblocking(run->err);
	set_nonblocking(run->beat);
	return true;
}

static void close_theirs(struct ends *theirs)
{
	close_fd(&theirs->in);
	close_fd(&theirs->out);
	close_fd(&theirs->err);
	close_fd(&theirs->beat);
}

static int start(struct run *run)
{
	const struct activity *activity = run->attempt->activity;
	struct ends theirs;
	int error;

	if (open_pipes(run, &theirs)) {
		struct spawn s = {
			.program = activity->program,
			.argv = activity->argv,
			.envp = exec_environment(run->attempt, SPAWN_EXTRA_FD),
			.stdin_fd = theirs.in,
			.stdout_fd = theirs.out,
			.stderr_fd = theirs.err,
			.extra_fd = theirs.beat,
		};

		error = spawn(&s, &run->pid, &run->pidfd);
	} else {
		error = errno;
	}
	close_theirs(&theirs);
	return error;
}

/* ---- run ---- */

/* Who goes on after a pause or a reset, which only ask, is told again of what has to be heeded. */
static void look_for_cancel(struct run *run)
{
	const struct context_host *host = run->attempt->host;
	enum cancel_reason reason = host->cancel_reason(host->ctx);
	bool asks = reason == CANCEL_PAUSED || reason == CANCEL_RESET;

	if (run->must_end || reason == CANCEL_NONE || (run->cancelled && asks))
		return;
	run->cancelled = true;
	run->cancel_fd = -1;
	run->must_end = !asks;
	if (run->must_end)
		run->kill_at_us = clock_mono_us() + run->attempt->limits->grace_ms * 1000;
	kill_group(run, SIGTERM);
}

static void kill_when_due(struct run *run)
{
	if (run->kill_at_us != INT64_MAX && clock_mono_us() >= run->kill_at_us) {
		kill_group(run, SIGKILL);
		run->kill_at_us = INT64_MAX;
	}
}

static int wait_ms(const struct run *run)
{
	int64_t left_us;

	if (run->kill_at_us == INT64_MAX)
		return run->must_end || run->cancel_fd >= 0 ? -1 : CANCEL_LOOK_MS;
	left_us = run->kill_at_us - clock_mono_us();
	return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000 > 60000 ? 60000 : (left_us + 999) / 1000);
}

/* True when the program has ended. */
static bool step(struct run *run)
{
	struct pollfd fds[] = {
		{.fd = run->pidfd, .events = POLLIN}, {.fd = run->out, .events = POLLIN},
		{.fd = run->err, .events = POLLIN},   {.fd = run->beat, .events = POLLIN},
		{.fd = run->in, .events = POLLOUT},   {.fd = run->cancel_fd, .events = POLLIN},
	};

	if (poll(fds, sizeof(fds) / sizeof(fds[0]), wait_ms(run)) < 0 && errno != EINTR)
		return true;
	if (fds[1].revents)
		take_stdout(run);
	if (fds[2].revents)
		take_stderr(run);
	if (fds[3].revents)
		take_beats(run);
	if (fds[4].revents)
		feed(run);
	look_for_cancel(run);
	if (fds[5].revents)
		run->cancel_fd = -1; /* readable for no reason: from now on it is looked at by the clock */
	kill_when_due(run);
	return fds[0].revents != 0;
}

/* What it wrote before it ended is in the pipes; what a descendant that lives still writes is not waited for. */
static void drain(struct run *run)
{
	while (run->out >= 0) {
		size_t before = run->stdout_data.len;

		take_stdout(run);
		if (run->stdout_data.len == before)
			break;
	}
	for (size_t read = 0; read < PIPE_BYTES; read += READ_BYTES) {
		take_stderr(run);
		take_beats(run);
	}
}

/* The group goes while its leader is not reaped, so that its number is still its own. */
static void end_leftovers(struct run *run)
{
	kill_group(run, SIGKILL);
	while (waitpid(run->pid, &run->end.wait_status, 0) < 0)
		assert(errno == EINTR);
	if (run->attempt->limits->keeper)
		descendants_end(&run->spared, LEFTOVERS_TIMEOUT_MS);
}

static void close_all(struct run *run)
{
	close_fd(&run->in);
	close_fd(&run->out);
	close_fd(&run->err);
	close_fd(&run->beat);
	close_fd(&run->pidfd);
	buf_deinit(&run->stdout_data);
	buf_deinit(&run->stderr_tail);
	buf_deinit(&run->beat_line);
	pids_deinit(&run->spared);
}

void exec_activity_run(struct mr_attempt *attempt)
{
	struct run run = {
		.attempt = attempt,
		.pidfd = -1,
		.in = -1,
		.out = -1,
		.err = -1,
		.beat = -1,
		.cancel_fd = attempt->host->cancel_fd,
		.kill_at_us = INT64_MAX,
	};
	int error;

	if (attempt->limits->keeper && descendants_any())
		descendants_list(&run.spared);
	error = start(&run);
	if (error) {
		exec_failed(attempt, error);
		close_all(&run);
		return;
	}
	feed(&run);
	while (!step(&run))
		;
	drain(&run);
	end_leftovers(&run);
	run.end.out = buf_bytes(&run.stdout_data);
	run.end.err = buf_bytes(&run.stderr_tail);
	run.end.cancelled = run.cancelled;
	exec_result(attempt, &run.end);
	close_all(&run);
}
