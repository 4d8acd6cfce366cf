# SPDX-License-Identifier: Apache-2.0
"""Commands at random while a worker, a scheduler and Redis are lost: each task ends once, and no timer or task is left."""

import random

import pytest

from support.waiting import eventually

PENDING = [f"p{number}" for number in range(15)]
KEYS = [f"k{number}" for number in range(45)] + PENDING
COMMANDS = [
    *[("PAUSE", {})] * 4,
    *[("UNPAUSE", {})] * 4,
    *[("RESET", {})] * 2,
    *[("UPDATE", {"options": {"retry_policy": {"maximum_interval_ms": 3000}}})] * 2,
    *[("HEARTBEAT", {"details": {"step": 1}})] * 4,
    *[("FAIL", {"failure": {"type": "Refused", "message": "from outside"}})] * 4,
    ("COMPLETE", {"result": "from outside"}),
    ("CANCEL", {}),
    ("TERMINATE", {}),
]


def random_task(dice, key, folder):
    pending = ({"token_file": str(folder / key), "steps": 1}, {"start_to_close_timeout_ms": 6000})
    others = [
        ({"steps": dice.randint(20, 200), "step_ms": 50}, {"heartbeat_timeout_ms": 2000}),
        ({"ms": dice.choice([0, 300, 800]), "fail_attempts": dice.randint(1, 5)}, {}),
        ({"ms": dice.randint(500, 6000), "on_cancel": "ignore"}, {}),
        ({}, {"start_delay_ms": dice.randint(500, 8000)}),
    ]
    plan, fields = pending if key in PENDING else dice.choice(others)
    policy = {"initial_interval_ms": dice.choice([50, 500, 2000])}
    return {"activity_type": "actor", "activity_id": key, "input": plan, "retry_policy": policy, **fields}


def assert_no_task_is_left(kafka, redis):
    ends = {partition: end for partition, end in kafka.ends("tasks.default").items() if end > 0}  # one may have had no task
    assert kafka.committed(kafka.topic("workers.default"), "tasks.default") == ends
    sets = [key for key in redis.keys("*") if key.endswith(("}b", "}h", "}T", "}k", "}o"))]
    assert {key: redis.zrange(key, 0, 3) for key in sets} == {}
    return True


def assert_journal_is_empty(kafka):
    last = {record.key: record.value for record in kafka.read_all("journal") if record.key != b"\ncheckpoint"}
    assert [key for key, value in last.items() if value] == []
    return True


@pytest.mark.timeout(120)
def test_commands_at_random_among_losses_end_each_task_once_and_leave_no_timers(
    kafka, stack, exec_log, redis_server, tmp_path
):
    def worker():
        return stack.worker(libs=["test_activities"], slots=24, park_after="200ms", grace="500ms")

    dice = random.Random(4)
    stack.setup(partitions=8)
    schedulers, workers = [stack.scheduler(), stack.scheduler()], [worker(), worker()]
    kafka.publish_all("default", [random_task(dice, key, tmp_path) for key in KEYS])
    exec_log.await_starts(20)

    def lose_worker():
        workers.append(worker())
        workers.pop(0).kill_tree9()

    def lose_scheduler():
        schedulers.append(stack.scheduler())
        schedulers.pop(0).kill_tree9()

    for loss in (redis_server.flushall, lose_worker, lose_scheduler, redis_server.flushall, lambda: None):
        for _ in range(60):
            key = dice.choice(KEYS)
            command, fields = dice.choice(COMMANDS)
            kafka.control(command, key, **fields)
        loss()
    for key in KEYS:
        kafka.control("UNPAUSE", key)
        kafka.control("TERMINATE", key)

    found = kafka.results().await_keys(KEYS, limit_s=40)
    assert {key: results for key, results in found.items() if len({each["result_id"] for each in results}) != 1} == {}
    eventually(lambda: assert_no_task_is_left(kafka, redis_server.client), 25, "no task is left", every_s=0.3)
    # A record that came around its task's end while Redis was lost may stay; the next replay takes it along.
    redis_server.flushall()
    eventually(lambda: assert_journal_is_empty(kafka), 25, "no record is left in the journal", every_s=0.3)
    assert_no_task_is_left(kafka, redis_server.client)
    ended = {key: results[0].record.timestamp_ms for key, results in found.items()}
    assert [line for line in exec_log.lines("start") if line["at_ms"] > ended[line["key"]] + 1000] == []
