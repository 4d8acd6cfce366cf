# SPDX-License-Identifier: Apache-2.0
"""TCP ports of the loopback interface."""

import socket

HOST = "127.0.0.1"


def free_port():
    """A port that nobody listens on just now. Whoever uses it must try again should another program be faster."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def is_listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
