# SPDX-License-Identifier: Apache-2.0
"""Clocks, counters and percentiles of the bench."""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

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
        self.admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
        self.reader = Consumer({"bootstrap.servers": brokers, "group.id": "bench", "enable.auto.commit": False, "log_level": 2})
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

    def _times_ms(self, spec):
        """The timestamps that the broker's index has for it, of the partitions that have records; nothing is read."""
        asked = self.admin.list_offsets({TopicPartition(self.name, p): spec for p in self.partitions}, request_timeout=10)
        return [answer.timestamp for answer in (future.result() for future in asked.values()) if answer.timestamp >= 0]

    def seconds(self):
        """From its first record to its last."""
        first = min(self._times_ms(OffsetSpec.for_timestamp(1)))
        last = max(self._times_ms(OffsetSpec.max_timestamp()))
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
