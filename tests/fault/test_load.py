# SPDX-License-Identifier: Apache-2.0
"""Client, worker with threads, and scheduler busy at once: what the sanitizers look at in their builds, and what it comes to in all."""

import collections
import json

import pytest

from support.waiting import eventually

PER_S, SECONDS, WARM_UP_S = 2000, 10, 1
FLAKY = 400


@pytest.mark.timeout(240)
def test_20000_tasks_of_one_client_beside_retries_and_bad_records_are_all_answered(kafka, stack, build, tmp_path):
    stack.setup()
    scheduler = stack.scheduler()
    worker = stack.worker(slots=4, isolation="thread", libs=["test_activities"])
    flaky = {
        "activity_type": "fail_n_times",
        "retry_policy": {"initial_interval_ms": 20, "backoff_coefficient": 1.0},
    }
    kafka.publish_all(
        "default",
        [
            json.dumps({**flaky, "activity_id": f"f{number}", "input": {"file": f"{tmp_path}/{number}", "times": 2}})
            if number % 2
            else f'{{"activity_type":"noop","activity_id":"b{number}","priority":0}}'
            for number in range(2 * FLAKY)
        ],
    )

    stack.run(build.program("latency"), stack.brokers, stack.prefix, PER_S, SECONDS, WARM_UP_S, limit_s=150)

    many = PER_S * (SECONDS + WARM_UP_S) + 1  # one before all others, alone
    eventually(lambda: len(kafka.results().by_key()) >= many + 2 * FLAKY, 40, "all are answered", every_s=0.5)
    kinds = collections.Counter((first["status"], first["attempt"]) for first, *_ in kafka.results().by_key().values())
    assert kinds == {("COMPLETED", 1): many, ("COMPLETED", 3): FLAKY, ("FAILED", 1): FLAKY}
    assert len(kafka.dead()) == FLAKY
    worker.stop()
    scheduler.stop()
