# SPDX-License-Identifier: Apache-2.0
"""The order workflow (examples/order): killed at any step and started again it does nothing twice."""

import pytest

from support.waiting import eventually

STEPS = {"charge_card": "charge", "update_inventory": "reserve", "send_confirmation": "mail", "arrange_shipment": "ship"}


@pytest.fixture
def shop(stack, build, processes, tmp_path):
    """The stack with the example activities and the services, which are down for a second."""
    socket, folder = str(tmp_path / "s"), tmp_path / "effects"
    processes.start([str(build.program("order-services")), socket, str(folder), "1000"])
    stack.setup()
    stack.scheduler()
    stack.worker(libs=["example_activities"], env={"MILLRACE_EXAMPLE_SOCKET": socket})

    def start(order):
        return stack.start("order-workflow", "--order", order, env={"MILLRACE_EXAMPLE_SOCKET": socket})

    start.effects = lambda: {path.name: path.read_text().split("\n")[:-1] for path in folder.iterdir()}
    return start


def all_done_once(order):
    return {f"{verb}.{order}:{step}": [verb] for step, verb in STEPS.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("step", list(STEPS))
def test_an_order_that_is_killed_at_a_step_and_started_again_does_nothing_twice(shop, step):
    first = shop("o1")
    eventually(lambda: f". {step}\n" in first.stdout, 40, f"it is at {step}")
    first.kill9()

    again = shop("o1")

    assert again.wait(60) == 0
    assert again.stdout.endswith("Order complete.\n")
    assert shop.effects() == all_done_once("o1")


def test_an_order_that_is_run_again_is_answered_with_what_is_stored(shop):
    assert shop("o2").wait(50) == 0
    again = shop("o2")

    assert again.wait(30) == 0
    assert "at attempt 2" in again.stdout
    assert shop.effects() == all_done_once("o2")


def test_two_that_run_the_same_order_at_once_share_its_steps(shop):
    both = [shop("o3"), shop("o3")]

    assert [each.wait(50) for each in both] == [0, 0]
    assert shop.effects() == all_done_once("o3")
