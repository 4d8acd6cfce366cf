# SPDX-License-Identifier: Apache-2.0
"""Figures of one run, and the page that shows them."""

import os
import platform
import subprocess
import sys
from pathlib import Path

from support.kafka_broker import LIB

import peers


class Target:
    """What issue and design ask of one figure: `value(figures)` against a bound."""

    def __init__(self, label, value, bound, at_least, text):
        self.label, self.value, self.bound, self.at_least, self.text = label, value, bound, at_least, text

    def row(self, figures):
        try:
            value = self.value(figures)
        except KeyError:  # not measured in this run
            return None
        reached = value >= self.bound if self.at_least else value <= self.bound
        sign = "≥" if self.at_least else "≤"
        return self.label, self.text.format(value), f"{sign} {self.text.format(self.bound)}", "yes" if reached else "**no**"


def share(label, of, limit, bound):
    return Target(label, lambda f: 100 * f[of] / f[limit], bound, True, "{:.1f} %")


def times(label, of, peer, bound):
    return Target(label, lambda f: f[of] / f[peer], bound, True, "{:.1f} ×")


def at_most(label, key, bound, text):
    return Target(label, lambda f: f[key], bound, False, text)


TARGETS = [
    share("drain, threads, AOF off, of the raw pipe", "thread-off", "pipe", 20),
    share("drain, threads, AOF everysec, of the raw pipe", "thread-everysec", "pipe", 15),
    share("drain, processes, AOF everysec, of the raw pipe", "process-everysec", "pipe", 12),
    times("drain, processes, AOF everysec, against BullMQ", "process-everysec", "bullmq", 6),
    times("drain, processes, AOF everysec, against beanstalkd, 1 in flight", "process-everysec", "beanstalkd", 1.5),
    times("drain, processes, AOF everysec, against beanstalkd, pipelined", "process-everysec", "beanstalkd-pipelined", 1.5),
    share("exec, of one bare loop", "exec", "spawn-1", 60),
    share("submit, Avro, of raw produce of the same bytes", "submit-avro", "produce", 50),
    share("submit, JSON, of raw produce of the same bytes", "submit-json", "produce-json", 50),
    *(
        target
        for kind in ("process", "thread")
        for target in (
            at_most(f"submit → result, {kind}, p50", f"latency-{kind}-p50", 3, "{:.1f} ms"),
            at_most(f"submit → result, {kind}, p99", f"latency-{kind}-p99", 10, "{:.1f} ms"),
            Target(
                f"submit → result, {kind}, p50 against BullMQ's",
                lambda f, kind=kind: f[f"latency-{kind}-p50"] / f["latency-bullmq-p50"],
                1,
                False,
                "{:.2f} ×",
            ),
            Target(
                f"submit → result, {kind}, p99 against BullMQ's",
                lambda f, kind=kind: f[f"latency-{kind}-p99"] / f["latency-bullmq-p99"],
                1,
                False,
                "{:.2f} ×",
            ),
        )
    ),
    at_most("lateness of a retry, p99", "retry-p99", 10, "{:.1f} ms"),
    at_most("lateness of a timer, p99", "timer-few-p99", 20, "{:.0f} ms"),
    at_most("lateness of 10,000 timers due within 1 s, max", "timers-few-max", 1000, "{:.0f} ms"),
    at_most("lateness of a timer among all that are pending, p99", "timer-many-p99", 20, "{:.0f} ms"),
    at_most("lateness of 10,000 due within 1 s among all that are pending, max", "timers-many-max", 1000, "{:.0f} ms"),
    at_most("Redis bytes of a pending timer", "bytes-timer", 400, "{:.0f} B"),
    at_most("Redis bytes of a task that backs off", "bytes-backing-off", 400, "{:.0f} B"),
    at_most("memory of the worker, 1,000,000 waiting", "rss-worker", 64, "{:.0f} MB"),
    at_most("memory of the scheduler, 1,000,000 waiting", "rss-scheduler", 64, "{:.0f} MB"),
]

METHOD = """\
## What bounds it

A profile of both cores (perf, drains of 300,000 tasks with AOF off, threads and processes), and runs of two builds in turn, said this:

- A drain: of two cores 14 to 24 % were idle, the worker's loop had 18 to 23 %, Redis 14 to 19 %, the broker's request threads 13 to
  16 %, the worker's librdkafka threads 5 to 8 %, processes that execute 3 %, and the JVM's compilers 3 to 25 %, most of it in the first
  minutes. No program fills a core: they wait for each other. More in flight did not help: 1,024 instead of 512 tasks claimed ahead, 4
  calls to Redis instead of 2, 6,144 tasks in hand instead of 2,048 changed less than runs of one build differ.
- Threads and processes drain alike (medians of three runs in turn on a quiet machine: 94,400 and 92,200/s). What threads cost more is
  waking each other: 4 of the 23 points of the worker's loop were in the kernel's wake-ups.
- One build in turn with itself gave 53,000 to 95,000/s within ten minutes, and the raw pipe 236,000 to 932,000/s from run to run, so a
  ratio of one run says little: drains by threads with AOF off were 7.7, 17.0, 19.0 and 19.1 % of the pipe in four full runs.
- Latency: "there and back" is what librdkafka alone needs for the two ways through the broker. BullMQ has no broker to pass; where its
  p99 is below that line, a way through Kafka cannot reach it. The rest of the p50 is two calls to Redis and an executor's turn, on cores that all
  programs share.
- Timers whose journal record is not in the scheduler's memory (16 MiB) are read from Kafka up to 5 s before they are due.

## How it is measured

- All on one machine: broker, Redis, daemons and clients share its cores. One system at a time; each run has topics and a Redis
  of its own. Rates are the median of the repetitions, with the range behind them.
- A drain: the tasks (with ids, Avro, 4 partitions) wait; a worker with 2 slots starts; from the first result in the log to the
  last, by the log's own times (the broker's clock). Results are stored in Redis and published.
- The raw pipe has records of the size of our tasks: idempotent, acks=all, linger 5 ms, contiguous commit each 50 ms, from the
  first record to the last acknowledgement. Raw produce and submissions in bulk run with linger 5 ms as well.
- Latency is from the due time of a paced submission to the result at the client that submitted it, after a warm-up. Millrace's
  client is paced to microseconds, BullMQ's by Node's timers (1 ms).
- The lateness of a retry is from the end of the first attempt plus the interval to the start of the second, both written by the
  activity itself: it includes telling the failure, the journal, the scheduler and the way back through Kafka.
- The lateness of a timer is from when it is due to when the broker has appended the attempt that it dispatches, by the broker's
  clock.
- CPU is user and system time of the program and all below it, per task.
- Redis bytes are the growth of used_memory without connection buffers, divided by the tasks. Memory is proportional (Pss), of the
  program and all below it.
- BullMQ: 1 Node process, concurrency 100, jobs with ids, completed jobs and their results kept, added in bulks of 500. beanstalkd:
  binlog on, fsync at most each 50 ms, C clients; it stores no results.
"""


def output_of(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def machine():
    cpu = next(line.split(":")[1].strip() for line in output_of("lscpu").splitlines() if line.startswith("Model name:"))
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GB, {system}, Linux {platform.release()}"


def versions():
    kafka = next(LIB.glob("kafka-clients-*.jar")).stem.rpartition("-")[2]
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr.split('"')[1]
    redis = next(word[2:] for word in output_of("redis-server", "--version").split() if word.startswith("v="))
    return ", ".join(
        (
            f"Kafka {kafka} (one KRaft broker, 1 GB, Java {java})",
            f"Redis {redis}",
            f"librdkafka {output_of('pkg-config', '--modversion', 'rdkafka')}",
            f"BullMQ {peers.version_of_bullmq()} on Node {output_of('node', '--version').lstrip('v')}",
            output_of("beanstalkd", "-v"),
        )
    )


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


class Report:
    def __init__(self, options):
        self.options = options
        self.rows = []  # (label, figure, CPU)
        self.figures = {}  # key -> number, what the targets ask
        self.failures = []

    def add(self, label, figure, cpu=""):
        self.rows.append((label, figure, cpu))
        print(f"{label}: {figure}{'; CPU us each: ' + cpu if cpu else ''}", file=sys.stderr, flush=True)

    def rate(self, key, label, run, program=None):
        """A run has per_s, perhaps least and most, and cpu_us: of one program, or by program."""
        self.figures[key] = run["per_s"]
        figure = f"{run['per_s']:,.0f}/s"
        if run.get("most", 0) > run.get("least", 0):
            figure += f" ({run['least']:,.0f}–{run['most']:,.0f})"
        cpu_us = {program: run["cpu_us"]} if program else run["cpu_us"]
        self.add(label, figure, ", ".join(f"{who} {us:,.1f}" for who, us in cpu_us.items()))

    def latency(self, key, label, run):
        for what in ("p50", "p99", "max"):
            self.figures[f"{key}-{what}"] = run[what]
        self.add(label, f"p50 {run['p50']:.1f}, p99 {run['p99']:.1f}, max {run['max']:.1f} ms")

    def number(self, key, label, value, text):
        self.figures[key] = value
        self.add(label, text.format(value))

    def failed(self, name, why):
        self.failures.append((name, why))
        print(f"{name} FAILED: {why}", file=sys.stderr, flush=True)

    def text(self):
        ratios = [row for row in (target.row(self.figures) for target in TARGETS) if row]
        parts = [
            "# Benchmarks\n",
            f"`bench/run{self.options.words}` installs what it needs, measures all of this in one run and prints this page.\n",
            f"Machine: {machine()}.\n",
            f"Versions: {versions()}.\n",
            "## Against the limits and the peers\n",
            table(("what", "figure", "asked for", "reached"), ratios),
            "## Figures\n",
            table(("what", "figure", "CPU us each"), self.rows),
        ]
        if self.failures:
            parts += ["## Not measured\n", "\n".join(f"- {name}: {why}" for name, why in self.failures) + "\n"]
        return "\n".join(parts + [METHOD])
