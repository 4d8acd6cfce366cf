# SPDX-License-Identifier: Apache-2.0
"""Long attempts whose worker dies, with Redis and the scheduler or without: found soon, and gone on from where they were."""

import json
import os
import signal

import pytest

from support.processes import children_of
from support.waiting import eventually, stays


@pytest.fixture
def ready(kafka, stack, exec_log):
    stack.setup()
    stack.scheduler()
    return stack


def worker(stack, **options):
    return stack.worker(libs=["test_activities"], slots=8, grace="500ms", **options)


def task(key, plan=None, **fields):
    return {"activity_type": "actor", "activity_id": key, "input": plan or {}, **fields}


def run(kafka, key, plan=None):
    kafka.publish("default", task(key, plan))
    return kafka.results().await_one(key)


def journal_of(kafka, key, kind):
    records = [record.fields() for record in kafka.read_all("journal") if record.value]
    return [record for record in records if (record["task_key"], record["kind"]) == (key, kind)]


def await_parked(kafka, *keys):
    eventually(lambda: all(journal_of(kafka, key, "STARTED") for key in keys), 10, f"{keys} are parked")


def await_beat(kafka, key, step):
    """The journal has that step as the last beat of the task."""

    def told():
        beats = journal_of(kafka, key, "HEARTBEAT")
        return beats and json.loads(beats[-1]["heartbeat_details"])["step"] == step

    eventually(told, 10, f"the journal has step {step} of {key}")


def await_attempt(exec_log, key, number, limit_s):
    def started():
        assert exec_log.attempts(key)[-1] == number, exec_log.attempts(key)
        return exec_log.started_at_ms(key)[-1]

    return eventually(started, limit_s, f"attempt {number} of {key} starts")


def kill_loop(process):
    """SIGKILL to the process that owns Kafka and Redis, which librdkafka's threads tell from the others."""
    loop = max(children_of([process.pid], levels=1), key=lambda pid: len(os.listdir(f"/proc/{pid}/task")))
    os.kill(loop, signal.SIGKILL)


@pytest.mark.parametrize("all_at_once", [False, True], ids=["worker", "worker_scheduler_and_redis"])
def test_the_attempts_of_a_dead_worker_go_on_elsewhere(kafka, stack, exec_log, redis_server, all_at_once):
    """One goes on behind its last beat; one is silent for ten minutes and has no heartbeat timeout; one was the last allowed."""
    stack.setup()
    scheduler = stack.scheduler()
    first = worker(stack)
    held = {"steps": 10, "step_ms": 10, "hold_at": 5}
    kafka.publish("default", task("beats", held, heartbeat_timeout_ms=1000))
    kafka.publish("default", task("once", held, heartbeat_timeout_ms=1000, retry_policy={"maximum_attempts": 1}))
    kafka.publish("default", task("silent", {"ms": 600_000}))
    await_parked(kafka, "beats", "once", "silent")
    await_beat(kafka, "beats", 5)
    await_beat(kafka, "once", 5)
    worker(stack).wait_for_log("partitions assigned", 20)

    first.kill_tree9()
    if all_at_once:
        scheduler.kill_tree9()
        redis_server.flushall()
        stack.scheduler()

    await_attempt(exec_log, "silent", 2, 25 if all_at_once else 8)
    found = {key: results[0] for key, results in kafka.results().await_keys(["beats", "once"], 15).items()}
    assert (found["beats"]["status"], found["beats"]["result"]) == ("COMPLETED", {"first": 6, "attempt": 2})
    once = found["once"]
    assert (once["status"], once["failure"]["type"], once["attempt"]) == ("FAILED", "WorkerLost", 1)
    assert once["last_heartbeat_details"] == {"step": 5}
    assert exec_log.attempts("beats") == exec_log.attempts("silent") == [1, 2]
    assert exec_log.attempts("once") == [1]
    kafka.control("TERMINATE", "silent")
    assert kafka.results().await_one("silent")["status"] == "TERMINATED"


def test_a_dead_loop_is_replaced_and_what_it_ran_goes_on_at_once(kafka, ready, exec_log):
    """A parked attempt and one that is too young for that."""
    only = worker(ready, park_after="60s")
    run(kafka, "warm-up")
    kafka.publish("default", task("beats", {"steps": 10, "step_ms": 10, "hold_at": 5}, heartbeat_timeout_ms=2000))
    kafka.publish("default", task("young", {"ms": 60_000}))
    exec_log.await_event("held", "beats")
    exec_log.await_event("start", "young")
    await_beat(kafka, "beats", 5)
    kill_loop(only)
    await_attempt(exec_log, "young", 2, 5)
    result = kafka.results().await_one("beats", 5)
    assert (result["status"], result["result"]) == ("COMPLETED", {"first": 6, "attempt": 2})
    assert exec_log.attempts("young") == [1, 2]
    assert only.alive


def test_running_tasks_outlive_the_loss_of_redis_and_end_once(kafka, ready, exec_log, redis_server):
    worker(ready, park_after="200ms")
    keys = [f"k{number}" for number in range(6)]
    for number, key in enumerate(keys):
        kafka.publish("default", task(key, {"steps": 40 + 10 * number, "step_ms": 60}, heartbeat_timeout_ms=1000))
    await_parked(kafka, *keys)
    redis_server.flushall()
    found = kafka.results().await_keys(keys, limit_s=30)
    exec_log.assert_each_key_started_once(keys)
    assert {(results[0]["status"], results[0]["attempt"]) for results in found.values()} == {("COMPLETED", 1)}
    assert all(len({result["result_id"] for result in results}) == 1 for results in found.values())


def test_a_drain_tells_long_attempts_and_they_go_on_elsewhere_where_they_were(kafka, ready, exec_log):
    first = worker(ready)
    kafka.publish("default", task("beats", {"steps": 10, "step_ms": 10, "hold_at": 5}))
    kafka.publish_all("default", [task(f"busy{number}", {"ms": 60_000, "on_cancel": "complete"}) for number in range(7)])
    exec_log.await_starts(8)
    kafka.publish_all("default", [task(f"queued{number}") for number in range(20)])  # wait behind, have used no attempt
    worker(ready).wait_for_log("partitions assigned", 20)
    first.stop(10)
    exec_log.await_event("told_shutdown", "beats")
    keys = ["beats", *(f"busy{number}" for number in range(7)), *(f"queued{number}" for number in range(20))]
    found = {key: results[0] for key, results in kafka.results().await_keys(keys, 20).items()}
    assert (found["beats"]["status"], found["beats"]["result"]) == ("COMPLETED", {"first": 6, "attempt": 2})
    assert {found[f"busy{number}"]["result"] for number in range(7)} == {"told"}
    assert {found[f"queued{number}"]["attempt"] for number in range(20)} == {1}
    exec_log.assert_no_attempt_started_twice()


def command_of(kafka, key):
    """Whether the journal has what the commands for this task have changed."""
    return bool(journal_of(kafka, key, "COMMAND"))


def test_commands_outlive_the_loss_of_worker_scheduler_and_redis(kafka, stack, exec_log, redis_server):
    """Told to attempts that ran, and to one between two attempts; and a command is not carried out again for a later run."""
    stack.setup()
    scheduler = stack.scheduler()
    first = stack.worker(libs=["test_activities"], slots=8, park_after="200ms")
    again = {"id_reuse_policy": "ALLOW_DUPLICATE"}
    running = {"CANCEL": "cancel", "RESET": "reset", "PAUSE": "pause"}
    for key in running:
        kafka.publish("default", task(key, {"ms": 60_000, "on_cancel": "ignore"}))
    kafka.publish("default", task("backoff", {"fail_attempts": 1}, retry_policy={"initial_interval_ms": 2000}))
    kafka.publish("default", task("closed", {"ms": 60_000}, run_id="first", **again))
    exec_log.await_starts(5)
    await_parked(kafka, *running)
    for command in running:
        kafka.control(command, command)
    kafka.control("PAUSE", "backoff")
    kafka.control("CANCEL", "closed")
    for command, reason in running.items():
        exec_log.await_event(f"told_{reason}", command)
    assert kafka.results().await_one("closed")["status"] == "CANCELED"
    eventually(lambda: all(command_of(kafka, key) for key in [*running, "backoff"]), 10, "the commands are in the journal")

    first.kill_tree9()
    scheduler.kill_tree9()
    redis_server.flushall()
    stack.scheduler()
    worker(stack)
    kafka.publish("default", task("closed", {}, run_id="second", **again))

    assert kafka.results().await_one("CANCEL", 25)["status"] == "CANCELED"
    eventually(lambda: exec_log.attempts("RESET") == [1, 1], 10, "what was reset begins again")

    def second_run():  # beside it, the record of the first may come again and get the first one's result
        return {run["status"] for run in kafka.results().of("closed") if run["run_id"] == "second"}

    assert eventually(second_run, 10, "the second run has ended") == {"COMPLETED"}
    stays(lambda: exec_log.attempts("PAUSE") == exec_log.attempts("backoff") == [1], 2.0, "what is paused stays so")
    kafka.control("UNPAUSE", "PAUSE")
    kafka.control("UNPAUSE", "backoff")
    eventually(lambda: exec_log.attempts("PAUSE") == exec_log.attempts("backoff") == [1, 2], 10, "it goes on")
    assert exec_log.attempts("CANCEL") == [1]
