# SPDX-License-Identifier: Apache-2.0
"""Millrace, the raw pipe and peers, measured side by side on this machine; bench/run prepares what this needs."""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from support.kafka_broker import KafkaBroker
from support.processes import Processes, adopt_orphans, reap_orphans
from support.stack import ROOT, Build

import cases
from meters import BenchError
from report import Report

# As a broker runs in production, not as one that a test starts: compiled fully, and what Kafka's own start script gives it.
JAVA_OPTIONS = [
    "-Xms1g",
    "-Xmx1g",
    "-XX:TieredStopAtLevel=4",
    "-XX:-UseSerialGC",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
]


class Lab:
    """The broker, the programs and the folder that all cases share."""

    def __init__(self, folder, options):
        self.folder = Path(folder)
        self.options = options
        self.processes = Processes(self.folder)
        self.build = Build(Path(os.environ["MILLRACE_TEST_BIN"]).resolve())
        self.broker = None
        self.raw_runs = 0  # each has topics of its own
        self.sizes = {}  # encoding -> bytes of a task's record

    def start(self):
        self.broker = KafkaBroker(self.processes, self.folder / "kafka", java_options=JAVA_OPTIONS)

    def program(self, name):
        return self.build.folder / "bench" / name

    def end(self):
        for process in self.processes.all:
            process.kill_tree9()
        reap_orphans()


def parse_arguments():
    """bench/run --help has the words for people."""
    parser = argparse.ArgumentParser(prog="bench/run", add_help=False)
    parser.add_argument("--tasks", type=int, default=400000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.tasks < 1000 or options.repeat < 1:
        parser.error("--tasks is 1000 or more, --repeat 1 or more")
    options.words = "".join(f" {word}" for word in sys.argv[1:] if word != "--write")
    if options.quick:
        options.tasks = max(1000, options.tasks // 10)
        options.repeat = 1
    return options


def run_cases(lab, report):
    failed = []
    for case in cases.ALL:
        name = case.__name__.replace("_", "-")
        if not cases.is_wanted(name, lab.options):
            continue
        started = time.monotonic()
        try:
            case(lab, report)
        except BenchError as error:
            failed.append(name)
            report.failed(name, str(error))
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return failed


def main():
    options = parse_arguments()
    if options.list:
        print(*(case.__name__.replace("_", "-") for case in cases.ALL), sep="\n")
        return 0
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="millrace-bench.") as folder:
        lab, report = Lab(folder, options), Report(options)
        try:
            lab.start()
            failed = run_cases(lab, report)
        finally:
            lab.end()
    text = report.text()
    print(text)
    if options.write:
        (ROOT / "docs" / "benchmarks.md").write_text(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
