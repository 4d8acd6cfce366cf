# SPDX-License-Identifier: Apache-2.0
"""Commands to tasks from the command line: the record that each sends, what it does to the task, what is said, and exit codes."""

import json
import signal

import pytest

from support.ports import HOST, free_port
from support.waiting import eventually

LATER = {"initial_interval_ms": 60000}
COMMANDS = ["cancel", "terminate", "pause", "unpause", "reset", "update", "complete", "fail", "heartbeat"]


@pytest.fixture(scope="module")
def started(shared_by_file):
    stack = shared_by_file.stack
    stack.setup()
    stack.scheduler()
    stack.scripted_worker(libs=["test_activities"], slots=16)
    stack.cli("execute", "-t", "noop")  # recovery is over, partitions are assigned


@pytest.fixture
def world(shared, started):
    return shared


def submit(world, key, plan=None, activity_type="scripted", **fields):
    world.kafka.publish("default", {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields})


def start(world, key, plan=None, **fields):
    submit(world, key, plan, **fields)
    eventually(lambda: world.exec_log.attempts(key), 10, f"{key} has started")


def back_off(world, key):
    """A task that waits for its second attempt."""
    submit(world, key, {"fail_attempts": 1}, retry_policy=LATER)
    await_state(world, key, "BACKING_OFF")


def await_state(world, key, state):
    def stands_so():
        described = world.stack.cli("describe", key, json=True, check=False)
        return described.rc == 0 and (fields := json.loads(described.stdout))["state"] == state and fields

    return eventually(stands_so, 15, f"{key} is {state}")


def commands_to(world, key):
    return [json.loads(record.value) for record in world.kafka.read_all("control") if record.key == key.encode()]


# The record


def test_each_command_is_a_record_on_control_in_the_partition_of_its_task(world):
    cli = world.stack.cli
    cli("cancel", "rec", run_id="r1", reason="out of stock", request_id="q1", token="t0")
    for command in ("terminate", "pause", "unpause", "reset"):
        cli(command, "rec")
    cli("complete", "rec", result='{"a": 1.50}', token="t1")
    cli("complete", "rec", result="raw", content_type="text/plain")
    cli("fail", "rec", "--non-retryable", type="Rejected", message="over budget", details="[1]")
    cli("heartbeat", "rec", details="-", input='"half"')

    records = [record for record in world.kafka.read_all("control") if record.key == b"rec"]
    sent = [json.loads(record.value) for record in records]

    names = ["CANCEL", "TERMINATE", "PAUSE", "UNPAUSE", "RESET", "COMPLETE", "COMPLETE", "FAIL", "HEARTBEAT"]
    assert [command["command"] for command in sent] == names
    assert sent[0] == {"command": "CANCEL", "task_key": "rec", "run_id": "r1", "request_id": "q1", "reason": "out of stock", "token": "t0"}
    ids = [command["request_id"] for command in sent[1:]]
    assert len(set(ids)) == len(ids) and all(len(each) == 16 and int(each, 16) >= 0 for each in ids)
    assert sent[5]["result"] == {"a": 1.5} and b'"result":{"a": 1.50}' in records[5].value and sent[5]["token"] == "t1"
    assert (sent[6]["result_base64"], sent[6]["content_type"]) == ("cmF3", "text/plain")
    failure = {"type": "Rejected", "message": "over budget", "non_retryable": True, "details": [1]}
    assert sent[7]["failure"] == failure
    assert sent[8]["details"] == "half"
    # The partition is that of the task's results.
    submit(world, "rec2", activity_type="noop")
    cli("pause", "rec2")
    partitions = {record.partition for record in world.kafka.read_all("control") if record.key == b"rec2"}
    assert partitions == {world.kafka.results().await_one("rec2").record.partition}


def test_update_sends_only_what_is_given(world):
    world.stack.cli("update", "upd", start_to_close="90s", heartbeat_timeout="0", max_attempts=0, non_retryable=["A", "B"])
    world.stack.cli("update", "upd", "--non-retryable", "", backoff_coefficient=1.5, max_interval="2m", priority=1)

    first, second = (command["options"] for command in commands_to(world, "upd"))

    policy = {"maximum_attempts": 0, "non_retryable_error_types": ["A", "B"]}
    assert first == {"start_to_close_timeout_ms": 90000, "heartbeat_timeout_ms": 0, "retry_policy": policy}
    policy = {"backoff_coefficient": 1.5, "maximum_interval_ms": 120000, "non_retryable_error_types": []}
    assert second == {"priority": 1, "retry_policy": policy}


# What it does


def test_cancel_waits_for_the_result_and_has_its_exit_code(world):
    back_off(world, "c1")
    answer = world.stack.cli("cancel", "c1", reason="no longer wanted", wait="20s", json=True, check=False)
    result = json.loads(answer.stdout)
    assert (answer.rc, result["status"], result["task_key"]) == (4, "CANCELED", "c1")
    assert "attempt 2 waits for its backoff" in answer.stderr
    # Once more: it has ended, and its result is told.
    again = world.stack.cli("cancel", "c1", wait="20s", json=True, check=False)
    assert (again.rc, json.loads(again.stdout)) == (4, result)
    assert "it has ended already, CANCELED: nothing changes" in again.stderr


def test_a_task_that_nobody_has_started_is_canceled_in_its_queue(world):
    world.stack.cli("setup", "-q", "nobody-works", "--partitions", "1")
    world.kafka.publish("nobody-works", {"activity_type": "noop", "activity_id": "c0"})
    answer = world.stack.cli("cancel", "c0", wait="20s", json=True, check=False)
    assert (answer.rc, json.loads(answer.stdout)["status"]) == (4, "CANCELED")
    assert "if it waits in its queue, it obeys" in answer.stderr


def test_a_running_attempt_is_told_and_its_own_end_counts(world):
    start(world, "c2", {"sleep_ms": 60000, "on_term": 0})
    answer = world.stack.cli("cancel", "c2", wait="20s", check=False)
    assert answer.rc == 0 and "attempt 1 runs on" in answer.stderr
    start(world, "c3", {"sleep_ms": 60000})
    assert world.stack.cli("terminate", "c3", wait="20s", check=False).rc == 4


def test_pause_and_unpause_wait_for_their_effect_and_describe_tells_of_it(world):
    back_off(world, "p1")
    world.stack.cli("pause", "p1", wait="20s")
    fields = json.loads(world.stack.cli("describe", "p1", json=True).stdout)
    assert fields["pause_requested"] is True and fields["state"] in ("BACKING_OFF", "WAITING")
    assert "paused         until millrace unpause" in world.stack.cli("describe", "p1").stdout
    world.stack.cli("unpause", "p1", wait="20s")
    assert json.loads(world.stack.cli("describe", "p1", json=True).stdout)["pause_requested"] is False
    again = world.stack.cli("unpause", "p1", wait="20s")
    assert "it is not paused" in again.stderr


def test_reset_begins_anew_at_once(world):
    back_off(world, "r1")
    world.stack.cli("reset", "r1", wait="20s")
    eventually(lambda: world.exec_log.attempts("r1") == [1, 1], 10, "attempt 1 once more")


def test_update_changes_what_comes_next_and_describe_tells_of_it(world):
    back_off(world, "u1")
    world.stack.cli("update", "u1", max_attempts=2, start_to_close="7s", wait="20s")
    described = world.stack.cli("describe", "u1", json=True)
    options = json.loads(described.stdout)["options"]
    assert options == {"start_to_close_timeout_ms": 7000, "retry_policy": {"maximum_attempts": 2}}
    assert '"maximum_attempts":2' in world.stack.cli("describe", "u1").stdout


def test_an_asynchronous_completion_is_described_kept_alive_and_completed(world):
    submit(world, "a1", activity_type="pending")
    described = eventually(lambda: (fields := await_state(world, "a1", "STARTED")).get("pending") and fields, 10, "it is pending")
    world.stack.cli("heartbeat", "a1", details='{"asked": 2}', wait="20s")
    fields = json.loads(world.stack.cli("describe", "a1", json=True).stdout)
    assert fields["heartbeat_details"] == {"asked": 2} and fields["last_heartbeat_at_ms"] > fields["started_at_ms"]
    text = world.stack.cli("describe", "a1").stdout
    assert "its completion from outside" in text and '{"asked": 2}' in text and " s ago" in text
    answer = world.stack.cli("complete", "a1", result='"approved"', token=described["token"], wait="20s")
    assert answer.stdout == '"approved"\n' and "waits for its completion from outside" in answer.stderr


def test_fail_ends_the_attempt_from_outside(world):
    submit(world, "a2", activity_type="pending")
    eventually(lambda: await_state(world, "a2", "STARTED").get("pending"), 10, "it is pending")
    answer = world.stack.cli("fail", "a2", "--non-retryable", type="Rejected", message="over budget", wait="20s", check=False)
    assert answer.rc == 1 and "Rejected: over budget" in answer.stderr


def test_describe_tells_since_when_an_attempt_is_parked_and_of_its_heartbeats(world):
    start(world, "d1", {"steps": 10000, "step_ms": 100}, heartbeat_timeout_ms=1000)
    parked = eventually(lambda: (fields := await_state(world, "d1", "STARTED")).get("parked_at_ms") and fields, 15, "it is parked")
    assert parked["parked_at_ms"] > parked["started_at_ms"] and parked["heartbeat_details"]["step"] > 0
    text = world.stack.cli("describe", "d1").stdout
    assert "\nparked  " in text and "\nheartbeat  " in text and '{"step":' in text
    assert world.stack.cli("terminate", "d1", wait="20s", check=False).rc == 4


def test_describe_tells_of_commands_to_a_task_that_nobody_has_started(world):
    world.stack.cli("pause", "d2", wait="20s")
    fields = json.loads(world.stack.cli("describe", "d2", json=True).stdout)
    assert fields["state"] == "MARKED" and fields["pause_requested"] is True
    submit(world, "d2", activity_type="noop")
    held = await_state(world, "d2", "WAITING")
    assert held["pause_requested"] is True
    world.stack.cli("unpause", "d2", wait="20s")
    assert world.kafka.results().await_one("d2")["status"] == "COMPLETED"


# What is said


def test_a_task_that_nobody_has_started_is_told_and_the_command_is_sent_all_the_same(world):
    for command, words in (("cancel", "if it waits in its queue, it obeys"), ("complete", "nothing changes unless one does")):
        answer = world.stack.cli(command, f"nobody-{command}", json=True)
        sent = json.loads(answer.stdout)
        assert words in answer.stderr and sent["state"] == "UNKNOWN"
        assert commands_to(world, f"nobody-{command}")[0]["request_id"] == sent["request_id"]


def test_a_run_that_is_not_the_tasks_is_told(world):
    back_off(world, "other-run")
    answer = world.stack.cli("cancel", "other-run", run_id="no-such-run")
    assert "nothing changes" in answer.stderr and "its run is" in answer.stderr
    assert await_state(world, "other-run", "BACKING_OFF")


def test_a_redis_that_is_away_is_no_obstacle_and_a_kafka_that_is_away_is_6(world):
    nobody = f"{HOST}:{free_port()}"
    answer = world.stack.cli("cancel", "blind", redis=f"redis://{nobody}")
    assert "Redis at" in answer.stderr and commands_to(world, "blind")
    answer = world.stack.cli("cancel", "blind", brokers=nobody, check=False)
    assert (answer.rc, answer.stdout, answer.stderr.count("\n")) == (6, "", 1)


def test_wait_that_runs_out_is_5(world):
    submit(world, "w1", activity_type="pending")
    eventually(lambda: await_state(world, "w1", "STARTED").get("pending"), 10, "it is pending")
    answer = world.stack.cli("complete", "w1", token="not-its-token", wait="300ms", check=False)
    assert (answer.rc, answer.stdout) == (5, "")
    world.stack.cli("terminate", "w1")


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["cancel"], "KEY"),
        (["cancel", "a", "b"], ""),
        (["cancel", "a\tb"], "control characters"),
        (["cancel", "k", "--yes"], "--all"),
        (["cancel", "k", "--all", "-t", "x"], "without KEY"),
        (["pause", "--all"], "--type"),
        (["pause", "--all", "-t", "x", "--wait", "1s"], "one KEY"),
        (["pause", "--all", "-t", "x", "--run-id", "r"], "one KEY"),
        (["heartbeat", "--all"], "--all"),
        (["cancel", "--all", "-t", "x", "--token", "t"], "one KEY"),
        (["pause", "k", "--token", "t"], "--token"),
        (["cancle", "k"], "did you mean cancel"),
        (["cancel", "k", "--reson", "x"], "did you mean --reason"),
        (["cancel", "k", "--request-id", ""], "request_id"),
        (["update", "k"], "nothing to change"),
        (["update", "k", "--start-to-close", "5"], "--start-to-close"),
        (["update", "k", "--max-attempts", "x"], "--max-attempts"),
        (["update", "k", "--priority", "9"], "--priority"),
        (["complete", "k", "--result", "nul"], "--result: not JSON at line 1"),
        (["complete", "k", "--result", "@/nonexistent"], "No such file"),
        (["fail", "k", "--details", "{"], "--details"),
        (["heartbeat", "k", "--details", ""], "--details"),
        (["list", "-q", "unknown"], "queue"),
        (["list", "--state", "runing"], "started"),
    ],
)
def test_wrong_usage_is_2_with_a_reason_on_stderr(world, args, part):
    answer = world.stack.cli(*args, check=False)
    assert (answer.rc, answer.stdout) == (2, "")
    assert part in answer.stderr and answer.stderr.count("\n") == 1


def test_every_command_has_a_help_with_an_example(stack):
    listed = stack.cli("--help").stdout
    for command in [*COMMANDS, "list"]:
        text = stack.cli(command, "--help").stdout
        assert f"\n  {command} " in listed
        assert f"Usage: millrace {command}" in text and f"Example: millrace {command}" in text and "Exit" in text


# Many


def test_list_shows_what_has_not_ended_and_all_reaches_what_it_shows(world):
    cli = world.stack.cli
    cli("setup", "-q", "idle", "--partitions", "2")
    for key in ("m1", "m2"):
        world.kafka.publish("idle", {"activity_type": "batch", "activity_id": key})
    world.kafka.publish("idle", {"activity_type": "other", "activity_id": "m3"})
    submit(world, "m4", {"fail_attempts": 1}, retry_policy=LATER)
    await_state(world, "m4", "BACKING_OFF")

    def listed(**flags):
        return {fields["task_key"]: fields for fields in map(json.loads, cli("list", json=True, **flags).stdout.splitlines())}

    assert set(listed(queue="idle")) == {"m1", "m2", "m3"} and set(listed(type="batch")) == {"m1", "m2"}
    everything = listed()
    assert everything["m1"]["state"] == "SCHEDULED" and everything["m1"]["queue"] == "idle"
    assert everything["m4"]["state"] == "BACKING_OFF" and everything["m4"]["attempt"] == 2 and everything["m4"]["type"] == "scripted"
    assert "m4" in listed(state="backing-off") and "m1" not in listed(state="backing-off")
    assert "m1\tSCHEDULED\t1\tbatch\tidle\t\n" in cli("list", queue="idle").stdout
    cut = cli("list", queue="idle", limit=1)
    assert cut.stdout.count("\n") == 1 and "more than --limit 1" in cut.stderr

    nobody = f"redis://{HOST}:{free_port()}"
    blind = cli("list", queue="idle", redis=nobody)
    assert blind.stdout.count("\tSCHEDULED\t") == 3 and "as Kafka has them" in blind.stderr
    assert "m4\tBACKING_OFF\t" in cli("list", type="scripted", redis=nobody).stdout

    told = cli("pause", "--all", queue="idle", type="batch", check=False)
    assert told.rc == 2 and "2 tasks match; nothing was sent" in told.stderr and not commands_to(world, "m1")
    too_many = cli("pause", "--all", "--yes", queue="idle", limit=1, check=False)
    assert too_many.rc == 2 and "more than 1" in too_many.stderr
    done = cli("pause", "--all", "--yes", queue="idle", type="batch")
    assert done.stdout == "m1\nm2\n" and "sent to 2 tasks" in done.stderr
    eventually(lambda: set(listed(state="paused", queue="idle")) == {"m1", "m2"}, 15, "both are paused")
    assert not commands_to(world, "m3")
    cli("update", "--all", "--yes", queue="idle", type="other", max_attempts=2)
    assert commands_to(world, "m3")[0]["options"] == {"retry_policy": {"maximum_attempts": 2}}
    assert cli("cancel", "--all", "--yes", type="no-such-type").stdout == ""


# Ctrl-C


@pytest.mark.parametrize(
    ("cancellation", "rc", "commands", "status"), [("wait", 4, ["CANCEL"], "CANCELED"), ("try", 4, ["CANCEL"], "CANCELED"), ("abandon", 4, [], None)]
)
def test_ctrl_c_of_execute_cancels_by_type(world, cancellation, rc, commands, status):
    key = f"int-{cancellation}"
    plan = json.dumps({"sleep_ms": 60000, "on_term": 1})
    program = world.stack.start("millrace", "execute", "-t", "scripted", "-i", key, "--input", plan, "--cancellation-type", cancellation)
    eventually(lambda: world.exec_log.attempts(key), 10, "it has started")
    program.signal(signal.SIGINT)
    assert program.wait(20) == rc
    assert [command["command"] for command in commands_to(world, key)] == commands
    if status:
        assert world.kafka.results().await_one(key)["status"] == status
    else:
        assert "the task goes on" in program.stderr
        world.stack.cli("terminate", key)


def test_a_second_ctrl_c_ends_execute_at_once_with_130(world):
    plan = json.dumps({"sleep_ms": 60000, "ignore_term": True})
    program = world.stack.start("millrace", "execute", "-t", "scripted", "-i", "int-twice", "--input", plan)
    eventually(lambda: world.exec_log.attempts("int-twice"), 10, "it has started")
    program.signal(signal.SIGINT)
    eventually(lambda: commands_to(world, "int-twice"), 10, "the cancel is sent")
    program.signal(signal.SIGINT)
    assert program.wait(5) == 130
    world.stack.cli("terminate", "int-twice")
