# SPDX-License-Identifier: Apache-2.0
"""Any Kafka client, as a test sees one: publish tasks, read topics, wait for results."""

import collections
import json
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from support.codec import decode
from support.waiting import eventually

Place = collections.namedtuple("Place", "topic partition offset")


QUIET = {"log_level": 2}  # a broker that a test has killed is no news


class Record(collections.namedtuple("Record", "topic partition offset timestamp_ms key value headers")):
    """key and value are bytes or None; headers maps names to bytes (the last one of a name counts)."""

    def header(self, name):
        """A header as text; None where there is none."""
        value = self.headers.get(name)
        return None if value is None else value.decode()

    def fields(self):
        """The value decoded, JSON or Avro."""
        return decode(self.value)


class Result(dict):
    """The fields of a result; .record is the record that it came in."""

    def __init__(self, record):
        super().__init__(decode(record.value))
        self.record = record


def _bytes(value):
    if value is None or isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


class Tail:
    """A topic from its beginning: each look adds what came since. Records are in log order within a partition."""

    def __init__(self, brokers, topic):
        self.topic = topic
        self.records = []
        self._next = {}
        self._admin = AdminClient({"bootstrap.servers": brokers, **QUIET})
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                **QUIET,
                "group.id": "millrace-tests",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
            }
        )

    def look(self, limit_s=20):
        """Reads up to the end as it is now, and returns all records so far. A topic that is not there yet is empty."""
        give_up_at = time.monotonic() + limit_s
        ends = _ends_of(self._admin, self.topic, limit_s)
        if not ends.keys() <= self._next.keys():
            self._next.update({partition: 0 for partition in ends if partition not in self._next})
            self._consumer.assign([TopicPartition(self.topic, *place) for place in self._next.items()])
        while behind := [partition for partition, end in ends.items() if self._next[partition] < end]:
            self._take(self._consumer.poll(0.2))
            for message in self._consumer.consume(1000, timeout=0):
                self._take(message)
            assert time.monotonic() < give_up_at, f"{self.topic}: partitions {behind} could not be read in {limit_s} s"
        return self.records

    def _take(self, message):
        error = message and message.error()
        if message is None or (error and error.code() != KafkaError._PARTITION_EOF):
            return
        if error:  # the end, which may lie behind what compaction or a purge has removed
            self._next[message.partition()] = max(self._next[message.partition()], message.offset())
        else:
            self._next[message.partition()] = message.offset() + 1
            self.records.append(_record(message))

    def close(self):
        self._consumer.close()


def _record(message):
    headers = {name: value for name, value in message.headers() or []}
    timestamp_ms = message.timestamp()[1]
    return Record(message.topic(), message.partition(), message.offset(), timestamp_ms, message.key(), message.value(), headers)


def _partitions_of(admin, topic, limit_s=15):
    found = admin.list_topics(topic, timeout=limit_s).topics[topic]
    return sorted(found.partitions) if found.error is None else []


def _ends_of(admin, topic, limit_s=15, spec=None):
    """{partition: end offset, or the one that `spec` asks for}; asks again while a topic is so new that its partitions have no leader yet."""
    give_up_at = time.monotonic() + limit_s
    while True:
        try:
            partitions = _partitions_of(admin, topic, limit_s)
            wanted = {TopicPartition(topic, number): spec or OffsetSpec.latest() for number in partitions}
            found = admin.list_offsets(wanted, request_timeout=limit_s) if wanted else {}
            return {place.partition: future.result(limit_s + 1).offset for place, future in found.items()}
        except KafkaException as error:
            if time.monotonic() >= give_up_at or not error.args[0].retriable():
                raise AssertionError(f"{topic} cannot be read: {error}") from error
            time.sleep(0.02)


class Results:
    """The results under one prefix, read with look() semantics: every question sees the log up to now."""

    def __init__(self, brokers, topic):
        self._tail = Tail(brokers, topic)

    def all(self):
        """Every result so far, tombstones left out."""
        return [Result(record) for record in self._tail.look() if record.value is not None]

    def by_key(self):
        """{task key: its results in log order}"""
        found = {}
        for result in self.all():
            found.setdefault(result["task_key"], []).append(result)
        return found

    def of(self, key):
        return self.by_key().get(key, [])

    def await_keys(self, keys, limit_s=30):
        """Waits until each of the keys has a result. Returns {key: its results in log order} of these keys."""
        keys = set(keys)

        def all_there():
            found = self.by_key()
            missing = sorted(keys - found.keys())
            assert not missing, f"{len(missing)} of {len(keys)} keys have no result, such as {missing[:5]}"
            return {key: found[key] for key in keys}

        return eventually(all_there, limit_s, f"results of {len(keys)} keys", every_s=0.05)

    def await_one(self, key, limit_s=30):
        """Waits for the result of one key and returns the first."""
        return self.await_keys([key], limit_s)[key][0]

    def await_count(self, count, limit_s=30):
        """Waits until there are that many results, whatever their keys; returns all."""

        def enough():
            found = self.all()
            assert len(found) >= count, f"{len(found)} of {count} results"
            return found

        return eventually(enough, limit_s, f"{count} results", every_s=0.05)

    def close(self):
        self._tail.close()


class Kafka:
    """Bound to one broker and one topic prefix."""

    def __init__(self, brokers, prefix):
        self.brokers = brokers
        self.prefix = prefix
        self.admin = AdminClient({"bootstrap.servers": brokers, **QUIET})
        self._producer = None
        self._tails = {}
        self._results = {}

    # Topics

    def topic(self, name):
        """The full name of `tasks.default`, `results`, ..."""
        return self.prefix + name

    def create_topic(self, name, partitions=1, config=None):
        """Creates `<prefix>NAME` and waits until it is usable."""
        topic = self.topic(name)
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result(30)
        eventually(lambda: len(self.ends(name)) == partitions, 15, f"topic {topic} has {partitions} partitions")
        return topic

    def topics(self):
        """Names of all topics with the prefix, without it."""
        names = self.admin.list_topics(timeout=15).topics
        return sorted(name[len(self.prefix) :] for name in names if name.startswith(self.prefix))

    def partitions(self, name):
        return _partitions_of(self.admin, self.topic(name))

    def topic_config(self, name):
        """{property: value} of `<prefix>NAME`, defaults included."""
        resource = ConfigResource(ResourceType.TOPIC, self.topic(name))
        return {entry: value.value for entry, value in self.admin.describe_configs([resource])[resource].result(15).items()}

    def purge(self, name, before, partition=0):
        """Deletes the records of one partition below an offset, as the scheduler does behind committed offsets."""
        place = TopicPartition(self.topic(name), partition, before)
        self.admin.delete_records([place])[place].result(15)

    def delete_topics(self):
        """All topics with the prefix; does not wait for the broker to finish."""
        names = [self.topic(name) for name in self.topics()]
        if names:
            for done in self.admin.delete_topics(names, operation_timeout=1).values():
                done.exception(15)

    # Writing

    def publish(self, queue, value, key=None, headers=None, partition=None):
        """Publishes a task (dict: as JSON; str, bytes: as they are), waits for the acknowledgement; returns its Place."""
        return self.produce(f"tasks.{queue}", value, key, headers, partition)

    def publish_all(self, queue, values, partition=None):
        """Publishes many tasks as fast as the broker takes them; returns their Places."""
        return self._produce_all(f"tasks.{queue}", [(value, None, None, partition) for value in values])

    def control(self, command, task_key, **fields):
        """Publishes a control record as JSON."""
        return self.produce("control", {"command": command, "task_key": task_key, **fields}, key=task_key)

    def produce(self, name, value, key=None, headers=None, partition=None):
        """One record to `<prefix>NAME`."""
        return self._produce_all(name, [(value, key, headers, partition)])[0]

    def _produce_all(self, name, records):
        if self._producer is None:
            settings = {"bootstrap.servers": self.brokers, "message.max.bytes": 3 * 1024 * 1024, "linger.ms": 1}
            self._producer = Producer({**settings, **QUIET})
        topic, places = self.topic(name), [None] * len(records)

        def on_delivery(number, error, message):
            places[number] = KafkaException(error) if error else Place(message.topic(), message.partition(), message.offset())

        for number, (value, key, headers, partition) in enumerate(records):
            more = {} if partition is None else {"partition": partition}
            report = lambda error, message, number=number: on_delivery(number, error, message)  # noqa: E731
            while True:
                try:
                    self._producer.produce(topic, _bytes(value), _bytes(key), headers=headers, on_delivery=report, **more)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._producer.poll(0)
        assert self._producer.flush(30) == 0, f"{topic}: not everything was acknowledged within 30 s"
        for place in places:
            if isinstance(place, Exception):
                raise place
        return places

    # Reading

    def read_all(self, name, limit_s=20):
        """Every record of `<prefix>NAME` from its beginning to its end as of now, partition by partition."""
        if name not in self._tails:
            self._tails[name] = Tail(self.brokers, self.topic(name))
        return sorted(self._tails[name].look(limit_s), key=lambda record: (record.partition, record.offset))

    def results(self, prefix=None):
        prefix = self.prefix if prefix is None else prefix
        if prefix not in self._results:
            self._results[prefix] = Results(self.brokers, prefix + "results")
        return self._results[prefix]

    def dead(self):
        """The dead letters so far; the reason is .header("millrace-reason")."""
        return self.read_all("dead")

    def await_dead(self, count=1, limit_s=15):
        """Waits until there are that many dead letters; returns all."""
        return eventually(lambda: len(self.dead()) >= count and self.dead(), limit_s, f"{count} dead letters", every_s=0.05)

    # Groups

    def groups(self):
        return sorted(group.group_id for group in self.admin.list_consumer_groups().result(15).valid)

    def committed(self, group, name):
        """{partition: committed offset} of a group in `<prefix>NAME`; partitions without a commit are left out."""
        topic = self.topic(name)
        wanted = [TopicPartition(topic, number) for number in self.partitions(name)]
        probe = Consumer({"bootstrap.servers": self.brokers, "group.id": group, "enable.auto.commit": False, **QUIET})
        try:
            return {found.partition: found.offset for found in probe.committed(wanted, timeout=15) if found.offset >= 0}
        finally:
            probe.close()

    def ends(self, name):
        """{partition: end offset} of `<prefix>NAME`."""
        return _ends_of(self.admin, self.topic(name))

    def begins(self, name):
        """{partition: offset of the first record that is still there} of `<prefix>NAME`."""
        return _ends_of(self.admin, self.topic(name), spec=OffsetSpec.earliest())

    def close(self):
        for reader in [*self._tails.values(), *self._results.values()]:
            reader.close()
