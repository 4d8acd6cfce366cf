# SPDX-License-Identifier: Apache-2.0
"""millrace submit, execute, result and describe: what they print where, and their exit codes."""

import json
import time

import pytest

from support.ports import HOST, free_port
from support.waiting import eventually


@pytest.fixture
def running(stack):
    stack.setup()
    stack.scheduler()
    stack.scripted_worker()
    stack.cli("execute", "-t", "scripted", "-i", "first")  # recovery is over, partitions are assigned
    return stack


def test_execute_prints_the_result_on_stdout_and_nothing_else(running):
    answer = running.cli("execute", "-t", "scripted", "--input", '{"result": {"b": 1.50, "a": [2]}}')

    assert json.loads(answer.stdout) == {"b": 1.5, "a": [2]}
    assert answer.stderr == ""


def test_execute_json_prints_the_whole_record_whatever_the_format_of_the_task(running):
    for flags in ([], ["--avro"]):
        answer = running.cli("execute", "-t", "scripted", "-w", "w", "-i", f"a{len(flags)}", *flags, "--input", '{"result": 7}', json=True)
        record = json.loads(answer.stdout)

        assert (record["status"], record["result"], record["attempt"]) == ("COMPLETED", 7, 1)
        assert record["task_key"] == f"w/a{len(flags)}"


def test_submit_prints_the_key_and_result_finds_what_became_of_it(running):
    key = running.cli("submit", "-t", "scripted", "-w", "order/1", "-i", "pay", "--input", '{"result": "paid"}').stdout

    assert key == "order%2F1/pay\n"
    assert running.cli("result", key.strip(), wait="20s").stdout == '"paid"\n'
    assert running.cli("result", key.strip()).stdout == '"paid"\n'


def test_a_key_that_is_known_is_not_run_again(running, exec_log):
    first = running.cli("execute", "-t", "scripted", "-i", "once", "--input", '{"result": 1}', json=True)
    second = running.cli("execute", "-t", "scripted", "-i", "once", "--input", '{"result": 2}', json=True)

    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert exec_log.attempts("once") == [1]


def test_a_failed_task_ends_execute_with_1_and_its_reason_on_stderr(running):
    answer = running.cli(
        "execute", "-t", "scripted", "-i", "bad", "--input", '{"fail_attempts": 2, "fail_with": 7}', max_attempts=1, check=False
    )

    assert (answer.rc, answer.stdout) == (1, "")
    assert "bad: FAILED at attempt 1, MAXIMUM_ATTEMPTS_REACHED" in answer.stderr
    assert "ExitStatus" in answer.stderr


def test_a_timed_out_task_ends_execute_with_3(running):
    answer = running.cli(
        "execute", "-t", "scripted", "--input", '{"sleep_ms": 5000}', start_to_close="200ms", max_attempts=1, check=False
    )

    assert answer.rc == 3
    assert "TIMED_OUT" in answer.stderr


def test_wait_that_runs_out_is_5_and_the_task_goes_on(running):
    answer = running.cli("execute", "-t", "scripted", "-i", "slow", "--input", '{"sleep_ms": 1500, "result": 1}', wait="500ms", check=False)

    assert (answer.rc, answer.stdout) == (5, "")
    assert running.cli("result", "slow", check=False).rc == 5
    assert running.cli("result", "slow", wait="20s").stdout == "1\n"


def test_an_unknown_key_is_2_for_result_and_describe(running):
    for command in ("result", "describe"):
        answer = running.cli(command, "nobody", check=False)
        assert (answer.rc, answer.stdout) == (2, "")
        assert answer.stderr.count("\n") == 1 and "nobody" in answer.stderr


def test_result_comes_from_kafka_where_redis_has_forgotten_it(running, redis):
    running.cli("execute", "-t", "scripted", "-i", "old", "--input", '{"result": "kept"}')
    redis.flushall()

    assert running.cli("result", "old").stdout == '"kept"\n'


def test_describe_tells_what_a_backing_off_task_waits_for(running):
    begun_ms = time.time() * 1000
    running.cli("submit", "-t", "scripted", "-i", "retry", "--input", '{"fail_attempts": 9, "fail_with": 3}', initial_interval="30s")

    def backing_off():
        answer = running.cli("describe", "retry", check=False, json=True)
        assert answer.rc == 0
        fields = json.loads(answer.stdout)
        assert fields["state"] == "BACKING_OFF"
        return fields

    fields = eventually(backing_off, what="it backs off")
    assert fields["attempt"] == 2
    assert 29_000 < fields["due_at_ms"] - begun_ms < 60_000
    assert [failure["attempt"] for failure in fields["failures"]] == [1]
    assert fields["failures"][0]["type"] == "ExitStatus"

    text = running.cli("describe", "retry").stdout
    assert "BACKING_OFF" in text and "next attempt" in text and "attempt 1: ExitStatus" in text


def test_describe_tells_of_a_running_and_of_a_finished_task(running):
    running.cli("submit", "-t", "scripted", "-i", "run", "--input", '{"sleep_ms": 1500, "result": 5}')

    def started():
        answer = running.cli("describe", "run", check=False, json=True)
        assert answer.rc == 0
        fields = json.loads(answer.stdout)
        assert fields["state"] == "STARTED"
        return fields

    assert eventually(started, what="it runs")["worker"]
    running.cli("result", "run", wait="20s")
    fields = json.loads(running.cli("describe", "run", json=True).stdout)
    assert fields["state"] == "COMPLETED"
    assert fields["result"]["result"] == 5


def test_input_comes_from_a_file_or_stdin_and_keeps_its_bytes(running, tmp_path):
    text = '{"b" : 1.50,\n "a":[1e400, "é"]}'
    (tmp_path / "in.json").write_text(f"\n{text}\n")
    program = tmp_path / "cat"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    running.worker(queues=["cat"], execs={"cat": program})
    running.setup(queues=["cat"])

    assert running.cli("execute", "-q", "cat", "-t", "cat", "--input", f"@{tmp_path}/in.json").stdout == text + "\n"
    assert running.cli("execute", "-q", "cat", "-t", "cat", "--input", "-", input=text).stdout == text + "\n"
    assert running.cli("execute", "-q", "cat", "-t", "cat", "--input", "raw", content_type="text/plain").stdout == "raw"


def test_headers_and_a_reply_topic_travel_with_the_task(running, kafka):
    kafka.create_topic("replies")
    running.cli(
        "execute", "-t", "scripted", "-w", "w9", "-i", "h", "--input", '{"result": 1}',
        header=["tenant=a=b", "empty="], reply_topic=f"{kafka.prefix}replies",
    )  # fmt: skip

    reply = eventually(lambda: kafka.read_all("replies"), what="the reply")[0]
    assert reply.key in (b"w9", "w9")
    assert reply.header("tenant") == "a=b"
    assert reply.header("empty") == ""


# Wrong usage


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["submit"], "--type"),
        (["submit", "-t", "x", "--input", '{"a": nul}'], "line 1, column 7"),
        (["submit", "-t", "x", "--input", "@/nonexistent"], "No such file"),
        (["submit", "-t", "x", "-w", "w"], "activity_id"),
        (["submit", "-t", "x" * 256], "activity_type"),
        (["submit", "-t", "x", "--start-to-close", "5"], "--start-to-close"),
        (["submit", "-t", "x", "--priority", "9"], "--priority"),
        (["submit", "-t", "x", "--header", "novalue"], "--header"),
        (["submit", "-t", "x", "--header", "millrace-run=1"], "reserved"),
        (["submit", "-t", "x", "-q", "no/queue"], "queue"),
        (["submit", "-t", "x", "--max-atempts", "1"], "--max-attempts"),
        (["result"], "KEY"),
        (["describe", "a", "b"], ""),
        (["sumbit"], "did you mean submit"),
        ([], "usage"),
    ],
)
def test_wrong_usage_is_2_with_a_reason_on_stderr(stack, args, part):
    answer = stack.cli(*args, check=False)

    assert (answer.rc, answer.stdout) == (2, "")
    assert part in answer.stderr
    assert not args or answer.stderr.count("\n") == 1


def test_an_input_that_is_too_large_is_refused_with_its_sizes(stack, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 1_100_000)

    answer = stack.cli("submit", "-t", "x", "--content-type", "a/b", "--input", f"@{tmp_path}/big", check=False)

    assert answer.rc == 2
    assert "1100000" in answer.stderr and "1000000" in answer.stderr


def test_a_queue_without_a_topic_is_told(stack, kafka):
    stack.setup()

    answer = stack.cli("submit", "-t", "x", "-q", "unknown", check=False)

    # A broker may make the topic by itself; this test's one does not.
    assert answer.rc == 2
    assert "millrace setup" in answer.stderr


def test_an_unreachable_kafka_or_redis_is_6_in_one_line(stack):
    nobody = f"{HOST}:{free_port()}"
    stack.setup()

    for args in (["submit", "-t", "x", "-b", nobody], ["result", "k", "-b", nobody], ["result", "k", "--redis", f"redis://{nobody}"]):
        answer = stack.cli(*args, check=False)
        assert (answer.rc, answer.stdout) == (6, "")
        assert answer.stderr.count("\n") == 1, answer.stderr


def test_every_command_has_a_help_and_millrace_lists_them(stack):
    listed = stack.cli("--help").stdout

    for command in ("setup", "submit", "execute", "result", "describe", "dev", "version"):
        assert f"\n  {command} " in listed
        assert "Usage: millrace " + command in stack.cli(command, "--help").stdout
