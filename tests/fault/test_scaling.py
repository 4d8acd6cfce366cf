# SPDX-License-Identifier: Apache-2.0
"""Row E5: replicas come and go while tasks of 0.1 to 3 s run, and each attempt is started once."""

import random

import pytest

from support.waiting import eventually

KEYS = [f"k{number}" for number in range(400)]


def worker(stack):
    return stack.worker(libs=["test_activities"], slots=16)


def publish(kafka, keys):
    random.seed(400)
    values = [{"activity_type": "actor", "activity_id": key, "input": {"ms": random.randint(100, 3000)}} for key in keys]
    kafka.publish_all("default", values)


def await_ended(exec_log, count):
    eventually(lambda: len(exec_log.lines("end")) >= count, 40, f"{count} tasks have ended", every_s=0.1)


def join(stack):
    """One more replica, which has its share of the partitions."""
    process = worker(stack)
    process.wait_for_log("partitions assigned", 20)
    return process


def assert_each_ran_once(kafka, exec_log, keys):
    found = kafka.results().await_keys(keys, limit_s=60)
    exec_log.assert_each_key_started_once(keys)
    assert {(results[0]["status"], results[0]["attempt"]) for results in found.values()} == {("COMPLETED", 1)}
    assert all(len({result["result_id"] for result in results}) == 1 for results in found.values())

    def settled():
        committed = kafka.committed(kafka.topic("workers.default"), "tasks.default")
        assert committed == kafka.ends("tasks.default")
        return True

    eventually(settled, 20, "all is settled", every_s=0.2)


@pytest.mark.timeout(120)
def test_400_tasks_while_replicas_go_1_2_3_2_3_2_start_once_each(kafka, stack, exec_log):
    stack.setup(partitions=8)
    stack.scheduler()
    workers = [join(stack)]
    publish(kafka, KEYS)
    exec_log.await_starts(16)
    for change in (+1, +1, -1, +1, -1):
        ended = len(exec_log.lines("end"))
        if change > 0:
            workers.append(join(stack))
        else:
            workers.pop(0).stop(20)
        await_ended(exec_log, ended + 40)
    assert exec_log.running(), "the replicas changed too slowly: nothing ran any more"
    assert_each_ran_once(kafka, exec_log, KEYS)
    assert all(process.alive for process in workers)


@pytest.mark.timeout(120)
def test_a_rolling_restart_of_workers_and_schedulers_runs_nothing_twice(kafka, stack, exec_log):
    stack.setup(partitions=8)
    schedulers = [stack.scheduler(), stack.scheduler()]
    workers = [join(stack) for _ in range(2)]
    keys = KEYS[:200]
    publish(kafka, keys)
    exec_log.await_starts(16)
    for _ in range(2):
        schedulers.append(stack.scheduler())
        schedulers.pop(0).stop(20)
        workers.append(join(stack))
        workers.pop(0).stop(20)
    assert_each_ran_once(kafka, exec_log, keys)
