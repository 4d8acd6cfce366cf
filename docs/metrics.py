#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints docs/metrics.md from the table of metrics in the code: docs/metrics.py > docs/metrics.md"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "common/metrics/table.h"
ROW = re.compile(r'XX\((\w+),\s*"(\w+)",\s*(\w+),\s*"([\w,]*)",\s*(\w+),[\s\\]*"((?:[^"\\]|\\.)*)"\)')
KINDS = {"COUNTER": "counter", "CPU": "counter", "GAUGE": "gauge", "SECONDS": "gauge", "LATENCY": "histogram", "LATENESS": "histogram"}

HEAD = """# Metrics and health

`--http ADDR:PORT` of `millrace-worker` and `millrace-scheduler` (`MILLRACE_HTTP`; in C `mr_worker_options.http`) serves three pages:

| page | says |
|---|---|
| `/metrics` | what this page lists, in the text format of Prometheus |
| `/healthz` | 200 while the program lives, 503 and the reason in one line where its loop is stuck: for liveness checks |
| `/readyz` | 200 while it does its work, 503 and the reasons in one line otherwise: it starts, Kafka or Redis is away, shards are not ready, it ends |

`127.0.0.1:9464` is for this machine alone, `:9464` for all addresses, `[::1]:9464` for IPv6; port 0 takes a free one, which the log names.
Whoever reaches the pages may read them, so let only those reach them who should. `millrace dev --http :9464` serves the worker's pages there
and the scheduler's at the next port.

```
millrace-scheduler --http 127.0.0.1:9465 &
millrace-worker -q default --exec shout=/usr/bin/rev --http 127.0.0.1:9464 &
curl -sf --retry 60 --retry-delay 1 --retry-connrefused 127.0.0.1:9464/readyz
curl -s 127.0.0.1:9464/metrics | grep ^millrace_worker_task_slots
```

prints, once the worker is ready:

```text
ready
millrace_worker_task_slots_available 16
millrace_worker_task_slots_used 0
```

A worker is several processes. The one that was started, the supervisor, outlives a crash of the loop, so it serves the pages; what the loop
counts lies in memory that both share, and counts on when the loop is started again. Counters begin at 0 when the program starts.

Metrics that Temporal's SDKs have too carry its names, with our prefix and Prometheus' suffixes. The first 100 activity types that a worker
has, have series of their own; all others, and types that it does not have, are `_other`.

`deploy/prometheus/` has a configuration and alert rules (`alerts.yml`, tested by `alerts_test.yml`), `deploy/grafana/` a dashboard.

This page is made from the table in the code (`docs/metrics.py`).
"""

PARTS = {"WS": "Worker and scheduler", "W": "Worker", "S": "Scheduler"}


def rows():
    """(programs, name, kind, labels, help) of every metric."""
    found = ROW.findall(TABLE.read_text())
    return [(programs, name, KINDS[kind], labels, text) for _, name, kind, labels, programs, text in found]


def main():
    print(HEAD, end="")
    for programs, title in PARTS.items():
        print(f"\n## {title}\n\n| metric | type | labels | meaning |\n|---|---|---|---|")
        for _, name, kind, labels, text in filter(lambda row: row[0] == programs, rows()):
            print(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in filter(None, labels.split(',')))} | {text} |")


if __name__ == "__main__":
    main()
