# SPDX-License-Identifier: Apache-2.0
"""A Docker engine, the images that docker-compose.yml names, and one project that was started from it.

Where an engine runs, it is used; else one is started here, which needs root. What it keeps lies in build/docker, so that the
second run is fast. Images that cannot be pulled are made: Debian by debootstrap, the others from tests/compose.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from support.processes import Processes, die_with_parent
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "docker"
STAND_INS = ROOT / "tests" / "compose"
LABEL = "millrace.stand-in"
PROMETHEUS = "prom/prometheus:v3.5.0"


class NoEngine(Exception):
    """Why there can be no Docker engine, or no images, here."""


class Docker:
    """The client: each call is `docker ARGUMENTS` for one engine."""

    def __init__(self, env=None):
        self.env = {**os.environ, **(env or {})}
        self.is_ours = env is not None

    def run(self, *args, limit_s=120, input=None, env=None, check=True):
        """stdout of `docker ARGS`."""
        return self.call(["docker", *args], limit_s, input, env, check).stdout

    def call(self, argv, limit_s=120, input=None, env=None, check=True):
        """What any client of the engine printed, and its exit status."""
        words = [str(word) for word in argv]
        done = subprocess.run(
            words, input=input, capture_output=True, text=True, timeout=limit_s, env={**self.env, **(env or {})}, cwd=ROOT,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"
        return done

    def answers(self):
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            return self.call(["docker", "version", "--format", "{{.Server.Version}}"], limit_s=30, check=False).returncode == 0
        return False

    def inspect(self, name):
        """What the engine knows of a container or an image; None where there is none."""
        done = self.call(["docker", "inspect", name], check=False)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None

    def kill_main_process(self, container):
        """SIGKILL from outside. `docker kill` would be taken as the user's wish to stop it, which no restart policy overrules."""
        pid = self.inspect(container)["State"]["Pid"]
        self.run("run", "--rm", "--pid=host", "--user=0", "debian:trixie-slim", "sh", "-c", f"kill -9 {pid}")


@contextlib.contextmanager
def engine(folder):
    """A Docker for an engine that answers. NoEngine where there can be none."""
    if not shutil.which("docker"):
        raise NoEngine("there is no docker client (Debian's docker.io)")
    docker = Docker()
    if docker.answers():
        yield docker
        return
    if os.geteuid() != 0:
        raise NoEngine("no Docker engine answers, and only root can start one")
    if not shutil.which("dockerd"):
        raise NoEngine("no Docker engine answers, and there is no dockerd to start (Debian's docker.io)")
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from _own_engine(Path(folder))


def _own_engine(folder):
    socket = folder / "docker.sock"
    processes = Processes(folder)
    try:
        process = processes.start(
            ["dockerd", "--host", f"unix://{socket}", "--data-root", HOME / "data", "--exec-root", folder / "exec",
             "--pidfile", folder / "pid", "--live-restore=false"],
            name="dockerd",
        )  # fmt: skip
        docker = Docker({"DOCKER_HOST": f"unix://{socket}"})
        try:
            eventually(lambda: not process.alive or docker.answers(), limit_s=60, what="the Docker engine answers", every_s=0.2)
        except AssertionError as late:
            raise NoEngine(str(late)) from late
        if not process.alive:
            process.wait(1)
            raise NoEngine("dockerd does not run here: " + process.stderr.strip().splitlines()[-1])
        yield docker
        process.sigterm()
        process.wait(60)
    finally:
        processes.end()


# Images


def _sum_of(*paths):
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*") if path.is_dir() else [path]):
            digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()[:16]


def ensure_image(docker, name, stamp, make):
    """There is an image of this name afterwards: the official one, or what make(label) makes. Returns which of the two. On somebody
    else's engine nothing is made: it would be taken for the official one ever after."""
    found = docker.inspect(name)
    labels = found and (found["Config"]["Labels"] or {})
    if found and labels.get(LABEL) in (None, stamp):
        return "stand-in" if LABEL in labels else "official"
    if docker.call(["docker", "pull", "-q", name], limit_s=300, check=False).returncode == 0:
        return "official"
    if not docker.is_ours:
        raise NoEngine(f"{name} cannot be pulled, and a stand-in is made only for an engine that the tests have started")
    make(f"{LABEL}={stamp}")
    return "stand-in"


def ensure_base_images(docker, folder):
    """{name: "official" or "stand-in"} of all that our image and the compose files start from. All but Debian at the same time."""
    recipe = ROOT / "tests" / "support" / "debian13"

    def debian(label):
        file = Path(folder) / "base.tar"
        docker.call([recipe, "base", file], limit_s=600)
        docker.run("import", "--change", 'CMD ["bash"]', "--change", f"LABEL {label}", file, "debian:trixie-slim", limit_s=120)
        file.unlink()

    def build(name, context, label):
        docker.run("build", "-q", "--label", label, "-t", name, context, limit_s=600, env=CLASSIC)

    def kafka(label):
        context = Path(folder) / "kafka"
        shutil.copytree(STAND_INS / "kafka", context)
        shutil.copytree(ROOT / "build" / "kafka" / "lib", context / "lib")
        build("apache/kafka:4.1.0", context, label)

    base = _sum_of(recipe)
    origins = {"debian:trixie-slim": ensure_image(docker, "debian:trixie-slim", base, debian)}
    others = {
        "redis:8": (_sum_of(STAND_INS / "redis"), partial(build, "redis:8", STAND_INS / "redis")),
        PROMETHEUS: (_sum_of(STAND_INS / "prometheus"), partial(build, PROMETHEUS, STAND_INS / "prometheus")),
        "apache/kafka:4.1.0": (_sum_of(STAND_INS / "kafka", ROOT / "tests/support/kafka/pom.xml"), kafka),
    }
    with ThreadPoolExecutor() as pool:
        made = {name: pool.submit(ensure_image, docker, name, base + stamp, make) for name, (stamp, make) in others.items()}
        return origins | {name: future.result() for name, future in made.items()}


# Engines without the buildx plugin have no other builder for `docker build`; `docker compose build` brings its own.
CLASSIC = {"DOCKER_BUILDKIT": "0"}


# Compose


def ensure_compose(docker, folder):
    """`docker compose` works afterwards: by the plugin that is installed, else by Debian 13's, which the stand-in for it fetches."""
    if docker.call(["docker", "compose", "version"], check=False).returncode == 0:
        return
    config = HOME / "config"
    plugin = config / "cli-plugins" / "docker-compose"
    docker.env["DOCKER_CONFIG"] = str(config)
    if plugin.exists():
        return
    fetch = "apt-get update -q >/dev/null && cd /tmp && apt-get download -q docker-compose >/dev/null && dpkg --fsys-tarfile *.deb"
    package = Path(folder) / "compose.tar"
    with open(package, "wb") as out:
        argv = ["docker", "run", "--rm", "debian:trixie-slim", "sh", "-c", fetch]
        subprocess.run(argv, stdout=out, env=docker.env, check=True, timeout=300)
    plugin.parent.mkdir(parents=True, exist_ok=True)
    unfinished = plugin.with_suffix(".new")
    with open(unfinished, "wb") as out:
        subprocess.run(["tar", "-xOf", package, "./usr/libexec/docker/cli-plugins/docker-compose"], stdout=out, check=True)
    unfinished.chmod(0o755)
    unfinished.rename(plugin)


COMPOSE = ("docker", "compose")


class Project:
    """What one `docker compose` of this checkout runs, under a name and on a port of its own."""

    def __init__(self, docker, name, files=(), env=None, compose=COMPOSE):
        self.docker = docker
        self.name = name
        self.env = env or {}
        words = [word for file in ("docker-compose.yml", *files) for word in ("-f", file)]
        self.compose = [*compose, "-p", name, *words]

    def run(self, *args, limit_s=180, check=True, env=None):
        """`docker compose ARGS`: its stdout, stderr and exit status."""
        return self.docker.call([*self.compose, *args], limit_s, env={**self.env, **(env or {})}, check=check)

    def up(self, *args, limit_s=240):
        """`up -d`; returns the seconds that it took."""
        began = time.monotonic()
        self.run("up", "-d", *args, limit_s=limit_s)
        return time.monotonic() - began

    def containers(self, service):
        """The ids of the containers of a service, whatever their state."""
        return self.run("ps", "-a", "-q", service).stdout.split()

    def states(self, service):
        return [self.docker.inspect(container)["State"] for container in self.containers(service)]

    def health(self, service):
        """The health of each container of a service: "healthy", "unhealthy", "starting"; its status where it has none."""
        return [state.get("Health", {}).get("Status") or state["Status"] for state in self.states(service)]

    def await_health(self, service, count=1, wanted="healthy", limit_s=90):
        eventually(lambda: self.health(service) == [wanted] * count, limit_s, f"{count} of {service} are {wanted}", every_s=0.3)

    def await_exit(self, service, limit_s=90):
        """Waits until the only container of a one-shot service has ended; its exit status."""
        eventually(lambda: [state["Status"] for state in self.states(service)] == ["exited"], limit_s, f"{service} ends", every_s=0.3)
        return self.states(service)[0]["ExitCode"]

    def logs(self, service):
        return self.run("logs", "--no-color", "--no-log-prefix", service).stdout

    def await_log(self, service, text, limit_s=60):
        eventually(lambda: text in self.logs(service), limit_s, f"{service} says {text!r}", every_s=0.3)

    def down(self, *args):
        self.run("down", *args)
