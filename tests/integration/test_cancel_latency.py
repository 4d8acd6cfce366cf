# SPDX-License-Identifier: Apache-2.0
"""How soon a running attempt hears of a cancel; it never beats, so that nothing but the command can tell it."""

CANCELS = 60


def test_most_attempts_are_told_of_a_cancel_within_100_ms(kafka, stack, exec_log):
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["test_activities"], slots=CANCELS).wait_for_log("all shards are ready", 20)
    keys = [f"k{number}" for number in range(CANCELS)]
    plan = {"ms": 60000, "on_cancel": "canceled"}
    kafka.publish_all("default", [{"activity_type": "actor", "activity_id": key, "input": plan} for key in keys])
    exec_log.await_starts(CANCELS)
    for key in keys:
        kafka.control("CANCEL", key)
    found = kafka.results().await_keys(keys)
    assert {results[0]["status"] for results in found.values()} == {"CANCELED"}
    sent = {record.key.decode(): record.timestamp_ms for record in kafka.read_all("control")}
    late_ms = sorted(exec_log.await_event("told_cancel", key)["at_ms"] - sent[key] for key in keys)
    assert late_ms[CANCELS * 9 // 10] <= 100, f"on a quiet machine 99 of 100: {late_ms}"
