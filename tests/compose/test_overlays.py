# SPDX-License-Identifier: Apache-2.0
"""deploy/compose: three brokers of which one may be lost, and Prometheus, which finds every worker."""

import json
import urllib.parse
import urllib.request

import pytest

from support.docker import Project
from support.kafka_topics import Kafka
from support.ports import HOST, free_port
from support.waiting import eventually

pytestmark = pytest.mark.timeout(900)  # the first test of a run makes the images


@pytest.fixture(scope="module")
def project(docker, image):
    ports = {f"MILLRACE_{name}_PORT": str(free_port()) for name in ("KAFKA", "KAFKA_2", "KAFKA_3", "PROMETHEUS", "GRAFANA")}
    files = ["deploy/compose/three-brokers.yml", "deploy/compose/monitoring.yml"]
    project = Project(docker, "millrace-overlays", files, {"MILLRACE_IMAGE": image, **ports})
    project.down("-v")
    project.up("--scale", "worker=2", "worker", "scheduler", "prometheus", limit_s=400)  # there is no stand-in for Grafana
    yield project
    project.down("-v")


@pytest.fixture(scope="module")
def kafka(project):
    addresses = [f"{HOST}:{project.env[f'MILLRACE_{name}_PORT']}" for name in ("KAFKA", "KAFKA_2", "KAFKA_3")]
    kafka = Kafka(",".join(addresses), "millrace.")
    yield kafka
    kafka.close()


def test_every_topic_lies_on_three_brokers_and_is_acknowledged_by_two(project, kafka):
    def topics_with_groups():  # Kafka makes the topic for the groups' offsets when the first group comes
        topics = kafka.admin.list_topics(timeout=15).topics
        return "__consumer_offsets" in topics and topics

    topics = eventually(topics_with_groups, limit_s=60, every_s=0.5)
    assert {"millrace.tasks.default", "millrace.results", "millrace.journal"} <= topics.keys()
    replicas = {len(partition.replicas) for topic in topics.values() for partition in topic.partitions.values()}
    assert replicas == {3}
    assert kafka.topic_config("results")["min.insync.replicas"] == "2"


def test_a_lost_broker_stops_nothing(project, kafka):
    (victim,) = project.containers("kafka-3")
    project.docker.run("kill", victim)
    tasks = [{"activity_type": "greet", "activity_id": f"greet-{number}", "input": "Ada"} for number in range(50)]

    kafka.publish_all("default", tasks)

    found = kafka.results().await_keys([task["activity_id"] for task in tasks], limit_s=120)
    assert {result["status"] for results in found.values() for result in results} == {"COMPLETED"}
    project.docker.run("start", victim)
    project.await_health("kafka-3")


def test_prometheus_finds_every_worker_and_scheduler_and_loads_the_rules(project):
    def ask(path, **query):
        url = f"http://{HOST}:{project.env['MILLRACE_PROMETHEUS_PORT']}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def up():
        return sorted(sample["metric"]["job"] for sample in ask("query", query="up == 1")["result"])

    eventually(lambda: up() == ["millrace-scheduler", "millrace-worker", "millrace-worker"], limit_s=60, every_s=0.5)
    assert [rule["name"] for group in ask("rules")["groups"] for rule in group["rules"]]
    assert ask("query", query="millrace_worker_task_slots_available")["result"], "a metric of the workers is there"
