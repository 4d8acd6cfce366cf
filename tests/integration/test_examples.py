# SPDX-License-Identifier: Apache-2.0
"""The examples do what examples/README.md says."""
import json
import os
import shlex
import zlib

import pytest

from support.waiting import eventually

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def activities(build):
    return str(build.library("example_activities"))


def test_greet_echo_and_the_programs_give_the_documented_results(kafka, stack, activities):
    stack.setup()
    stack.scheduler()
    execs = {"word_count": f"{ROOT}/examples/exec/word_count.py", "disk_usage": f"{ROOT}/examples/exec/disk_usage.sh"}
    stack.worker(libs=[activities], execs=execs)
    inputs = {"greet": "Ada", "echo": {"a": 1}, "word_count": "one two\nthree", "disk_usage": f"{ROOT}/examples"}
    for name, value in inputs.items():
        kafka.publish("default", {"activity_type": name, "activity_id": name, "input": value})

    results = {key: found[-1] for key, found in kafka.results().await_keys(list(inputs)).items()}

    assert results["greet"]["result"] == "Hello, Ada"
    assert results["echo"]["result"] == {"a": 1}
    assert results["word_count"]["result"] == {"words": 3, "lines": 2}
    assert results["disk_usage"]["result"]["kib"] > 0


def test_a_large_file_is_processed_in_chunks(kafka, stack, activities, tmp_path):
    data = b"a line\n" * 10000
    (tmp_path / "large").write_bytes(data)
    stack.setup()
    stack.scheduler()
    stack.worker(libs=[activities])
    task_input = {"path": str(tmp_path / "large"), "chunk_bytes": 1000}
    kafka.publish("default", {"activity_type": "process_large_file", "activity_id": "file", "input": task_input})

    assert kafka.results().await_one("file")["result"] == {"lines": 10000, "bytes": len(data), "crc32": zlib.crc32(data)}


def test_an_approval_waits_for_a_person_who_types_what_the_note_says(kafka, stack, activities, tmp_path):
    inbox = tmp_path / "inbox"
    stack.setup()
    stack.scheduler()
    stack.worker(libs=[activities], slots=1, env={"MILLRACE_EXAMPLE_INBOX": str(inbox)})
    ask = {"activity_type": "ask_approval", "workflow_id": "order-17", "activity_id": "approval"}
    kafka.publish("default", {**ask, "input": {"what": "refund of order 17", "cents": 50000}})
    eventually(inbox.exists, 20, "the note is there")
    question, yes, no = inbox.read_text().splitlines()
    assert question == "refund of order 17, 500.00?"
    # The one slot is free meanwhile.
    kafka.publish("default", {**ask, "activity_id": "small", "input": {"what": "a stamp", "cents": 85}})
    assert kafka.results().await_one("order-17/small")["result"] == {"approved": True}

    words = shlex.split(no.split(":", 1)[1])
    assert yes.startswith("  yes: millrace complete") and words[0] == "millrace"
    # Where the note came before its attempt was known to wait, the command has no effect yet.
    eventually(lambda: json.loads(stack.cli("describe", "order-17/approval", json=True).stdout).get("pending"), 10, "it waits")
    stack.cli(*words[1:])

    assert kafka.results().await_one("order-17/approval")["result"] == {"approved": False}


def test_a_card_is_charged_once_at_the_third_attempt_when_payment_is_down(kafka, stack, activities, build, processes, tmp_path):
    socket, folder = str(tmp_path / "s"), tmp_path / "effects"
    services = processes.start([str(build.program("order-services")), socket, str(folder), "2000"])
    stack.setup()
    stack.scheduler()
    stack.worker(libs=[activities], env={"MILLRACE_EXAMPLE_SOCKET": socket})
    kafka.publish("default", {"activity_type": "charge_card", "workflow_id": "order-1", "activity_id": "charge"})

    result = kafka.results().await_one("order-1/charge")

    assert (result["status"], result["attempt"]) == ("COMPLETED", 3)
    assert os.listdir(folder) == ["charge.order-1:charge"]
    services.sigterm()
    services.wait()
