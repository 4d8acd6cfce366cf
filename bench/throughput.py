# SPDX-License-Identifier: Apache-2.0
"""Drain and latency of Millrace beside the same broker's plain consume -> produce, in one run.

    bench/run [--tasks N] [--only NAME]

Drain: N no-op tasks with ids (140 B of input, Avro) wait in 4 partitions; the time from the start of a worker's work (first result) to
the last of N results in the log. Every case has topics of its own and an empty Redis; broker, Redis and worker share the machine.
Latency: 1,000 tasks a second for 10 s, from the publish to the result at a consumer, in this process.
"""

import argparse
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from support.codec import encode
from support.kafka_broker import KafkaBroker
from support.processes import Processes
from support.redis_server import RedisServer
from support.stack import Build, Stack

TICKS = os.sysconf("SC_CLK_TCK")
NOOP_BYTES = 140


def cpu_s(pid):
    """User and system seconds of a process and of all below it that live."""
    total, todo = 0.0, [pid]
    while todo:
        pid = todo.pop()
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            todo += [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def noop_task(activity_id, template=[]):
    """A task record; only the first is encoded, in the others its id is replaced by one of the same length."""
    if not template or len(template[0]) != len(activity_id):
        template[:] = [activity_id, encode("task", {"activity_type": "noop", "activity_id": activity_id, "input": b"x" * NOOP_BYTES})]
    return template[1].replace(template[0].encode(), activity_id.encode(), 1)


def count_results(consumer, topic, partitions):
    return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions)


class Case:
    """One Millrace with topics and Redis of its own."""

    def __init__(self, processes, broker, folder, name, redis_options):
        self.processes, self.broker = processes, broker
        self.redis = RedisServer(processes, folder / f"redis-{name}", redis_options)
        self.prefix = f"bench.{name}."
        self.stack = Stack(Build(Path(os.environ.get("MILLRACE_TEST_BIN", "build/release")).resolve()), processes, broker.address, self.redis.url, self.prefix)
        self.stack.setup(partitions=4)
        self.scheduler = self.stack.scheduler()
        self.reader = Consumer({"bootstrap.servers": broker.address, "group.id": "bench", "enable.auto.commit": False})
        self.results = self.prefix + "results"
        self.partitions = list(self.reader.list_topics(self.results, timeout=10).topics[self.results].partitions)

    def worker(self, isolation):
        return self.stack.worker(slots=2, isolation=isolation, libs=["test_activities"])

    def publish(self, n):
        producer = Producer({"bootstrap.servers": self.broker.address, "linger.ms": 5, "queue.buffering.max.messages": 200000, "acks": "all"})
        for number in range(n):
            value = noop_task(f"task-{number:08d}")
            while True:
                try:
                    producer.produce(self.prefix + "tasks.default", value, partition=number % 4)
                    break
                except BufferError:
                    producer.poll(0.05)
        assert producer.flush(60) == 0

    def drain(self, isolation, n):
        self.publish(n)
        worker = self.worker(isolation)
        while not (first := count_results(self.reader, self.results, self.partitions)):
            time.sleep(0.05)
        began = time.monotonic()
        before = {"worker": cpu_s(worker.pid), "redis": cpu_s(self.redis.process.pid), "broker": cpu_s(self.broker.process.pid)}
        while count_results(self.reader, self.results, self.partitions) < n:
            time.sleep(0.25)  # each look asks the broker, which is measured
        took = time.monotonic() - began
        after = {"worker": cpu_s(worker.pid), "redis": cpu_s(self.redis.process.pid), "broker": cpu_s(self.broker.process.pid)}
        cpu = {name: (after[name] - before[name]) * 1e6 / (n - first) for name in after}
        worker.sigterm()
        worker.wait(30)
        return (n - first) / took, cpu

    def latency(self, isolation, rate=1000, seconds=10):
        worker = self.worker(isolation)
        self.reader.assign([TopicPartition(self.results, p, self.reader.get_watermark_offsets(TopicPartition(self.results, p))[1]) for p in self.partitions])
        producer = Producer({"bootstrap.servers": self.broker.address, "linger.ms": 0, "acks": "all"})
        sent, seen = {}, []
        n = rate * seconds

        def take(timeout):
            message = self.reader.poll(timeout)
            if message is not None and not message.error() and message.key() in sent:
                seen.append((time.monotonic() - sent.pop(message.key())) * 1000)

        def send(key, due):
            sent[key.encode()] = due
            producer.produce(self.prefix + "tasks.default", noop_task(key))
            producer.poll(0)

        send("warm", time.monotonic())
        while sent:
            take(0.1)
        seen.clear()
        began = time.monotonic()
        for number in range(n):
            due = began + number / rate
            while (left := due - time.monotonic()) > 0:
                take(min(left, 0.001))
            send(f"lat-{number:08d}", due)
        limit = time.monotonic() + 30
        while sent and time.monotonic() < limit:
            take(0.1)
        assert not sent, f"{len(sent)} results are missing"
        seen.sort()
        worker.sigterm()
        worker.wait(30)
        return seen[len(seen) // 2], seen[int(len(seen) * 0.99)], seen[-1]


def plain_pipe(broker, n):
    """Consume -> produce without Millrace, through the project's own bus, in the same broker."""
    out = subprocess.run(["build/release/bench/micro_bus", broker.address, str(n), "200", "4"], capture_output=True, text=True, check=True).stdout
    print("plain pipe: " + out.strip().replace("\n", "; "), flush=True)
    return [float(number) for number in re.findall(r"([\d.]+)k?/s", out)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300000)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-bench.") as name:
        folder = Path(name)
        processes = Processes(folder)
        try:
            broker = KafkaBroker(processes, folder / "kafka")
            if options.only in "pipe":
                plain_pipe(broker, options.tasks)
            everysec = ("--appendonly", "yes", "--appendfsync", "everysec")
            for label, isolation, redis_options in (
                ("thread-noaof", "thread", ()),
                ("thread-everysec", "thread", everysec),
                ("process-noaof", "process", ()),
                ("process-everysec", "process", everysec),
            ):
                if options.only not in label:
                    continue
                case = Case(processes, broker, folder, label, redis_options)
                rate, cpu = case.drain(isolation, options.tasks)
                shares = ", ".join(f"{who} {us:.1f}" for who, us in cpu.items())
                print(f"drain {label}: {rate:,.0f} tasks/s; CPU us a task: {shares}", flush=True)
                if label.endswith("everysec"):
                    p50, p99, most = case.latency(isolation)
                    print(f"latency {label}, 1,000/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms", flush=True)
                case.scheduler.sigterm()
                case.scheduler.wait(20)
                case.redis.kill9()
        finally:
            for process in processes.all:
                process.kill_tree9()


if __name__ == "__main__":
    main()
