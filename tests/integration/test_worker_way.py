# SPDX-License-Identifier: Apache-2.0
"""The way of a task through a worker, as its callers see it: any Kafka client in, results out."""

import json
import signal

import pytest

from support.processes import is_running
from support.stack import ACTIVITIES
from support.waiting import eventually, stays


@pytest.fixture
def queue(kafka):
    kafka.create_topic("tasks.default", partitions=4)


@pytest.fixture
def running(stack, queue, exec_log):
    """A scheduler and a worker with the type `scripted`."""
    stack.scheduler()
    return stack.scripted_worker()


def task(activity_id=None, plan=None, **fields):
    value = {"activity_type": "scripted", "input": {} if plan is None else plan, **fields}
    if activity_id:
        value["activity_id"] = activity_id
    return value


def test_a_line_of_json_is_a_complete_client(kafka, running):
    place = kafka.publish("default", '{"activity_type":"scripted","input":"Ada"}')
    result = kafka.results().await_count(1)[0]
    assert result["status"] == "COMPLETED"
    assert result["result"] == "Ada"
    assert result["task_key"] == f"{place.topic}:{place.partition}:{place.offset}"
    assert result["run_id"] == result["task_key"]
    assert result["attempt"] == 1
    assert result["queue"] == "default"
    assert result["scheduled_at_ms"] <= result["started_at_ms"] + 2
    assert result["started_at_ms"] <= result["closed_at_ms"]
    assert result.record.key.decode() == result["task_key"]


def test_a_json_value_comes_back_byte_for_byte(kafka, running):
    odd = '{ "b" : 1.50, "a":[1e3, 12345678901234567890123] }'
    kafka.publish("default", '{"activity_type":"scripted","activity_id":"odd","input":[' + odd + "]}")
    result = kafka.results().await_one("odd")
    assert odd.encode() in result.record.value


def test_headers_and_reply_topic(kafka, running):
    kafka.create_topic("replies", partitions=1)
    value = task("charge", workflow_id="order-1", reply_topic=kafka.topic("replies"))
    kafka.publish("default", value, headers=[("tenant", b"t1"), ("trace", b"\x00\xff")])
    result = kafka.results().await_one("order-1/charge")
    assert result.record.headers == {"tenant": b"t1", "trace": b"\x00\xff"}
    reply = eventually(lambda: kafka.read_all("replies"), 10, "a reply")[0]
    assert reply.key == b"order-1"
    assert reply.value == result.record.value
    assert reply.headers == result.record.headers


def test_a_finished_task_is_not_run_again_but_answered_with_the_stored_result(kafka, running, exec_log):
    kafka.publish("default", task("once"))
    first = kafka.results().await_one("once")
    kafka.publish("default", task("once"))
    results = eventually(lambda: len(kafka.results().of("once")) == 2 and kafka.results().of("once"), 10, "a second copy")
    assert results[1].record.value == first.record.value
    assert exec_log.attempts("once") == [1]


def test_160_copies_of_20_tasks_in_different_partitions_run_once_each(kafka, running, exec_log):
    keys = [f"k{number}" for number in range(20)]
    for partition in range(4):
        kafka.publish_all("default", [task(key) for key in keys for _ in range(2)], partition=partition)
    found = kafka.results().await_keys(keys)
    committed = lambda: sum(kafka.committed(kafka.topic("workers.default"), "tasks.default").values())  # noqa: E731
    eventually(lambda: committed() == 160, 15, "all records are settled", every_s=0.1)
    exec_log.assert_each_key_started_once(keys)
    for key, results in kafka.results().by_key().items():
        assert len({result["result_id"] for result in results}) == 1, key
        assert len({result.record.value for result in results}) == 1, key
    assert found.keys() == set(keys)


def test_a_failed_attempt_is_retried_after_1_s_and_2_s(kafka, running, exec_log):
    kafka.publish("default", task("flaky", {"fail_attempts": 2, "result": 7}))
    result = kafka.results().await_one("flaky")
    assert (result["status"], result["attempt"], result["result"]) == ("COMPLETED", 3, 7)
    assert exec_log.attempts("flaky") == [1, 2, 3]
    gaps = exec_log.gaps_ms("flaky")
    assert 1000 <= gaps[0] < 1600 and 2000 <= gaps[1] < 2600, gaps


def test_the_last_attempt_closes_the_task(kafka, running, exec_log):
    policy = {"maximum_attempts": 2, "initial_interval_ms": 50}
    kafka.publish("default", task("hopeless", {"fail_attempts": 9, "message": "no money"}, retry_policy=policy))
    result = kafka.results().await_one("hopeless")
    assert (result["status"], result["attempt"]) == ("FAILED", 2)
    assert result["retry_state"] == "MAXIMUM_ATTEMPTS_REACHED"
    assert (result["failure"]["type"], result["failure"]["message"]) == ("ExitStatus", "no money")
    assert exec_log.attempts("hopeless") == [1, 2]


def test_a_permanent_failure_is_not_retried(kafka, running):
    kafka.publish("default", task("permanent", {"fail_attempts": 9, "fail_with": 100}))
    result = kafka.results().await_one("permanent")
    assert (result["status"], result["attempt"]) == ("FAILED", 1)
    assert result["retry_state"] == "NON_RETRYABLE_FAILURE"
    assert result["failure"]["non_retryable"] is True


def test_an_unknown_type_fails_and_says_which_there_are(kafka, running):
    kafka.publish("default", {"activity_type": "nobody", "activity_id": "x", "retry_policy": {"maximum_attempts": 1}})
    result = kafka.results().await_one("x")
    assert result["failure"]["type"] == "NotFound"
    assert "scripted" in result["failure"]["message"]


def test_what_cannot_be_understood_goes_to_the_dead_letters_and_the_rest_goes_on(kafka, running):
    bad = '{"activity_type":"scripted","activity_id":"bad","retry_policy":{"max_attempts":3}}'
    places = [
        kafka.publish("default", bad, key="k1", headers=[("tenant", b"t1")], partition=0),
        kafka.publish("default", b"\xc3\x01nonsense", partition=0),
        kafka.publish("default", "not a task", partition=0),
    ]
    kafka.publish("default", task("good"), partition=0)
    assert kafka.results().await_one("good")["status"] == "COMPLETED"
    letters = {int(letter.header("millrace-offset")): letter for letter in kafka.await_dead(3)}
    for place in places:
        letter = letters[place.offset]
        assert (letter.header("millrace-topic"), letter.header("millrace-partition")) == (place.topic, "0")
    assert letters[0].value == bad.encode() and letters[0].key == b"k1" and letters[0].header("tenant") == "t1"
    assert "did you mean maximum_attempts" in letters[0].header("millrace-reason")
    answer = kafka.results().await_one("bad")
    assert (answer["status"], answer["failure"]["type"]) == ("FAILED", "BadTask")
    assert answer.record.header("millrace-not-state") is not None
    kafka.publish("default", task("bad"))
    eventually(lambda: kafka.results().of("bad")[-1]["status"] == "COMPLETED", 10, "a bad record has not become state")


def test_a_start_to_close_deadline_ends_the_whole_process_tree(kafka, stack, queue, exec_log):
    stack.scheduler()
    worker = stack.scripted_worker(grace="500ms")
    policy = {"maximum_attempts": 1}
    plan = {"sleep_ms": 60000, "child": "session", "ignore_term": True}
    kafka.publish("default", task("slow", plan, start_to_close_timeout_ms=700, retry_policy=policy))
    exec_log.await_starts(1)
    sleepers = eventually(lambda: [pid for pid in worker.tree() if _name_of(pid) == "sleep"], 5, "the child sleeps")
    result = kafka.results().await_one("slow")
    assert (result["status"], result["failure"]["timeout_type"]) == ("TIMED_OUT", "START_TO_CLOSE")
    assert 700 <= result["closed_at_ms"] - result["started_at_ms"] < 3000
    eventually(lambda: not any(is_running(pid) for pid in [*sleepers, *exec_log.pids("slow")]), 5, "nothing of it is left")
    kafka.publish("default", task("next"))
    assert kafka.results().await_one("next")["status"] == "COMPLETED"


def _name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def test_a_result_that_is_too_large_fails_the_task_at_once(kafka, stack, queue, tmp_path):
    program = tmp_path / "large"
    program.write_text("#!/bin/sh\nhead -c 2000000 /dev/zero | tr '\\0' x\n")
    program.chmod(0o755)
    stack.scheduler()
    stack.worker(execs={"large": program})
    kafka.publish("default", {"activity_type": "large", "activity_id": "large"})
    result = kafka.results().await_one("large")
    assert (result["status"], result["attempt"], result["failure"]["type"]) == ("FAILED", 1, "ResultTooLarge")
    assert result["failure"]["non_retryable"] is True


def test_a_long_task_does_not_hold_up_those_behind_it_and_nothing_is_skipped(kafka, stack, queue, exec_log):
    stack.scheduler()
    stack.scripted_worker(park_after="60s")
    kafka.publish("default", task("long", {"sleep_ms": 5000}), partition=1)
    exec_log.await_starts(1)
    keys = [f"short{number}" for number in range(6)]
    kafka.publish_all("default", [task(key) for key in keys], partition=1)
    kafka.results().await_keys(keys)
    assert not kafka.results().of("long")
    group = kafka.topic("workers.default")
    assert kafka.committed(group, "tasks.default").get(1, 0) == 0
    kafka.results().await_one("long")
    eventually(lambda: kafka.committed(group, "tasks.default").get(1) == 7, 10, "all are settled", every_s=0.1)


def test_one_worker_serves_several_queues(kafka, stack, queue, exec_log):
    kafka.create_topic("tasks.second", partitions=2)
    stack.scheduler()
    stack.scripted_worker(queues=("default", "second"))
    kafka.publish("default", task("a"))
    kafka.publish("second", task("b"))
    found = kafka.results().await_keys(["a", "b"])
    assert (found["a"][0]["queue"], found["b"][0]["queue"]) == ("default", "second")
    committed = lambda name: sum(kafka.committed(kafka.topic(f"workers.{name}"), f"tasks.{name}").values())  # noqa: E731
    eventually(lambda: committed("default") == 1 and committed("second") == 1, 10, "each group has its offset", every_s=0.1)


def test_a_worker_takes_no_more_than_it_has_slots(kafka, stack, queue, exec_log):
    stack.scheduler()
    stack.scripted_worker(slots=3)
    kafka.publish_all("default", [task(f"k{number}", {"sleep_ms": 700}) for number in range(9)])
    exec_log.await_starts(3)
    stays(lambda: exec_log.running().total() <= 3, 1.0, "at most three run")
    kafka.results().await_keys([f"k{number}" for number in range(9)])


def test_a_worker_without_a_scheduler_waits_and_says_so(kafka, stack, queue, exec_log):
    worker = stack.scripted_worker()
    kafka.publish("default", task("early"))
    worker.wait_for_log("waiting for a scheduler", 20)
    assert not exec_log.lines()
    stack.scheduler()
    assert kafka.results().await_one("early")["status"] == "COMPLETED"


def test_a_worker_without_kafka_or_redis_says_what_it_waits_for(stack, queue, exec_log):
    without_kafka = stack.scripted_worker(brokers="127.0.0.1:1")
    without_redis = stack.scripted_worker(redis="redis://127.0.0.1:1/0")
    without_kafka.wait_for_log("waiting for a service.*Kafka", 20)
    without_redis.wait_for_log("waiting for a service.*Redis", 20)
    for worker in (without_kafka, without_redis):
        worker.sigterm()
        assert worker.wait(15) == 0


@pytest.mark.parametrize(
    "words, named",
    [
        (["-q", "default"], "activit"),
        (["--exec", "a=/bin/true"], "queue"),
        (["-q", "a b", "--exec", "a=/bin/true"], "a b"),
        (["-q", "default", "--exec", "a=/no/such/program"], "/no/such/program"),
        (["-q", "default", "--activity-lib", "/no/such/library.so"], "/no/such/library.so"),
        (["-q", "default", "--exec", "a=/bin/true", "--slots", "0"], "slots"),
        (["-q", "default", "--exec", "a=/bin/true", "--slot", "1"], "slots"),
        (["-q", "default", "--exec", "a=/bin/true", "--exec", "a=/bin/true"], "a"),
    ],
)
def test_a_wrong_use_is_one_line_and_exit_2(stack, words, named):
    answer = stack.run(stack.build.program("millrace-worker"), *words, check=False)
    assert answer.rc == 2
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    assert named in answer.stderr and "millrace-worker" in answer.stderr


def test_activities_of_a_shared_object_and_programs_run_side_by_side(kafka, stack, queue, tmp_path):
    stack.scheduler()
    stack.worker(execs={"upper": _program(tmp_path, "tr a-z A-Z"), "scripted": ACTIVITIES / "scripted"})
    kafka.publish("default", {"activity_type": "upper", "activity_id": "u", "input": {"a": "b"}})
    kafka.publish("default", task("s", {"result": [1, 2]}))
    found = kafka.results().await_keys(["u", "s"])
    assert found["u"][0]["result"] == json.loads('{"A":"B"}')
    assert found["s"][0]["result"] == [1, 2]


def _program(folder, line):
    program = folder / "program"
    program.write_text(f"#!/bin/sh\nexec {line}\n")
    program.chmod(0o755)
    return program


def test_a_crash_costs_one_attempt(kafka, running, exec_log):
    policy = {"maximum_attempts": 1}
    kafka.publish("default", task("crash", {"signal": int(signal.SIGSEGV)}, retry_policy=policy))
    kafka.publish("default", task("calm", {"sleep_ms": 300}))
    found = kafka.results().await_keys(["crash", "calm"])
    assert found["crash"][0]["failure"]["type"] == "Signal"
    assert found["calm"][0]["status"] == "COMPLETED"
