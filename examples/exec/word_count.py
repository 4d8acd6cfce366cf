#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exec activity: a JSON string on stdin -> {"words": N, "lines": N} on stdout."""
import json
import sys

try:
    text = json.load(sys.stdin)
except ValueError as error:
    print(f"the input is not JSON: {error}", file=sys.stderr)
    sys.exit(100)  # not to be retried
if not isinstance(text, str):
    print("the input must be a JSON string", file=sys.stderr)
    sys.exit(100)  # not to be retried
print(json.dumps({"words": len(text.split()), "lines": len(text.splitlines())}))
