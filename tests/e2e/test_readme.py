# SPDX-License-Identifier: Apache-2.0
"""What README.md tells a newcomer to type works as it stands there."""

import json
import os
import re
import shlex
import subprocess

import pytest

from support.ports import HOST, free_port
from support.stack import ROOT, Stack
from support.waiting import eventually

README = (ROOT / "README.md").read_text()
BUILT = "build/release"  # where README.md has the programs
BUILDING = "cmake --preset release && cmake --build build/release"
ADDRESSES = re.compile(r"^export MILLRACE_BROKERS=127\.0\.0\.1:9092 MILLRACE_REDIS=redis://127\.0\.0\.1:6379/0$")


def block_with(text):
    """The one block of code that contains this text."""
    found = [block for block in re.findall(r"^```\w*\n(.*?)^```$", README, re.DOTALL | re.MULTILINE) if text in block]
    assert len(found) == 1, f"README.md has {len(found)} blocks with {text!r}"
    return found[0]


def commands_of(block):
    return [line for line in block.splitlines() if line.strip()]


@pytest.fixture
def shell(build, tmp_path):
    """Runs a line of README.md in a folder that has the build where README.md expects it."""
    (tmp_path / "tree" / "build").mkdir(parents=True)
    (tmp_path / "tree" / BUILT).symlink_to(build.folder)

    def run(line, env, limit_s=40):
        path = f"{build.program('millrace').parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path / "tree", env={**os.environ, "PATH": path, **env}, capture_output=True, text=True, timeout=limit_s
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_the_commands_for_millrace_dev_do_what_their_comments_say(build, processes, shell):
    stack = Stack(build, processes, f"{HOST}:{free_port()}", f"redis://{HOST}:{free_port()}/0", "millrace.")
    dev = stack.start("millrace", "dev")
    eventually(lambda: dev.alive and "\nready\n" in dev.stdout, 40, "dev is ready")
    outputs = {line: shell(line, stack.env) for line in commands_of(block_with("millrace execute"))}

    executed, submitted, result, described = outputs.values()
    assert [line.split()[1] for line in outputs] == ["execute", "submit", "result", "describe"]
    assert executed == result == '"Hello, Ada"\n' and re.search('prints "Hello, Ada"$', next(iter(outputs)))
    assert submitted == "hello-1\n"
    assert "COMPLETED" in described
    dev.stop()


def test_the_commands_from_outside_do_what_their_comments_say(build, processes, shell):
    stack = Stack(build, processes, f"{HOST}:{free_port()}", f"redis://{HOST}:{free_port()}/0", "millrace.")
    env = {**stack.env, "MILLRACE_EXAMPLE_INBOX": str(processes.folder / "inbox")}
    dev = stack.start("millrace", "dev", env=env)
    eventually(lambda: dev.alive and "\nready\n" in dev.stdout, 40, "dev is ready")
    outputs = {}
    for line in commands_of(block_with("millrace complete")):
        if line.startswith("millrace heartbeat"):  # a person takes longer than a worker to begin
            eventually(lambda: "completion from outside" in stack.cli("describe", "order-17/approval", check=False).stdout, 20, "it waits")
        outputs[line.split()[1]] = shell(line, env)

    assert outputs["list"].startswith("later\t") and "paused" in outputs["list"]
    assert outputs["cancel"] == "4\n"
    assert "waits for" in outputs["describe"]
    assert outputs["complete"] == '{"approved":true}\n'
    dev.stop()


def test_the_commands_for_a_kafka_and_redis_of_ones_own_end_with_a_json_result(own_kafka, redis_server, build, processes, shell):
    env = {"MILLRACE_BROKERS": own_kafka.address, "MILLRACE_REDIS": redis_server.url}
    lines = commands_of(block_with("kcat -P"))
    assert lines[0] == BUILDING and ADDRESSES.match(lines[1])  # instead: the build under test and the addresses of this test

    outputs = []
    for line in lines[2:]:
        if line.endswith(" &"):
            program, *words = shlex.split(line[:-2])
            processes.start([build.program(program.removeprefix(f"{BUILT}/")), *words], env=env)
        else:
            outputs.append(shell(line, env))

    result = json.loads(outputs[-1])
    assert (result["task_key"], result["status"], result["result"]) == ("first", "COMPLETED", "adA")


def test_the_activity_in_c_is_built_as_a_shared_object_and_runs(kafka, stack, tmp_path):
    (tmp_path / "greet.c").write_text(block_with("MR_ACTIVITIES"))
    includes = [f"-I{ROOT}/{folder}/include" for folder in ("consumer", "common")]
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *includes, "-o", tmp_path / "greet.so", tmp_path / "greet.c"]
    subprocess.run(command, check=True, timeout=60)
    stack.setup()
    stack.scheduler()
    stack.worker(libs=[str(tmp_path / "greet.so")])

    assert stack.cli("execute", "-t", "greet", "--input", '"A\\"da"').stdout == '"Hello, A\\"da"\n'
    failed = stack.cli("execute", "-t", "greet", "--input", "7", check=False)
    assert failed.rc == 1 and "BadInput" in failed.stderr


def test_every_file_and_folder_that_it_names_is_there():
    quoted = re.findall(r"`([\w./*-]+/[\w./*-]*)`", README)
    linked = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    named = {name for name in [*quoted, *linked] if not name.startswith(("build/", "https:"))}

    assert quoted and linked
    assert not [name for name in sorted(named) if not list(ROOT.glob(name.rstrip("/")))]
