# SPDX-License-Identifier: Apache-2.0
"""docker-compose 1.29, which Debian 12 has, understands the same files."""

import shutil

import pytest

from support.docker import Project
from support.kafka_topics import Kafka
from support.ports import HOST, free_port

pytestmark = pytest.mark.timeout(900)  # the first test of a run makes the images


@pytest.fixture
def project(docker, image):
    version = shutil.which("docker-compose") and docker.call(["docker-compose", "version", "--short"], check=False).stdout.strip()
    if not version or not version.startswith("1.29"):
        pytest.skip(f"no docker-compose 1.29 here, but {version or 'none'}")
    project = Project(docker, "millrace-v1", env={"MILLRACE_IMAGE": image, "MILLRACE_KAFKA_PORT": str(free_port())}, compose=["docker-compose"])
    project.down("-v")
    yield project
    project.down("-v")


def test_it_starts_everything_scales_and_runs_the_order(project):
    project.up("--scale", "worker=2")

    project.await_health("worker", count=2)
    assert project.await_exit("order") == 0
    assert "Order complete." in project.logs("order")
    kafka = Kafka(f"{HOST}:{project.env['MILLRACE_KAFKA_PORT']}", "millrace.")
    kafka.publish("default", {"activity_type": "greet", "activity_id": "v1", "input": "Ada"})
    assert kafka.results().await_one("v1")["result"] == "Hello, Ada"
    kafka.close()
