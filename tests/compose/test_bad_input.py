# SPDX-License-Identifier: Apache-2.0
"""What a user can get wrong in a container: one line says what it is, and the container ends or is shown as unhealthy."""

import re
import socket
import subprocess

import pytest

from support.docker import Project
from support.ports import HOST
from support.waiting import eventually

pytestmark = pytest.mark.timeout(900)  # the first test of a run makes the images

WORKER = ["millrace-worker", "-q", "default"]
SOON = ["--health-start-period=1s", "--health-interval=1s", "--health-retries=2"]


class Containers:
    """Containers of our image that run alone."""

    def __init__(self, docker, image):
        self.docker = docker
        self.image = image
        self.started = []

    def run(self, options, command):
        """To its end: exit status and what it said."""
        done = self.docker.call(["docker", "run", "--rm", *options, self.image, *command], check=False)
        return done.returncode, done.stdout + done.stderr

    def start(self, options, command):
        container = self.docker.run("run", "-d", *options, self.image, *command).strip()
        self.started.append(container)
        return container

    def logs(self, container):
        done = self.docker.call(["docker", "logs", container])
        return done.stdout + done.stderr

    def health(self, container):
        return self.docker.inspect(container)["State"]["Health"]

    def await_unhealthy(self, container):
        eventually(lambda: self.health(container)["Status"] == "unhealthy", limit_s=60, every_s=0.3)


@pytest.fixture
def containers(docker, image):
    containers = Containers(docker, image)
    yield containers
    for container in containers.started:
        docker.run("rm", "-f", "-v", container)


@pytest.mark.parametrize(
    "variable, told",
    [
        ("MILLRACE_SLOTS=many", "many"),
        ("MILLRACE_REDIS=127.0.0.1", "redis://"),
        ("MILLRACE_LOG_LEVEL=loud", "debug, info, warn, error"),
        ("MILLRACE_HTTP=here", "HOST:PORT"),
    ],
)
def test_a_wrong_variable_is_told_in_one_line_with_what_is_accepted(containers, variable, told):
    status, said = containers.run(["-e", variable], [*WORKER, "--exec", "cat=/bin/cat"])
    name = variable.partition("=")[0]
    assert status == 2 and said.count("\n") == 1, said
    assert (name in said or name.rpartition("_")[2].lower() in said) and told in said, said


def test_a_shared_object_for_another_abi_is_refused_with_both_versions(containers, tmp_path):
    tmp_path.chmod(0o755)
    source = tmp_path / "old.c"
    source.write_text("const unsigned mr_abi_version = 99;\nint mr_activities(void *registry);\nint mr_activities(void *registry) { return !registry; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "old.so", source], check=True)

    status, said = containers.run(["-v", f"{tmp_path}:/activities:ro"], [*WORKER, "--activity-lib", "/activities/old.so"])

    (line,) = [line for line in said.splitlines() if " info " not in line]
    assert status == 2 and line.startswith("millrace-worker: /activities/old.so: "), said
    assert "version 99" in line and "build it again" in line


def test_a_shared_object_for_another_machine_is_refused(containers, docker, image, tmp_path):
    tmp_path.chmod(0o755)
    source = docker.run("create", image).strip()
    docker.run("cp", f"{source}:/usr/lib/millrace/example_activities.so", tmp_path / "other.so")
    docker.run("rm", source)
    file = bytearray((tmp_path / "other.so").read_bytes())
    file[18:20] = (0xF7).to_bytes(2, "little")  # e_machine of the ELF head: eBPF, which no worker runs on
    (tmp_path / "other.so").write_bytes(file)

    status, said = containers.run(["-v", f"{tmp_path}:/activities:ro"], [*WORKER, "--activity-lib", "/activities/other.so"])

    (line,) = [line for line in said.splitlines() if " info " not in line]
    assert status == 2 and line.startswith("millrace-worker: /activities/other.so: ") and "another kind of machine" in line, said


def test_kafka_out_of_reach_is_told_again_and_again_and_the_containers_are_unhealthy(containers):
    told = re.compile(r"waiting for a service service=Kafka at=127\.0\.0\.1:9 reason=")
    commands = [[*WORKER, "--exec", "cat=/bin/cat"], ["millrace-scheduler"]]
    started = [containers.start([*SOON, "-e", "MILLRACE_BROKERS=127.0.0.1:9"], command) for command in commands]

    for container in started:
        containers.await_unhealthy(container)
        assert "not ready: " in containers.health(container)["Log"][-1]["Output"]
        eventually(lambda: len(told.findall(containers.logs(container))) > 1, limit_s=30, what="it tells more than once what it waits for")


def test_setup_ends_with_the_reason_where_kafka_is_out_of_reach(containers):
    status, said = containers.run(["-e", "MILLRACE_BROKERS=127.0.0.1:9"], ["millrace", "setup"])
    assert status == 6 and said.splitlines()[-1].startswith("millrace setup: 127.0.0.1:9: no Kafka broker answers"), said


def test_a_taken_port_in_the_container_is_told(containers):
    first = containers.start(["-e", "MILLRACE_BROKERS=127.0.0.1:9"], [*WORKER, "--exec", "cat=/bin/cat"])
    eventually(lambda: "9464" in containers.logs(first), limit_s=20, what="the first one serves its port")

    status, said = containers.run([f"--network=container:{first}"], [*WORKER, "--exec", "cat=/bin/cat"])

    assert status != 0 and "9464" in said and "in use" in said, said


def test_a_volume_that_it_cannot_write_ends_the_order_with_the_reason(containers, tmp_path):
    tmp_path.chmod(0o755)
    status, said = containers.run(
        ["-v", f"{tmp_path}:/run/millrace", "-e", "MILLRACE_EXAMPLE_SOCKET=/run/millrace/socket"], ["/usr/lib/millrace/order-workflow"]
    )
    assert status == 1 and "/run/millrace" in said and "Permission denied" in said, said


def test_a_taken_port_of_this_machine_is_told_by_up(docker, image):
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        project = Project(docker, "millrace-tests-port", env={"MILLRACE_IMAGE": image, "MILLRACE_KAFKA_PORT": port})
        done = project.run("up", "-d", "kafka", check=False)
        project.down("-v")
    assert done.returncode != 0 and port in done.stderr and "in use" in done.stderr, done.stderr


def test_ps_shows_a_worker_that_cannot_work(docker, image, tmp_path):
    (tmp_path / "wrong.yml").write_text("services: {worker: {environment: {MILLRACE_SLOTS: many}}}\n")
    project = Project(docker, "millrace-tests-wrong", [tmp_path / "wrong.yml"], {"MILLRACE_IMAGE": image})
    project.run("up", "-d", "--no-deps", "worker")
    try:
        eventually(lambda: "Restarting (2)" in project.run("ps", "-a", "worker").stdout, limit_s=60, every_s=0.2)
        assert "many" in project.logs("worker")
    finally:
        project.down("-v")
