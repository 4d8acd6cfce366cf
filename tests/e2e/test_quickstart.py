# SPDX-License-Identifier: Apache-2.0
"""deploy/quickstart in a fresh copy of the tree, as after a clone."""

import json
import os
import re
import shutil
import subprocess

import pytest

from support.ports import HOST, free_port, is_listening
from support.processes import pids_with_environment, reap_orphans
from support.stack import ROOT
from support.waiting import eventually

MARK = "MILLRACE_TEST_QUICKSTART"


@pytest.fixture
def tree(tmp_path):
    leave_out = shutil.ignore_patterns("build", ".git", "__pycache__", "node_modules")
    return shutil.copytree(ROOT, tmp_path / "tree", ignore=leave_out, symlinks=True)


@pytest.fixture
def quickstart(tree, tmp_path):
    ports = [free_port(), free_port()]
    addresses = {"MILLRACE_BROKERS": f"{HOST}:{ports[0]}", "MILLRACE_REDIS": f"redis://{HOST}:{ports[1]}/0"}
    env = {**os.environ, **addresses, "MILLRACE_EXAMPLE_SOCKET": str(tmp_path / "s"), MARK: str(tmp_path)}

    def run(*words, limit_s=150, line=None):
        argv = ["bash", "-c", line] if line else [str(tree / "deploy" / "quickstart"), *words]
        with open(tmp_path / "out", "w+b") as out, open(tmp_path / "err", "w+b") as err:  # what --keep leaves may hold on to them
            rc = subprocess.run(argv, cwd=tree, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=limit_s).returncode
        return rc, (tmp_path / "out").read_text(errors="replace"), (tmp_path / "err").read_text(errors="replace")

    run.ports = ports
    yield run
    if (tree / "build" / "quickstart" / "dev.pid").exists():
        run("--stop")
    reap_orphans()
    left = pids_with_environment(f"{MARK}={tmp_path}")
    assert not left, f"still running: {left}"


@pytest.mark.timeout(240)
def test_it_runs_the_order_example_to_its_end_and_keeps_on_running_only_when_asked(quickstart):
    rc, out, err = quickstart()

    assert rc == 0, err
    assert re.search(r"COMPLETED at attempt 3, after 3\.\d+ s", out)
    assert out.rstrip().endswith("Order complete.")
    assert "Not durable" in err
    assert not any(map(is_listening, quickstart.ports))

    rc, out, err = quickstart("--keep")
    assert rc == 0 and "Order complete." in out, err
    told = [line.strip() for line in err.partition("It goes on running")[2].splitlines() if line.startswith("    ")]
    export, execute, publish, read, stop = told
    assert quickstart(line=f"{export}; {execute}")[:2] == (0, '"Hello, Ada"\n')
    assert quickstart(line=publish)[0] == 0

    def has_result():
        _, out, err = quickstart(line=read)
        results = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        found = [result for result in results if result["task_key"].startswith("millrace.tasks.default:")]
        assert found, err
        return found

    assert [(result["status"], result["result"]) for result in eventually(has_result, 15)] == [("COMPLETED", "Hello, Ada")]
    assert quickstart("--keep")[0] == 1  # it runs already
    rc, _, err = quickstart(line=stop)
    assert (rc, any(map(is_listening, quickstart.ports))) == (0, False)
    assert "killing" not in err


def test_a_wrong_argument_is_2_and_names_it(quickstart):
    rc, out, err = quickstart("--kep")

    assert (rc, out) == (2, "")
    assert "--kep" in err
