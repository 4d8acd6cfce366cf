# SPDX-License-Identifier: Apache-2.0
"""README.md and the pages under docs/ are true: every command works as it stands there and prints what the page says."""

import os
import re
import subprocess
import sys

import pytest

from support import pages
from support.codec import fingerprint_of, schema
from support.kafka_topics import Kafka
from support.pages import Reader
from support.ports import HOST, free_port
from support.stack import ROOT, Stack
from support.waiting import eventually

# What is run together, and against what: (page, sections or all, fixture).
SCENARIOS = [
    ("README.md", ["A tour in a minute", "Cancel, pause, complete from outside"], "dev"),
    ("README.md", ["Against your own Kafka and Redis"], "broker"),
    ("docs/writing-activities.md", None, "workers"),
    ("docs/publishing.md", None, "workers"),
    ("docs/protocol.md", None, "workers"),
]


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
        "PATH": f"{prefix}/bin:{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "PKG_CONFIG_PATH": str(folder),
        "LD_LIBRARY_PATH": str(folder.parent),
        "MILLRACE_EXAMPLE_INBOX": str(tmp_path / "inbox"),
        "MILLRACE_EXAMPLE_SOCKET": str(tmp_path / "services"),
    }


def examples_of(installed):
    """What the example activities are told by environment."""
    return {name: value for name, value in installed.items() if name.startswith("MILLRACE_EXAMPLE_")}


@pytest.fixture
def dev(build, processes, installed):
    """`millrace dev`, at addresses that are free."""
    stack = Stack(build, processes, f"{HOST}:{free_port()}", f"redis://{HOST}:{free_port()}/0", "millrace.")
    dev = stack.start("millrace", "dev", env=examples_of(installed))
    eventually(lambda: dev.alive and "\nready\n" in dev.stdout, 40, "dev is ready")
    return stack


@pytest.fixture
def broker(own_kafka, stack):
    """A Kafka and a Redis that nobody has used."""
    stack.prefix = "millrace."
    return stack


@pytest.fixture
def workers(own_kafka, stack, installed):
    """What `millrace dev --kafka` runs: a broker, a Redis, a scheduler, and a worker with the example activities."""
    stack.prefix = "millrace."
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["example_activities"], env=examples_of(installed)).wait_for_log("all shards are ready", 30)
    own_kafka_topics = Kafka(stack.brokers, stack.prefix)
    eventually(lambda: own_kafka_topics.ends("results"), 20, "the results have leaders")
    own_kafka_topics.close()
    return stack


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page, sections, given", SCENARIOS, ids=lambda value: value if isinstance(value, str) else (value or [""])[0])
def test_every_command_does_what_the_page_says(request, build, installed, tmp_path, page, sections, given):
    stack = request.getfixturevalue(given)
    reader = Reader(tmp_path / "tree", build, {**stack.env, **installed})
    to_do = pages.commands(page, sections)
    assert to_do

    for block in to_do:
        reader.reads(block)


def test_every_command_is_run_by_some_test():
    run = [block for page, sections, _ in SCENARIOS for block in pages.commands(page, sections)]
    assert len(run) == len(set(run))
    for block in (block for page in pages.pages() for block in pages.blocks(page)):
        assert block.language in pages.LANGUAGES, f"{block.page}: what is a block of {block.language}?"
        if block.mark:
            assert block.mark in pages.ELSEWHERE, f"{block.page}: {block.mark} is none of {list(pages.ELSEWHERE)}"
        elif block.language == "sh":
            assert block in run, f"{block.page}, {block.section}: nobody runs\n{block.text}"


def test_the_configuration_page_is_what_the_programs_say(build):
    argv = [sys.executable, str(ROOT / "docs/configuration.py"), str(build.folder)]
    made = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    page = (ROOT / "docs/configuration.md").read_text()
    assert page == made, "stale: docs/configuration.py BUILD_FOLDER > docs/configuration.md"


@pytest.mark.parametrize("page", [*pages.pages(), "examples/README.md", "schemas/README.md"])
def test_the_files_and_sections_that_a_page_names_are_there(page):
    text = (ROOT / page).read_text()
    folder = (ROOT / page).parent
    named = set(re.findall(r"`((?:common|consumer|producer|scheduler|schemas|docs|examples|deploy|tests)/[\w./*-]*)`", text))
    missing = [path for path in named if not list(ROOT.glob(path.rstrip("/")))]
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        linked = folder / target if target else ROOT / page
        if not linked.exists():
            missing.append(target)
        elif anchor and anchor not in anchors(linked):
            missing.append(f"{target}#{anchor}")
    assert not missing


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_architecture_page_names_files_that_are_there():
    text = (ROOT / "docs/architecture.md").read_text()
    known = {path.name for folder in ("common", "consumer", "producer", "scheduler") for path in (ROOT / folder).rglob("*.*")}
    named = set(re.findall(r"`(?:[\w/]+/)?(\w+\.(?:c|lua))`", text))
    assert len(named) > 20
    assert not named - known - {"world.c"}


def test_the_fields_of_all_schemas_are_on_the_protocol_page():
    text = (ROOT / "docs/protocol.md").read_text()
    fields = {name for path in (ROOT / "schemas").glob("*.avsc") for name in re.findall(r'"name": "([a-z_]+)"', path.read_text())}
    assert len(fields) > 60
    assert not [name for name in sorted(fields) if f"`{name}`" not in text]


def test_the_fingerprints_of_all_schemas_are_on_the_protocol_page():
    text = (ROOT / "docs/protocol.md").read_text()
    names = [path.stem for path in (ROOT / "schemas").glob("*.avsc")]
    assert len(names) == 5
    assert [name for name in names if f"| `schemas/{name}.avsc` | `{fingerprint_of(schema(name)).hex()}` |" not in text] == []


def test_the_reserved_headers_of_the_programs_are_on_the_protocol_page():
    text = (ROOT / "docs/protocol.md").read_text()
    sources = [path for folder in ("common/task", "producer/cli") for path in (ROOT / folder).glob("*.h")]
    headers = {name for path in sources for name in re.findall(r'HEADER_\w+ "(millrace-[a-z-]+)"', path.read_text())}
    assert len(headers) > 15
    assert not [name for name in sorted(headers - {"millrace-"}) if f"`{name}`" not in text]
