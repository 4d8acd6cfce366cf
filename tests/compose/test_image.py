# SPDX-License-Identifier: Apache-2.0
"""The image: small, not root, and of no use to whoever breaks out of a program."""

import pytest

pytestmark = pytest.mark.timeout(900)  # the first test of a run makes the images


def test_it_adds_less_than_40_mb_to_its_base(docker, image, figure):
    size, base = (docker.inspect(name)["Size"] / 1e6 for name in (image, "debian:trixie-slim"))
    figure("image", f"{size:.1f} MB, {size - base:.1f} MB more than its base")
    assert 0 < size - base < 40


def test_it_has_every_program_and_the_example(docker, image):
    for program in ("millrace", "millrace-worker", "millrace-scheduler"):
        assert docker.run("run", "--rm", image, program, "--version").startswith(f"{program} ")
    listed = docker.run("run", "--rm", image, "ls", "/usr/lib/millrace").split()
    assert listed == ["example_activities.so", "order-services", "order-workflow"]


def test_it_does_not_run_as_root_and_has_a_health_check(docker, image):
    config = docker.inspect(image)["Config"]
    assert config["User"] == "10001:10001" and config["Healthcheck"]["Test"] == ["CMD", "millrace", "health"]
    assert docker.run("run", "--rm", image, "id", "-u").strip() == "10001"


def test_its_user_can_change_no_file_of_it(docker, image):
    look = "find /usr /etc -xdev -writable ! -type l 2>/dev/null; echo looked"
    assert docker.run("run", "--rm", image, "sh", "-c", look) == "looked\n"
