# SPDX-License-Identifier: Apache-2.0
"""What the tests from outside are written with. conftest.py makes fixtures of it; README.md is the list."""
