# SPDX-License-Identifier: Apache-2.0
"""millrace health: what a container's health check asks."""

import contextlib
import http.server
import socket
import threading

import pytest

from support.ports import HOST, free_port


@contextlib.contextmanager
def answering(code, text):
    """host:port of a server that answers everything so; the paths that it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"{HOST}:{server.server_port}", asked
        server.shutdown()


def test_ready_is_told_and_is_exit_status_0(stack):
    with answering(200, "ready\n") as (address, asked):
        answer = stack.cli("health", http=address)
    assert (answer.rc, answer.stdout, answer.stderr) == (0, "ready\n", "")
    assert asked == ["/readyz"]


def test_the_reason_why_it_is_not_ready_is_told(stack):
    with answering(503, "not ready: Redis cannot be reached\nand more\n") as (address, _):
        answer = stack.cli("health", http=address, check=False)
    assert answer.rc == 1 and answer.stdout == ""
    assert answer.stderr == f"millrace health: {address}: not ready: Redis cannot be reached (HTTP status 503)\n"


def test_the_address_comes_from_the_environment_and_may_lack_its_host(stack):
    with answering(200, "ready") as (address, _):
        answer = stack.cli("health", env={"MILLRACE_HTTP": f":{address.partition(':')[2]}"})
    assert answer.stdout == "ready\n"


def test_nobody_who_answers_is_told_with_the_address(stack):
    address = f"{HOST}:{free_port()}"
    answer = stack.cli("health", http=address, check=False)
    assert (answer.rc, answer.stderr) == (1, f"millrace health: {address}: nobody answers: Connection refused\n")


def test_one_who_accepts_and_keeps_silent_is_not_waited_for_longer_than_told(stack):
    with socket.create_server((HOST, 0)) as silent:
        address = f"{HOST}:{silent.getsockname()[1]}"
        answer = stack.cli("health", http=address, timeout="50ms", check=False)
    assert (answer.rc, answer.stderr) == (1, "millrace health: /readyz: no answer: it did not come in time\n")


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:", "127.0.0.1:http"])
def test_what_is_no_address_is_refused_with_what_is_wanted(stack, address):
    answer = stack.cli("health", env={"MILLRACE_HTTP": address}, check=False)
    assert answer.rc == 2 and "--http" in answer.stderr and answer.stderr.count("\n") == 1, answer
