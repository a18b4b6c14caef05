"""What the tests of the cluster's edges share: topics of a test's own, records put on them and read from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import kafka
from kafka.admin import KafkaAdminClient, NewTopic

from streams.topics import Topics

SECONDS_MAX = 30.0


def make(bootstrap: str, names: Iterable[str], partitions: int = 1) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    finally:
        admin.close()


def own_topics(
    bootstrap: str, prefix: str, controller: str = "pompdelux", targets: Iterable[str] = (), partitions: int = 1
) -> Topics:
    """Make the topics of a prefix: events, requests, receipts, and commands of the targets."""
    topics = Topics(prefix)
    make(bootstrap, [*topics.events, topics.requests, topics.receipts], partitions)
    if targets:
        make(bootstrap, [topics.commands(controller, target) for target in targets])
    return topics


def put(bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Put records (key, value) on a topic, in their order."""
    producer = kafka.KafkaProducer(bootstrap_servers=bootstrap)
    try:
        for key, value in records:
            producer.send(topic, value, key).get(SECONDS_MAX)
    finally:
        producer.close()


def read(bootstrap: str, topic: str, most: int, seconds_max: float = SECONDS_MAX) -> list[Any]:
    """Read the first records of a topic, partition by partition in their order; fewer if they do not come."""
    consumer = kafka.KafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    found: list[Any] = []
    until = time.monotonic() + seconds_max
    try:
        while len(found) < most and time.monotonic() < until:
            for records in consumer.poll(timeout_ms=200).values():
                found += records
    finally:
        consumer.close()
    return found


def committed(bootstrap: str, group: str, topic: str) -> int:
    """Give the offset that a group has committed on the first partition; 0 if none."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap, group_id=group)
    try:
        return consumer.committed(kafka.TopicPartition(topic, 0)) or 0
    finally:
        consumer.close()


def eventually(true: Callable[[], object], seconds_max: float = SECONDS_MAX) -> None:
    until = time.monotonic() + seconds_max
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
