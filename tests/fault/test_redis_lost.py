# SPDX-License-Identifier: Apache-2.0
"""Redis forgets everything, by FLUSHALL or by a kill without its data: what Kafka holds is enough."""

import pytest

from support.waiting import eventually

FINISHED = [f"f{number}" for number in range(30)]
RUNNING = [f"r{number}" for number in range(16)]


def task(activity_id, sleep_ms=0):
    return {"activity_type": "scripted", "activity_id": activity_id, "input": {"sleep_ms": sleep_ms}}


@pytest.fixture(params=["flushall", "killed"])
def lose_redis(request, redis_server):
    if request.param == "flushall":
        return redis_server.flushall
    return lambda: redis_server.restart(keep_data=False)


@pytest.fixture
def worker(stack):
    stack.setup()
    stack.scheduler()
    return stack.scripted_worker(slots=16)


def finish(kafka, keys):
    kafka.publish_all("default", [task(key) for key in keys])
    return kafka.results().await_keys(keys)


def await_settled(kafka, count):
    def settled():
        committed = kafka.committed(kafka.topic("workers.default"), "tasks.default")
        assert sum(committed.values()) == count, committed
        return True

    eventually(settled, 30, f"{count} records are settled", every_s=0.1)


def await_copies(kafka, keys, count):
    def enough():
        missing = {key: found for key in keys if (found := len(kafka.results().of(key))) < count}
        assert not missing, missing
        return True

    eventually(enough, 40, f"{count} copies of each result", every_s=0.2)


def assert_one_distinct_result_each(kafka, keys):
    found = kafka.results().by_key()
    several = {key: found[key] for key in keys if len({result.record.value for result in found[key]}) != 1}
    assert not several


def test_finished_tasks_come_back_from_results(kafka, worker, exec_log, lose_redis):
    finish(kafka, FINISHED)
    await_settled(kafka, 30)
    lose_redis()
    kafka.publish_all("default", [task(key) for key in FINISHED])
    await_copies(kafka, FINISHED, 2)
    await_settled(kafka, 60)
    exec_log.assert_each_key_started_once(FINISHED)
    assert_one_distinct_result_each(kafka, FINISHED)


def test_finished_tasks_come_back_after_two_losses_in_a_row(kafka, worker, exec_log, lose_redis):
    finish(kafka, FINISHED)
    lose_redis()
    kafka.publish_all("default", [task(key) for key in FINISHED])
    lose_redis()
    await_copies(kafka, FINISHED, 2)
    await_settled(kafka, 60)
    exec_log.assert_each_key_started_once(FINISHED)
    assert_one_distinct_result_each(kafka, FINISHED)


def test_16_running_tasks_are_not_started_again_and_get_one_result_each(kafka, worker, exec_log, lose_redis):
    kafka.publish_all("default", [task(key, 3000) for key in RUNNING])
    exec_log.await_starts(16)
    lose_redis()
    kafka.publish_all("default", [task(key, 3000) for key in RUNNING])  # copies, which must not run beside them
    found = kafka.results().await_keys(RUNNING, limit_s=40)
    await_settled(kafka, 32)
    exec_log.assert_each_key_started_once(RUNNING)
    assert {results[0]["status"] for results in found.values()} == {"COMPLETED"}
    assert_one_distinct_result_each(kafka, RUNNING)


def test_16_tasks_that_end_while_redis_is_away_get_one_result_each(kafka, worker, exec_log, redis_server):
    kafka.publish_all("default", [task(key, 1200) for key in RUNNING])
    exec_log.await_starts(16)
    redis_server.kill9()
    eventually(lambda: len(exec_log.lines("end")) == 16, 10, "all 16 end")
    redis_server.start()
    found = kafka.results().await_keys(RUNNING, limit_s=40)
    await_settled(kafka, 16)
    exec_log.assert_each_key_started_once(RUNNING)
    assert {results[0]["status"] for results in found.values()} == {"COMPLETED"}
    assert_one_distinct_result_each(kafka, RUNNING)


def test_a_scheduler_that_is_away_at_the_loss_finds_the_finished_tasks_later(kafka, stack, exec_log, lose_redis):
    stack.setup()
    scheduler = stack.scheduler()
    stack.scripted_worker(slots=16)
    finish(kafka, FINISHED)
    scheduler.kill_tree9()
    lose_redis()
    kafka.publish_all("default", [task(key) for key in FINISHED])
    stack.scheduler()
    await_copies(kafka, FINISHED, 2)
    exec_log.assert_each_key_started_once(FINISHED)
    assert_one_distinct_result_each(kafka, FINISHED)
