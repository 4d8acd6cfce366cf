# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what it promises to the other tests, and that it notices what it must notice."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from support.codec import fingerprint_of
from support.exec_log import ExecLog
from support.processes import EndedEarly, Processes, is_running
from support.stack import ACTIVITIES, ROOT, Build, flags_of
from support.waiting import eventually, stays

SHELL = "/bin/sh"


# The broker


def test_what_is_published_is_read_in_log_order(kafka):
    kafka.create_topic("tasks.default", partitions=3)
    headers = [("tenant", b"a")]
    first = kafka.publish("default", {"activity_type": "greet"}, key="k", headers=headers, partition=2)
    kafka.publish_all("default", [b"raw", "text"], partition=2)

    records = kafka.read_all("tasks.default")
    assert first == (kafka.prefix + "tasks.default", 2, 0)
    assert [record.value for record in records] == [b'{"activity_type": "greet"}', b"raw", b"text"]
    assert (records[0].key, records[0].header("tenant"), records[0].header("other")) == (b"k", "a", None)
    assert records[0].fields() == {"activity_type": "greet"}
    assert kafka.ends("tasks.default") == {0: 0, 1: 0, 2: 3}


def test_a_topic_is_read_on_from_where_the_last_look_ended(kafka):
    assert kafka.read_all("results") == []
    kafka.create_topic("results", partitions=2)
    assert kafka.read_all("results") == []
    kafka.produce("results", {"task_key": "a", "attempt": 1}, partition=0)
    assert kafka.results().await_one("a")["attempt"] == 1
    kafka.produce("results", {"task_key": "a", "attempt": 2}, partition=0)
    kafka.produce("results", {"task_key": "b", "attempt": 1}, partition=1)

    found = kafka.results().await_keys({"a", "b"})
    assert [result["attempt"] for result in found["a"]] == [1, 2]
    assert found["b"][0].record.partition == 1
    assert len(kafka.results().await_count(3)) == 3


def test_a_result_that_never_comes_is_named(kafka):
    kafka.create_topic("results")
    with pytest.raises(AssertionError, match="order-1/ship"):
        kafka.results().await_keys({"order-1/ship"}, limit_s=0.2)


def test_records_that_were_purged_are_passed_over(kafka):
    kafka.create_topic("tasks.default")
    kafka.publish_all("default", ["1", "2", "3"])
    kafka.purge("tasks.default", before=2)
    kafka.publish("default", "4")
    assert [record.value for record in kafka.read_all("tasks.default")] == [b"3", b"4"]


def test_topics_of_two_tests_do_not_meet(kafka, prefix):
    kafka.create_topic("results")
    assert re.fullmatch(r"t[0-9a-f]{8}\.", prefix)
    assert kafka.topics() == ["results"]


@pytest.mark.broker(properties={"message.max.bytes": 5000})
def test_a_broker_of_ones_own_keeps_its_data_when_it_is_killed(own_kafka, kafka):
    kafka.create_topic("results")
    kafka.produce("results", {"task_key": "a"})
    own_kafka.kill9()
    own_kafka.start()
    kafka.produce("results", {"task_key": "b"})
    assert kafka.results().await_keys({"a", "b"})
    with pytest.raises(Exception, match="(?i)too.large"):
        kafka.produce("results", "x" * 6000)


def test_a_broker_of_ones_own_can_be_paused(own_kafka, kafka):
    kafka.create_topic("results")
    kafka.produce("results", {"task_key": "a"})
    own_kafka.pause()
    with pytest.raises(AssertionError, match="cannot be read"):
        kafka.read_all("results", limit_s=1)
    own_kafka.cont()
    assert kafka.results().await_one("a", limit_s=20)


def test_the_fingerprint_is_that_of_the_avro_specification():
    assert fingerprint_of("int") == (0x7275D51A3F395C8F).to_bytes(8, "little")


# Redis


def test_redis_of_ones_own_forgets_everything_when_it_is_restarted_without_data(redis_server, redis):
    redis.set("k", "v")
    identity = redis.info("server")["run_id"]
    redis_server.restart(keep_data=False)
    assert redis.get("k") is None
    assert redis.info("server")["run_id"] != identity


def test_redis_of_ones_own_keeps_everything_when_it_is_restarted_with_data(redis_server, redis):
    redis.set("k", "v")
    redis_server.restart(keep_data=True)
    assert redis.get("k") == "v"


def test_redis_of_ones_own_can_be_rolled_back(redis_server, redis):
    redis.set("k", "old")
    snapshot = redis_server.snapshot()
    redis.set("k", "new")
    redis_server.rollback(snapshot)
    assert redis.get("k") == "old"


def test_redis_of_ones_own_can_be_stopped_and_continued(redis_server, redis):
    redis.set("k", "v")
    redis_server.stop_cont(signal.SIGSTOP)
    impatient = redis_server.new_client(socket_timeout=0.1)
    with pytest.raises(Exception, match="(?i)timeout"):
        impatient.get("k")
    redis_server.stop_cont(signal.SIGCONT)
    assert redis.get("k") == "v"
    redis_server.flushall()
    assert redis.keys() == []


def test_the_shared_redis_answers(shared_redis):
    assert shared_redis.ping()


# The execution log


def log_line(log, event, key, attempt, at_ms=0):
    with log.path.open("a") as file:
        file.write(f'{{"event": "{event}", "key": "{key}", "attempt": {attempt}, "pid": 1, "at_ms": {at_ms}}}\n')


def test_the_execution_log_counts_starts(exec_log):
    log_line(exec_log, "start", "a", 1, at_ms=1000)
    log_line(exec_log, "end", "a", 1)
    log_line(exec_log, "start", "a", 2, at_ms=2003)
    log_line(exec_log, "start", "b", 1)

    assert exec_log.await_starts(3) == {("a", 1): 1, ("a", 2): 1, ("b", 1): 1}
    assert (exec_log.attempts("a"), exec_log.gaps_ms("a")) == ([1, 2], [1003])
    assert exec_log.running() == {("a", 2): 1, ("b", 1): 1}
    exec_log.assert_no_attempt_started_twice()
    with pytest.raises(AssertionError):
        exec_log.assert_each_key_started_once({"a", "b"})


def test_the_execution_log_notices_a_second_start(exec_log):
    log_line(exec_log, "start", "a", 1)
    log_line(exec_log, "start", "a", 1)
    with pytest.raises(AssertionError, match="a"):
        exec_log.assert_no_attempt_started_twice()


def test_a_half_written_line_of_the_execution_log_waits(exec_log):
    log_line(exec_log, "start", "a", 1)
    with exec_log.path.open("a") as file:
        file.write('{"event": "sta')
    assert exec_log.starts() == {("a", 1): 1}


def test_c_activities_write_the_same_execution_log(exec_log, tmp_path):
    source = tmp_path / "writer.c"
    source.write_text('#include "exec_log.h"\nint main(void) { exec_log("start", "w/a\\"", 3); return 0; }\n')
    compiler = [shutil.which("cc") or "gcc", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{ROOT}/tests/support"]
    subprocess.run([*compiler, source, "-o", tmp_path / "writer"], check=True)
    before_ms = time.time_ns() // 1_000_000
    subprocess.run([tmp_path / "writer"], check=True, env=exec_log.env)
    assert exec_log.starts() == {("w/a?", 3): 1}
    assert before_ms <= exec_log.started_at_ms("w/a?")[0] <= time.time_ns() // 1_000_000


def scripted(plan, exec_log, attempt=1):
    env = {**os.environ, **exec_log.env, "MILLRACE_TASK_KEY": "k", "MILLRACE_ATTEMPT": str(attempt)}
    done = subprocess.run([ACTIVITIES / "scripted"], input=plan.encode(), env=env, capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_scripted_activity_follows_its_input(exec_log):
    plan = '{"fail_attempts": 1, "fail_with": 100, "message": "no such card", "result": [1]}'
    assert scripted(plan, exec_log, attempt=1) == (100, "", "no such card\n")
    assert scripted(plan, exec_log, attempt=2) == (0, "[1]", "")
    assert scripted('{"signal": 11}', exec_log, attempt=3)[0] == -signal.SIGSEGV
    assert scripted("not json", exec_log, attempt=4) == (0, "not json", "")
    assert exec_log.attempts("k") == [1, 2, 3, 4]
    assert exec_log.running() == {("k", 3): 1}


# Programs under test


@pytest.fixture
def watched(tmp_path):
    """Processes whose findings are what the test is about."""
    started = Processes(tmp_path)
    yield started
    started.end()


def test_a_crash_is_noticed(watched):
    process = watched.start([SHELL, "-c", "kill -SEGV $$"], name="crasher")
    assert process.wait() == -signal.SIGSEGV
    assert watched.end() == [f"crasher-1 (pid {process.pid}) was ended by SIGSEGV, which the test did not send"]


def test_a_kill_by_the_test_is_no_crash(watched):
    for kill in ("kill9", "kill_group9", "kill_tree9"):
        process = watched.start(["sleep", "60"])
        getattr(process, kill)()
        assert process.wait() == -signal.SIGKILL
    assert watched.end() == []


def test_an_exit_that_the_test_did_not_look_at_is_noticed(watched):
    process = watched.start([SHELL, "-c", "exit 3"], name="quitter")
    eventually(lambda: not process.alive)
    assert watched.end() == [f"quitter-1 (pid {process.pid}) ended by itself, with exit status 3"]


def test_a_sanitizer_report_is_noticed_and_can_be_allowed(watched):
    report = "echo 'x.c:1:2: runtime error: signed integer overflow' >&2"
    process = watched.start([SHELL, "-c", report], name="overflow")
    process.wait()
    allowed = watched.start([SHELL, "-c", report]).allow_crash_reports()
    allowed.wait()
    wanted = f"overflow-1 (pid {process.pid}) printed a sanitizer report: x.c:1:2: runtime error: signed integer overflow"
    assert watched.end() == [wanted]


def test_a_real_memory_error_is_noticed(watched, tmp_path):
    source = tmp_path / "error.c"
    source.write_text("#include <stdlib.h>\nint main(int c, char **v) { char *p = malloc(1); free(p); return p[c - 1] + !v; }\n")
    subprocess.run(["gcc", "-w", "-g", "-fsanitize=address", source, "-o", tmp_path / "error"], check=True)
    watched.start([tmp_path / "error"]).wait()
    assert re.search("error-1 .* sanitizer report: .*AddressSanitizer: heap-use-after-free", "".join(watched.end()))


def test_a_child_left_behind_is_noticed_and_ended(watched):
    process = watched.start([SHELL, "-c", "setsid sleep 61 & setsid sleep 62 & exit 0"], name="mother")
    process.wait()
    eventually(lambda: len(process.tree()) == 2)
    left = process.tree()
    findings = watched.end()
    assert findings == [f"mother-1 left pid {pid} behind: sleep {number}" for pid, number in zip(left, (61, 62))]
    assert not any(is_running(pid) for pid in left)


def test_a_child_with_a_clean_environment_is_no_exception(watched):
    process = watched.start([SHELL, "-c", "env -i setsid sleep 63 & exit 0"])
    process.wait()
    [finding] = watched.end()
    assert re.fullmatch(r"an unknown program left pid \d+ behind: sleep 63", finding)
    assert not is_running(int(re.search(r"pid (\d+)", finding)[1]))


def test_the_tree_of_a_process_can_be_frozen_and_killed(watched):
    process = watched.start([SHELL, "-c", "env -i setsid sleep 60 & sleep 60; true"])
    eventually(lambda: len(process.tree()) == 2)
    below = process.tree()
    process.pause_tree()
    process.resume_tree()
    process.kill_tree9()
    assert not any(is_running(pid) for pid in [process.pid, *below])


def test_a_paused_program_is_ended_too(watched):
    process = watched.start(["sleep", "60"])
    process.pause()
    watched.end()
    assert process.returncode == -signal.SIGTERM


def test_logs_can_be_waited_for(watched):
    process = watched.start([SHELL, "-c", "echo ready on port 4711 >&2; read never"], stdin=subprocess.PIPE)
    assert process.wait_for_log(r"^ready on port (\d+)$")[1] == "4711"
    process.popen.stdin.close()
    with pytest.raises(EndedEarly, match="never logged 'something else'"):
        process.wait_for_log("something else")


def test_stop_wants_exit_status_0(watched):
    drains = watched.start([SHELL, "-c", "trap 'exit 0' TERM; echo up >&2; while :; do sleep 0.02; done"])
    drains.wait_for_log("up")
    drains.stop()
    fails = watched.start([SHELL, "-c", "trap 'exit 7' TERM; echo up >&2; while :; do sleep 0.02; done"])
    fails.wait_for_log("up")
    with pytest.raises(AssertionError, match="exit status 7 after SIGTERM"):
        fails.stop()


def test_a_planted_crash_fails_the_test_and_its_stderr_is_shown(tmp_path):
    """The same from further out: a test run of its own whose only test starts a program that crashes."""
    (tmp_path / "conftest.py").symlink_to(ROOT / "tests" / "conftest.py")
    (tmp_path / "test_planted.py").write_text(
        "def test_planted(processes):\n"
        "    processes.start(['/bin/sh', '-c', 'echo last words >&2; kill -ABRT $$']).wait()\n"
        "def test_healthy(processes):\n"
        "    processes.start(['/bin/sh', '-c', 'exit 0']).wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, "-c", "/dev/null", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert "sh-1 (pid" in done.stdout and "was ended by SIGABRT, which the test did not send" in done.stdout
    assert "last words" in done.stdout
    assert "2 passed, 1 error" in done.stdout


# The stack


def test_options_become_flags():
    options = {"max_attempts": 3, "json": True, "no_setup": False, "wait": None, "q": ["a", "b"]}
    assert flags_of(options) == ["--max-attempts", "3", "--json", "--q", "a", "--q", "b"]


def test_programs_are_found_wherever_the_build_puts_them(tmp_path):
    program = tmp_path / "consumer" / "daemon" / "millrace-worker"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    library = tmp_path / "examples" / "libgreet.so"
    library.parent.mkdir()
    library.touch()
    build = Build(tmp_path)
    assert (build.program("millrace-worker"), build.library("greet")) == (program, library)
    with pytest.raises(AssertionError, match="no millrace-scheduler under"):
        build.program("millrace-scheduler")


def test_programs_get_the_addresses_of_their_test(stack, kafka, redis_server, exec_log):
    show = 'echo "$MILLRACE_BROKERS $MILLRACE_REDIS $MILLRACE_PREFIX $MILLRACE_EXEC_LOG"; cat; exit 5'
    answer = stack.run(SHELL, "-c", show, input="in", check=False)
    assert answer.rc == 5
    assert answer.stdout == f"{kafka.brokers} {redis_server.url} {kafka.prefix} {exec_log.path}\nin"
    with pytest.raises(AssertionError, match="exit 5"):
        stack.run(SHELL, "-c", show)


# Waiting


def test_eventually_asks_again_until_it_is_so():
    answers = iter([0, None, "yes"])
    assert eventually(lambda: next(answers), every_s=0.001) == "yes"


def test_eventually_says_what_never_became_so():
    def condition():
        assert 1 == 2, "one is not two"

    with pytest.raises(AssertionError, match=r"not within 0.05 s: arithmetic \(one is not two"):
        eventually(condition, limit_s=0.05, what="arithmetic")


def test_stays_notices_a_change():
    answers = iter([True, True, False])
    with pytest.raises(AssertionError, match="ceased to hold: calm"):
        stays(lambda: next(answers), for_s=5, what="calm", every_s=0.001)
    assert stays(lambda: True, for_s=0.01)


# The shell scripts of this repository


def test_shell_scripts_pass_shellcheck():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed: tests/run installs it")
    scripts = ["tests/run", ".ci/run", "deploy/quickstart", *map(str, (ROOT / "deploy" / "lib").glob("*.sh"))]
    done = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_execution_log_file_is_there_from_the_start(tmp_path):
    assert ExecLog(tmp_path / "log").starts() == {}
