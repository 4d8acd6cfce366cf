# SPDX-License-Identifier: Apache-2.0
"""Sums up JUnit files of ctest and pytest.

    junit_counts.py FILE...     prints "PASSED FAILED SKIPPED", then one line for each test that failed
"""

import sys
import xml.etree.ElementTree as ElementTree


def outcome_of(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if case.get("status") == "notrun" and skipped is not None and not skipped.get("message", "").startswith("SKIP_"):
        return "failed"  # ctest's word for a program that was not built
    if skipped is not None or case.get("status") == "disabled":
        return "skipped"
    return "passed"


def outcomes_of(file):
    """{test: outcome}; pytest writes a case twice whose call passed and whose teardown failed: it failed."""
    rank = ["skipped", "passed", "failed"]
    found = {}
    for case in ElementTree.parse(file).iter("testcase"):
        path = [part for part in (case.get("classname"), case.get("name")) if part]
        name = path[-1] if len(path) == 2 and path[0] == path[1] else "::".join(path)
        found[name] = max(outcome_of(case), found.get(name, "skipped"), key=rank.index)
    return found


def main():
    outcomes = [item for file in sys.argv[1:] for item in outcomes_of(file).items()]
    print(*(sum(outcome == wanted for _, outcome in outcomes) for wanted in ("passed", "failed", "skipped")))
    for name, outcome in outcomes:
        if outcome == "failed":
            print(name)


if __name__ == "__main__":
    main()
