#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Purpose: an order as plain code: four steps, each an activity that a worker runs and Millrace retries. The program has no state of its
own: killed at any step and run again with the same order, it starts from the top, joins what still runs, and is answered with the
stored results of what is done. Nothing is charged twice.

How to run, with `millrace dev` and `order-services` (examples/README.md says how), or any worker that has these activities:

    pip install confluent-kafka
    ./order.py order-17

Expected output:

    charge_card: {'receipt': 'charge-order-17/charge_card'}
    update_inventory: {'receipt': 'reserve-order-17/update_inventory'}
    send_confirmation: {'receipt': 'mail-order-17/send_confirmation'}
    arrange_shipment: {'receipt': 'ship-order-17/arrange_shipment'}
    Order order-17 is complete.

Exit status: 0 complete, 1 a step failed for good, 2 wrong usage, 5 a step took too long, 6 Kafka cannot be reached.
MILLRACE_BROKERS, MILLRACE_PREFIX and MILLRACE_QUEUE say where.
"""

import json
import os
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition


def order(workflow, order_id):
    """The workflow. A step that fails for good ends it by an ActivityError, which may be caught, for example to refund the card."""
    for step in ("charge_card", "update_inventory", "send_confirmation", "arrange_shipment"):
        print(f"{step}: ", end="", flush=True)
        print(workflow.execute_activity(step, {"order": order_id}, id=step), flush=True)
    print(f"Order {order_id} is complete.")


class ActivityError(Exception):
    """The activity ended otherwise than COMPLETED; .result has all that is known."""

    def __init__(self, result):
        failure = result.get("failure", {})
        super().__init__(f"{result['task_key']}: {result['status']} {failure.get('type', '')}: {failure.get('message', '')}")
        self.result = result


class Workflow:
    def __init__(self, workflow_id, brokers="127.0.0.1:9092", prefix="millrace.", queue="default"):
        self.id = workflow_id
        self.tasks, self.results = f"{prefix}tasks.{queue}", f"{prefix}results"
        kafka = {"bootstrap.servers": brokers, "log_level": 0}
        self.producer = Producer({**kafka, "enable.idempotence": True, "linger.ms": 0})
        self.consumer = Consumer({**kafka, "group.id": "unused", "enable.auto.commit": False})
        partitions = self.consumer.list_topics(self.results, timeout=5).topics[self.results].partitions
        places = [TopicPartition(self.results, each) for each in partitions]
        for place in places:  # results are read from where they end now: each task is published after this
            place.offset = self.consumer.get_watermark_offsets(place, timeout=5)[1]
        self.consumer.assign(places)

    def execute_activity(self, type, input, id, start_to_close_s=10, retry_policy=None, wait_s=60):
        """
        Returns what the activity returned. The task's key is WORKFLOW/ID, so the same call after a restart is the same task: it is not
        run again but joined, or answered with its stored result.
        """
        task = {"activity_type": type, "workflow_id": self.id, "activity_id": id, "input": input}
        task |= {"start_to_close_timeout_ms": int(start_to_close_s * 1000), "retry_policy": retry_policy or {}}
        key = "/".join(each.replace("%", "%25").replace("/", "%2F") for each in (self.id, id))
        refused = []
        self.producer.produce(self.tasks, json.dumps(task), key, on_delivery=lambda error, _: refused.append(error))
        self.producer.flush()
        if refused[0]:
            raise KafkaException(refused[0])
        result = self._await_result(key, wait_s)
        if result["status"] != "COMPLETED":
            raise ActivityError(result)
        return result.get("result")

    def _await_result(self, key, wait_s):
        give_up_at = time.monotonic() + wait_s
        while (left_s := give_up_at - time.monotonic()) > 0:
            message = self.consumer.poll(left_s)
            if message and not message.error() and message.key() == key.encode():
                return json.loads(message.value())
        raise TimeoutError(f"no result of {key} after {wait_s} s; does a worker of {self.tasks} run?")


def main():
    if len(sys.argv) != 2:
        print("usage: order.py ORDER", file=sys.stderr)
        return 2
    where = {name: os.environ[f"MILLRACE_{name.upper()}"] for name in ("brokers", "prefix", "queue") if f"MILLRACE_{name.upper()}" in os.environ}
    try:
        order(Workflow(sys.argv[1], **where), sys.argv[1])
        return 0
    except ActivityError as error:
        print(f"order.py: {error}", file=sys.stderr)
        return 1
    except TimeoutError as error:
        print(f"order.py: {error}", file=sys.stderr)
        return 5
    except KafkaException as error:
        print(f"order.py: Kafka (MILLRACE_BROKERS): {error.args[0].str()}", file=sys.stderr)
        return 6


if __name__ == "__main__":
    sys.exit(main())
