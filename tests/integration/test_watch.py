# SPDX-License-Identifier: Apache-2.0
"""Rows D3 and E1: the deadline watch. Task records that no worker has taken are armed in Redis, once, and found by a cancel; those
that a worker takes at once are left alone."""

import re

import pytest

from support.waiting import eventually, stays


def timers(redis):
    """What waits in the timeout sets of all shards: {(kind, key): place}."""
    found = {}
    for name in redis.scan_iter("*}T"):
        for member in redis.zrange(name, 0, -1):
            kind, key, _run, _epoch, _attempt, place = member.split("\t")
            found[kind, key] = place
    return found


def await_timers(redis, count, limit_s=15):
    return eventually(lambda: len(timers(redis)) == count and timers(redis), limit_s, f"{count} timers are armed", every_s=0.1)


def task(key, **fields):
    return {"activity_type": "actor", "activity_id": key, "input": {}, **fields}


def ready_scheduler(stack):
    scheduler = stack.scheduler()
    scheduler.wait_for_log("shard recovered shard=15 ", limit_s=20)
    return scheduler


def two_schedulers(stack, redis):
    schedulers = [stack.scheduler(), stack.scheduler()]
    for scheduler in schedulers:
        scheduler.wait_for_log("shards assigned shards=8", limit_s=30)
    eventually(lambda: [marker[0] for marker in markers(redis)] == ["1"] * 16, 30, "all shards are vouched for")
    return schedulers


def markers(redis):
    return [redis.get(name) for name in redis.scan_iter("*}m")]


def stopped_stats(scheduler):
    """What a scheduler counted, told at its end."""
    scheduler.stop()
    line = re.search(r"scheduler ended .*", scheduler.stderr).group()
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}


def assert_timed_out(results, kind):
    for result in results:
        assert (result["status"], result["failure"]["timeout_type"]) == ("TIMED_OUT", kind), result
        assert "started_at_ms" not in result


def assert_nothing_runs(kafka, stack, exec_log):
    """A worker comes, and takes only what has not ended."""
    stack.worker(libs=["test_activities"])
    kafka.publish("default", task("afterwards"))
    kafka.results().await_one("afterwards")

    def settled():
        committed = kafka.committed(kafka.topic("workers.default"), "tasks.default")
        ends = {partition: end for partition, end in kafka.ends("tasks.default").items() if end}
        assert committed.items() >= ends.items(), (committed, ends)
        return True

    eventually(settled, 20, "all records of the queue are settled", every_s=0.1)
    exec_log.assert_each_key_started_once(["afterwards"])


def test_deadlines_of_records_that_wait_are_armed_once_also_those_of_new_queues(kafka, stack, redis):
    stack.setup()
    scheduler = ready_scheduler(stack)
    start = kafka.publish("default", task("start", schedule_to_start_timeout_ms=500000))
    kafka.publish("default", task("both", schedule_to_start_timeout_ms=500000, schedule_to_close_timeout_ms=600000))
    kafka.publish("default", task("none"))
    found = await_timers(redis, 3)
    assert found["s", "start"] == f"{start.topic}:{start.partition}:{start.offset}"
    assert found.keys() == {("s", "start"), ("s", "both"), ("c", "both")}

    stack.setup(queues=("late",))
    kafka.publish("late", task("late", schedule_to_close_timeout_ms=500000))
    assert ("c", "late") in await_timers(redis, 4)
    counted = stopped_stats(scheduler)
    assert (counted["watch_read"], counted["watch_armed"]) == (4, 4)


def test_a_queue_that_drains_is_not_read_twice(kafka, stack):
    stack.setup()
    scheduler = stack.scheduler()
    worker = stack.worker(libs=["test_activities"])
    worker.wait_for_log("all shards are ready", limit_s=20)
    for burst in range(50):
        kafka.publish_all("default", [task(f"{burst}-{number}", schedule_to_start_timeout_ms=60000) for number in range(20)])
    kafka.results().await_count(1000)
    # On a machine that is busy with other things some do wait, and are read.
    assert stopped_stats(scheduler)["watch_read"] < 700


def test_schedule_timeouts_fire_after_a_restart_of_the_scheduler(kafka, stack, redis, exec_log):
    stack.setup()
    first = ready_scheduler(stack)
    kafka.publish_all("default", [task(f"k{number}", schedule_to_start_timeout_ms=5000) for number in range(8)])
    await_timers(redis, 8)
    first.kill9()
    stack.scheduler()
    results = kafka.results().await_count(8, limit_s=30)
    assert_timed_out(results, "SCHEDULE_TO_START")
    assert_nothing_runs(kafka, stack, exec_log)


def test_schedule_timeouts_fire_after_a_loss_of_redis(kafka, stack, redis_server, redis, exec_log):
    stack.setup()
    ready_scheduler(stack)
    kafka.publish_all("default", [task(f"k{number}", schedule_to_close_timeout_ms=9000) for number in range(8)])
    await_timers(redis, 8)
    redis_server.flushall()
    await_timers(redis, 8)
    results = kafka.results().await_count(8, limit_s=30)
    assert_timed_out(results, "SCHEDULE_TO_CLOSE")
    for result in results:
        assert 9000 <= result["closed_at_ms"] - result["scheduled_at_ms"] < 14000
    assert_nothing_runs(kafka, stack, exec_log)


def test_two_schedulers_share_the_watch_and_time_out_each_task_once(kafka, stack, redis, exec_log):
    stack.setup(partitions=8)
    schedulers = two_schedulers(stack, redis)
    kafka.publish_all("default", [task(f"k{number}", schedule_to_start_timeout_ms=4000) for number in range(40)])
    results = kafka.results().await_count(40, limit_s=30)
    assert_timed_out(results, "SCHEDULE_TO_START")
    assert len({result["task_key"] for result in results}) == 40
    stays(lambda: len(kafka.results().all()) == 40, 2.5, "one result each")
    counted = [stopped_stats(scheduler) for scheduler in schedulers]
    assert all(counts["watch_armed"] > 0 for counts in counted), counted
    stack.scheduler()
    assert_nothing_runs(kafka, stack, exec_log)


@pytest.mark.parametrize("schedulers", [1, 2])
def test_a_cancel_ends_at_once_a_task_that_no_worker_has_seen(kafka, stack, redis, exec_log, schedulers):
    stack.setup()
    ready_scheduler(stack) if schedulers == 1 else two_schedulers(stack, redis)
    keys = [f"k{number}" for number in range(8)]
    kafka.publish_all("default", [task(key) for key in keys])
    for key in keys[:6]:
        kafka.control("CANCEL", key)
    kafka.control("TERMINATE", keys[6])

    found = kafka.results().await_keys(keys[:7], limit_s=20)

    assert [found[key][0]["status"] for key in keys[:7]] == ["CANCELED"] * 6 + ["TERMINATED"]
    assert all("started_at_ms" not in found[key][0] for key in keys[:7])
    told_at_ms = {record.fields()["task_key"]: record.timestamp_ms for record in kafka.read_all("control")}
    assert max(found[key][0].record.timestamp_ms - told_at_ms[key] for key in keys[:7]) < 3000
    stack.worker(libs=["test_activities"])
    assert kafka.results().await_one(keys[7])["status"] == "COMPLETED"
    exec_log.assert_each_key_started_once([keys[7]])


def test_a_cancel_that_comes_before_its_task_ends_it(kafka, stack):
    stack.setup()
    ready_scheduler(stack)
    kafka.control("CANCEL", "k")
    eventually(lambda: kafka.ends("journal") and sum(kafka.ends("journal").values()), 10, "the command is in the journal")
    kafka.publish("default", task("k"))
    assert kafka.results().await_one("k", limit_s=10)["status"] == "CANCELED"
