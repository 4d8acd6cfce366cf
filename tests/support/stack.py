# SPDX-License-Identifier: Apache-2.0
"""Millrace as its users run it: the programs of one build, against one broker, one Redis and one prefix."""

import collections
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from support.exec_log import VARIABLE
from support.ports import HOST, free_port
from support.processes import REPORT, SANITIZER_OPTIONS, die_with_parent
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
ACTIVITIES = Path(__file__).resolve().parent / "activities"

Answer = collections.namedtuple("Answer", "rc stdout stderr")


class Build:
    """A build folder: where the programs and the shared objects of one preset lie."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._found = {}

    def program(self, name):
        """The path of a program, wherever in the build folder it was made."""
        return self._find(name, lambda path: os.access(path, os.X_OK))

    def library(self, name):
        """The path of NAME.so, with or without `lib` in front."""
        return self._find(name if name.endswith(".so") else f"{name}.so", lambda path: True, f"lib{name}.so")

    def has(self, name):
        return any(self._candidates(name))

    def _candidates(self, name):
        return (path for path in self.folder.rglob(name) if path.is_file() and "CMakeFiles" not in path.parts)

    def _find(self, name, fits, other_name=None):
        if name not in self._found:
            names = [name, *([other_name] if other_name else [])]
            found = [path for each in names for path in self._candidates(each) if fits(path)]
            assert found, f"no {name} under {self.folder}: build it first (tests/run does)"
            self._found[name] = min(found, key=lambda path: len(path.parts))
        return self._found[name]


def flags_of(options):
    """{"max_attempts": 3, "json": True, "queue": ["a", "b"]} -> --max-attempts 3 --json --queue a --queue b"""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if each is True:
                words.append(flag)
            elif each is not None and each is not False:
                words += [flag, str(each)]
    return words


class Stack:
    def __init__(self, build, processes, brokers, redis_url, prefix, exec_log=None):
        self.build = build
        self.processes = processes
        self.brokers = brokers
        self.redis_url = redis_url
        self.prefix = prefix
        self.exec_log = exec_log

    @property
    def env(self):
        """What the programs are told by environment; tests may hand it to programs of their own."""
        own = {"MILLRACE_BROKERS": self.brokers, "MILLRACE_REDIS": self.redis_url, "MILLRACE_PREFIX": self.prefix}
        return {**own, **(self.exec_log.env if self.exec_log else {})}

    # Commands

    def cli(self, *args, input=None, check=True, env=None, limit_s=45, **options):
        """Runs `millrace ARGS`; options become flags. input: str or bytes for stdin. Returns (rc, stdout, stderr)."""
        words = [*args, *flags_of(options)]
        return self.run(self.build.program("millrace"), *words, input=input, check=check, env=env, limit_s=limit_s)

    def run(self, program, *args, input=None, check=True, env=None, limit_s=45):
        """Runs any program to its end, with the addresses of this stack in its environment."""
        argv = [str(program), *map(str, args)]
        environment = {**SANITIZER_OPTIONS, **os.environ, **self.env, **(env or {})}
        done = subprocess.run(
            argv,
            input=input.encode() if isinstance(input, str) else (input or b""),
            capture_output=True,
            timeout=limit_s,
            env=environment,
            cwd=self.processes.folder,
            preexec_fn=die_with_parent,
        )
        answer = Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        name = " ".join(argv)
        assert answer.rc >= 0, f"{name}: ended by signal {-answer.rc}\n{answer.stderr}"
        assert not REPORT.search(answer.stderr), f"{name}: sanitizer report\n{answer.stderr}"
        assert not check or answer.rc == 0, f"{name}: exit {answer.rc}\n{answer.stdout}{answer.stderr}"
        return answer

    def setup(self, queues=("default",), partitions=4, **options):
        """`millrace setup`: few partitions unless the test needs more, because topics take time to make."""
        return self.cli("setup", *_repeated("-q", queues), "--partitions", partitions, **options)

    # Daemons

    def scheduler(self, flags=(), env=None, http=False, **options):
        """Starts millrace-scheduler."""
        return self._daemon("millrace-scheduler", [], flags, env, http, options)

    def worker(
        self, queues=("default",), slots=8, isolation="process", libs=(), execs=None, flags=(), env=None, http=False, **options
    ):
        """Starts millrace-worker. libs: names or paths of shared objects; execs: {activity type: program}."""
        words = _repeated("-q", queues)
        words += ["--slots", slots, "--isolation", isolation]
        words += _repeated("--activity-lib", [lib if os.path.isabs(lib) else self.build.library(lib) for lib in libs])
        words += _repeated("--exec", [f"{name}={program}" for name, program in (execs or {}).items()])
        return self._daemon("millrace-worker", words, flags, env, http, options)

    def scripted_worker(self, *more_types, **options):
        """A worker whose activity type `scripted` (and each of more_types) is tests/support/activities/scripted."""
        program = ACTIVITIES / "scripted"
        if self.exec_log:  # programs get a clean environment
            program = f"/usr/bin/env {VARIABLE}={self.exec_log.path} {program}"
        execs = {name: program for name in ("scripted", *more_types)}
        return self.worker(execs={**execs, **options.pop("execs", {})}, **options)

    def start(self, program, *args, env=None, name=None):
        """Starts any other program of the build (by name) or of the machine (by absolute path)."""
        path = program if os.path.isabs(program) else self.build.program(program)
        return self.processes.start([path, *args], name=name, env={**self.env, **(env or {})})

    def _daemon(self, program, words, flags, env, http, options):
        words = [*words, *flags_of(options), *flags]
        if http:
            port = free_port()
            words += ["--http", f"{HOST}:{port}"]
        process = self.start(program, *words, env=env)
        if http:
            process.url = f"http://{HOST}:{port}"
        return process


def await_ready(process, limit_s=15):
    """Waits until /readyz of a daemon started with http=True says 200."""

    def ready():
        assert process.alive, f"{process!r}: {process.stderr[-2000:]}"
        try:
            with urllib.request.urlopen(f"{process.url}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    return eventually(ready, limit_s, f"{process.name} is ready")


def _repeated(flag, values):
    return [word for value in values for word in (flag, str(value))]
