# SPDX-License-Identifier: Apache-2.0
"""Copies of a task, all at once and after the loss of everything but Kafka: each task runs once and has one result."""

import pytest

from support.waiting import eventually

KEYS = [f"k{number}" for number in range(20)]


def task(activity_id, plan=None):
    return {"activity_type": "scripted", "activity_id": activity_id, "input": plan or {}}


def publish_160_copies(kafka, plan=None):
    """Two copies of each of the 20 tasks in each of 4 partitions."""
    for partition in range(4):
        kafka.publish_all("default", [task(key, plan) for key in [*KEYS, *KEYS]], partition=partition)


def await_settled(kafka, count):
    def settled():
        committed = kafka.committed(kafka.topic("workers.default"), "tasks.default")
        assert sum(committed.values()) == count, committed
        return True

    eventually(settled, 30, f"{count} records are settled", every_s=0.1)


def assert_one_distinct_result_each(kafka):
    by_key = kafka.results().by_key()
    assert by_key.keys() == set(KEYS)
    for key, results in by_key.items():
        assert len({result.record.value for result in results}) == 1, (key, [result["result_id"] for result in results])
    return by_key


def test_160_copies_taken_by_two_workers_run_20_tasks_once(kafka, stack, exec_log):
    stack.setup()
    stack.scheduler()
    stack.scripted_worker()
    stack.scripted_worker()
    publish_160_copies(kafka, {"sleep_ms": 200})
    kafka.results().await_keys(KEYS)
    await_settled(kafka, 160)
    exec_log.assert_each_key_started_once(KEYS)
    assert_one_distinct_result_each(kafka)


@pytest.mark.parametrize("redis_too", [False, True], ids=["redis_lives", "redis_loses_all"])
def test_after_kill_9_of_everything_copies_get_the_stored_result(kafka, stack, exec_log, redis_server, redis_too):
    stack.setup()
    programs = [stack.scheduler(), stack.scripted_worker()]
    publish_160_copies(kafka)
    kafka.results().await_keys(KEYS)
    await_settled(kafka, 160)
    before = assert_one_distinct_result_each(kafka)
    for program in programs:
        program.kill_tree9()
    if redis_too:
        redis_server.restart(keep_data=False)

    stack.scheduler()
    stack.scripted_worker()
    kafka.publish_all("default", [task(key) for key in KEYS])

    def answered_again():
        counts = {key: len(kafka.results().of(key)) - len(before[key]) for key in KEYS}
        assert all(counts.values()), counts
        return True

    eventually(answered_again, 40, "the stored results come again", every_s=0.2)
    await_settled(kafka, 180)
    exec_log.assert_each_key_started_once(KEYS)
    after = assert_one_distinct_result_each(kafka)
    assert {key: found[0].record.value for key, found in after.items()} == {
        key: found[0].record.value for key, found in before.items()
    }


def test_kill_9_of_everything_while_copies_run_starts_no_attempt_twice(kafka, stack, exec_log):
    stack.setup()
    programs = [stack.scheduler(), stack.scripted_worker()]
    publish_160_copies(kafka, {"sleep_ms": 400})
    exec_log.await_starts(10)
    for program in reversed(programs):
        program.kill_tree9()
    answered = kafka.results().by_key().keys()

    stack.scheduler()
    stack.scripted_worker()
    found = kafka.results().await_keys(KEYS, limit_s=40)
    await_settled(kafka, 160)
    exec_log.assert_no_attempt_started_twice()
    again = {key for key in KEYS if len(exec_log.attempts(key)) > 1}
    assert len(again) <= 8, again  # as many as the worker has slots
    assert not again & answered
    assert all(results[0]["status"] == "COMPLETED" for results in found.values())
    assert_one_distinct_result_each(kafka)
