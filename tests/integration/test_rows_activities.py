# SPDX-License-Identifier: Apache-2.0
"""Rows A1 to A12: what an activity is given, what it may say, and what its worker keeps to."""

import base64
import io
import json

import fastavro
import pytest

from support.codec import encode
from support.waiting import eventually

CHARGE = {
    "type": "record",
    "name": "Charge",
    "fields": [{"name": "card", "type": "string"}, {"name": "cents", "type": "long"}],
}
ONCE = {"maximum_attempts": 1}


@pytest.fixture
def ready(stack, exec_log):
    stack.setup()
    stack.scheduler()
    return stack


def program(folder, name, text):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(kafka, activity_type, key, value=None, **fields):
    kafka.publish("default", {"activity_type": activity_type, "activity_id": key, "input": value, **fields})
    return kafka.results().await_one(key)


def describe(stack, key):
    answer = stack.cli("describe", key, check=False, json=True)
    assert answer.rc == 0, answer.stderr
    return json.loads(answer.stdout)


# A2


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_input_that_does_not_fit_the_schema_fails_for_good_and_names_the_field(kafka, ready, isolation):
    ready.worker(libs=["test_activities"], isolation=isolation)
    assert run(kafka, "charge", "good", {"card": "visa", "cents": 5})["result"] == {"receipt": "visa-5"}
    for key, value, field in [
        ("missing", {"card": "visa"}, "cents"),
        ("wrong", {"card": 7, "cents": 5}, "card"),
        ("more", {"card": "visa", "cents": 5, "tip": 1}, "tip"),
        ("nothing", None, "Charge"),
    ]:
        result = run(kafka, "charge", key, value)
        failure = result["failure"]
        assert (result["status"], result["attempt"], failure["type"]) == ("FAILED", 1, "BadInput"), key
        assert (result["retry_state"], failure["non_retryable"]) == ("NON_RETRYABLE_FAILURE", True)
        assert field in failure["message"], failure


def test_avro_input_is_decoded_by_the_schema_too(kafka, ready):
    ready.worker(libs=["test_activities"])
    body = io.BytesIO()
    fastavro.schemaless_writer(body, CHARGE, {"card": "visa", "cents": 5})
    fields = {"activity_type": "charge", "content_type": "avro/binary"}
    kafka.publish("default", encode("task", {**fields, "activity_id": "whole", "input": body.getvalue()}))
    kafka.publish("default", encode("task", {**fields, "activity_id": "cut", "input": body.getvalue()[:-1]}))

    found = kafka.results().await_keys(["whole", "cut"])

    assert found["whole"][0]["status"] == "COMPLETED"
    assert (found["cut"][0]["status"], found["cut"][0]["failure"]["type"]) == ("FAILED", "BadInput")
    assert "cents" in found["cut"][0]["failure"]["message"]


def test_a_result_that_does_not_fit_the_schema_fails_for_good_and_names_the_field(kafka, ready):
    ready.worker(libs=["test_activities"])
    result = run(kafka, "charge", "bad", {"card": "bad-receipt", "cents": 5})
    assert (result["status"], result["attempt"], result["failure"]["type"]) == ("FAILED", 1, "BadResult")
    assert "receipt" in result["failure"]["message"]


# A3, A4


def test_an_unknown_type_is_tried_again_because_another_worker_may_have_it(kafka, ready, exec_log):
    ready.worker(libs=["test_activities"])
    kafka.publish("default", {"activity_type": "scripted", "activity_id": "k", "input": {"result": 1}})

    first = eventually(lambda: describe(ready, "k").get("failures"), 15, "the first attempt found no activity")[0]
    assert first["type"] == "NotFound" and "greet" in first["message"]
    ready.scripted_worker()
    result = kafka.results().await_one("k", limit_s=60)
    assert (result["status"], result["result"]) == ("COMPLETED", 1)
    assert result["attempt"] >= 2


def test_a_catch_all_gets_what_nobody_else_has_with_type_and_payload(kafka, ready):
    ready.worker(libs=["test_activities", "test_catch_all"])
    assert run(kafka, "greet", "g", "Ada")["result"] == "Hello, Ada"
    assert run(kafka, "who knows", "w", {"a": [1]})["result"] == {"type": "who knows", "input": {"a": [1]}}


def test_two_catch_alls_are_refused_at_the_start(kafka, stack, tmp_path):
    copy = tmp_path / "second.so"
    copy.write_bytes(stack.build.library("test_catch_all").read_bytes())
    words = ["-q", "default", "--activity-lib", stack.build.library("test_catch_all"), "--activity-lib", copy]
    answer = stack.run(stack.build.program("millrace-worker"), *words, check=False)
    assert (answer.rc, answer.stdout, len(answer.stderr.splitlines())) == (2, "", 1)
    assert "catch-all" in answer.stderr


# A5


def test_programs_come_from_a_config_file_and_get_their_arguments_without_a_shell(kafka, ready, tmp_path):
    show = program(tmp_path, "show", "#!/bin/sh\nprintf '%s|' \"$@\"\nenv | cut -d= -f1 | sort | tr '\\n' ' '\n")
    config = tmp_path / "worker.conf"
    config.write_text(f'# programs\nqueue = default\nexec = "show={show} $HOME; *"\nexec = no=/bin/false\n')
    ready.start("millrace-worker", "--config", config, env={"SECRET": "1"})

    kafka.publish("default", {"activity_type": "show", "activity_id": "s", "workflow_id": "w"})
    words = base64.b64decode(kafka.results().await_one("w/s")["result_base64"]).decode()
    assert words.startswith("$HOME;|*|")
    names = words.split("|")[-1].split()
    assert "SECRET" not in names
    for name in ("TASK_KEY", "WORKFLOW_ID", "ACTIVITY_ID", "ACTIVITY_TYPE", "RUN_ID", "QUEUE", "ATTEMPT", "HEARTBEAT_FD"):
        assert f"MILLRACE_{name}" in names
    assert run(kafka, "no", "n", retry_policy=ONCE)["failure"]["type"] == "ExitStatus"


# A7


def test_an_activity_knows_all_about_its_attempt(kafka, ready):
    ready.worker(libs=["test_activities"])
    policy = {
        "initial_interval_ms": 250,
        "backoff_coefficient": 3.0,
        "maximum_interval_ms": 900,
        "maximum_attempts": 4,
        "non_retryable_error_types": ["Fatal"],
    }
    timeouts = {
        "schedule_to_close_timeout_ms": 60000,
        "schedule_to_start_timeout_ms": 50000,
        "start_to_close_timeout_ms": 7000,
        "heartbeat_timeout_ms": 6000,
    }
    value = {"activity_type": "info", "activity_id": "a", "workflow_id": "w", "run_id": "r1", "priority": 2, **timeouts}
    kafka.publish("default", {**value, "retry_policy": policy}, headers=[("tenant", b"t1")])

    result = kafka.results().await_one("w/a")
    info = result["result"]

    assert {name: info[name] for name in timeouts} == timeouts
    assert {name: info["retry"][name] for name in policy} == policy
    ids = {"task_key": "w/a", "workflow_id": "w", "activity_id": "a", "run_id": "r1", "activity_type": "info", "queue": "default"}
    assert {name: info[name] for name in ids} == ids
    assert (info["epoch"], info["attempt"], info["priority"]) == (0, 1, 2)
    assert info["headers"] == {"tenant": "t1"}
    assert info["worker"] == result["worker"]
    assert info["token"] and info["heartbeat_details"] == ""
    assert info["scheduled_at_ms"] == result["scheduled_at_ms"] == info["attempt_scheduled_at_ms"]
    assert abs(info["started_at_ms"] - result["started_at_ms"]) < 1000
    assert info["deadline_at_ms"] == info["started_at_ms"] + 7000


def test_defaults_are_filled_in_where_a_task_says_nothing(kafka, ready):
    ready.worker(libs=["test_activities"], start_to_close="90s")
    info = run(kafka, "info", "a")["result"]
    assert info["retry"] == {
        "initial_interval_ms": 1000,
        "backoff_coefficient": 2.0,
        "maximum_interval_ms": 100000,
        "maximum_attempts": 0,
        "non_retryable_error_types": [],
    }
    assert info["start_to_close_timeout_ms"] == 90000
    assert info["schedule_to_close_timeout_ms"] is None and info["heartbeat_timeout_ms"] is None
    assert (info["priority"], info["headers"]) == (3, {})


def test_the_next_attempt_gets_the_last_heartbeat_and_an_attempt_without_one_keeps_it(kafka, ready, tmp_path):
    text = (
        "#!/bin/sh\n"
        '[ "$MILLRACE_ATTEMPT" = 1 ] && echo \'{"half": 1}\' >&"$MILLRACE_HEARTBEAT_FD"\n'
        '[ "$MILLRACE_ATTEMPT" = 3 ] || exit 1\n'
        'printf \'%s\' "$MILLRACE_HEARTBEAT_DETAILS"\n'
    )
    ready.worker(execs={"halves": program(tmp_path, "halves", text)})
    result = run(kafka, "halves", "h", retry_policy={"initial_interval_ms": 20})
    assert (result["attempt"], result["result"]) == (3, {"half": 1})
    last = run(kafka, "halves", "l", retry_policy={"initial_interval_ms": 20, "maximum_attempts": 2})
    assert (last["status"], last["last_heartbeat_details"]) == ("FAILED", {"half": 1})


# A8, A9


@pytest.mark.parametrize("kind, said", [("crash_segv", "SIGSEGV"), ("abort", "SIGABRT"), ("exit0", "exit")])
def test_a_crash_names_what_happened_and_touches_nothing_else(kafka, ready, kind, said):
    worker = ready.worker(libs=["test_activities"], slots=2)
    worker.allow_crash_reports()
    kafka.publish("default", {"activity_type": "sleep_ms", "activity_id": "calm", "input": {"ms": 700}})
    result = run(kafka, kind, "crash", retry_policy=ONCE)
    assert (result["failure"]["type"], result["retry_state"]) == ("ActivityCrashed", "MAXIMUM_ATTEMPTS_REACHED")
    assert said in result["failure"]["message"]
    calm = kafka.results().await_one("calm")
    assert (calm["status"], calm["attempt"]) == ("COMPLETED", 1)
    assert run(kafka, "greet", "after", "Ada")["status"] == "COMPLETED"


def test_thread_isolation_runs_functions_and_programs(kafka, ready):
    ready.worker(libs=["test_activities"], isolation="thread")
    assert run(kafka, "greet", "g", "Ada")["result"] == "Hello, Ada"
    assert run(kafka, "cat", "c", {"a": 1})["result"] == {"a": 1}
    late = run(kafka, "sleep_ms", "s", {"ms": 60000}, start_to_close_timeout_ms=300, retry_policy=ONCE)
    assert (late["status"], late["failure"]["timeout_type"]) == ("TIMED_OUT", "START_TO_CLOSE")


# A10


def most_at_once(results):
    """The most that ran at the start of one of them; the clocks of start and end may differ by 2 ms."""
    starts = [result["started_at_ms"] for result in results]
    return max(sum(r["started_at_ms"] <= start < r["closed_at_ms"] - 2 for r in results) for start in starts)


@pytest.mark.parametrize(
    "activity_type, flags, at_most", [("one_at_a_time", [], 1), ("cat", ["--limit", "cat=2"], 2), ("sleep_ms", [], 4)]
)
def test_a_type_runs_no_more_often_at_once_than_its_limit(kafka, ready, tmp_path, activity_type, flags, at_most):
    if activity_type == "cat":
        ready.worker(execs={"cat": program(tmp_path, "cat", "#!/bin/sh\nsleep 0.4\ncat\n")}, slots=4, flags=flags)
    else:
        ready.worker(libs=["test_activities"], slots=4, flags=flags)
    keys = [f"k{i}" for i in range(5)]
    kafka.publish_all("default", [{"activity_type": activity_type, "activity_id": key, "input": {"ms": 400}} for key in keys])
    found = kafka.results().await_keys(keys)
    results = [found[key][0] for key in keys]
    assert all(result["status"] == "COMPLETED" for result in results)
    assert most_at_once(results) == at_most


def test_a_limit_of_a_type_that_nobody_has_is_refused_at_the_start(stack):
    words = ["-q", "default", "--exec", "a=/bin/true", "--limit"]
    for limit, said in [("b=1", "b"), ("a", "TYPE=N"), ("a=0", "TYPE=N"), ("a=x", "TYPE=N")]:
        answer = stack.run(stack.build.program("millrace-worker"), *words, limit, check=False)
        assert (answer.rc, answer.stdout, len(answer.stderr.splitlines())) == (2, "", 1), answer
        assert said in answer.stderr


# A11


def test_a_failure_keeps_its_parts_and_its_chain_of_causes(kafka, ready):
    ready.worker(libs=["test_activities"])
    value = {"type": "Declined", "message": "card expired", "non_retryable": True, "details": "code 54"}
    failure = run(kafka, "fail", "f", value)["failure"]
    assert (failure["type"], failure["message"], failure["non_retryable"]) == ("Declined", "card expired", True)
    assert failure["cause"]["type"] == "Cause" and failure["cause"]["message"] == "the reason behind it"
    text = ready.cli("describe", "f").stdout
    assert "Declined: card expired" in text and "caused by" in text and "Cause: the reason behind it" in text


def test_describe_shows_the_last_failures_with_causes_and_details_while_it_waits_and_runs(kafka, ready, exec_log):
    ready.worker(libs=["test_activities"])
    kafka.publish(
        "default",
        {
            "activity_type": "fail",
            "activity_id": "f",
            "input": {"type": "Flaky", "message": "again", "details": "code 54", "sleep_from": 7},
            "retry_policy": {"initial_interval_ms": 50, "backoff_coefficient": 1.0},
        },
    )

    def running_at_7():
        fields = describe(ready, "f")
        assert (fields["state"], fields["attempt"]) == ("STARTED", 7)
        return fields

    failures = eventually(running_at_7, 30, "attempt 7 runs")["failures"]
    assert [failure["attempt"] for failure in failures] == [2, 3, 4, 5, 6]
    assert {(failure["type"], failure["message"], failure["cause"]["type"]) for failure in failures} == {("Flaky", "again", "Cause")}
    assert failures[-1]["details"] == "code 54"
    text = ready.cli("describe", "f").stdout
    assert "attempt 6: Flaky: again" in text and "Cause: the reason behind it" in text


# A12


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_log_line_of_an_activity_says_whose_it_is(kafka, ready, isolation):
    worker = ready.worker(libs=["test_activities"], isolation=isolation, log_format="json")
    kafka.publish("default", {"activity_type": "info", "activity_id": "a", "workflow_id": "w"}, headers=[("h", b"1")])
    kafka.results().await_one("w/a")
    worker.wait_for_log("told of 1 headers", 10)
    (line,) = [json.loads(line) for line in worker.stderr.splitlines() if "told of 1 headers" in line]
    expected = {"key": "w/a", "type": "info", "attempt": 1, "queue": "default", "workflow_id": "w", "level": "info"}
    assert {name: line[name] for name in expected} == expected
