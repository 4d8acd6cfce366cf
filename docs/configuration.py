#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints docs/configuration.md from the option tables of the programs: docs/configuration.py BUILD_FOLDER > docs/configuration.md"""

import subprocess
import sys
from pathlib import Path

PROGRAMS = [
    ["millrace-worker"],
    ["millrace-scheduler"],
    *(["millrace", command] for command in ("setup", "submit", "execute", "result", "describe", "list")),
    *(["millrace", command] for command in ("cancel", "terminate", "pause", "unpause", "reset", "update", "complete", "fail", "heartbeat")),
    *(["millrace", "dead", command] for command in ("list", "show", "replay")),
    ["millrace", "health"],
    ["millrace", "dev"],
]

HEAD = """# Configuration

Every program takes its options from flags, environment variables and a file, in this order; a variable that is empty counts as not
set. `--config FILE` names the file: one `name = value` a line, names are the long flags without dashes, `#` begins a comment line, a
value may stand in double quotes, and a flag that may repeat may repeat there too:

```
# /etc/millrace/worker.conf
brokers = kafka1:9092,kafka2:9092
redis = redis://redis:6379/0
queue = default
slots = 32
exec = resize=/usr/local/bin/resize
exec = "report=/usr/local/bin/report --format pdf"
limit = report=2
```

Durations: `500ms`, `30s`, `5m`, `1h`. Bytes: `1048576`, `64k`, `8m`. Switches that are on are turned off by `--no-NAME`. Flags cannot be
abbreviated; a wrong name is answered with the nearest right one, a wrong value with what is accepted, on one line, with exit status 2.

This page is made from the option tables of the programs (`docs/configuration.py`).
"""


def sections(build, words):
    """[(heading, table)] of one program."""
    argv = [str(build / words[0]), *words[1:], "--help-markdown"]
    page = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    parts = ("\n" + page).split("\n### ")
    found = [tuple(part.strip().split("\n", 1)) for part in parts[1:]]
    return [("Options", parts[0].strip()), *found] if parts[0].strip() else found


def main():
    build = Path(sys.argv[1])
    pages = {" ".join(words): sections(build, words) for words in PROGRAMS}
    # millrace health alone has none of these: it asks neither Kafka nor Redis.
    others = [page for name, page in pages.items() if name != "millrace health"]
    shared = [part for part in others[0] if all(part in page for page in others)]
    print(HEAD)
    print("## All programs")
    for heading, table in shared:
        print(f"\n### {heading}\n\n{table.strip()}")
    first = {}  # part -> the program that has it first
    for program, page in pages.items():
        print(f"\n## {program}")
        for part in page:
            heading, table = part
            if first.setdefault(part, program) != program and part not in shared:
                print(f"\n### {heading}\n\nAs of `{first[part]}`.")
            elif part not in shared:
                print(f"\n### {heading}\n\n{table.strip()}")


if __name__ == "__main__":
    main()
