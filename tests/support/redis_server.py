# SPDX-License-Identifier: Apache-2.0
"""A redis-server of our own on a free port: nothing on disk unless a test asks for it."""

import shutil
from pathlib import Path

import redis as redis_py
from redis.backoff import NoBackoff
from redis.retry import Retry

from support.ports import HOST, free_port
from support.waiting import eventually


class RedisServer:
    """Started by the constructor. It keeps its port over kill9(), start() and restart()."""

    def __init__(self, processes, folder, options=()):
        self.processes = processes
        self.folder = Path(folder)
        self.options = list(options)
        self.process = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._choose_port()
        try:
            self.start()
        except AssertionError:  # another program may have been faster to take the port
            self.process.kill9()
            self._choose_port()
            self.start()

    def _choose_port(self):
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self.client = self.new_client()

    def new_client(self, socket_timeout=10, **options):
        """A redis-py client that never tries again by itself."""
        no_retry = Retry(NoBackoff(), 0)
        return redis_py.Redis(HOST, self.port, decode_responses=True, socket_timeout=socket_timeout, retry=no_retry, **options)

    @property
    def dump(self):
        return self.folder / "dump.rdb"

    def start(self):
        """Starts it with the data that its folder holds, and waits until it answers."""
        argv = [
            "redis-server", "--port", self.port, "--bind", HOST, "--dir", self.folder, "--save", "", "--appendonly", "no",
            "--databases", 64, "--loglevel", "notice", "--daemonize", "no", "--enable-debug-command", "yes", *self.options,
        ]  # fmt: skip
        self.process = self.processes.start(argv, name="redis")
        eventually(self._answers, limit_s=10, what=f"the redis-server on port {self.port} answers")

    def _answers(self):
        assert self.process.alive, f"redis-server ended: {self.process.stdout[-2000:]}"
        try:
            return self.client.ping()
        except redis_py.exceptions.RedisError:
            return False

    def kill9(self):
        self.process.kill9()
        self.client.connection_pool.disconnect()

    def stop_cont(self, number):
        """signal.SIGSTOP: connections stay open, nothing is answered; signal.SIGCONT: it goes on."""
        self.process.signal(number)

    def pause(self):
        self.process.pause()

    def cont(self):
        self.process.resume()

    def restart(self, keep_data):
        """Killed and started again on the same port, with all that it held or with nothing."""
        if keep_data:
            self.client.save()
        self.kill9()
        if not keep_data:
            self.dump.unlink(missing_ok=True)
        self.start()

    def flushall(self):
        self.client.flushall()

    def snapshot(self):
        """What it holds now, for rollback()."""
        self.client.save()
        number = len(list(self.folder.glob("snapshot-*.rdb"))) + 1
        return Path(shutil.copy(self.dump, self.folder / f"snapshot-{number}.rdb"))

    def rollback(self, snapshot):
        """Killed and started again with what it held at the snapshot, as a restore of a backup would."""
        self.kill9()
        shutil.copy(snapshot, self.dump)
        self.start()
