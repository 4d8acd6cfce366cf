# SPDX-License-Identifier: Apache-2.0
"""Programs in other languages (examples/clients, examples/workflows) publish tasks and read results with their own libraries."""

import concurrent.futures
import fcntl
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys

import pytest

from support.ports import HOST, free_port
from support.stack import ROOT
from support.waiting import eventually

EXAMPLES = ROOT / "examples"
PREPARED = ROOT / "build"  # each lies as deep as in examples/, so that it finds the schemas
LANGUAGES = ["python", "node", "go", "java"]

GET_LIBRARIES = {  # what the head of each program says, but for `go run`, which is in two steps here
    "clients/python": None,  # the tests have them
    "clients/node": ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"],
    "clients/go": ["go", "build", "-o", "program", "."],
    "clients/java": ["mvn", "-B", "-q", "dependency:copy-dependencies"],
    "workflows/python": None,
    "workflows/go": ["go", "build", "-o", "program", "."],
}
RUN = {  # {0}: the folder
    "clients/python": [sys.executable, "{0}/client.py"],
    "clients/node": ["node", "{0}/client.js"],
    "clients/go": ["{0}/program", "--schemas", f"{ROOT}/schemas"],
    "clients/java": ["java", "-XX:TieredStopAtLevel=1", "-cp", "{0}/target/dependency/*", "{0}/Client.java", "--schemas", f"{ROOT}/schemas"],
    "workflows/python": [sys.executable, "{0}/order.py"],
    "workflows/go": ["{0}/program"],
}


def prepare(name):
    """A folder with the program and its libraries, made once for each state of the sources. Returns it."""
    source, folder = EXAMPLES / name, PREPARED / name
    files = sorted(path for path in source.iterdir() if path.is_file())
    wanted = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()
    stamp = folder.parent / f"{folder.name}.stamp"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return folder
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "target"))
        if GET_LIBRARIES[name]:
            env = {**os.environ, "CGO_ENABLED": "0"}
            how = {"cwd": folder, "env": env, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 240}
            done = subprocess.run(GET_LIBRARIES[name], **how)
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        stamp.write_text(wanted)
    return folder


@pytest.fixture(scope="module")
def prepared():
    """{name: its folder} of all programs. The languages at once: some wait for a registry, some compile; within one they share."""

    def prepare_language(language):
        return {name: prepare(name) for name in RUN if name.endswith(f"/{language}")}

    with concurrent.futures.ThreadPoolExecutor() as threads:
        return {name: folder for each in threads.map(prepare_language, LANGUAGES) for name, folder in each.items()}


@pytest.fixture(scope="module")
def shop(shared_by_file):
    """A stack with the example activities; the payment service is down at first."""
    stack, folder = shared_by_file.stack, shared_by_file.processes.folder
    socket, effects = str(folder / "s"), folder / "effects"
    stack.start("order-services", socket, str(effects), "1000")
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["example_activities"], env={"MILLRACE_EXAMPLE_SOCKET": socket}).wait_for_log("all shards are ready", 30)
    shared_by_file.kafka.ends("results")  # its partitions have leaders, which takes a moment
    stack.effects_of = lambda order: {path.name: path.read_text().split("\n")[:-1] for path in effects.glob(f"*.{order}:*")}
    return stack


@pytest.fixture
def start(prepared, shop, shared):
    """start(NAME, ARGUMENT...) starts examples/NAME as a process."""

    def start(name, *words, env=None):
        argv = [word.format(prepared[name]) for word in RUN[name]]
        return shop.processes.start([*argv, *words], name=name.replace("/", "-"), env={**shop.env, **(env or {})})

    return start


@pytest.mark.timeout(300)  # the first one prepares all
def test_a_client_publishes_both_encodings_and_gets_both_results(start, shared):
    sent = {"text": "Zoë → 東京 \"quoted\" 100%", "numbers": [1, -2.5, 9007199254740991], "nothing": None}
    words = ["--type", "echo", "--input", json.dumps(sent, ensure_ascii=False)]
    clients = {language: start(f"clients/{language}", "--id", f"{language} größe 50%/Ж", *words) for language in LANGUAGES}

    for language, client in clients.items():
        assert client.wait(60) == 0, language
        key = f"{language} größe 50%25%2FЖ"
        lines = [line.split(" COMPLETED ") for line in client.stdout.splitlines()]
        assert [head for head, _ in lines] == [f"avro {key}/echo%2Favro", f"json {key}/echo%2Fjson"]
        assert [json.loads(result) for _, result in lines] == [sent, sent], language
        on_the_wire = {record.key.decode(): record for record in shared.kafka.read_all("results")}
        assert on_the_wire[f"{key}/echo%2Favro"].value[:2] == b"\xc3\x01"
        assert on_the_wire[f"{key}/echo%2Fjson"].fields()["result"] == sent
        described = json.loads(shared.stack.cli("describe", f"{key}/echo%2Favro", json=True).stdout)["result"]
        assert (described["workflow_id"], described["activity_id"]) == (f"{language} größe 50%/Ж", "echo/avro")


@pytest.mark.timeout(300)  # the first one prepares all
def test_a_client_tells_why_an_activity_failed(start):
    words = ["--type", "process_large_file", "--input", '{"path":"/no/such/file"}']
    clients = {language: start(f"clients/{language}", "--id", f"{language}-fails", *words) for language in LANGUAGES}

    for language, client in clients.items():
        assert client.wait(60) == 1, language
        assert client.stdout.splitlines() == [
            f"{encoding} {language}-fails/process_large_file%2F{encoding} FAILED OpenFailed: /no/such/file: No such file or directory"
            for encoding in ("avro", "json")
        ]


@pytest.mark.timeout(300)  # the first one prepares all
def test_a_client_that_cannot_do_it_says_what_is_wrong_and_exits_as_millrace_execute_does(start):
    nobody = f"{HOST}:{free_port()}"
    lost = [start(f"clients/{language}", "--brokers", nobody) for language in LANGUAGES]
    wrong = [start(f"clients/{language}", "--input", "{not JSON") for language in LANGUAGES]
    unheard = [start(f"clients/{language}", "--type", "no_such_activity", "--wait", "2") for language in LANGUAGES]

    assert [client.wait(90) for client in lost] == [6] * 4
    assert ["--brokers, MILLRACE_BROKERS" in client.stderr for client in lost] == [True] * 4
    assert [client.wait(60) for client in wrong] == [2] * 4
    assert all(client.stderr for client in wrong)
    assert [client.wait(60) for client in unheard] == [5] * 4
    assert ["no result of" in client.stderr for client in unheard] == [True] * 4


STEPS = {"charge_card": "charge", "update_inventory": "reserve", "send_confirmation": "mail", "arrange_shipment": "ship"}


@pytest.mark.timeout(300)  # the first one prepares all
@pytest.mark.parametrize("language", ["python", "go"])
def test_a_workflow_that_is_killed_again_and_again_does_nothing_twice(start, shop, language):
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    order = f"order-{language}-{seed}"  # in the output of a failure, so that it can be tried again
    for step in sorted(moments.choices(list(STEPS), k=4), key=list(STEPS).index):
        workflow = start(f"workflows/{language}", order)
        shown = f"{step}: " + ("" if moments.random() < 0.5 else "{")  # before its result is known, or after
        eventually(lambda: shown in workflow.stdout, 40, f"it is at {step}")
        workflow.kill9()

    workflow = start(f"workflows/{language}", order)

    assert workflow.wait(60) == 0
    assert workflow.stdout.endswith(f"Order {order} is complete.\n")
    assert shop.effects_of(order) == {f"{verb}.{order}:{step}": [verb] for step, verb in STEPS.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", ["python", "go"])
def test_a_workflow_that_cannot_go_on_says_why(start, language):
    lost = start(f"workflows/{language}", "order-1", env={"MILLRACE_BROKERS": f"{HOST}:{free_port()}"})
    wrong = start(f"workflows/{language}")

    assert (lost.wait(60), wrong.wait(30)) == (6, 2)
    assert "MILLRACE_BROKERS" in lost.stderr
    assert "usage: " in wrong.stderr
