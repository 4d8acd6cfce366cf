# SPDX-License-Identifier: Apache-2.0
"""What README.md and the pages under docs/ say about `docker compose` works as it stands there."""

import pytest

from support import pages
from support.docker import Project
from support.ports import HOST, free_port
from support.stack import ROOT

pytestmark = pytest.mark.timeout(900)  # the first test of a run makes the images

PAGES = [page for page in pages.pages() if any(block.mark == "compose" for block in pages.blocks(page))]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_work_one_after_the_other(docker, image, page):
    port = free_port()
    env = {"COMPOSE_PROJECT_NAME": "millrace-pages", "MILLRACE_IMAGE": image, "MILLRACE_KAFKA_PORT": str(port)}
    project = Project(docker, "millrace-pages", env=env)
    project.down("-v")
    try:
        for block in pages.blocks(page):
            if block.mark == "compose":
                text = "set -e -o pipefail\n" + block.text.replace("127.0.0.1:9092", f"{HOST}:{port}")
                done = docker.call(["bash", "-c", text], limit_s=300, env=env)
                assert "Ada" not in block.text or '"Hello, Ada"' in done.stdout and '"Hello, Grace"' in done.stdout, done.stdout
    finally:
        project.down("-v")


def test_readme_and_operations_have_such_commands():
    assert PAGES == ["README.md", "docs/operations.md"] and (ROOT / "docker-compose.yml").exists()
