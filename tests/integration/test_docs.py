# SPDX-License-Identifier: Apache-2.0
"""The pages under docs/ are true: what they show works, and what is made from the programs is up to date."""

import re
import shutil
import subprocess
import sys

import pytest

from support.stack import ROOT

FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n(?=\n*([^\n]*))", re.MULTILINE | re.DOTALL)
ENDS_ITS_JOBS = "set -e\ntrap 'kill $(jobs -p); wait' EXIT\n"


def test_the_configuration_page_is_what_the_programs_say(build):
    argv = [sys.executable, str(ROOT / "docs/configuration.py"), str(build.folder)]
    made = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    page = (ROOT / "docs/configuration.md").read_text()
    assert page == made, "stale: docs/configuration.py BUILD_FOLDER > docs/configuration.md"


@pytest.fixture
def installed(build, tmp_path):
    """The build, installed into a folder of this test; the environment to use it with."""
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", str(build.folder), "--prefix", str(prefix)], check=True, capture_output=True)
    (folder,) = {path.parent for path in prefix.rglob("millrace-worker.pc")}
    sanitizers = re.search(r"^MR_SANITIZE:\w+=(\S+)$", (build.folder / "CMakeCache.txt").read_text(), re.MULTILINE)
    if sanitizers:  # what links to a library that was built with them needs them too
        compiler = prefix / "bin/cc"
        compiler.write_text(f'#!/bin/sh\nexec /usr/bin/cc -fsanitize={sanitizers[1]} "$@"\n')
        compiler.chmod(0o755)
    return {
        "PATH": f"{prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "PKG_CONFIG_PATH": str(folder),
        "LD_LIBRARY_PATH": str(folder.parent),
    }


@pytest.mark.timeout(180)
def test_every_command_of_writing_activities_works(stack, installed):
    stack.scheduler()
    shown = []
    for language, text, after in FENCE.findall((ROOT / "docs/writing-activities.md").read_text()):
        if language == "c":
            name = re.match(r"/\* (\S+\.c) \*/", text).group(1)
            (stack.processes.folder / name).write_text(text)
            continue
        promised = re.match(r"prints `(.*?)`", after).group(1)
        answer = stack.run(shutil.which("bash"), "-c", ENDS_ITS_JOBS + text, env=installed, limit_s=60)
        assert answer.stdout.splitlines() and answer.stdout.splitlines()[-1] == promised, answer
        shown.append(promised)
    assert shown == [
        "42",
        '"Hello, Ada!"',
        "attempt 2 began at step 6",
        '{"approved": true}',
        "exit status 4",
        '"hello!"',
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/writing-activities.md", "examples/README.md"])
def test_the_files_that_a_page_names_are_there(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:common|consumer|producer|scheduler|schemas|docs|examples|deploy|tests)/[\w./-]+)`", text)
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_architecture_page_names_files_that_are_there():
    text = (ROOT / "docs/architecture.md").read_text()
    known = {path.name for folder in ("common", "consumer", "producer", "scheduler") for path in (ROOT / folder).rglob("*.*")}
    named = set(re.findall(r"`(?:[\w/]+/)?(\w+\.(?:c|lua))`", text))
    assert len(named) > 20
    assert not named - known - {"world.c"}
