# SPDX-License-Identifier: Apache-2.0
"""The broker and the redis-server that one run of the tests shares.

    python -m support.services --folder FOLDER --write FILE

Starts both, writes FILE with NAME=VALUE lines for the environment of the tests, stays until SIGTERM (or the end of the
process that started it) and ends both. FILE appears when everything answers.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from support.kafka_broker import KafkaBroker
from support.processes import Processes, die_with_parent
from support.redis_server import RedisServer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()

    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options.folder.mkdir(parents=True, exist_ok=True)
    processes = Processes(options.folder)
    try:
        redis = RedisServer(processes, options.folder / "redis")
        broker = KafkaBroker(processes, options.folder / "kafka")
        lines = f"MILLRACE_TEST_BROKERS={broker.address}\nMILLRACE_TEST_REDIS={redis.url}\n"
        unfinished = options.write.with_suffix(".new")
        unfinished.write_text(lines)
        os.replace(unfinished, options.write)
        while all(process.alive for process in processes.all):
            time.sleep(0.5)
        dead = next(process for process in processes.all if not process.alive)
        print(f"{dead!r} ended on its own:\n{dead.stderr[-4000:]}{dead.stdout[-2000:]}", file=sys.stderr)
        return 1
    finally:
        for process in processes.all:
            process.kill_tree9()


if __name__ == "__main__":
    sys.exit(main())
