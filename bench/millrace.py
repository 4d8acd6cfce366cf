# SPDX-License-Identifier: Apache-2.0
"""Millrace as it is measured: topics, Redis, scheduler and workers of one case."""

import itertools
import shutil

from support.redis_server import RedisServer
from support.stack import Stack

from meters import Cpu, Topic, run_json

PARTITIONS = 4
INPUT_BYTES = 140
AOF = {"off": (), "everysec": ("--appendonly", "yes", "--appendfsync", "everysec")}


class Case:
    """One Millrace with topics and a Redis of its own; everything of it ends with the `with` block."""

    numbers = itertools.count(1)

    def __init__(self, lab, aof="off", env=None):
        self.lab = lab
        number = next(self.numbers)
        self.redis = RedisServer(lab.processes, lab.folder / f"redis-{number}", AOF[aof])
        self.prefix = f"bench.{number}."
        self.env = env or {}
        self.stack = Stack(lab.build, lab.processes, lab.broker.address, self.redis.url, self.prefix)
        self.stack.setup(partitions=PARTITIONS)
        self.daemons = []

    def __enter__(self):
        self.scheduler = self._started(self.stack.scheduler(env=self.env))
        self.results = Topic(self.lab.broker.address, self.prefix + "results")
        return self

    def __exit__(self, *error):
        self.results.close()
        for daemon in reversed(self.daemons):
            daemon.kill_tree9()
        self.redis.kill9()
        shutil.rmtree(self.redis.folder)

    def _started(self, daemon):
        self.daemons.append(daemon)
        return daemon

    def worker(self, isolation="thread", slots=2, execs=None, flags=()):
        libs = [] if execs else ["test_activities"]
        return self._started(
            self.stack.worker(slots=slots, isolation=isolation, libs=libs, execs=execs, env=self.env, flags=flags)
        )

    def ready_worker(self, **as_worker):
        """A worker that has its partitions and whose shards are vouched for, so that nothing piles up in front of it."""
        worker = self.worker(**as_worker)
        worker.wait_for_log("partitions assigned", limit_s=20)
        worker.wait_for_log("all shards are ready", limit_s=20)
        return worker

    def submit(self, n, activity="noop", encoding="avro", attempts=0, retry_ms=0, per_s=0):
        """Through the client library; returns what it measured."""
        words = [self.lab.broker.address, self.prefix, n, encoding, activity, INPUT_BYTES, attempts, retry_ms, per_s]
        return run_json([self.lab.program("submit"), *words])

    def drain(self, n, limit_s=160, **as_worker):
        """A backlog of n tasks, from the first result in the log to the last; tasks a second and CPU us a task."""
        submitted = self.submit(n)
        worker = self.worker(**as_worker)
        first = self.results.await_count(1, 20, worker)
        daemons = {"scheduler": self.scheduler.pid, "redis": self.redis.process.pid, "broker": self.lab.broker.process.pid}
        cpu = Cpu(worker=worker.pid, **daemons)
        count = self.results.await_count(n, limit_s, worker)
        shares = cpu.us_each(max(1, count - first))
        return {"per_s": (count - 1) / self.results.seconds(), "cpu_us": shares, "submit_per_s": submitted["per_s"]}

    def latency(self, per_s, seconds, warm_up_s, **as_worker):
        self.worker(**as_worker)
        return run_json([self.lab.program("latency"), self.lab.broker.address, self.prefix, per_s, seconds, warm_up_s])
