# SPDX-License-Identifier: Apache-2.0
"""Rows E1, E3, E4 and B3 where Kafka is the truth: commands in either encoding and any partition, and what they have asked for
outlives the scheduler and Redis."""

import pytest

from support.codec import decode, encode
from support.processes import is_running
from support.waiting import eventually, stays

LATER = {"initial_interval_ms": 60000}


@pytest.fixture
def shards(stack):
    stack.setup()
    return 16


def task(key, plan=None, activity_type="actor", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def worker(stack, **flags):
    return stack.worker(libs=["test_activities"], slots=16, grace="30s", **flags)


def start(kafka, exec_log, key, plan=None, event="start", **fields):
    kafka.publish("default", task(key, plan, **fields))
    exec_log.await_event(event, key)


def effects(kafka, key):
    """What the journal says that commands have asked of a task, one after another."""
    records = kafka.read_all("journal")
    return [decode(record.value) for record in records if record.key == f"{key}\nc".encode() and record.value]


def await_effects(kafka, keys):
    def all_there():
        missing = [key for key in keys if not effects(kafka, key)]
        assert not missing, missing
        return True

    eventually(all_there, 20, "the effects of commands are in the journal")


def left_behind(kafka):
    """Keys of tasks of which the journal still holds something."""
    last = {record.key: record.value for record in kafka.read_all("journal") if record.key != b"\ncheckpoint"}
    return [key for key, value in last.items() if value]


def checkpoints(kafka):
    """The last position of commands of each shard, as the journal has it."""
    found = [record for record in kafka.read_all("journal") if record.key == b"\ncheckpoint"]
    return {record.partition: decode(record.value)["control_offset"] for record in found}


def await_checkpoint(kafka, place):
    eventually(lambda: checkpoints(kafka).get(place.partition, 0) > place.offset, 10, f"a checkpoint behind {place}")


def await_attempts(exec_log, key, attempts, limit_s=15):
    def started_so():
        assert exec_log.attempts(key) == attempts, exec_log.attempts(key)
        return True

    eventually(started_so, limit_s, f"attempts {attempts} of {key}")


def await_recovered(scheduler, times):
    eventually(lambda: scheduler.stderr.count("shard recovered") >= 16 * times, 30, "all shards are recovered")


def test_commands_come_from_any_client_in_any_partition(kafka, stack, exec_log, shards):
    """JSON or Avro, under any key or none, whatever partitioner the client uses: the scheduler passes them on."""
    stack.scheduler()
    worker(stack)
    keys = ["b-json", "b-avro", "b-nokey"]
    for key in keys:
        start(kafka, exec_log, key, {"fail_attempts": 1}, "end", retry_policy=LATER)
    for partition in range(shards):
        kafka.produce("control", {"command": "PAUSE", "task_key": "b-json", "request_id": "p"}, key="any", partition=partition)
    kafka.produce("control", encode("control", {"command": "CANCEL", "task_key": "b-avro", "reason": "späte Änderung"}), partition=1)
    kafka.produce("control", '{"command":"TERMINATE","task_key":"b-nokey"}')
    kafka.produce("control", {"command": "UNPAUSE", "task_key": "nobody"}, partition=0)

    found = kafka.results().await_keys(["b-avro", "b-nokey"], limit_s=10)
    assert {key: results[0]["status"] for key, results in found.items()} == {"b-avro": "CANCELED", "b-nokey": "TERMINATED"}
    await_effects(kafka, ["b-json"])
    kafka.control("CANCEL", "b-json")
    assert kafka.results().await_one("b-json")["status"] == "CANCELED"
    asked = [(effect["pause_requested"], effect["cancel_requested"]) for effect in effects(kafka, "b-json")]
    assert asked == [(True, False), (True, True)]
    passed_on = [record for record in kafka.read_all("control") if record.header("millrace-request-id")]
    assert {record.value for record in passed_on if record.key == b"any"} == {
        b'{"command": "PAUSE", "task_key": "b-json", "request_id": "p"}'
    }
    assert exec_log.attempts("b-json") == [1]
    eventually(lambda: not left_behind(kafka), 10, "the journal has forgotten tasks that have ended")


def test_a_command_that_cannot_be_understood_goes_to_dead_and_says_why(kafka, stack, shards):
    stack.scheduler()
    bad = {
        "m-name": ({"command": "UPDATE", "options": {"retry_policy": {"max_attempts": 2}}}, "did you mean maximum_attempts"),
        "m-range": ({"command": "UPDATE", "options": {"priority": 9}}, "priority must be an integer from 1 to 5"),
        "m-none": ({"command": "UPDATE"}, "options is required"),
        "m-command": ({"command": "STOP"}, "field command must be one of CANCEL"),
        "m-field": ({"command": "CANCEL", "requestid": "1"}, "did you mean request_id"),
    }
    for key, (command, _) in bad.items():
        kafka.produce("control", {**command, "task_key": key}, key=key)
    kafka.await_dead(len(bad))
    reasons = {record.key.decode(): record.header("millrace-reason") for record in kafka.dead()}
    assert reasons.keys() == bad.keys()
    for key, (_, words) in bad.items():
        assert words in reasons[key]


def test_commands_sent_before_the_first_scheduler_count_and_later_ones_are_not_carried_out_again(kafka, stack, exec_log, shards):
    """A command before its task, and before any scheduler; then the scheduler ends and another one goes on where it stopped."""
    kafka.control("CANCEL", "s-early")
    first = stack.scheduler()
    worker(stack)
    await_effects(kafka, ["s-early"])
    kafka.publish("default", task("s-early"))
    assert kafka.results().await_one("s-early")["status"] == "CANCELED"
    assert exec_log.attempts("s-early") == []

    start(kafka, exec_log, "s-reset", {"fail_attempts": 1}, "end", retry_policy=LATER)
    await_checkpoint(kafka, kafka.control("RESET", "s-reset"))
    await_attempts(exec_log, "s-reset", [1, 1])
    first.stop()
    second = stack.scheduler()
    second.wait_for_log("shard ready")
    kafka.control("TERMINATE", "s-reset")
    assert kafka.results().await_one("s-reset")["status"] == "TERMINATED"
    assert exec_log.attempts("s-reset") == [1, 1]
    assert len(effects(kafka, "s-reset")) == 2


def result_ids(kafka):
    return {key: len({each["result_id"] for each in results}) for key, results in kafka.results().by_key().items()}


def await_gone(pids):
    eventually(lambda: not any(is_running(pid) for pid in pids), 10, "the activities are killed")


def test_an_attempt_that_is_completed_from_outside_is_killed_and_has_one_result(kafka, stack, exec_log, shards):
    """COMPLETE by key while a worker still runs the attempt, which heeds nothing: parked or not."""
    stack.scheduler()
    worker(stack)
    keys = ["o-young", "o-parked"]
    start(kafka, exec_log, "o-young", {"ms": 60000, "on_cancel": "ignore", "child": True})
    start(kafka, exec_log, "o-parked", {"steps": 1, "ms": 60000, "on_cancel": "ignore"})
    for key in keys:
        kafka.control("COMPLETE", key, result="from outside")

    found = kafka.results().await_keys(keys, limit_s=10)

    assert [found[key][0]["result"] for key in keys] == ["from outside", "from outside"]
    await_gone([pid for key in keys for pid in exec_log.pids(key)])
    stays(lambda: result_ids(kafka) == {"o-young": 1, "o-parked": 1}, 1, "no second result")
    kafka.publish("default", task("o-next"))
    kafka.results().await_one("o-next")
    eventually(lambda: sum(kafka.committed(kafka.topic("workers.default"), "tasks.default").values()) == 3, 10, "all is settled")


def test_an_attempt_that_is_failed_from_outside_is_gone_before_the_next_one_starts(kafka, stack, exec_log, shards):
    stack.scheduler()
    worker(stack)
    plan = {"ms": 60000, "on_cancel": "ignore"}
    start(kafka, exec_log, "o-fails", plan, retry_policy={"initial_interval_ms": 1, "maximum_attempts": 3})
    for attempt in (1, 2):
        kafka.control("FAIL", "o-fails", failure={"type": "Refused", "message": "from outside"})
        eventually(lambda: exec_log.attempts("o-fails") == [*range(1, attempt + 2)], 10, "the next attempt starts")
        assert [is_running(pid) for pid in exec_log.pids("o-fails")] == [False] * attempt + [True]
    kafka.control("COMPLETE", "o-fails", result="from outside")
    result = kafka.results().await_one("o-fails")
    assert (result["status"], result["attempt"], result["result"]) == ("COMPLETED", 3, "from outside")
    await_gone(exec_log.pids("o-fails"))


def test_an_attempt_that_was_completed_from_outside_has_no_second_result_when_redis_is_lost(
    kafka, stack, exec_log, redis_server, shards
):
    """Its activity ends while Redis knows nothing."""
    stack.scheduler()
    worker(stack)
    keys = [f"o-{ms}" for ms in range(200, 1000, 50)]
    kafka.publish_all("default", [task(key, {"ms": int(key[2:]), "on_cancel": "ignore"}) for key in keys])
    exec_log.await_starts(len(keys))
    for key in keys:
        kafka.control("COMPLETE", key, result="from outside")
    kafka.results().await_keys(keys, limit_s=10)
    redis_server.flushall()

    def are_over():
        ended = {line["key"] for line in exec_log.lines("end")}
        return not [key for key in keys if key not in ended and any(is_running(pid) for pid in exec_log.pids(key))]

    eventually(are_over, 10, "the activities are over")
    kafka.publish("default", task("o-next"))
    kafka.results().await_one("o-next", limit_s=20)
    stays(lambda: result_ids(kafka) == dict.fromkeys([*keys, "o-next"], 1), 2, "no second result")


@pytest.mark.timeout(120)
def test_what_commands_have_asked_for_outlives_redis(kafka, stack, exec_log, redis_server, shards):
    """Pause, options and request ids of tasks between two attempts, a reset and a cancel of running ones, a cancel and a pause of
    tasks that nobody has seen."""
    scheduler = stack.scheduler()
    first = worker(stack)
    start(kafka, exec_log, "l-paused", {"fail_attempts": 1}, "end", retry_policy={"initial_interval_ms": 1500})
    kafka.control("PAUSE", "l-paused", request_id="pause-1")
    start(kafka, exec_log, "l-updated", {"fail_attempts": 9}, "end", retry_policy={"initial_interval_ms": 9000})
    kafka.control("UPDATE", "l-updated", options={"retry_policy": {"maximum_attempts": 2}})
    start(kafka, exec_log, "l-reset", {"ms": 9000, "on_cancel": "ignore", "fail_attempts": 1})
    kafka.control("RESET", "l-reset")
    start(kafka, exec_log, "l-cancel", {"ms": 9000, "on_cancel": "ignore", "fail_attempts": 1})
    kafka.control("CANCEL", "l-cancel")
    kafka.control("CANCEL", "l-unseen-c")
    last = kafka.control("PAUSE", "l-unseen-p")
    await_effects(kafka, ["l-paused", "l-updated", "l-reset", "l-cancel", "l-unseen-c", "l-unseen-p"])
    await_checkpoint(kafka, last)

    redis_server.flushall()
    await_recovered(scheduler, 2)
    assert len(effects(kafka, "l-paused")) == 1
    kafka.publish("default", task("l-unseen-c"))
    kafka.publish("default", task("l-unseen-p"))

    found = kafka.results().await_keys(["l-unseen-c", "l-updated", "l-cancel"], limit_s=25)
    statuses = {key: (results[0]["status"], results[0]["attempt"], results[0].get("retry_state")) for key, results in found.items()}
    assert statuses["l-unseen-c"][:2] == ("CANCELED", 1)
    assert statuses["l-updated"] == ("FAILED", 2, "MAXIMUM_ATTEMPTS_REACHED")
    assert statuses["l-cancel"] == ("FAILED", 1, "CANCEL_REQUESTED")
    await_attempts(exec_log, "l-reset", [1, 1])
    assert exec_log.attempts("l-paused") == [1]
    assert exec_log.attempts("l-unseen-p") == [] == exec_log.attempts("l-unseen-c")

    kafka.control("UNPAUSE", "l-paused", request_id="unpause-1")
    kafka.control("PAUSE", "l-paused", request_id="pause-1")
    kafka.control("UNPAUSE", "l-unseen-p")
    kafka.control("TERMINATE", "l-reset")
    found = kafka.results().await_keys(["l-paused", "l-unseen-p", "l-reset"], limit_s=15)
    assert {key: results[0]["status"] for key, results in found.items()} == {
        "l-paused": "COMPLETED",
        "l-unseen-p": "COMPLETED",
        "l-reset": "TERMINATED",
    }
    eventually(lambda: not left_behind(kafka), 10, "the journal has forgotten tasks that have ended")
    assert first.alive
