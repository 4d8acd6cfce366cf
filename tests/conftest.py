# SPDX-License-Identifier: Apache-2.0
"""The fixtures of all tests from outside; tests/support/README.md lists them with examples."""

import os
import shutil
import signal
import tempfile
import uuid

import pytest
import redis as redis_py

from support.exec_log import ExecLog
from support.kafka_broker import KafkaBroker
from support.kafka_topics import Kafka
from support.processes import Processes, adopt_orphans, die_with_parent
from support.redis_server import RedisServer
from support.stack import ROOT, Build, Stack

_processes_of = pytest.StashKey[list]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if not config.option.basetemp:  # pytest's own numbered folders are not safe when several people run tests at once
        folder = tempfile.mkdtemp(prefix="millrace-tests.")
        config.option.basetemp = f"{folder}/pytest"
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    adopt_orphans()
    # As on Ctrl-C: fixtures clean up. Also where a shell started the tests in the background, with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if "MILLRACE_TEST_RUN" in os.environ:
        die_with_parent(signal.SIGTERM)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for processes in item.stash.get(_processes_of, []):
            report.sections.extend(processes.sections())
    return report


def _processes_for(request, folder):
    """Programs of one test. At its end they are terminated and reaped, and a crash or a sanitizer report fails it."""
    started = Processes(folder)
    request.node.stash.setdefault(_processes_of, []).append(started)
    yield started
    findings = started.end()
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


def _new_prefix():
    return f"t{uuid.uuid4().hex[:8]}."


class Shared:
    """What the tests of one file share: .kafka .redis_server .exec_log .stack, as the fixtures of these names."""

    def __init__(self, build, address, processes, services):
        folder = processes.folder
        self.processes = processes
        self.kafka = Kafka(address, _new_prefix())
        self.redis_server = RedisServer(services, folder / "redis")
        self.exec_log = ExecLog(folder / "exec.jsonl")
        self.stack = Stack(build, processes, address, self.redis_server.url, self.kafka.prefix, self.exec_log)


@pytest.fixture(scope="module")
def shared_by_file(build, shared_broker, tmp_path_factory):
    """One Shared for all tests of a file that do no harm to it; use it by `shared`. Each test takes keys of its own."""
    folder = tmp_path_factory.mktemp("shared")
    services, processes = Processes(folder), Processes(folder)
    shared = Shared(build, shared_broker, processes, services)
    yield shared
    findings = processes.end()
    shared.kafka.close()
    shared.kafka.delete_topics()
    findings += services.end()
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


@pytest.fixture
def shared(request, shared_by_file):
    """shared_by_file, whose programs are shown where this test fails."""
    request.node.stash.setdefault(_processes_of, []).append(shared_by_file.processes)
    return shared_by_file


@pytest.fixture
def processes(request, tmp_path):
    """Starts any program for the time of this test: processes.start(argv)."""
    yield from _processes_for(request, tmp_path)


@pytest.fixture
def services(request, tmp_path):
    """The brokers and redis-servers of this test: a fixture of their own, because they end after the programs that use them."""
    yield from _processes_for(request, tmp_path)


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory):
    """host:port of the broker that all tests of a run share: tests/run started it, or it is started here."""
    address = os.environ.get("MILLRACE_TEST_BROKERS")
    if address:
        yield address
        return
    services = Processes(tmp_path_factory.mktemp("kafka"))
    try:
        yield KafkaBroker(services, services.folder / "data").address
    finally:
        services.end()


@pytest.fixture
def own_kafka(request, services, tmp_path):
    """A broker of this test alone, to do harm to; `kafka` and `stack` then use it. Mark broker(properties={...}) sets it up."""
    mark = request.node.get_closest_marker("broker")
    return KafkaBroker(services, tmp_path / "kafka", mark.kwargs["properties"] if mark else None)


@pytest.fixture
def broker_address(request):
    wanted = "own_kafka" if "own_kafka" in request.fixturenames else "shared_broker"
    found = request.getfixturevalue(wanted)
    return found if isinstance(found, str) else found.address


@pytest.fixture
def redis_server(services, tmp_path):
    """A redis-server of this test alone."""
    return RedisServer(services, tmp_path / "redis")


@pytest.fixture
def redis(redis_server):
    """A client of redis_server (redis-py, text)."""
    return redis_server.client


@pytest.fixture
def shared_redis():
    """A client of the redis-server that tests/run shares with the unit tests; its data is nobody's."""
    url = os.environ.get("MILLRACE_TEST_REDIS")
    if not url:
        pytest.skip("MILLRACE_TEST_REDIS is not set: tests/run sets it")
    with redis_py.Redis.from_url(url, decode_responses=True) as client:
        yield client


@pytest.fixture
def prefix():
    """A topic prefix that no other test has, such as `t3f9a1c.`"""
    return _new_prefix()


@pytest.fixture
def kafka(request, broker_address, prefix):
    """Publishes and reads under the prefix of this test; its topics are deleted at the end."""
    helper = Kafka(broker_address, prefix)
    yield helper
    helper.close()
    if "own_kafka" not in request.fixturenames:
        helper.delete_topics()


@pytest.fixture
def exec_log(tmp_path):
    """What activities of this test write when they start and end."""
    return ExecLog(tmp_path / "exec.jsonl")


@pytest.fixture(scope="session")
def build():
    """The programs under test: MILLRACE_TEST_BIN, or the newest build that there is."""
    folder = os.environ.get("MILLRACE_TEST_BIN")
    if not folder:
        caches = [ROOT / "build" / name / "CMakeCache.txt" for name in ("debug", "release", "asan", "tsan")]
        there = sorted((file for file in caches if file.exists()), key=lambda file: file.stat().st_mtime)
        folder = there[-1].parent if there else ROOT / "build" / "debug"
    return Build(folder)


@pytest.fixture
def stack(build, kafka, redis_server, exec_log, processes):
    """Starts the programs of Millrace against this test's broker, Redis and prefix."""
    return Stack(build, processes, kafka.brokers, redis_server.url, kafka.prefix, exec_log)
