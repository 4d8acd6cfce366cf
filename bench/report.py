# SPDX-License-Identifier: Apache-2.0
"""Figures of one run, and the page that shows them."""

import sys


class Report:
    def __init__(self, options):
        self.options = options
        self.rows = []  # (label, figure, CPU)
        self.values = {}  # key -> number, what ratios are made of
        self.failures = []

    def add(self, label, figure, cpu=""):
        self.rows.append((label, figure, cpu))
        print(f"{label}: {figure}{'; ' + cpu if cpu else ''}", file=sys.stderr, flush=True)

    def rate(self, key, label, per_s, cpu_us=None):
        self.values[key] = per_s
        self.add(label, f"{per_s:,.0f}/s", ", ".join(f"{who} {us:.1f}" for who, us in (cpu_us or {}).items()))

    def failed(self, name, why):
        self.failures.append((name, why))
        print(f"{name} FAILED: {why}", file=sys.stderr, flush=True)

    def text(self):
        lines = ["| what | figure | CPU us each |", "|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join(lines) + "\n"
