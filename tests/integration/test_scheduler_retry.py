# SPDX-License-Identifier: Apache-2.0
"""What the scheduler does with attempts that wait: they come when they are due, whoever has died meanwhile."""

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


def backoffs(kafka):
    """BACKOFF records of the journal by (task key, attempt)."""
    records = [record.fields() for record in kafka.read_all("journal") if record.value is not None]
    return {(each["task_key"], each["attempt"]): each for each in records if each["kind"] == "BACKOFF"}


def dispatched(kafka):
    """Task records that the scheduler has written, by (task key, attempt)."""
    found = {}
    for record in kafka.read_all("tasks.default"):
        if record.header("millrace-attempt"):
            found.setdefault((record.header("millrace-key"), int(record.header("millrace-attempt"))), []).append(record)
    return found


def test_a_failed_attempt_waits_1_s_and_then_2_s_and_never_less(kafka, stack, scheduler, exec_log):
    stack.scripted_worker()
    kafka.publish("default", task("pay", {"fail_attempts": 2, "result": "paid"}))

    result = kafka.results().await_one("pay")

    assert (result["status"], result["result"], result["attempt"]) == ("COMPLETED", "paid", 3)
    assert exec_log.attempts("pay") == [1, 2, 3]
    first, second = exec_log.gaps_ms("pay")
    assert first >= 1000 and second >= 2000
    assert first <= 1500 and second <= 2500


def test_a_republished_attempt_is_the_task_unchanged_with_reserved_headers(kafka, stack, scheduler):
    stack.scripted_worker()
    value = '{ "activity_type":"scripted", "activity_id":"odd", "input":{"fail_attempts":1} }'
    kafka.publish("default", value, key="my key", headers=[("tenant", b"t1")])
    kafka.results().await_one("odd")

    (record,) = dispatched(kafka)["odd", 2]

    assert record.value.decode() == value
    assert record.key.decode() == "my key"
    assert record.header("tenant") == "t1"
    assert record.header("millrace-epoch") == "0"
    assert record.header("millrace-hops") == "0"
    assert record.header("millrace-run").endswith(":0")
    assert int(record.header("millrace-dispatched-at")) >= backoffs(kafka)["odd", 2]["due_at_ms"]
    assert "millrace-history" in record.headers


def test_many_attempts_due_at_once_all_come_once_and_never_early(kafka, stack, scheduler):
    stack.scripted_worker(slots=4)
    keys = [f"k{i}" for i in range(60)]
    policy = {"initial_interval_ms": 1500}
    kafka.publish_all("default", [task(key, {"fail_attempts": 1}, retry_policy=policy) for key in keys])

    results = kafka.results().await_keys(keys, limit_s=50)

    assert all(len(of_key) == 1 and of_key[0]["attempt"] == 2 for of_key in results.values())
    due, sent = backoffs(kafka), dispatched(kafka)
    lateness_ms = []
    for key in keys:
        (record,) = sent[key, 2]
        lateness_ms.append(int(record.header("millrace-dispatched-at")) - due[key, 2]["due_at_ms"])
    assert min(lateness_ms) >= 0
    assert sorted(lateness_ms)[len(keys) // 2] <= 20


def test_a_finished_retry_leaves_a_tombstone_and_nothing_in_the_timer_sets(kafka, stack, scheduler, redis):
    stack.scripted_worker()
    kafka.publish("default", task("pay", {"fail_attempts": 1}))
    kafka.results().await_one("pay")

    def all_clear():
        assert [record.key.decode() for record in kafka.read_all("journal") if record.value is None] == ["pay"]
        assert not [name for name in redis.scan_iter("*") if name.endswith(("}b", "}o"))]
        return True

    eventually(all_clear, 10, "journal and outbox are cleared")


def test_what_came_due_while_no_scheduler_ran_comes_when_one_runs(kafka, stack, scheduler, exec_log):
    stack.scripted_worker()
    kafka.publish("default", task("pay", {"fail_attempts": 1}))
    eventually(lambda: ("pay", 2) in backoffs(kafka), 20, "the first attempt has failed")
    scheduler.stop()
    stays(lambda: exec_log.attempts("pay") == [1], 2, "nobody dispatches")

    stack.scheduler()

    assert kafka.results().await_one("pay")["attempt"] == 2


def test_another_scheduler_takes_over_from_one_that_was_killed(kafka, stack, scheduler):
    second = stack.scheduler()
    second.wait_for_log("shards assigned shards=8", 20)
    stack.scripted_worker()
    keys = [f"k{i}" for i in range(20)]
    policy = {"initial_interval_ms": 3000}
    kafka.publish_all("default", [task(key, {"fail_attempts": 1}, retry_policy=policy) for key in keys])
    eventually(lambda: len(backoffs(kafka)) == len(keys), 20, "all have failed once")

    scheduler.kill9()

    results = kafka.results().await_keys(keys, limit_s=30)
    assert all(len(of_key) == 1 and of_key[0]["attempt"] == 2 for of_key in results.values())
    assert all(len(records) == 1 for records in dispatched(kafka).values())


def test_a_scheduler_that_was_frozen_does_no_harm_when_it_wakes(kafka, stack, scheduler):
    second = stack.scheduler()
    second.wait_for_log("shards assigned shards=8", 20)
    stack.scripted_worker()
    keys = [f"k{i}" for i in range(20)]
    policy = {"initial_interval_ms": 2000}
    kafka.publish_all("default", [task(key, {"fail_attempts": 1}, retry_policy=policy) for key in keys])
    eventually(lambda: len(backoffs(kafka)) == len(keys), 20, "all have failed once")

    scheduler.pause()
    results = kafka.results().await_keys(keys, limit_s=30)
    scheduler.resume()

    scheduler.wait_for_log("stood still", 10)
    assert all(len(of_key) == 1 and of_key[0]["attempt"] == 2 for of_key in results.values())
    stays(lambda: len(kafka.results().all()) == len(keys), 2, "no further results")


def test_a_bad_journal_record_goes_to_dead_and_the_journal_goes_on(kafka, stack, scheduler):
    scheduler.wait_for_log("shard recovered", 20)
    kafka.produce("journal", "rubbish", key="pay")
    stack.scripted_worker()
    kafka.publish("default", task("pay", {"fail_attempts": 1}))

    assert kafka.results().await_one("pay")["attempt"] == 2
    (dead,) = kafka.await_dead(1)
    assert dead.value == b"rubbish"
    assert dead.header("millrace-topic") == kafka.topic("journal")
    assert dead.header("millrace-reason")


def test_settled_task_records_are_purged(kafka, stack, queue):
    stack.scheduler(purge_interval="1s")
    stack.scripted_worker()
    keys = [f"k{i}" for i in range(8)]
    kafka.publish_all("default", [task(key) for key in keys])
    kafka.results().await_keys(keys)

    ends = kafka.ends("tasks.default")
    assert sum(ends.values()) == len(keys)
    eventually(lambda: kafka.begins("tasks.default") == ends, 20, "the task topic is empty")


def test_a_worker_that_was_killed_is_declared_dead(kafka, stack, scheduler, redis):
    worker = stack.scripted_worker()
    kafka.publish("default", task("hello"))
    kafka.results().await_one("hello")

    worker.kill_tree9()

    scheduler.wait_for_log("worker declared dead", 10)
    eventually(lambda: not [name for name in redis.scan_iter("*") if name.endswith("}w")], 10, "its leases are gone")


def test_a_worker_that_drained_is_not_called_dead(kafka, stack, scheduler):
    worker = stack.scripted_worker()
    kafka.publish("default", task("hello"))
    kafka.results().await_one("hello")

    worker.stop()

    stays(lambda: "declared dead" not in scheduler.stderr, 3, "nobody is declared dead")


def test_a_wrong_flag_is_one_line_and_exit_2(stack):
    answer = stack.run(stack.build.program("millrace-scheduler"), "--lease", "soon", check=False)
    assert answer.rc == 2
    assert answer.stderr.count("\n") == 1
    assert "--lease" in answer.stderr
