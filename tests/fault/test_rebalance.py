# SPDX-License-Identifier: Apache-2.0
"""Partitions that change hands while results are out of order: what ran is not run again."""

from support.waiting import eventually

SHORT = [f"s{number}" for number in range(6)]


def task(activity_id, sleep_ms=0):
    return {"activity_type": "scripted", "activity_id": activity_id, "input": {"sleep_ms": sleep_ms}}


def committed(kafka):
    return kafka.committed(kafka.topic("workers.default"), "tasks.default")


def await_settled(kafka, count):
    eventually(lambda: sum(committed(kafka).values()) == count, 30, f"{count} records are settled", every_s=0.1)


def long_tasks_in_front_of_finished_ones(kafka, stack):
    """One worker, that parks nothing before it must; in each of the 4 partitions a long task at offset 0 and finished ones behind
    it. Returns the long keys."""
    stack.setup()
    stack.scheduler()
    worker = stack.scripted_worker(slots=8, park_after="1h")
    long = [f"long{partition}" for partition in range(4)]
    for partition, key in enumerate(long):
        kafka.publish("default", task(key, 10000), partition=partition)
        kafka.publish_all("default", [task(f"{short}-{partition}") for short in SHORT], partition=partition)
    kafka.results().await_keys(all_short())
    offsets, results = committed(kafka), kafka.results().by_key()
    assert not results.keys() & set(long), "the machine is too slow for this test: the long tasks have ended"
    assert all(offset <= 0 for offset in offsets.values()), f"long tasks must hold the offsets back: {offsets}"
    return worker, long


def all_short():
    return [f"{short}-{partition}" for short in SHORT for partition in range(4)]


def test_a_worker_that_joins_runs_nothing_again(kafka, stack, exec_log):
    _, long = long_tasks_in_front_of_finished_ones(kafka, stack)
    second = stack.scripted_worker(slots=8)
    second.wait_for_log("partitions assigned", 15)
    found = kafka.results().await_keys([*long, *all_short()], limit_s=40)
    await_settled(kafka, 28)
    exec_log.assert_each_key_started_once([*long, *all_short()])
    assert {results[0]["status"] for results in found.values()} == {"COMPLETED"}
    assert all(len({result["result_id"] for result in results}) == 1 for results in found.values())


def test_a_worker_that_joins_and_leaves_runs_nothing_again(kafka, stack, exec_log):
    _, long = long_tasks_in_front_of_finished_ones(kafka, stack)
    second = stack.scripted_worker(slots=8)
    second.wait_for_log("partitions assigned", 15)
    second.stop()
    kafka.results().await_keys([*long, *all_short()], limit_s=40)
    await_settled(kafka, 28)
    exec_log.assert_each_key_started_once([*long, *all_short()])


def test_a_worker_that_drains_hands_over_without_a_second_run(kafka, stack, exec_log):
    first, long = long_tasks_in_front_of_finished_ones(kafka, stack)
    second = stack.scripted_worker(slots=8)
    first.stop(limit_s=20)
    kafka.results().await_keys([*long, *all_short()], limit_s=40)
    await_settled(kafka, 28)
    exec_log.assert_each_key_started_once([*long, *all_short()])
    assert second.alive


def test_kill_9_in_front_of_finished_tasks_runs_only_the_long_ones_again(kafka, stack, exec_log):
    first, long = long_tasks_in_front_of_finished_ones(kafka, stack)
    first.kill_tree9()
    stack.scripted_worker(slots=8)
    kafka.results().await_keys([*long, *all_short()], limit_s=40)
    await_settled(kafka, 28)
    exec_log.assert_no_attempt_started_twice()
    assert {key: exec_log.attempts(key) for key in all_short() if exec_log.attempts(key) != [1]} == {}
    assert {key: exec_log.attempts(key) for key in long} == {key: [1, 2] for key in long}
