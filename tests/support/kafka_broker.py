# SPDX-License-Identifier: Apache-2.0
"""A real Kafka broker of one node (KRaft, broker and controller in one) on free ports.

    python -m support.kafka_broker LIB     makes the files that let a broker start fast, beside LIB (the folder of the jars)
"""

import shutil
import signal
import sys
import tempfile
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from support.ports import HOST, free_port, is_listening
from support.processes import Processes
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "build" / "kafka" / "lib"

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "message.max.bytes": 3 * 1024 * 1024,
    "replica.fetch.max.bytes": 3 * 1024 * 1024,
    # A broker that was killed is let in again when its old session has run out.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    "log.index.size.max.bytes": 1024 * 1024,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
}

# A broker of a test lives for seconds: compiled lightly, collected by one thread.
JAVA_OPTIONS = ["-Xmx512m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xlog:cds=off"]
LOG_OPTIONS = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]


def _java(lib, options, main_class, *arguments):
    archive = lib.parent / "classes.jsa"
    shared = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
    return ["java", *JAVA_OPTIONS, *shared, *LOG_OPTIONS, *options, "-cp", f"{lib}/*", main_class, *arguments]


class KafkaBroker:
    """Started by the constructor. It keeps its ports and its data over kill9() and start()."""

    def __init__(self, processes, folder, properties=None, lib=LIB, java_options=()):
        self.processes = processes
        self.folder = Path(folder)
        self.lib = Path(lib).resolve()
        self.properties = dict(properties or {})
        self.java_options = list(java_options)
        self.process = None
        assert self.lib.is_dir(), f"no Kafka in {self.lib}: tests/run brings it"
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.lib.parent / "formatted", self.folder / "data")
        self._choose_ports()
        try:
            self.start()
        except AssertionError:  # another program may have been faster to take a port
            self.process.kill_tree9()
            self._choose_ports()
            self.start()

    def _choose_ports(self):
        self.port, self.controller_port = free_port(), free_port()
        self.address = f"{HOST}:{self.port}"
        file, data = self.folder / "server.properties", self.folder / "data"
        write_properties(file, data, self.port, self.controller_port, self.properties)

    def start(self):
        """Starts it and waits until it answers."""
        argv = _java(self.lib, self.java_options, "kafka.Kafka", self.folder / "server.properties")
        self.process = self.processes.start(argv, name="kafka")
        eventually(self._answers, limit_s=40, what=f"the broker on {self.address} answers")

    def _answers(self):
        assert self.process.alive, f"the broker ended: {self.process.stderr[-2000:]}"
        if not is_listening(self.port):
            return False
        try:  # it lists itself once the controller has let it in
            return AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=1).brokers
        except KafkaException:
            return False

    def kill9(self):
        self.process.kill9()

    def stop(self):
        """Shuts it down in an orderly way."""
        self.process.sigterm()
        self.process.wait(30)

    def restart(self, kill=False):
        self.kill9() if kill else self.stop()
        self.start()

    def pause(self):
        """SIGSTOP: connections stay open, nothing is answered."""
        self.process.pause()

    def cont(self):
        self.process.resume()


def write_properties(path, data, port, controller_port, more):
    listeners = f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}"
    properties = {
        **PROPERTIES,
        "listeners": listeners,
        "advertised.listeners": f"BROKER://{HOST}:{port}",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": data,
        **more,
    }
    Path(path).write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def prepare(lib):
    """Formats a data folder to copy from, and archives the loaded classes of a first start: a later one takes half the time."""
    lib = Path(lib).resolve()
    for left_over in ("formatted", "classes.jsa"):
        path = lib.parent / left_over
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(folder)
        try:
            formatted = Path(folder) / "formatted"
            properties = Path(folder) / "format.properties"
            write_properties(properties, formatted, free_port(), free_port(), {})
            argv = _java(lib, [], "kafka.tools.StorageTool", "format", "-t", "TWlsbHJhY2UtdGVzdHMtMQ", "-c", properties)
            storage = processes.start(argv, name="format")
            assert storage.wait(60) == 0, storage.stderr + storage.stdout
            shutil.copytree(formatted, lib.parent / "formatted")

            archive = Path(folder) / "classes.jsa"
            options = [f"-XX:ArchiveClassesAtExit={archive}"]
            broker = KafkaBroker(processes, Path(folder) / "broker", lib=lib, java_options=options)
            broker.stop()
            if archive.exists():
                shutil.copy(archive, lib.parent / "classes.jsa")
        finally:
            processes.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    prepare(sys.argv[1])
