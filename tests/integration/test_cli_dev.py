# SPDX-License-Identifier: Apache-2.0
"""millrace dev: everything on this machine, without a Kafka and a Redis of one's own."""

import socket
import subprocess

import pytest

from support.ports import HOST, free_port
from support.processes import children_of
from support.stack import Stack
from support.waiting import eventually


def start_dev(build, processes, *flags):
    port, redis_port = free_port(), free_port()
    dev = processes.start([str(build.program("millrace")), "dev", "--port", port, "--redis-port", redis_port, *flags])
    stack = Stack(build, processes, f"{HOST}:{port}", f"redis://{HOST}:{redis_port}/0", "millrace.")

    def ready():
        assert dev.alive, dev.stderr
        return "\nready\n" in dev.stdout

    eventually(ready, 30, "dev is ready")
    return dev, stack


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, int(port))) == 0


def test_dev_runs_tasks_of_any_kafka_client_and_says_what_does_not_last(build, processes):
    dev, stack = start_dev(build, processes)

    assert stack.cli("execute", "-t", "greet", "--input", '"Ada"').stdout == '"Hello, Ada"\n'
    task = b'{"activity_type":"greet","activity_id":"k","input":"Kcat"}'
    subprocess.run(["kcat", "-P", "-b", stack.brokers, "-t", "millrace.tasks.default"], input=task, check=True, timeout=20)
    assert stack.cli("result", "k", wait="20s").stdout == '"Hello, Kcat"\n'
    assert stack.cli("describe", "k").stdout.split("\n")[1].split() == ["state", "COMPLETED"]
    for words in ("Not durable", "5 MiB", "kcat -P", "millrace execute", stack.brokers):
        assert words in dev.stdout
    dev.stop()


def test_the_order_example_charges_once_at_the_third_attempt(build, processes, tmp_path):
    folder = str(tmp_path / "s")
    processes_env = {"MILLRACE_EXAMPLE_SOCKET": folder}
    port, redis_port = free_port(), free_port()
    dev = processes.start(
        [str(build.program("millrace")), "dev", "--port", port, "--redis-port", redis_port], env=processes_env
    )
    stack = Stack(build, processes, f"{HOST}:{port}", f"redis://{HOST}:{redis_port}/0", "millrace.")
    eventually(lambda: "\nready\n" in dev.stdout, 30, "dev is ready")

    answer = stack.run(build.program("order-workflow"), "--order", "o1", env=processes_env)

    assert "COMPLETED at attempt 3, after 3." in answer.stdout
    assert answer.stdout.count(": down (") == 2
    assert answer.stdout.rstrip().endswith("Order complete.")
    dev.stop()


@pytest.mark.parametrize("how", ["sigterm", "kill9"])
def test_whatever_ends_dev_ends_all_of_it(build, processes, how):
    dev, stack = start_dev(build, processes)
    ports = [stack.brokers.rpartition(":")[2], stack.redis_url.rpartition(":")[2].split("/")[0]]
    assert len(children_of([dev.pid])) >= 4 and all(map(listens, ports))

    below = children_of([dev.pid])
    getattr(dev, how)()
    dev.wait()

    eventually(lambda: not any(map(listens, ports)), 10, "nobody listens any more")
    eventually(lambda: not children_of([dev.pid]) and below, 10, "all of it is gone")


def test_a_member_that_dies_ends_dev_with_its_last_words(build, processes):
    dev, _ = start_dev(build, processes)
    broker = next(pid for pid in children_of([dev.pid], levels=1) if "mockbroker" in open(f"/proc/{pid}/cmdline").read())

    subprocess.run(["kill", "-9", str(broker)], check=True)

    assert dev.wait(30) == 1
    assert "millrace-mockbroker was ended by signal 9" in dev.stderr


def test_a_taken_port_or_a_missing_program_is_one_line(stack):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag, other in (("--port", "--redis-port"), ("--redis-port", "--port")):
            answer = stack.cli("dev", flag, port, other, free_port(), check=False)
            assert answer.rc == 2
            assert str(port) in answer.stderr and answer.stderr.count("\n") == 1

    answer = stack.cli("dev", "--port", free_port(), "--redis-port", free_port(), check=False, env={"PATH": "/nonexistent"})
    assert answer.rc == 2
    assert "redis-server" in answer.stderr and answer.stderr.count("\n") == 1


def test_kafka_uses_the_one_that_is_there(build, processes, kafka):
    redis_port = free_port()
    argv = [build.program("millrace"), "dev", "--kafka", "-b", kafka.brokers, "--redis-port", redis_port, "--prefix", kafka.prefix]
    dev = processes.start([str(word) for word in argv])
    stack = Stack(build, processes, kafka.brokers, f"redis://{HOST}:{redis_port}/0", kafka.prefix)
    eventually(lambda: "\nready\n" in dev.stdout, 40, "dev is ready")

    assert stack.cli("execute", "-t", "greet", "--input", '"Ada"').stdout == '"Hello, Ada"\n'
    assert f"{kafka.prefix}tasks.default" in kafka.admin.list_topics(timeout=10).topics
    assert "Durable" in dev.stdout
    dev.stop()
