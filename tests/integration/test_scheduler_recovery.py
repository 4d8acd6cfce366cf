# SPDX-License-Identifier: Apache-2.0
"""Redis is an index that can be thrown away: what is in Kafka comes back, and nothing runs twice for it."""

import pytest

from support.waiting import eventually, stays


@pytest.fixture
def queue(kafka):
    kafka.create_topic("tasks.default", partitions=4)


@pytest.fixture
def scheduler(stack, queue):
    return stack.scheduler()


def task(activity_id, plan=None, **fields):
    return {"activity_type": "scripted", "activity_id": activity_id, "input": plan or {}, **fields}


def is_recovered(scheduler, times=1):
    """Whether all 16 shards have been recovered so often."""
    return scheduler.stderr.count("shard recovered") >= 16 * times


def lose_by_flushall(redis_server):
    redis_server.flushall()


def lose_by_kill(redis_server):
    redis_server.restart(keep_data=False)


losses = pytest.mark.parametrize("lose", [lose_by_flushall, lose_by_kill])


@losses
def test_finished_tasks_come_back_from_the_log_and_do_not_run_again(kafka, stack, scheduler, redis_server, exec_log, lose):
    stack.scripted_worker()
    keys = [f"k{i}" for i in range(10)]
    kafka.publish_all("default", [task(key, {"result": key.upper()}) for key in keys])
    first = kafka.results().await_keys(keys)

    lose(redis_server)
    eventually(lambda: is_recovered(scheduler, 2), 30, "all shards are recovered")
    kafka.publish_all("default", [task(key) for key in keys])

    def answered_again():
        found = kafka.results().by_key()
        assert all(len(found[key]) == 2 for key in keys)
        return found

    found = eventually(answered_again, 20, "each gets its stored result again")
    assert all(found[key][1]["result_id"] == first[key][0]["result_id"] for key in keys)
    assert all(found[key][1].record.value == first[key][0].record.value for key in keys)
    exec_log.assert_each_key_started_once(keys)


@losses
def test_running_tasks_are_not_started_twice(kafka, stack, scheduler, redis_server, exec_log, lose):
    stack.scripted_worker(slots=16)
    keys = [f"k{i}" for i in range(16)]
    kafka.publish_all("default", [task(key, {"sleep_ms": 8000}) for key in keys])
    exec_log.await_starts(16)

    lose(redis_server)
    eventually(lambda: is_recovered(scheduler, 2), 30, "all shards are recovered")
    kafka.publish_all("default", [task(key) for key in keys])

    results = kafka.results().await_keys(keys, limit_s=40)
    assert all(of_key[0]["attempt"] == 1 for of_key in results.values())
    exec_log.assert_each_key_started_once(keys)


@losses
def test_attempts_that_wait_come_when_they_are_due(kafka, stack, scheduler, redis_server, exec_log, lose):
    stack.scripted_worker()
    policy = {"initial_interval_ms": 6000}
    kafka.publish("default", task("pay", {"fail_attempts": 1}, retry_policy=policy))
    eventually(lambda: kafka.read_all("journal"), 20, "the first attempt has failed")

    lose(redis_server)

    assert kafka.results().await_one("pay", limit_s=40)["attempt"] == 2
    (gap,) = exec_log.gaps_ms("pay")
    assert gap >= 6000


def test_a_rollback_to_an_old_snapshot_runs_nothing_again(kafka, stack, scheduler, redis_server, exec_log):
    stack.scripted_worker()
    kafka.publish("default", task("early"))
    kafka.results().await_one("early")
    snapshot = redis_server.snapshot()
    keys = [f"k{i}" for i in range(10)]
    kafka.publish_all("default", [task(key) for key in keys])
    kafka.results().await_keys(keys)

    redis_server.rollback(snapshot)
    eventually(lambda: is_recovered(scheduler, 2), 30, "all shards are recovered")
    kafka.publish_all("default", [task(key) for key in ["early", *keys]])

    eventually(lambda: len(kafka.results().all()) == 22, 20, "all are answered again")
    exec_log.assert_each_key_started_once(["early", *keys])


def test_a_restart_of_redis_with_its_data_is_recovered_too(kafka, stack, scheduler, redis_server, exec_log):
    stack.scripted_worker()
    kafka.publish("default", task("pay", {"fail_attempts": 1}, retry_policy={"initial_interval_ms": 4000}))
    eventually(lambda: kafka.read_all("journal"), 20, "the first attempt has failed")

    redis_server.restart(keep_data=True)

    assert kafka.results().await_one("pay", limit_s=40)["attempt"] == 2
    assert is_recovered(scheduler, 2)


def test_a_loss_while_no_scheduler_runs_is_noticed_at_its_start(kafka, stack, scheduler, redis_server, exec_log):
    stack.scripted_worker()
    kafka.publish("default", task("a"))
    kafka.results().await_one("a")
    scheduler.stop()
    redis_server.flushall()
    kafka.publish("default", task("a"))
    stays(lambda: len(kafka.results().all()) == 1, 2, "workers hold what they cannot judge")

    stack.scheduler()

    eventually(lambda: len(kafka.results().of("a")) == 2, 30, "the stored result comes again")
    exec_log.assert_each_key_started_once(["a"])


def test_losing_redis_again_during_the_recovery_begins_it_again(kafka, stack, scheduler, redis_server, exec_log):
    stack.scripted_worker()
    keys = [f"k{i}" for i in range(10)]
    kafka.publish_all("default", [task(key) for key in keys])
    kafka.results().await_keys(keys)

    before = scheduler.stderr.count("shard recovering")
    redis_server.flushall()
    eventually(lambda: scheduler.stderr.count("shard recovering") > before, 20, "a recovery has begun", every_s=0.02)
    redis_server.flushall()
    eventually(lambda: is_recovered(scheduler, 2), 30, "all shards are recovered")
    kafka.publish_all("default", [task(key) for key in keys])

    eventually(lambda: len(kafka.results().all()) == 20, 20, "all are answered again")
    exec_log.assert_each_key_started_once(keys)


def test_a_scheduler_killed_during_a_recovery_leaves_it_to_the_next(kafka, stack, scheduler, redis_server, exec_log):
    stack.scripted_worker()
    kafka.publish("default", task("a"))
    kafka.results().await_one("a")
    before = scheduler.stderr.count("shard recovering")
    redis_server.flushall()
    eventually(lambda: scheduler.stderr.count("shard recovering") > before, 20, "a recovery has begun", every_s=0.02)
    scheduler.kill9()
    kafka.publish("default", task("a"))

    stack.scheduler()

    eventually(lambda: len(kafka.results().of("a")) == 2, 40, "the stored result comes again")
    exec_log.assert_each_key_started_once(["a"])
