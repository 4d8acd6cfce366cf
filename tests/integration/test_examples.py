# SPDX-License-Identifier: Apache-2.0
"""The examples do what examples/README.md says."""
import os
import zlib

import pytest

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
