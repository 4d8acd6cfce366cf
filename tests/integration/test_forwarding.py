# SPDX-License-Identifier: Apache-2.0
"""No worker is idle while tasks wait: a hot partition, a full worker or long tasks delay nothing that another worker has a slot for."""

import time

import pytest

from support.waiting import eventually


def task(activity_id, sleep_ms, **fields):
    return {"activity_type": "scripted", "activity_id": activity_id, "input": {"sleep_ms": sleep_ms}, **fields}


@pytest.fixture
def two_workers(kafka, stack, exec_log):
    """Two workers of 4 slots that share 4 partitions, both warm; returns what publishes tasks into one partition."""
    kafka.create_topic("tasks.default", partitions=4)
    stack.scheduler()
    for _ in range(2):
        stack.scripted_worker(slots=4).wait_for_log("partitions assigned", 15)
    warm_up(kafka)


def warm_up(kafka):
    for partition in range(4):
        kafka.publish("default", task(f"warm{partition}", 0), partition=partition)
    kafka.results().await_keys([f"warm{partition}" for partition in range(4)])


def assert_each_ran_once(exec_log, keys):
    assert {key: exec_log.attempts(key) for key in keys if exec_log.attempts(key) != [1]} == {}


def settled(kafka):
    """Every record of the topic is committed by the group."""
    committed = kafka.committed(kafka.topic("workers.default"), "tasks.default")
    ends = kafka.ends("tasks.default")
    return all(committed.get(partition, 0) == end for partition, end in ends.items() if end > 0)


def hops_of(kafka, keys):
    """{task key: the hops of all its records, rising}."""
    found = {key: [] for key in keys}
    for record in kafka.read_all("tasks.default"):
        key = record.header("millrace-key") or record.fields()["activity_id"]
        if key in found:
            found[key].append(int(record.header("millrace-hops") or 0))
    return {key: sorted(hops) for key, hops in found.items()}


def test_16_tasks_of_3_s_in_one_partition_are_done_by_two_workers_of_4_slots_in_under_8_s(kafka, two_workers, exec_log):
    keys = [f"k{number}" for number in range(16)]
    began = time.monotonic()
    kafka.publish_all("default", [task(key, 3000) for key in keys], partition=0)

    found = kafka.results().await_keys(keys, limit_s=30)

    assert time.monotonic() - began < 8
    assert {results[0]["status"] for results in found.values()} == {"COMPLETED"}
    assert {results[0]["attempt"] for results in found.values()} == {1}
    assert len({results[0]["worker"] for results in found.values()}) == 2
    assert_each_ran_once(exec_log, keys)
    eventually(lambda: settled(kafka), 15, "all records are settled")


def test_200_tasks_in_one_partition_run_once_each_and_none_moves_more_than_3_times(kafka, two_workers, exec_log):
    keys = [f"k{number}" for number in range(200)]
    kafka.publish_all("default", [task(key, 20 + number % 100) for number, key in enumerate(keys)], partition=2)

    kafka.results().await_keys(keys, limit_s=45)

    assert_each_ran_once(exec_log, keys)
    hops = hops_of(kafka, keys)
    assert max(max(each) for each in hops.values()) <= 3
    assert any(each != [0] for each in hops.values()), "nothing was forwarded"
    assert {key: each for key, each in hops.items() if each != list(range(len(each)))} == {}, "a record was written twice"
    eventually(lambda: settled(kafka), 15, "all records are settled")


def test_a_second_attempt_that_is_forwarded_is_still_the_second(kafka, two_workers, exec_log):
    """Their first attempts fail together; the second ones come back while all 4 slots of one worker are taken."""
    policy = {"initial_interval_ms": 300, "backoff_coefficient": 1.0}
    keys = [f"k{number}" for number in range(12)]
    plan = {"fail_attempts": 1, "sleep_ms": 400, "heartbeats": ["half"], "result": "done"}
    kafka.publish_all("default", [{**task(key, 0, retry_policy=policy), "input": plan} for key in keys], partition=1)
    long = [f"long{number}" for number in range(4)]
    kafka.publish_all("default", [task(key, 3000) for key in long], partition=1)

    found = kafka.results().await_keys([*keys, *long], limit_s=40)

    assert {(found[key][0]["status"], found[key][0]["attempt"]) for key in keys} == {("COMPLETED", 2)}
    exec_log.assert_no_attempt_started_twice()
    assert {key: exec_log.attempts(key) for key in keys if exec_log.attempts(key) != [1, 2]} == {}


def test_tasks_of_a_type_at_its_limit_go_to_the_other_worker_too(kafka, stack, exec_log):
    kafka.create_topic("tasks.default", partitions=4)
    stack.scheduler()
    for _ in range(2):
        stack.scripted_worker(slots=4, flags=["--limit", "scripted=1"]).wait_for_log("partitions assigned", 15)
    warm_up(kafka)
    keys = [f"k{number}" for number in range(4)]
    began = time.monotonic()
    kafka.publish_all("default", [task(key, 1500) for key in keys], partition=3)

    found = kafka.results().await_keys(keys, limit_s=30)

    assert time.monotonic() - began < 4 * 1.5
    assert_each_ran_once(exec_log, keys)
    by_worker = {}
    for results in found.values():
        by_worker.setdefault(results[0]["worker"], []).append((results[0]["started_at_ms"], results[0]["closed_at_ms"]))
    assert len(by_worker) == 2
    for spans in by_worker.values():
        spans.sort()
        assert all(before[1] <= after[0] + 5 for before, after in zip(spans, spans[1:])), "two at once on one worker"
    assert max(max(each) for each in hops_of(kafka, keys).values()) == 1


def test_headers_and_place_of_a_forwarded_task_are_those_of_the_first_record(kafka, two_workers, exec_log):
    kafka.publish_all("default", [task(f"long{number}", 2500) for number in range(4)], partition=0)
    exec_log.await_starts(8)
    value = {"activity_type": "scripted", "input": {"result": "moved"}}
    place = kafka.publish("default", value, headers=[("tenant", b"t1")], partition=0)
    key = f"{place.topic}:{place.partition}:{place.offset}"

    result = kafka.results().await_one(key)

    assert (result["status"], result["result"], result["run_id"]) == ("COMPLETED", "moved", key)
    assert result.record.headers == {"tenant": b"t1"}
    moved = [record for record in kafka.read_all("tasks.default") if record.header("millrace-key") == key]
    assert [record.header("millrace-hops") for record in moved] == ["1"]
    assert moved[0].partition != 0
