# SPDX-License-Identifier: Apache-2.0
"""Programs under test: started in a group of their own, watched for crashes, gone with all their children at the end."""

import contextlib
import ctypes
import itertools
import os
import re
import signal
import subprocess
import time
import uuid
from pathlib import Path

from support.waiting import eventually

TAG = "MILLRACE_TEST_PROCESS"

# What a sanitizer leaves in stderr.
REPORT = re.compile(
    r"ERROR: AddressSanitizer|AddressSanitizer:DEADLYSIGNAL|WARNING: ThreadSanitizer|FATAL: ThreadSanitizer"
    r"|ERROR: LeakSanitizer|LeakSanitizer has encountered|runtime error:"
)

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1:history_size=7",
}

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_waited_for = set()  # pids whose exit status belongs to a Process


def die_with_parent(number=signal.SIGKILL):
    """This process gets that signal when the thread that started it ends. Also for preexec_fn."""
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def adopt_orphans():
    """Whoever loses its parent below this process becomes its child, where it can be found and reaped."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def is_running(pid):
    """False for a pid that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def pids_with_environment(entry):
    """Every running process that was started with this NAME=VALUE in its environment, whoever its parent is by now."""
    wanted = entry.encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0") and is_running(folder.name):
                    found.append(int(folder.name))
    return sorted(found)


def children_of(parents, levels=None):
    """All running descendants of these pids (down to so many levels) by the kernel's own records."""
    below = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX":
                below.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, level = set(), set(parents)
    while level and levels != 0:
        level = {child for pid in level for child in below.get(pid, [])} - found
        found |= level
        levels = levels and levels - 1
    return sorted(found)


def adopted():
    """Running orphans (see adopt_orphans) that nobody waits for, and all below them."""
    orphans = [pid for pid in children_of([os.getpid()], levels=1) if pid not in _waited_for]
    return sorted({*orphans, *children_of(orphans)})


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def kill_until_gone(list_pids):
    def none_is_left():
        signal_all(list_pids(), signal.SIGKILL)
        return not list_pids()

    eventually(none_is_left, limit_s=10, what="what was killed is gone")


def reap_orphans():
    """Reaps the dead among the adopted children."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(stat.parent.name)
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid() and pid not in _waited_for:
                os.waitpid(pid, os.WNOHANG)


def signal_name(number):
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return str(number)


class Process:
    """One program that was started by Processes.start. Its stdout and stderr are files, kept while the test runs."""

    def __init__(self, name, argv, folder, env, stdin=subprocess.DEVNULL):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.tag = f"{TAG}={uuid.uuid4().hex}"
        self.stdout_path = Path(folder) / f"{name}.out"
        self.stderr_path = Path(folder) / f"{name}.err"
        self.reports_allowed = False
        self.sent = set()
        key, _, value = self.tag.partition("=")
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.popen = subprocess.Popen(
                self.argv,
                stdin=stdin,
                stdout=out,
                stderr=err,
                env={**env, key: value},
                cwd=folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.pid = self.popen.pid
        self._end_seen = False
        _waited_for.add(self.pid)

    def __repr__(self):
        return f"<{self.name} pid {self.pid}, {'running' if self.alive else self._describe_end()}>"

    # What it says

    @property
    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def wait_for_log(self, regex, limit_s=10):
        """Waits until a line of stderr matches, from its first line on; returns the match."""
        pattern = re.compile(regex, re.MULTILINE)

        def logged():
            ended = not self.alive  # asked first: its last lines are then in the file
            match = pattern.search(self.stderr)
            if match is None and ended:
                raise EndedEarly(f"{self.name} ended with {self._describe_end()} and never logged {regex!r}")
            return match

        return eventually(logged, limit_s, f"{self.name} logs {regex!r}")

    # Whether it lives

    @property
    def returncode(self):
        """None while it runs; negative: the number of the signal that ended it."""
        self._end_seen = True
        return self.popen.poll()

    @property
    def alive(self):
        return self.popen.poll() is None

    def wait(self, limit_s=15):
        """Waits for its end and returns the exit status (negative: signal)."""
        self._end_seen = True
        try:
            return self.popen.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {limit_s:g} s") from None

    def tree(self):
        """The pids of everything that it started and that still runs, itself excluded, `setsid` or not."""
        return sorted((set(pids_with_environment(self.tag)) | set(children_of([self.pid]))) - {self.pid})

    # Signals: one that the harness sent is no crash

    def signal(self, number):
        if self.alive:
            self.sent.add(number)
            os.kill(self.pid, number)

    def signal_group(self, number):
        self.sent.add(number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def sigterm(self):
        self.signal(signal.SIGTERM)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def pause_tree(self):
        """Freezes it and everything below it, as a stalled host would."""
        self.pause()
        frozen = set()
        while running := set(self.tree()) - frozen:  # until nobody is left who could start another
            signal_all(running, signal.SIGSTOP)
            frozen |= running

    def resume_tree(self):
        signal_all(self.tree(), signal.SIGCONT)
        self.resume()

    def kill9(self):
        """SIGKILL to this one process, and waits for its end."""
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def kill_group9(self):
        """SIGKILL to its process group, and waits for its end."""
        self.signal_group(signal.SIGKILL)
        self.popen.wait()

    def kill_tree9(self):
        """SIGKILL to it and to all it started, as the loss of a host would; waits until all are gone."""
        self.pause_tree()
        signal_all(self.tree(), signal.SIGKILL)
        self.kill9()
        kill_until_gone(self.tree)

    def stop(self, limit_s=15):
        """SIGTERM; it must drain and exit 0 within the limit."""
        self.sigterm()
        code = self.wait(limit_s)
        assert code == 0, f"{self.name} ended with {self._describe_end()} after SIGTERM"

    def _describe_end(self):
        code = self.popen.returncode
        return f"signal {signal_name(-code)}" if code < 0 else f"exit status {code}"

    def allow_crash_reports(self):
        """For a test that makes an activity crash on purpose: sanitizer reports in stderr are no finding."""
        self.reports_allowed = True
        return self

    def ended_unseen(self):
        """Whether it failed by itself and the test never looked at its end."""
        return not self._end_seen and (self.popen.poll() or 0) > 0

    def findings(self):
        """What a test must not overlook, in one line each."""
        code = self.popen.poll()
        if code is not None and code < 0 and -code not in self.sent:
            yield f"{self.name} (pid {self.pid}) was ended by {signal_name(-code)}, which the test did not send"
        if not self.reports_allowed and (report := REPORT.search(self.stderr)):
            yield f"{self.name} (pid {self.pid}) printed a sanitizer report: {_line_at(self.stderr, report.start())}"


class EndedEarly(Exception):
    """What was waited for can no longer happen. Not an AssertionError, so that eventually() does not ask again."""


class Processes:
    """All programs of one test."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.all = []
        self.strays_allowed = False
        self._numbers = {}

    def start(self, argv, name=None, env=None, stdin=subprocess.DEVNULL):
        """Starts a program and returns its Process. env is added to the environment of the tests."""
        base = name or Path(str(argv[0])).name
        number = self._numbers.setdefault(base, itertools.count(1))
        environment = {**SANITIZER_OPTIONS, **os.environ, **(env or {})}
        process = Process(f"{base}-{next(number)}", argv, self.folder, environment, stdin)
        self.all.append(process)
        return process

    def allow_strays(self):
        """For a test whose programs leave children behind on purpose."""
        self.strays_allowed = True

    def end(self, limit_s=5):
        """Ends and reaps everything, and returns the findings."""
        findings = [
            f"{process.name} (pid {process.pid}) ended by itself, with exit status {process.popen.returncode}"
            for process in self.all
            if process.ended_unseen()
        ]
        for process in self.all:
            process.resume_tree()
            process.sigterm()
        give_up_at = time.monotonic() + limit_s
        for process in self.all:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, give_up_at - time.monotonic()))
        if not self.strays_allowed and not any(process.alive for process in self.all):
            findings += self._strays()
        for process in self.all:
            process.kill_tree9()
            findings += process.findings()
        kill_until_gone(adopted)
        reap_orphans()
        return findings

    def _strays(self):
        """Children that outlive the program that started them by more than a moment."""
        left = {}

        def all_gone():
            left.clear()
            left.update({pid: "an unknown program" for pid in adopted()})
            left.update({pid: process.name for process in self.all for pid in process.tree()})
            return not left

        with contextlib.suppress(AssertionError):
            eventually(all_gone, limit_s=2)
        return [f"{name} left pid {pid} behind: {command_line(pid)}" for pid, name in left.items()]

    def sections(self):
        """(title, text) of what they printed, for the report of a failed test."""
        for process in self.all:
            for title, text in (("stderr", process.stderr), ("stdout", process.stdout)):
                if text:
                    yield f"{title} of {process.name}: {' '.join(process.argv)}", _tail(text)


def _tail(text, limit=12000):
    return text if len(text) <= limit else f"[... {len(text) - limit} characters before this]\n{text[-limit:]}"


def _line_at(text, position):
    end = text.find("\n", position)
    return text[text.rfind("\n", 0, position) + 1 : end if end >= 0 else len(text)].strip()
