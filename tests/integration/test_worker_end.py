# SPDX-License-Identifier: Apache-2.0
"""Workers that end, in order or not: nothing is lost, nothing runs twice that need not."""

import pytest

from support.waiting import eventually


@pytest.fixture
def queue(kafka):
    kafka.create_topic("tasks.default", partitions=4)


def task(activity_id, plan=None, **fields):
    return {"activity_type": "scripted", "activity_id": activity_id, "input": plan or {}, **fields}


def settled(kafka, count):
    """All records of the queue are committed."""

    def all_committed():
        return sum(kafka.committed(kafka.topic("workers.default"), "tasks.default").values()) == count

    eventually(all_committed, 30, f"{count} records are settled", every_s=0.1)


def test_sigterm_lets_attempts_finish_and_hands_back_the_rest(kafka, stack, queue, exec_log):
    stack.scheduler()
    first = stack.scripted_worker(slots=2)
    keys = [f"k{number}" for number in range(8)]
    kafka.publish_all("default", [task(key, {"sleep_ms": 600}) for key in keys])
    exec_log.await_starts(2)
    first.sigterm()
    second = stack.scripted_worker(slots=4)
    assert first.wait(15) == 0
    found = kafka.results().await_keys(keys)
    exec_log.assert_each_key_started_once(keys)
    assert all(results[0]["attempt"] == 1 for results in found.values())
    settled(kafka, 8)
    second.sigterm()
    assert second.wait(15) == 0


def test_what_outlasts_the_grace_period_is_retried_elsewhere(kafka, stack, queue, exec_log):
    stack.scheduler()
    first = stack.scripted_worker(grace="500ms")
    kafka.publish("default", task("long", {"sleep_ms": 60000}, retry_policy={"maximum_attempts": 2, "initial_interval_ms": 10}))
    exec_log.await_starts(1)
    first.sigterm()
    assert first.wait(15) == 0
    second = stack.scripted_worker(grace="300ms")
    exec_log.await_starts(2)
    assert exec_log.attempts("long") == [1, 2]
    second.sigterm()
    assert second.wait(15) == 0
    result = kafka.results().await_one("long")
    assert (result["status"], result["attempt"], result["failure"]["type"]) == ("FAILED", 2, "WorkerShutdown")


def test_kill_9_of_a_worker_costs_its_running_tasks_one_attempt_and_nothing_else(kafka, stack, queue, exec_log):
    stack.scheduler()
    first = stack.scripted_worker(slots=8)
    running, waiting = [f"r{number}" for number in range(8)], [f"w{number}" for number in range(200)]
    keys = running + waiting
    kafka.publish_all("default", [task(key, {"sleep_ms": 8000}) for key in running])
    exec_log.await_starts(8)
    kafka.publish_all("default", [task(key, {"sleep_ms": 10}) for key in waiting])
    first.kill_tree9()
    stack.scripted_worker(slots=8)
    found = kafka.results().await_keys(keys, limit_s=60)
    exec_log.assert_no_attempt_started_twice()
    assert all(exec_log.attempts(key) == [1, 2] for key in running)
    assert all(exec_log.attempts(key) == [1] for key in waiting)
    assert all(results[0]["status"] == "COMPLETED" for results in found.values())


def test_with_one_attempt_nothing_runs_twice_and_what_never_started_does_not_fail(kafka, stack, queue, exec_log):
    stack.scheduler()
    first = stack.scripted_worker(slots=8)
    keys = [f"k{number}" for number in range(40)]
    policy = {"maximum_attempts": 1}
    kafka.publish_all("default", [task(key, {"sleep_ms": 1000}, retry_policy=policy) for key in keys])
    exec_log.await_starts(8)
    first.kill_tree9()
    started = exec_log.starts()
    stack.scripted_worker(slots=8)
    found = kafka.results().await_keys(keys, limit_s=60)
    exec_log.assert_no_attempt_started_twice()
    failed = {key for key, results in found.items() if results[0]["status"] != "COMPLETED"}
    assert failed <= {key for key, _ in started}
    assert all(found[key][0]["failure"]["type"] == "WorkerLost" for key in failed)


def test_after_kill_9_of_everything_the_stored_result_comes_back(kafka, stack, queue, exec_log):
    scheduler, worker = stack.scheduler(), stack.scripted_worker()
    keys = [f"k{number}" for number in range(10)]
    kafka.publish_all("default", [task(key) for key in keys])
    first = kafka.results().await_keys(keys)
    scheduler.kill_tree9()
    worker.kill_tree9()
    stack.scheduler()
    stack.scripted_worker()
    kafka.publish_all("default", [task(key) for key in keys])
    eventually(lambda: all(len(found) >= 2 for found in kafka.results().by_key().values()), 40, "second copies", every_s=0.1)
    exec_log.assert_each_key_started_once(keys)
    for key, results in kafka.results().by_key().items():
        assert {result.record.value for result in results} == {first[key][0].record.value}


def test_a_rebalance_runs_nothing_again(kafka, stack, queue, exec_log):
    stack.scheduler()
    workers = [stack.scripted_worker(slots=4)]
    keys = [f"k{number}" for number in range(60)]
    kafka.publish("default", task("long", {"sleep_ms": 4000}), partition=0)
    kafka.publish_all("default", [task(key, {"sleep_ms": 150}) for key in keys])
    exec_log.await_starts(10)
    workers.append(stack.scripted_worker(slots=4))
    exec_log.await_starts(35)
    workers[1].sigterm()
    assert workers[1].wait(15) == 0
    kafka.results().await_keys([*keys, "long"], limit_s=60)
    settled(kafka, 61)
    exec_log.assert_each_key_started_once([*keys, "long"])


def test_a_loss_of_redis_starts_nothing_twice(kafka, stack, queue, exec_log, redis_server):
    stack.scheduler()
    stack.scripted_worker(slots=16)
    finished = [f"f{number}" for number in range(5)]
    kafka.publish_all("default", [task(key) for key in finished])
    kafka.results().await_keys(finished)
    keys = [f"k{number}" for number in range(16)]
    kafka.publish_all("default", [task(key, {"sleep_ms": 3000}) for key in keys])
    exec_log.await_starts(21)
    redis_server.flushall()
    kafka.publish_all("default", [task(key) for key in finished])
    kafka.results().await_keys(keys, limit_s=60)
    eventually(lambda: all(len(kafka.results().of(key)) >= 2 for key in finished), 30, "second copies", every_s=0.1)
    settled(kafka, 26)
    exec_log.assert_each_key_started_once([*finished, *keys])
    for key in [*finished, *keys]:
        assert len({result["result_id"] for result in kafka.results().of(key)}) == 1


def test_kafka_that_is_away_for_a_while_delays_and_loses_nothing(own_kafka, kafka, stack, queue, exec_log):
    stack.scheduler()
    worker = stack.scripted_worker(slots=4)
    keys = [f"k{number}" for number in range(30)]
    kafka.publish_all("default", [task(key, {"sleep_ms": 300}) for key in keys])
    exec_log.await_starts(6)
    own_kafka.kill9()
    eventually(lambda: not exec_log.running(), 15, "what was running has ended")
    own_kafka.start()
    kafka.results().await_keys(keys, limit_s=60)
    exec_log.assert_each_key_started_once(keys)
    settled(kafka, 30)
    worker.sigterm()
    assert worker.wait(20) == 0
