# SPDX-License-Identifier: Apache-2.0
"""Clocks, counters and percentiles of the bench."""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

TICKS = os.sysconf("SC_CLK_TCK")
LOOK_EACH_S = 0.25  # each look at a topic's end asks the broker, which is measured


def cpu_s(pid):
    """User and system seconds of a process, of all below it that live, and of the dead that they waited for."""
    total, todo = 0.0, [pid]
    while todo:
        pid = todo.pop()
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            for thread in Path(f"/proc/{pid}/task").iterdir():
                todo += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:  # it ended just now; its parent has its time
            continue
        total += sum(int(field) for field in fields[11:15]) / TICKS
    return total


def rss_mb(pid):
    """Proportional resident memory of a process and of all below it: what executors share counts once."""
    total, todo = 0, [pid]
    while todo:
        pid = todo.pop()
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
        for thread in Path(f"/proc/{pid}/task").iterdir():
            todo += [int(child) for child in (thread / "children").read_text().split()]
    return total / 1024


class Cpu:
    """CPU seconds of some programs since it was made: Cpu(worker=pid, redis=pid)."""

    def __init__(self, **pids):
        self.pids = pids
        self.before = {name: cpu_s(pid) for name, pid in pids.items()}

    def us_each(self, n):
        return {name: (cpu_s(pid) - self.before[name]) * 1e6 / n for name, pid in self.pids.items()}


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values_ms):
    """p50, p99 and max."""
    return {"p50": statistics.median(values_ms), "p99": percentile(values_ms, 0.99), "max": max(values_ms)}


def run_json(argv, env=None, limit_s=170):
    """Runs a program that prints one JSON object."""
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=limit_s, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return json.loads(done.stdout)


class BenchError(Exception):
    """A figure could not be measured."""


class Topic:
    """The end of a topic, looked at sparsely, and the times of its records, as the log has them."""

    def __init__(self, brokers, name):
        self.name = name
        self.reader = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "bench",
                "enable.auto.commit": False,
                "log_level": 2,
                # Single records are read, so nothing is fetched ahead.
                "queued.min.messages": 1,
                "fetch.message.max.bytes": 4096,
                "fetch.wait.max.ms": 10,
            }
        )
        topic = self.reader.list_topics(name, timeout=10).topics[name]
        self.partitions = sorted(topic.partitions)

    def close(self):
        self.reader.close()

    def ends(self):
        return {p: self._end(p) for p in self.partitions}

    def _end(self, partition):
        give_up_at = time.monotonic() + 10
        while True:
            try:
                return self.reader.get_watermark_offsets(TopicPartition(self.name, partition), timeout=10)[1]
            except KafkaException as error:  # a topic that was made just now has no leader yet
                if time.monotonic() > give_up_at:
                    raise BenchError(f"{self.name} [{partition}]: {error}") from None
                time.sleep(0.05)

    def count(self):
        return sum(self.ends().values())

    def await_count(self, n, limit_s, process=None):
        """Until n records are there; BenchError when the limit passes, or the process that writes them ends."""
        give_up_at = time.monotonic() + limit_s
        while (count := self.count()) < n:
            if process is not None and not process.alive:
                raise BenchError(f"{process.name} ended with {count} of {n} records in {self.name}: {process.stderr[-500:]}")
            if time.monotonic() > give_up_at:
                raise BenchError(f"{count} of {n} records in {self.name} after {limit_s} s")
            time.sleep(LOOK_EACH_S)
        return count

    def _times_ms(self, offsets):
        """When the records at these {partition: offset} were written."""
        self.reader.assign([TopicPartition(self.name, partition, offset) for partition, offset in offsets.items()])
        times = {}
        give_up_at = time.monotonic() + 10
        while len(times) < len(offsets):
            message = self.reader.poll(1)
            if message is not None and not message.error():
                times.setdefault(message.partition(), message.timestamp()[1])
            if time.monotonic() > give_up_at:
                raise BenchError(f"{self.name} cannot be read")
        self.reader.unassign()
        return times.values()

    def seconds(self):
        """From its first record to its last."""
        ends = {p: end for p, end in self.ends().items() if end > 0}
        first = min(self._times_ms({p: 0 for p in ends}))
        last = max(self._times_ms({p: end - 1 for p, end in ends.items()}))
        return (last - first) / 1000

    def values(self):
        """The values of all its records."""
        values = []
        for partition, end in self.ends().items():
            self.reader.assign([TopicPartition(self.name, partition, 0)])
            for _ in range(end):
                message = self.reader.poll(10)
                if message is None or message.error():
                    raise BenchError(f"{self.name} [{partition}] cannot be read")
                values.append(message.value())
        self.reader.unassign()
        return values
