# SPDX-License-Identifier: Apache-2.0
"""Waiting without sleeping: ask again until it is so, or say what never became so."""

import time


def eventually(condition, limit_s=10.0, what=None, every_s=0.02):
    """Calls condition() until it returns something true and returns that. A failed assertion inside counts as 'not yet'."""
    give_up_at = time.monotonic() + limit_s
    while True:
        try:
            value, cause = condition(), None
            if value:
                return value
        except AssertionError as error:
            value, cause = None, error
        if time.monotonic() >= give_up_at:
            what = what or _name_of(condition)
            seen = cause if cause is not None else f"last seen: {value!r}"
            raise AssertionError(f"not within {limit_s:g} s: {what} ({seen})") from cause
        time.sleep(every_s)


def stays(condition, for_s, what=None, every_s=0.02):
    """The opposite question: condition() holds now and at every look for that long."""
    give_up_at = time.monotonic() + for_s
    while True:
        value = condition()
        assert value, f"ceased to hold: {what or _name_of(condition)} ({value!r})"
        if time.monotonic() >= give_up_at:
            return value
        time.sleep(every_s)


def _name_of(condition):
    return getattr(condition, "__doc__", None) or getattr(condition, "__name__", repr(condition))
