# SPDX-License-Identifier: Apache-2.0
"""The peers: BullMQ (Node, Redis) and beanstalkd (C clients), each with a server of its own."""

import contextlib
import json
import shutil

from support.ports import HOST, free_port, is_listening
from support.redis_server import RedisServer
from support.stack import ROOT
from support.waiting import eventually

from meters import BenchError, Cpu, run_json
from millrace import AOF, INPUT_BYTES

BULLMQ = ROOT / "build" / "bench-peers" / "bullmq"
BEANSTALKD_FSYNC_MS = 50


class Bullmq:
    """A Redis (AOF everysec, as Millrace's) and node programs on it."""

    def __init__(self, lab):
        self.lab = lab
        self.redis = RedisServer(lab.processes, lab.folder / "redis-bullmq", AOF["everysec"])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.redis.kill9()
        shutil.rmtree(self.redis.folder)

    def _argv(self, mode, *numbers):
        return ["node", BULLMQ / "bull.mjs", mode, self.redis.port, *numbers]

    def drain(self, n):
        added = run_json(self._argv("add", n))
        cpu = Cpu(redis=self.redis.process.pid)
        drained = run_json(self._argv("drain", n))
        return {**drained, "cpu_us": {"worker": drained["cpu_us"], **cpu.us_each(n)}, "submit_per_s": added["per_s"]}

    def latency(self, per_s, seconds, warm_up_s):
        worker = self.lab.processes.start([str(word) for word in self._argv("work")], name="bullmq-worker")
        try:
            eventually(lambda: "ready" in worker.stdout, limit_s=20, what="the BullMQ worker is ready")
            return run_json(self._argv("latency", per_s, seconds, warm_up_s))
        finally:
            worker.kill_tree9()


def version_of_bullmq():
    return json.loads((BULLMQ / "node_modules" / "bullmq" / "package.json").read_text())["version"]


@contextlib.contextmanager
def beanstalkd(lab):
    """beanstalkd with a binlog that is synced at most each 50 ms; gives (port, process)."""
    folder = lab.folder / "beanstalkd"
    folder.mkdir()
    port = free_port()
    words = ["beanstalkd", "-l", HOST, "-p", str(port), "-b", str(folder), "-f", str(BEANSTALKD_FSYNC_MS)]
    process = lab.processes.start(words)
    try:
        eventually(lambda: is_listening(port), limit_s=10, what="beanstalkd listens")
        yield port, process
    finally:
        process.kill9()
        shutil.rmtree(folder)


def drain_beanstalkd(lab, n, workers, depth):
    with beanstalkd(lab) as (port, process):
        put = run_json([lab.program("beanstalk"), "put", port, n, INPUT_BYTES])
        cpu = Cpu(server=process.pid)
        drained = run_json([lab.program("beanstalk"), "drain", port, n, workers, depth])
        if drained["n"] != n:
            raise BenchError(f"beanstalkd: {drained['n']} of {n} jobs")
        return {**drained, "cpu_us": {**cpu.us_each(n), "workers": drained["cpu_us"]}, "submit_per_s": put["per_s"]}
