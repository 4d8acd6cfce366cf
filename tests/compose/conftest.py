# SPDX-License-Identifier: Apache-2.0
"""A Docker engine and all images for the tests in this folder; where that cannot be had they are skipped and say why."""

import time

import pytest

from support import docker as docker_support

_figures = []


def pytest_terminal_summary(terminalreporter):
    for figure in _figures:
        terminalreporter.write_line(figure)


@pytest.fixture(scope="session")
def figure():
    """figure("what", "how much") is printed at the end of the run."""
    return lambda what, value: _figures.append(f"  {what}: {value}")


@pytest.fixture(scope="session")
def docker(tmp_path_factory):
    """A Docker for an engine: the one that runs, or one that is started for these tests."""
    try:
        with docker_support.engine(tmp_path_factory.mktemp("engine")) as found:
            yield found
    except docker_support.NoEngine as why:
        pytest.skip(f"cannot run here: {why}")


@pytest.fixture(scope="session")
def image(docker, tmp_path_factory, figure):
    """The name of our image, built from this checkout by `docker compose build`; all others that it needs are there, too."""
    began = time.monotonic()
    try:
        origins = docker_support.ensure_base_images(docker, tmp_path_factory.mktemp("images"))
    except docker_support.NoEngine as why:
        pytest.skip(f"cannot run here: {why}")
    figure("base images", ", ".join(f"{name} ({origin})" for name, origin in origins.items()) + f" in {time.monotonic() - began:.0f} s")
    docker_support.ensure_compose(docker, tmp_path_factory.mktemp("compose"))
    name = "millrace-tests"
    began = time.monotonic()
    docker.call([*docker_support.COMPOSE, "build", "setup"], limit_s=600, env={"MILLRACE_IMAGE": name})
    figure("image built in", f"{time.monotonic() - began:.0f} s")
    return name
