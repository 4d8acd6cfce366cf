# SPDX-License-Identifier: Apache-2.0
"""A worker with the type `scripted` (activities/scripted). An exec activity gets a clean environment, so it is told of the execution log by env(1)."""

from support.exec_log import VARIABLE
from support.stack import ACTIVITIES

SCRIPTED = ACTIVITIES / "scripted"


def scripted_worker(stack, exec_log, **options):
    program = f"/usr/bin/env {VARIABLE}={exec_log.path} {SCRIPTED}"
    return stack.worker(execs={"scripted": program, **options.pop("execs", {})}, **options)
