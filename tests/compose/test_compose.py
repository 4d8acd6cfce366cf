# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml as a user meets it. The tests of this file go on one after the other with what the first has started."""

import pytest

from support.docker import Project
from support.exec_log import ExecLog
from support.kafka_topics import Kafka
from support.ports import HOST, free_port
from support.waiting import eventually

pytestmark = pytest.mark.timeout(900)  # the first test of a run makes the images


class Stage:
    def __init__(self, docker, image, folder):
        port = free_port()
        folder.chmod(0o777)
        self.exec_log = ExecLog(folder / "exec.jsonl")
        self.exec_log.path.chmod(0o666)
        env = {"MILLRACE_IMAGE": image, "MILLRACE_KAFKA_PORT": str(port), "MILLRACE_TEST_LOG": str(folder)}
        self.docker = docker
        self.project = Project(docker, "millrace-tests", ["tests/compose/noted.yml"], env)
        self.brokers = f"{HOST}:{port}"
        self.scale = ["--scale", "worker=1", "--scale", "scheduler=1"]
        self._kafka = None

    @property
    def kafka(self):
        self._kafka = self._kafka or Kafka(self.brokers, "millrace.")
        return self._kafka

    def publish(self, ids, input):
        """Tasks of `noted`, by a Kafka client of this machine."""
        self.kafka.publish_all("default", [{"activity_type": "noted", "activity_id": id, "input": input} for id in ids])

    def assert_done_once(self, ids, limit_s=120):
        """Each has one result, COMPLETED, and no attempt of any was started twice."""
        found = self.kafka.results().await_keys(ids, limit_s=limit_s)
        assert {id: {result["status"] for result in results} for id, results in found.items()} == {id: {"COMPLETED"} for id in ids}
        assert {id: len({result["result_id"] for result in results}) for id, results in found.items()} == dict.fromkeys(ids, 1)
        self.exec_log.assert_no_attempt_started_twice()
        return found


@pytest.fixture(scope="module")
def stage(docker, image, tmp_path_factory):
    stage = Stage(docker, image, tmp_path_factory.mktemp("log"))
    stage.project.down("-v")  # what a run before may have left
    yield stage
    if stage._kafka:
        stage._kafka.close()
    stage.project.down("-v")


def names(what, count):
    return [f"{what}-{number}" for number in range(count)]


def test_up_starts_everything_in_order_and_all_of_it_becomes_healthy(stage, figure):
    seconds = stage.project.up()

    figure("up, until all are healthy", f"{seconds:.0f} s")
    assert stage.project.await_exit("setup") == 0
    for service in ("kafka", "redis", "scheduler", "worker"):
        stage.project.await_health(service)


def test_the_order_example_runs_and_tells_its_story(stage):
    assert stage.project.await_exit("order") == 0

    story = stage.project.logs("order")
    steps = ["1. charge_card", "COMPLETED at attempt 3", "2. update_inventory", "3. send_confirmation", "4. arrange_shipment"]
    places = [story.index(step) for step in [*steps, "Order complete."]]
    assert places == sorted(places), story


def test_our_programs_can_write_nowhere_and_have_no_rights(stage):
    for service in ("scheduler", "worker"):
        (container,) = stage.project.containers(service)
        config = stage.docker.inspect(container)["HostConfig"]
        assert config["ReadonlyRootfs"] and config["CapDrop"] == ["ALL"] and not config["Privileged"]
        denied = stage.docker.call(["docker", "exec", container, "touch", "/usr/bin/x"], check=False)
        assert "Read-only file system" in denied.stderr


def test_a_client_on_the_host_publishes_and_reads_the_result(stage):
    stage.kafka.publish("default", {"activity_type": "greet", "activity_id": "from-outside", "input": "Ada"})

    assert stage.kafka.results().await_one("from-outside")["result"] == "Hello, Ada"


def test_the_command_line_works_inside_of_a_container(stage):
    done = stage.project.run("exec", "-T", "worker", "millrace", "execute", "-t", "greet", "--input", '"Ada"', "--wait", "30s")
    assert done.stdout == '"Hello, Ada"\n'


def test_scaling_from_1_to_4_to_2_while_1000_tasks_run_loses_none_and_runs_none_twice(stage):
    ids = names("scaled", 1000)
    stage.publish(ids, 0.5)
    eventually(lambda: stage.exec_log.starts(), limit_s=30)

    stage.project.up("--scale", "worker=4", "--scale", "scheduler=2")
    stage.project.await_health("worker", count=4)
    more = names("scaled-more", 200)
    stage.publish(more, 0.5)
    stage.project.up("--scale", "worker=2", "--scale", "scheduler=2")

    found = stage.assert_done_once(ids + more)
    assert {result["attempt"] for results in found.values() for result in results} == {1}
    workers = {result["worker"].rsplit("-", 2)[0] for results in found.values() for result in results}
    assert len(workers) == 4, workers


@pytest.mark.parametrize("service", ["worker", "scheduler", "redis", "kafka"])
def test_what_is_killed_comes_back_by_itself_and_nothing_is_lost(stage, service):
    quick, slow = names(f"retried-{service}", 20), names(f"slow-{service}", 40)
    stage.publish(quick, "again")
    stage.publish(slow, 1)
    eventually(lambda: any(key.startswith(f"slow-{service}") for key, _ in stage.exec_log.starts()), limit_s=30)
    victim = stage.project.containers(service)[0]

    stage.docker.kill_main_process(victim)

    eventually(lambda: stage.docker.inspect(victim)["RestartCount"] > 0, limit_s=60, what=f"{service} was restarted", every_s=0.3)
    stage.assert_done_once(quick + slow)
    stage.project.await_health(service, count=len(stage.project.containers(service)))


def test_a_worker_that_a_person_kills_stays_down_until_the_next_up_and_others_do_its_work(stage):
    ids = names("docker-kill", 40)
    stage.publish(ids, 1)
    eventually(lambda: any(key.startswith("docker-kill") for key, _ in stage.exec_log.starts()), limit_s=30)
    victim = stage.project.containers("worker")[0]

    stage.docker.run("kill", victim)
    stage.assert_done_once(ids)
    assert stage.docker.inspect(victim)["State"]["Status"] == "exited"

    stage.project.up("--scale", "worker=2", "--scale", "scheduler=2")
    stage.project.await_health("worker", count=2)


def test_down_and_up_keep_everything(stage):
    stage.publish(["before"], 0)
    stage.assert_done_once(["before"])
    running, later = names("running", 40), names("later", 3)
    delayed = [{"activity_type": "noted", "activity_id": id, "input": 0, "start_delay_ms": 20000} for id in later]
    stage.kafka.publish_all("default", delayed)
    stage.publish(running, 1)
    eventually(lambda: any(key.startswith("running") for key, _ in stage.exec_log.starts()), limit_s=30)

    stage.project.down()
    stage.project.up()

    found = stage.assert_done_once(running + later)
    assert {result["attempt"] for results in found.values() for result in results} == {1}
    stage.publish(["before"], 0)
    stage.publish(["after"], 0)
    stage.assert_done_once(["before", "after"])
    eventually(lambda: len(stage.kafka.results().of("before")) == 2, limit_s=30, what="the stored result came again")
    assert stage.exec_log.attempts("before") == stage.exec_log.attempts("after") == [1]
