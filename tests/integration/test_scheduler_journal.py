# SPDX-License-Identifier: Apache-2.0
"""The scheduler alone, between the journal and the task topics: what a worker writes is written by the test."""

import time

import pytest

from support.codec import encode
from support.waiting import eventually, stays

SHARDS = 16


def murmur2(data):
    """Kafka's default partitioner, from its description in Kafka's org.apache.kafka.common.utils.Utils."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return (h ^ (h >> 15)) & 0x7FFFFFFF


def shard_of(key):
    return murmur2(key.encode()) % SHARDS


def now_ms():
    return time.time_ns() // 1_000_000


class Journal:
    def __init__(self, kafka):
        self.kafka = kafka

    def backoff(self, key, attempt=2, due_in_ms=1000, task=None, **fields):
        """A worker's record that an attempt waits. Returns when it is due."""
        due_at_ms = now_ms() + due_in_ms
        record = {
            "kind": "BACKOFF",
            "task_key": key,
            "run_id": f"{key}-run",
            "epoch": 0,
            "attempt": attempt,
            "due_at_ms": due_at_ms,
            "record_id": "t:0:0",
            "topic": self.kafka.topic("tasks.default"),
            "task": task or f'{{"activity_type":"x","activity_id":"{key}"}}'.encode(),
            "task_record_key": key.encode(),
            "scheduled_at_ms": due_at_ms - due_in_ms,
            **fields,
        }
        self.kafka.produce("journal", encode("journal", record), key=key, partition=shard_of(key))
        return due_at_ms

    def dispatched(self):
        """Attempts that the scheduler has written, by (task key, attempt)."""
        found = {}
        for record in self.kafka.read_all("tasks.default"):
            found.setdefault((record.header("millrace-key"), int(record.header("millrace-attempt"))), []).append(record)
        return found

    def await_dispatched(self, keys, limit_s=30):
        def all_there():
            found = self.dispatched()
            missing = [key for key in keys if key not in found]
            assert not missing, f"{len(missing)} of {len(keys)} were not dispatched, such as {missing[:3]}"
            return found

        return eventually(all_there, limit_s, "attempts are dispatched", every_s=0.1)

    def result(self, key):
        """A worker's result."""
        value = {
            "task_key": key,
            "activity_id": key,
            "run_id": f"{key}-run",
            "activity_type": "x",
            "queue": "default",
            "status": "COMPLETED",
            "attempt": 1,
            "scheduled_at_ms": now_ms(),
            "started_at_ms": now_ms(),
            "closed_at_ms": now_ms(),
            "result_id": f"{key}-result",
            "worker": "w",
        }
        self.kafka.produce("results", value, key=key, partition=shard_of(key))


@pytest.fixture
def journal(kafka):
    kafka.create_topic("tasks.default", partitions=4, config={"message.timestamp.type": "LogAppendTime"})
    return Journal(kafka)


def await_ready(scheduler):
    eventually(lambda: scheduler.stderr.count("shard recovered") + scheduler.stderr.count("shard ready") >= SHARDS, 30, "all shards ready")


@pytest.fixture
def scheduler(stack, journal):
    running = stack.scheduler()
    await_ready(running)
    return running


def test_an_attempt_is_dispatched_when_it_is_due_and_not_before(journal, scheduler):
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=500 + 100 * i) for i in range(20)}

    found = journal.await_dispatched(due)

    late_ms = sorted(found[key][0].timestamp_ms - due_at_ms for key, due_at_ms in due.items())
    assert late_ms[0] >= 0
    assert all(len(records) == 1 for records in found.values())
    assert late_ms[len(late_ms) // 2] <= 10


def test_the_record_is_the_task_with_the_users_headers_and_the_reserved_ones(journal, scheduler):
    failure = {"attempt": 1, "started_at_ms": 1, "failed_at_ms": 2, "failure": {"type": "Boom", "message": "no"}}
    task = b'{ "activity_type" : "x" }'
    journal.backoff("k", task=task, headers=[{"name": b"tenant", "value": b"t1"}], failures=[failure])

    (record,) = journal.await_dispatched([("k", 2)])["k", 2]

    assert record.value == task
    assert record.key == b"k"
    assert record.header("tenant") == "t1"
    assert record.header("millrace-run") == "k-run"
    assert "millrace-history" in record.headers


def test_a_record_that_is_no_longer_in_memory_is_read_again(journal, scheduler, stack, redis):
    """The scheduler that dispatches is not the one that applied."""
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=4000) for i in range(50)}
    eventually(lambda: waiting(redis) == 50, 10, "all are in the timer sets")
    scheduler.stop()

    stack.scheduler()

    found = journal.await_dispatched(due)
    assert all(len(records) == 1 for records in found.values())


def test_a_record_that_is_no_longer_in_memory_is_read_before_it_is_due(journal, scheduler, stack, redis):
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=12_000) for i in range(50)}
    eventually(lambda: waiting(redis) == 50, 10, "all are in the timer sets")
    scheduler.stop()
    second = stack.scheduler()

    found = journal.await_dispatched(due)

    assert all(found[key][0].timestamp_ms >= due_at_ms for key, due_at_ms in due.items())
    second.stop()
    second.wait_for_log("scheduler ended .*from_memory=50 read_when_due=0 ")


def waiting(redis):
    """How many attempts the timer sets hold."""
    return sum(redis.zcard(name) for name in redis.scan_iter("*}b"))


def test_large_and_small_inputs_wait_alike(journal, scheduler):
    large = b'{"activity_type":"x","input":"' + b"y" * 900_000 + b'"}'
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=3000, task=large) for i in range(40)}
    due |= {(f"s{i}", 2): journal.backoff(f"s{i}", due_in_ms=3000) for i in range(40)}

    found = journal.await_dispatched(due, limit_s=50)

    assert all(found[key][0].timestamp_ms >= due_at_ms for key, due_at_ms in due.items())
    assert all(len(records) == 1 for records in found.values())


def test_waiting_attempts_survive_a_flushall(journal, scheduler, redis_server):
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=6000) for i in range(50)}

    redis_server.flushall()

    found = journal.await_dispatched(due)
    assert all(found[key][0].timestamp_ms >= due_at_ms for key, due_at_ms in due.items())


def test_waiting_attempts_survive_the_death_of_redis(journal, scheduler, redis_server):
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=2000) for i in range(50)}

    redis_server.kill9()
    stays(lambda: scheduler.alive, 3, "the scheduler waits for Redis")
    redis_server.dump.unlink(missing_ok=True)
    redis_server.start()

    journal.await_dispatched(due)


def test_results_are_restored_before_attempts_are_looked_at(journal, kafka, stack):
    """A finished task whose old journal record is still there is not dispatched; its record is removed."""
    for name in ("journal", "control", "results"):
        kafka.create_topic(name, partitions=SHARDS)
    journal.backoff("done", due_in_ms=0)
    journal.backoff("open", due_in_ms=0)
    journal.result("done")

    stack.scheduler()

    found = journal.await_dispatched([("open", 2)])
    assert ("done", 2) not in found
    eventually(lambda: [r.key for r in kafka.read_all("journal") if r.value is None] == [b"done"], 10, "a tombstone")


def test_a_second_scheduler_shares_the_shards_and_takes_all_when_the_first_is_killed(journal, scheduler, stack, redis):
    second = stack.scheduler()
    second.wait_for_log("shards assigned shards=8", 20)
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=2000) for i in range(40)}
    eventually(lambda: waiting(redis) == 40, 10, "all are in the timer sets")

    scheduler.kill9()

    found = journal.await_dispatched(due)
    assert all(len(records) == 1 for records in found.values())


def test_an_orderly_end_hands_over_at_once(journal, scheduler, stack):
    second = stack.scheduler()
    second.wait_for_log("shards assigned shards=8", 20)

    scheduler.stop()

    second.wait_for_log("shards assigned shards=16", 3)


def test_kafka_away_for_a_while_delays_and_loses_nothing(own_kafka, journal, scheduler):
    due = {(f"k{i}", 2): journal.backoff(f"k{i}", due_in_ms=3000) for i in range(20)}

    own_kafka.pause()
    stays(lambda: scheduler.alive, 5, "the scheduler waits for Kafka")
    own_kafka.cont()

    found = journal.await_dispatched(due)
    assert all(found[key][0].timestamp_ms >= due_at_ms for key, due_at_ms in due.items())


def test_a_missing_kafka_or_redis_is_waited_for_and_said(stack, kafka, redis_server):
    redis_server.kill9()
    scheduler = stack.scheduler()
    scheduler.wait_for_log("waiting for a service service=Redis", 20)

    redis_server.start()

    scheduler.wait_for_log("shard recovered", 20)
