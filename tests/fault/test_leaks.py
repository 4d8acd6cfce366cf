# SPDX-License-Identifier: Apache-2.0
"""100,000 tasks leave nothing behind: no memory, no descriptors, no children, no timers."""

import json
import os
from pathlib import Path

import pytest

from support.processes import children_of
from support.waiting import eventually

WARM, ALL, STEP = 20_000, 100_000, 10_000
GROWTH_KIB = 4096  # of one process between 20,000 and 100,000 tasks: 52 bytes a task would be seen
FEW_FDS = 8  # connections come and go


def is_sanitized(build):
    """Sanitizers keep freed memory for a while, so that RSS says nothing; they look for leaks themselves."""
    return "MR_SANITIZE:STRING=\n" not in (build.folder / "CMakeCache.txt").read_text()


def rss_kib(pid):
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


class Usage:
    """What a program and all below it hold."""

    def __init__(self, process):
        self.pids = [process.pid, *children_of([process.pid])]
        self.rss_kib = {pid: rss_kib(pid) for pid in self.pids}
        self.fds = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids}

    def assert_like(self, before, with_memory):
        assert self.pids == before.pids
        fds = {pid: (before.fds[pid], count) for pid, count in self.fds.items() if abs(count - before.fds[pid]) > FEW_FDS}
        assert not fds, f"descriptors: {fds}"
        grown = {pid: (before.rss_kib[pid], kib) for pid, kib in self.rss_kib.items() if kib > before.rss_kib[pid] + GROWTH_KIB}
        assert not (with_memory and grown), f"RSS in KiB by pid: {grown}"

    def __repr__(self):
        return f"{len(self.pids)} processes, {sum(self.fds.values())} fds, RSS KiB {sorted(self.rss_kib.values(), reverse=True)}"


def tasks(numbers, folder):
    """No-ops, 1 in 100 of which fails once."""
    for number in numbers:
        task = {"activity_type": "noop", "activity_id": f"k{number}"}
        if number % 100 == 0:
            plan = {"file": str(folder / f"{number}"), "times": 1}
            task |= {"activity_type": "fail_n_times", "input": plan, "retry_policy": {"initial_interval_ms": 20}}
        yield json.dumps(task)


def complete(kafka, numbers, folder):
    """Publishes these tasks and waits for as many results. Results are counted, not read: there are many."""
    kafka.publish_all("default", tasks(numbers, folder))
    eventually(lambda: sum(kafka.ends("results").values()) >= numbers.stop, 120, f"{numbers.stop} results", every_s=0.1)


def await_quiet(redis, kafka):
    """No attempt waits and every retried task has its tombstone."""
    eventually(lambda: not sum(redis.zcard(name) for name in redis.scan_iter("*}b", count=1000)), 20, "no attempt waits", every_s=0.2)
    eventually(lambda: not open_keys(kafka), 20, "every retried task is buried", every_s=0.2)


def open_keys(kafka):
    last = {record.key: record.value for record in kafka.read_all("journal")}
    return [key for key, value in last.items() if value is not None]


@pytest.mark.timeout(420)
@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_100000_tasks_leak_nothing_and_each_gets_one_result(kafka, stack, build, redis, tmp_path, isolation):
    stack.setup()
    scheduler = stack.scheduler()
    worker = stack.worker(slots=4, isolation=isolation, libs=["test_activities"])
    for begin in range(0, WARM, STEP):
        complete(kafka, range(begin, begin + STEP), tmp_path)
    await_quiet(redis, kafka)
    before = {"worker": Usage(worker), "scheduler": Usage(scheduler)}

    for begin in range(WARM, ALL, STEP):
        complete(kafka, range(begin, begin + STEP), tmp_path)
    await_quiet(redis, kafka)

    after = {"worker": Usage(worker), "scheduler": Usage(scheduler)}
    print(isolation, "at 20,000:", before, "at 100,000:", after)
    for name, usage in after.items():
        usage.assert_like(before[name], with_memory=not is_sanitized(build))
    found = kafka.results().by_key()
    assert len(found) == ALL
    wrong = [key for key, results in found.items() if {result["status"] for result in results} != {"COMPLETED"}]
    assert not wrong
    assert {results[0]["attempt"] for key, results in found.items() if key.endswith("00")} == {2}
    assert len({record.key for record in kafka.read_all("journal")}) >= ALL // 100
    worker.stop()
    scheduler.stop()
