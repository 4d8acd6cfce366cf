# SPDX-License-Identifier: Apache-2.0
"""The execution log: activities of the tests append one JSON line per start and end, so that a test can count them.

    {"event": "start", "key": "order-1/charge", "attempt": 1, "pid": 4711, "at_ms": 1764000000123}

A line is one write() to a file opened with O_APPEND, so that lines of many processes do not mix. Activities find the file
in the environment variable MILLRACE_EXEC_LOG: the stack sets it for the worker, and scripted_worker() for the programs of exec
activities, whose environment is clean. exec_log.h writes the log from C, activities/ from scripts.
"""

import collections
import json
from pathlib import Path

from support.waiting import eventually

VARIABLE = "MILLRACE_EXEC_LOG"


class ExecLog:
    def __init__(self, path):
        self.path = Path(path)
        self.path.touch()

    @property
    def env(self):
        return {VARIABLE: str(self.path)}

    def lines(self, event=None):
        """All whole lines so far, in the order in which they were written."""
        text = self.path.read_text()
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if event is None or line["event"] == event]

    def starts(self):
        """How often each (key, attempt) was started."""
        return collections.Counter((line["key"], line["attempt"]) for line in self.lines("start"))

    def attempts(self, key):
        """The attempts of a key in the order in which they started: [1, 2, 3]."""
        return [line["attempt"] for line in self.lines("start") if line["key"] == key]

    def started_at_ms(self, key):
        return [line["at_ms"] for line in self.lines("start") if line["key"] == key]

    def gaps_ms(self, key):
        """Milliseconds between the starts of consecutive attempts."""
        times = self.started_at_ms(key)
        return [later - earlier for earlier, later in zip(times, times[1:])]

    def running(self):
        """The (key, attempt) that have started and not ended."""
        return self.starts() - collections.Counter((line["key"], line["attempt"]) for line in self.lines("end"))

    def pids(self, key):
        return [line["pid"] for line in self.lines("start") if line["key"] == key]

    def await_event(self, event, key, limit_s=20):
        """Waits for the first line with that event of that key and returns it."""

        def there():
            return next((line for line in self.lines(event) if line["key"] == key), None)

        return eventually(there, limit_s, f"{key}: {event}")

    def await_starts(self, count, limit_s=20):
        """Waits until that many attempts were started, of whatever key; returns starts()."""

        def enough():
            starts = self.starts()
            assert starts.total() >= count, f"{starts.total()} of {count} starts"
            return starts

        return eventually(enough, limit_s, f"{count} attempts start")

    def assert_no_attempt_started_twice(self):
        twice = {start: times for start, times in self.starts().items() if times > 1}
        assert not twice, f"started more than once: {twice}"

    def assert_each_key_started_once(self, keys):
        """Exactly these keys, each in exactly one attempt."""
        keys_started = collections.Counter(key for key, _ in self.starts().elements())
        assert keys_started == collections.Counter(set(keys)), "expected one start of each key"
