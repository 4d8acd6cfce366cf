#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Purpose: publishes one task in Avro and one in JSON, and awaits both results. Kafka is all that it needs of Millrace.

How to run, with `millrace dev` or any other worker that has the activity:

    pip install confluent-kafka fastavro
    ./client.py --id hello-1 --type greet --input '"Ada"'

Expected output:

    avro hello-1/greet%2Favro COMPLETED "Hello, Ada"
    json hello-1/greet%2Fjson COMPLETED "Hello, Ada"

Exit status: 0 both completed, 1 one of them did not, 2 wrong usage, 5 no result in time, 6 Kafka cannot be reached.
"""

import argparse
import io
import json
import os
import sys
import time
import uuid
from pathlib import Path

import fastavro
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
QUIET = {"log_level": 0}  # what goes wrong is told by exceptions


class Codec:
    """Avro single-object encoding: C3 01, the CRC-64-AVRO fingerprint of the schema, the body."""

    def __init__(self, name):
        self.schema = load_schema(str(SCHEMAS / f"{name}.avsc"))
        self.head = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(self.schema), "CRC-64-AVRO"))

    def encode(self, fields):
        body = io.BytesIO(self.head)
        body.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(body, self.schema, fields)
        return body.getvalue()

    def decode(self, value):
        if not value.startswith(self.head):
            raise ValueError(f"written with a schema that {SCHEMAS} does not have: {value[:10].hex()}")
        return fastavro.schemaless_reader(io.BytesIO(value[10:]), self.schema, None)


def task_key(workflow_id, activity_id):
    """What identifies the task in every record: both ids, with % and / percent-encoded in each."""
    return "/".join(each.replace("%", "%25").replace("/", "%2F") for each in (workflow_id, activity_id))


def decode_result(codec, value):
    """A result in either encoding, with what the activity returned as a Python value."""
    if value[:1] == b"{":
        return json.loads(value)
    fields = codec.decode(value)
    if fields["result"] is not None:
        fields["result"] = json.loads(fields["result"])  # content_type says that it is JSON
    return fields


class Results:
    """Reads the results topic from where it ends now, which must be before the tasks are published."""

    def __init__(self, brokers, topic):
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": "unused", "enable.auto.commit": False, **QUIET})
        partitions = self.consumer.list_topics(topic, timeout=5).topics[topic].partitions
        if not partitions:
            raise SystemExit(f"client.py: there is no topic {topic}; `millrace setup` makes it (see --prefix)")
        places = [TopicPartition(topic, each) for each in partitions]
        for place in places:
            place.offset = self.consumer.get_watermark_offsets(place, timeout=5)[1]
        self.consumer.assign(places)

    def await_all(self, keys, wait_s, codec):
        """{task key: its result}: the first one counts, further ones are copies. Keys without a result are left out."""
        found, give_up_at = {}, time.monotonic() + wait_s
        while len(found) < len(keys) and (left_s := give_up_at - time.monotonic()) > 0:
            message = self.consumer.poll(left_s)
            key = message.key().decode() if message and not message.error() else None
            if key in keys and key not in found:
                found[key] = decode_result(codec, message.value())
        return found


def publish(brokers, topic, tasks):
    """tasks: {task key: value}. Returns when Kafka has acknowledged all of them."""
    refused = []
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, **QUIET})
    for key, value in tasks.items():
        producer.produce(topic, value, key=key, on_delivery=lambda error, message: refused.append(error) if error else None)
    producer.flush()
    if refused:
        raise KafkaException(refused[0])


def json_value(text):
    return json.loads(text)


def arguments():
    parser = argparse.ArgumentParser(description="Publishes a task in Avro and one in JSON, and awaits both results.")
    parser.add_argument("--brokers", default=os.environ.get("MILLRACE_BROKERS", "127.0.0.1:9092"))
    parser.add_argument("--prefix", default=os.environ.get("MILLRACE_PREFIX", "millrace."))
    parser.add_argument("--queue", default=os.environ.get("MILLRACE_QUEUE", "default"), help="task queue (default: %(default)s)")
    parser.add_argument("--id", default=f"hello-{uuid.uuid4().hex[:8]}", help="the workflow id; the same one again: the stored results")
    parser.add_argument("--type", default="greet", help="the activity (default: %(default)s)")
    parser.add_argument("--input", type=json_value, default='"Ada"', help="its input, as JSON (default: %(default)s)")
    parser.add_argument("--wait", type=float, default=30, help="seconds (default: %(default)s)")
    return parser.parse_args()


def main():
    options = arguments()
    ids = {encoding: {"workflow_id": options.id, "activity_id": f"{options.type}/{encoding}"} for encoding in ("avro", "json")}
    keys = {encoding: task_key(**each) for encoding, each in ids.items()}
    policy = {"activity_type": options.type, "start_to_close_timeout_ms": 10000, "retry_policy": {"maximum_attempts": 3}}
    bytes_of_input = {"input": json.dumps(options.input).encode(), "content_type": "application/json"}

    results = Results(options.brokers, f"{options.prefix}results")
    avro = Codec("task").encode({**policy, **ids["avro"], **bytes_of_input})
    plain = json.dumps({**policy, **ids["json"], "input": options.input}).encode()
    publish(options.brokers, f"{options.prefix}tasks.{options.queue}", {keys["avro"]: avro, keys["json"]: plain})

    found = results.await_all(set(keys.values()), options.wait, Codec("result"))
    for encoding, key in keys.items():
        if key not in found:
            print(f"client.py: no result of {key} after {options.wait:g} s; does a worker of {options.queue} run?", file=sys.stderr)
            return 5
        result = found[key]
        failure = result.get("failure")
        outcome = f"{failure['type']}: {failure['message']}" if failure else json.dumps(result.get("result"), ensure_ascii=False)
        print(encoding, key, result["status"], outcome)
    return 0 if all(result["status"] == "COMPLETED" for result in found.values()) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KafkaException as error:
        print(f"client.py: Kafka (--brokers, MILLRACE_BROKERS): {error.args[0].str()}", file=sys.stderr)
        sys.exit(6)
