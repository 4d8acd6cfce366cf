# SPDX-License-Identifier: Apache-2.0
"""Rows B1 to B8: what callers may ask for, and what they are told."""

import json

import pytest
from confluent_kafka import Producer

from support.codec import encode
from support.waiting import eventually, stays


@pytest.fixture
def running(stack, exec_log):
    stack.setup()
    stack.scheduler()
    stack.scripted_worker(libs=["test_activities"])
    stack.cli("execute", "-t", "greet", "--input", '"you"')  # recovery is over, partitions are assigned
    return stack


def task(key, plan=None, activity_type="scripted", **fields):
    return {"activity_type": activity_type, "activity_id": key, "input": plan or {}, **fields}


def client_calls(stack, what):
    return stack.run(stack.build.program("client_calls"), what).stdout.splitlines()


# B1


def test_the_blocking_calls_tell_every_end(running):
    assert client_calls(running, "blocking") == [
        'execute: MR_OK w%2F1/hello COMPLETED "Hello, Ada" tenant=t1',
        'again, as JSON: MR_OK w%2F1/hello COMPLETED "Hello, Ada" tenant=t1',
        'await: MR_OK w%2F1/hello COMPLETED "Hello, Ada" tenant=t1',
        "failed: MR_OK no FAILED  [Refused: closed] [Cause: the reason behind it]",
        "timed out: MR_OK late TIMED_OUT  [Timeout: the attempt was ended by its start-to-close timeout after 300 ms]",
        "wait over: MR_ETIMEOUT",
        "awaited again: MR_OK slow COMPLETED 1500",
        "existing only: MR_ENOT_FOUND",
        "submit: MR_OK w%2F1/later 1",
        "flush: MR_OK 0",
        "health: MR_OK",
    ]


def test_many_in_flight_are_told_by_callbacks_in_a_loop_of_ones_own(running):
    assert client_calls(running, "callbacks") == [
        "awaited: 300",
        "submitted once: 300, done once: 300, with their own result: 300",
    ]


def test_each_command_has_a_call_that_returns_when_kafka_has_it(running):
    assert [line.split("  [")[0] for line in client_calls(running, "commands")] == [
        "cancel: MR_OK",
        "it: MR_OK canceled CANCELED",
        "terminate: MR_OK",
        "it: MR_OK terminated TERMINATED",
        "pause: MR_OK",
        "update: MR_OK",
        "unpause: MR_OK",
        "reset: MR_OK",
        "of another run: MR_OK",
        "it: MR_ETIMEOUT",
        "heartbeat: MR_OK",
        "complete by another token: MR_OK",
        'it: MR_OK async COMPLETED {"by":"hand"}',
        "fail of what has ended: MR_OK",
        "without a token: MR_EINVAL",
        "heartbeat by token: MR_OK",
    ]


# E2


def test_a_caller_who_no_longer_waits_cancels_tries_to_or_abandons(running):
    found = client_calls(running, "cancel")
    assert [line.split("  [")[0] for line in found] == [
        "wait: MR_OK",
        "told: MR_OK wait CANCELED",
        "again: MR_ENOT_FOUND",
        "try: MR_OK",
        "told: MR_ECANCELED",
        "again: MR_ENOT_FOUND",
        "and then: MR_OK try CANCELED",
        "abandon: MR_OK",
        "told: MR_ECANCELED",
        "again: MR_ENOT_FOUND",
        "and then: MR_ETIMEOUT",
    ]


# B3


def test_avro_of_another_library_gets_an_avro_result(kafka, running):
    fields = {"activity_type": "greet", "activity_id": "avro", "input": b'"Ada"', "content_type": "application/json"}
    kafka.publish("default", encode("task", fields))
    result = kafka.results().await_one("avro")
    assert result.record.value[:2] == b"\xc3\x01"
    assert (result["status"], result["result"], result["content_type"]) == ("COMPLETED", b'"Hello, Ada"', "application/json")


# B4, B5


def test_a_task_that_is_submitted_again_while_it_runs_joins_it(kafka, running, exec_log):
    kafka.create_topic("other")
    kafka.publish("default", task("k", {"sleep_ms": 1500, "result": 1}))
    exec_log.await_starts(1)
    kafka.publish("default", task("k", {"result": 2}, reply_topic=kafka.topic("other")))
    result = kafka.results().await_one("k")
    reply = eventually(lambda: kafka.read_all("other"), 10, "the second caller gets a copy")[0]
    assert (result["result"], reply.value, reply.key) == (1, result.record.value, b"k")
    stays(lambda: len(kafka.results().of("k")) == 1 and exec_log.attempts("k") == [1], 1, "one run, one result")


def test_conflict_policy_fail_answers_the_second_caller_alone(kafka, running, exec_log):
    kafka.publish("default", task("k", {"sleep_ms": 1500, "result": 1}))
    exec_log.await_starts(1)
    kafka.publish("default", task("k", id_conflict_policy="FAIL"))
    refusal, result = eventually(lambda: len(found := kafka.results().of("k")) == 2 and found, 20, "two answers")
    assert (refusal["status"], refusal["failure"]["type"]) == ("FAILED", "DuplicateTask")
    assert refusal.record.header("millrace-not-state") is not None and "running" in refusal["failure"]["message"]
    assert (result["status"], result["result"]) == ("COMPLETED", 1)
    assert exec_log.attempts("k") == [1]


def test_reuse_policy_reject_answers_the_second_caller_and_the_stored_result_stays(kafka, running, exec_log):
    kafka.publish("default", task("k", {"result": 1}))
    first = kafka.results().await_one("k")
    kafka.publish("default", task("k", id_reuse_policy="REJECT_DUPLICATE"))
    refusal = eventually(lambda: len(found := kafka.results().of("k")) == 2 and found[1], 20, "an answer")
    assert (refusal["status"], refusal["failure"]["type"]) == ("FAILED", "DuplicateTask")
    assert refusal.record.header("millrace-not-state") is not None
    kafka.publish("default", task("k"))
    again = eventually(lambda: len(found := kafka.results().of("k")) == 3 and found[2], 20, "the stored result")
    assert again.record.value == first.record.value
    assert exec_log.attempts("k") == [1]


@pytest.mark.timeout(150)
def test_results_are_remembered_as_long_as_the_scheduler_is_told(kafka, stack, exec_log):
    stack.setup()
    stack.scheduler(retention="1s")
    stack.scripted_worker()
    kafka.publish("default", task("k", {"result": 1}))
    kafka.results().await_one("k")
    gone = lambda: stack.cli("describe", "k", check=False).rc == 2  # noqa: E731
    # By the minute in which it ended.
    eventually(gone, 80, "it is forgotten", every_s=0.5)
    kafka.publish("default", task("k", {"result": 2}))
    eventually(lambda: exec_log.attempts("k") == [1, 1], 20, "it runs as a new task")


def test_where_duplicates_are_allowed_only_the_own_or_the_joined_run_answers(running):
    assert client_calls(running, "runs") == [
        "new: MR_OK COMPLETED of run 1",
        "stored: MR_OK COMPLETED of run 1",
        "anew: MR_OK COMPLETED of run 2",
        "anew, alone: MR_OK COMPLETED of run 3",
        "stored again: MR_OK COMPLETED of run 3",
        "had completed: MR_OK FAILED of run 4: DuplicateTask",
        "failed: MR_OK FAILED of run 5: T",
        "after a failure: MR_OK FAILED of run 6: T",
        "the first: MR_OK COMPLETED of run 7",
        "joined: MR_OK COMPLETED of run 7",
        "after it: MR_OK COMPLETED of run 8",
    ]


# B6


def test_headers_reach_every_attempt_and_the_result_and_every_copy_of_it(kafka, running, tmp_path):
    kafka.create_topic("replies")
    headers = [("tenant", b"t1"), ("trace", b"00-1f"), ("trace", b"00-2f"), ("none", None)]
    plan = {"file": str(tmp_path / "calls"), "times": 1}
    value = task("k", plan, "fail_n_times", workflow_id="w", reply_topic=kafka.topic("replies"), retry_policy={"initial_interval_ms": 20})
    kafka.publish("default", value, headers=headers)
    result = kafka.results().await_one("w/k")
    assert result["attempt"] == 2
    first = eventually(lambda: kafka.read_all("replies"), 10, "a reply")[0]
    kafka.publish("default", value)
    again = eventually(lambda: len(found := kafka.read_all("replies")) == 2 and found[1], 10, "a second reply")
    dispatched = [record for record in kafka.read_all("tasks.default") if record.header("millrace-attempt") == "2"]
    names = ["tenant", "trace", "none"]
    for record in (result.record, first, again, *dispatched):
        assert {name: record.headers.get(name) for name in names} == {"tenant": b"t1", "trace": b"00-2f", "none": None}, record
        assert "none" in record.headers
    for copy in (first, again):
        assert (copy.key, copy.value) == (b"w", result.record.value)
        assert not [name for name in copy.headers if name.startswith("millrace-")]


# B8


def test_a_result_that_is_too_large_fails_at_once_with_both_sizes(kafka, running):
    kafka.publish("default", task("k", {"bytes": 1048577}, "big_result"))
    result = kafka.results().await_one("k")
    assert (result["status"], result["attempt"], result["retry_state"]) == ("FAILED", 1, "NON_RETRYABLE_FAILURE")
    assert result["failure"]["type"] == "ResultTooLarge"
    assert "1048577" in result["failure"]["message"] and "1048576" in result["failure"]["message"]


@pytest.mark.parametrize("bytes_, letter_bytes", [(1_100_000, None), (9_000_000, 65536)])
def test_an_input_that_came_through_the_broker_compressed_is_refused_and_holds_up_nothing(kafka, running, bytes_, letter_bytes):
    value = json.dumps(task("large", "x" * bytes_, "greet")).encode()
    producer = Producer({"bootstrap.servers": kafka.brokers, "compression.type": "gzip", "message.max.bytes": 16_000_000})
    producer.produce(kafka.topic("tasks.default"), value, partition=0)
    assert producer.flush(20) == 0
    kafka.publish("default", task("small", "Ada", "greet"), partition=0)
    assert kafka.results().await_one("small")["status"] == "COMPLETED"
    result = kafka.results().await_one("large")
    assert (result["status"], result["failure"]["type"]) == ("FAILED", "BadTask")
    assert str(bytes_ + 2) in result["failure"]["message"] and "1048576" in result["failure"]["message"]
    (letter,) = kafka.await_dead(1)
    assert letter.value == value[: letter_bytes or len(value)]
    assert "input" in letter.header("millrace-reason")


def test_a_worker_may_accept_less(kafka, stack):
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["test_activities"], max_input_bytes="2k", max_result_bytes="1k")
    kafka.publish("default", task("input", "x" * 3000, "greet"))
    kafka.publish("default", task("result", {"bytes": 1025}, "big_result"))
    found = kafka.results().await_keys(["input", "result"])
    assert [found[key][0]["failure"]["type"] for key in ("input", "result")] == ["BadTask", "ResultTooLarge"]
