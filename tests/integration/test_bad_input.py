# SPDX-License-Identifier: Apache-2.0
"""What is wrong is told to the one who caused it, and a good task right behind it completes at once."""

import os
import socket

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from support.codec import MARK, encode
from support.ports import HOST, free_port

AT_ONCE_MS = 3000  # a second is usual with sanitizers; waiting for a timeout, a retry or a lease takes longer

GOOD_AVRO = encode("task", {"activity_type": "scripted", "activity_id": "avro"})


@pytest.fixture
def running(stack, kafka):
    """One partition, so that what is published next is behind what was published before."""
    stack.setup(partitions=1)
    stack.scheduler()
    worker = stack.scripted_worker(slots=2)
    complete_at_once(kafka, "first", within_ms=30_000)
    return worker


def complete_at_once(kafka, key, within_ms=AT_ONCE_MS):
    place = kafka.publish("default", {"activity_type": "scripted", "activity_id": key})
    result = kafka.results().await_one(key)
    published_ms = next(record for record in kafka.read_all("tasks.default") if record.offset == place.offset).timestamp_ms
    assert result["status"] == "COMPLETED"
    assert result.record.timestamp_ms - published_ms <= within_ms
    return place


def with_field(name, json_value, activity_id="x"):
    return f'{{"activity_type":"scripted","activity_id":"{activity_id}","{name}":{json_value}}}'


BAD_RECORDS = [
    ("near miss", with_field("start_to_close_timeout", 5), "unknown field start_to_close_timeout; did you mean start_to_close_timeout_ms"),
    ("near miss inside", with_field("retry_policy", '{"max_attempts":3}'), "did you mean maximum_attempts"),
    ("unknown field", with_field("colour", '"red"'), "unknown field colour"),
    ("wrong type", with_field("heartbeat_timeout_ms", '"5s"'), "heartbeat_timeout_ms"),
    ("fraction", with_field("start_delay_ms", 1.5), "start_delay_ms"),
    ("out of range", with_field("priority", 9), "priority must be an integer from 1 to 5, got 9"),
    ("negative", with_field("schedule_to_close_timeout_ms", -1), "schedule_to_close_timeout_ms must be from 0"),
    ("beyond int64", with_field("start_delay_ms", "9" * 30), "start_delay_ms"),
    ("given twice", with_field("activity_type", '"other"'), "activity_type"),
    ("two inputs", with_field("input", '1,"input_base64":"aGk="'), "input"),
    ("no base64", with_field("input_base64", '"!!!"'), "input_base64"),
    ("no type", '{"activity_id":"x"}', "activity_type is required"),
    ("workflow alone", '{"activity_type":"scripted","workflow_id":"w"}', "activity_id is required where workflow_id is given"),
    ("long id", with_field("run_id", f'"{"r" * 256}"'), "run_id must have 1 to 255 bytes, got 256"),
    ("long activity id", '{"activity_type":"scripted","activity_id":"%s"}' % ("i" * 100_000), "activity_id must have 1 to 255 bytes"),
    ("long type", '{"activity_type":"%s"}' % ("t" * 256), "activity_type must have 1 to 255 bytes"),
    ("empty id", '{"activity_type":"scripted","activity_id":""}', "activity_id must have 1 to 255 bytes, got 0"),
    ("control character", '{"activity_type":"scripted","activity_id":"a\\u0000b"}', "activity_id"),
    ("no UTF-8", b'{"activity_type":"scripted","activity_id":"\xff\xfe"}', "UTF-8"),
    ("topic name", with_field("reply_topic", '"no/topic"'), "reply_topic must be the name of a Kafka topic"),
    ("broken JSON", '{"activity_type":"scripted",', "JSON"),
    ("text behind JSON", '{"activity_type":"scripted"} {}', "JSON"),
    ("deep input", with_field("input", "[" * 100_000 + "]" * 100_000), "deep"),
    ("deep field", with_field("retry_policy", '{"a":' * 100_000 + "1" + "}" * 100_000), "deep"),
    ("unclosed depth", '{"activity_type":' + "[" * 100_000, "deep"),
    ("JSON array", "[1]", "{"),
    ("text", "hello", "{"),
    ("empty value", b"", "the value is empty"),
    ("tombstone", None, "no value"),
    ("Avro cut", GOOD_AVRO[:-1], "Avro"),
    ("Avro mark only", MARK, "Avro"),
    ("Avro fingerprint", MARK + b"\0" * 8 + GOOD_AVRO[10:], "0000000000000000"),
    ("Avro with more behind", GOOD_AVRO + b"\0", "1 bytes behind the end"),
    ("Avro length beyond the end", GOOD_AVRO[:10] + b"\xfe\xff\xff\xff\x0f", "activity_type"),
]


def test_every_bad_record_is_a_dead_letter_that_says_why_and_the_good_task_behind_it_completes_at_once(kafka, running):
    wanted = {}
    for number, (name, value, reason) in enumerate(BAD_RECORDS):
        place = kafka.publish("default", value)
        wanted[place.offset] = (name, value, reason)
        if number % 6 == 0:
            complete_at_once(kafka, f"good{number}")
    complete_at_once(kafka, "last")

    letters = {int(letter.header("millrace-offset")): letter for letter in kafka.await_dead(len(BAD_RECORDS))}

    wrong = []
    for offset, (name, value, reason) in wanted.items():
        letter = letters[offset]
        unchanged = value.encode() if isinstance(value, str) else value
        if reason not in letter.header("millrace-reason") or (letter.value or b"") != (unchanged or b""):
            wrong.append((name, letter.header("millrace-reason")))
        assert "\n" not in letter.header("millrace-reason") and len(letter.header("millrace-reason")) < 500
    assert not wrong
    assert len(letters) == len(BAD_RECORDS)
    assert running.alive


def test_a_bad_task_with_a_readable_key_is_answered_with_the_same_reason(kafka, running):
    kafka.publish("default", with_field("priority", 9, "urgent"))
    complete_at_once(kafka, "behind")

    answer = kafka.results().await_one("urgent")

    assert (answer["status"], answer["failure"]["type"], answer["failure"]["non_retryable"]) == ("FAILED", "BadTask", True)
    assert answer["failure"]["message"] == kafka.await_dead(1)[0].header("millrace-reason")


def set_topic(kafka, name, **settings):
    entries = [ConfigEntry(key, str(value), incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()]
    resource = ConfigResource(ResourceType.TOPIC, kafka.topic(name), incremental_configs=entries)
    kafka.admin.incremental_alter_configs([resource])[resource].result(15)


def large(activity_id, input_bytes):
    return '{"activity_type":"scripted","activity_id":"%s","input":{"pad":"%s"}}' % (activity_id, "p" * input_bytes)


def test_an_input_just_below_1_mib_is_executed_and_a_larger_record_is_refused_to_the_publisher(kafka, running):
    kafka.publish("default", large("just", 1_048_000))
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        kafka.publish("default", large("over", 1_100_000))
    complete_at_once(kafka, "behind")

    assert kafka.results().await_one("just")["status"] == "COMPLETED"


def test_inputs_above_the_limit_in_a_topic_that_takes_them_are_dead_letters(kafka, running):
    set_topic(kafka, "tasks.default", **{"max.message.bytes": 2_900_000})
    for size in (1_500_000, 2_800_000):
        kafka.publish("default", large(f"large{size}", size))
        complete_at_once(kafka, f"behind{size}")

    letters = kafka.await_dead(2)

    assert all("1048576" in letter.header("millrace-reason") for letter in letters)
    for size in (1_500_000, 2_800_000):
        answer = kafka.results().await_one(f"large{size}")
        assert (answer["status"], answer["failure"]["type"]) == ("FAILED", "BadTask")


def test_an_unknown_type_is_retried_for_a_worker_that_has_it_and_holds_nobody_up(kafka, running):
    kafka.publish("default", {"activity_type": "scriptd", "activity_id": "typo", "retry_policy": {"maximum_attempts": 2}})
    complete_at_once(kafka, "behind")

    answer = kafka.results().await_one("typo")

    assert (answer["status"], answer["attempt"], answer["failure"]["type"]) == ("FAILED", 2, "NotFound")
    assert "scriptd" in answer["failure"]["message"] and "scripted" in answer["failure"]["message"]


def test_each_attempt_of_a_type_that_a_worker_does_not_know_goes_to_another_partition(kafka, stack):
    stack.setup(partitions=3)
    stack.scheduler()
    stack.scripted_worker()
    policy = {"maximum_attempts": 5, "initial_interval_ms": 20, "backoff_coefficient": 1.0}
    kafka.publish("default", {"activity_type": "scriptd", "activity_id": "typo", "retry_policy": policy})

    kafka.results().await_one("typo")

    republished = {record.header("millrace-attempt"): record.partition for record in kafka.read_all("tasks.default")}
    assert sorted(republished[attempt] for attempt in "345") == [0, 1, 2]


@pytest.mark.parametrize(
    "begin, named",
    [
        (b"#!/nonexistent/interpreter\n", "No such file"),
        (b"\x7fELF is what it says and not what it is", "Exec format error"),
    ],
)
def test_a_program_that_cannot_be_executed_fails_its_tasks_and_no_others(kafka, stack, tmp_path, begin, named):
    program = tmp_path / "broken"
    program.write_bytes(begin)
    program.chmod(0o755)
    stack.setup(partitions=1)
    stack.scheduler()
    stack.scripted_worker(execs={"broken": program})
    complete_at_once(kafka, "first", within_ms=30_000)
    kafka.publish("default", {"activity_type": "broken", "activity_id": "b", "retry_policy": {"maximum_attempts": 1}})
    complete_at_once(kafka, "behind")

    answer = kafka.results().await_one("b")

    assert (answer["status"], answer["attempt"]) == ("FAILED", 1)
    assert named in answer["failure"]["message"] and str(program) in answer["failure"]["message"]


# Programs that are started in a wrong way: one line and an exit status


def refused(answer, *named, rc=2):
    assert (answer.rc, answer.stdout) == (rc, "")
    assert answer.stderr.count("\n") == 1, answer.stderr
    for part in named:
        assert part in answer.stderr, answer.stderr


def worker_with(stack, library, **how):
    return stack.run(stack.build.program("millrace-worker"), "-q", "default", "--activity-lib", library, check=False, **how)


@pytest.mark.parametrize(
    "name, words",
    [
        ("test_library_plain", "lacks the symbol mr_abi_version"),
        ("test_library_old", "was built for version 0 of worker.h"),
        ("test_library_crash", "died of SIGSEGV"),
        ("test_library_exit", "exit status 5"),
        ("test_library_refuse", "mr_activities returned"),
        ("test_library_twice", "registered already"),
    ],
)
def test_a_shared_object_that_is_no_library_of_activities_is_refused_at_start(stack, build, name, words):
    library = build.library(name)

    refused(worker_with(stack, library), str(library), words)


def test_a_file_that_is_no_shared_object_is_refused_at_start(stack, tmp_path):
    (tmp_path / "text.so").write_text("#!/bin/sh\n")

    refused(worker_with(stack, tmp_path / "text.so"), "text.so", "cannot be loaded")
    refused(worker_with(stack, tmp_path), str(tmp_path))


def test_an_unreadable_shared_object_is_refused_at_start(stack, build, tmp_path):
    library = tmp_path / "secret.so"
    library.write_bytes(build.library("test_activities").read_bytes())
    library.chmod(0)
    words = [build.program("millrace-worker"), "-q", "default", "--activity-lib", library]
    if os.geteuid() == 0:  # who may read everything, unless it gives that up
        words = ["/usr/bin/setpriv", "--bounding-set", "-dac_override,-dac_read_search", *words]

    refused(stack.run(*words, check=False), "secret.so", "Permission denied")


DAEMONS = {"millrace-scheduler": [], "millrace-worker": ["-q", "default", "--exec", "a=/bin/true"]}
PROGRAMS = {**DAEMONS, "millrace": ["setup"]}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    "words, named",
    [
        (["--broker", "x"], "--brokers"),
        (["--log-level", "loud"], "--log-level"),
        (["--redis", "http://x"], "--redis"),
        (["--config", "/nonexistent"], "/nonexistent"),
        (["-X", "acks.all=1"], "acks.all"),
        (["--prefix", "no/prefix"], "prefix"),
        (["surplus"], "surplus"),
    ],
)
def test_a_wrong_flag_of_any_program_is_one_line_that_names_it(stack, program, words, named):
    refused(stack.run(stack.build.program(program), *PROGRAMS[program], *words, check=False), program, named)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    "text, named",
    [
        ("broker = x\n", ["broker", "did you mean brokers", "2"]),
        ("log-level = loud\n", ["log-level", "loud", "2"]),
        ("no setting at all\n", ["2"]),
    ],
)
def test_a_wrong_line_of_a_configuration_file_is_named_with_its_number(stack, tmp_path, program, text, named):
    (tmp_path / "conf").write_text(f"# a comment\n{text}")

    answer = stack.run(stack.build.program(program), *PROGRAMS[program], "--config", tmp_path / "conf", check=False)

    refused(answer, program, "conf", *named)


@pytest.mark.parametrize("program", DAEMONS)
def test_a_redis_that_may_drop_tasks_is_refused_at_start(stack, kafka, redis, program):
    stack.setup()
    redis.config_set("maxmemory-policy", "allkeys-lru")

    answer = stack.run(stack.build.program(program), *DAEMONS[program], check=False)

    assert answer.rc == 2
    assert answer.stderr.splitlines()[-1].endswith("maxmemory-policy is allkeys-lru, so that Redis may drop tasks; expected noeviction")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_journal_with_another_partition_count_than_results_is_refused(stack, kafka, program):
    kafka.create_topic("journal", partitions=4)
    kafka.create_topic("results", partitions=8)

    answer = stack.run(stack.build.program(program), *PROGRAMS[program], check=False)

    assert answer.rc == 2
    line = answer.stderr.splitlines()[-1]
    assert f"{kafka.prefix}journal" in line and "4" in line and "8" in line


@pytest.mark.parametrize("flag, other", [("--port", "--redis-port"), ("--redis-port", "--port")])
def test_a_taken_port_of_dev_is_named_with_the_flag_that_chooses_another(stack, flag, other):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]

        refused(stack.cli("dev", flag, port, other, free_port(), check=False), flag, str(port), "in use")


def test_dev_with_a_kafka_that_is_not_there_is_6(stack):
    nobody = f"{HOST}:{free_port()}"

    answer = stack.cli("dev", "--kafka", "--brokers", nobody, "--redis-port", free_port(), check=False)

    assert (answer.rc, answer.stdout) == (6, "")
    assert nobody in answer.stderr


# Services that are missing: daemons wait and say so


def test_a_scheduler_without_kafka_says_what_it_waits_for_and_ends_when_told(stack):
    nobody = f"{HOST}:{free_port()}"
    scheduler = stack.scheduler(brokers=nobody)

    scheduler.wait_for_log(f"waiting for a service.*Kafka.*{nobody}", 20)

    scheduler.stop()


def test_a_worker_whose_redis_goes_away_says_so_and_goes_on_when_it_is_back(kafka, running, redis_server):
    redis_server.kill9()
    kafka.publish("default", {"activity_type": "scripted", "activity_id": "meanwhile"})
    running.wait_for_log("(?i)redis", 20)

    redis_server.start()

    assert kafka.results().await_one("meanwhile", limit_s=40)["status"] == "COMPLETED"
    assert running.alive
    complete_at_once(kafka, "behind")
