"""Make the topics of a cluster as `streams.topics` lays them out, and say what is not as it should be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from lineage.errors import StoreUnavailable
from streams.kafka import for_kafka_python
from streams.settings import Kafka
from streams.topics import Topic

_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Found:
    """What the broker has of a topic: its partitions (0: there is no such topic), and the settings that are other ones."""

    topic: Topic
    partitions: int
    other: Mapping[str, str]

    @property
    def lacks(self) -> str:
        """Say what is missing, "" if nothing is: a setting that is another one is the operator's choice."""
        if not self.partitions:
            return "is missing"
        if self.partitions < self.topic.partitions:
            return f"has {self.partitions} partitions of {self.topic.partitions}"
        return ""


@contextmanager
def admin(kafka: Kafka) -> Iterator[Any]:
    """Connect to the broker's administration; raise `StoreUnavailable` if it cannot be reached or refuses."""
    try:
        client = KafkaAdminClient(client_id="lineage", request_timeout_ms=_TIMEOUT_MS, **for_kafka_python(kafka))
    except KafkaError as error:
        msg = f"the Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}); is LINEAGE_KAFKA right?"
        raise StoreUnavailable(msg) from None
    try:
        yield client
    except KafkaError as error:
        msg = f"the Kafka at {kafka.bootstrap} refuses ({type(error).__name__})"
        raise StoreUnavailable(msg) from None
    finally:
        client.close()


def look(client: Any, topics: Sequence[Topic]) -> list[Found]:  # noqa: ANN401 - kafka-python has no types
    """Compare what there is with what should be; nothing is changed."""
    there = {d["name"]: len(d["partitions"]) for d in client.describe_topics([t.name for t in topics]) if d["partitions"]}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
    configs = client.describe_configs(resources, config_filter="all")["topic"] if resources else {}
    found = []
    for topic in topics:
        has = {name: told["value"] for name, told in configs.get(topic.name, {}).items()}
        other = {k: has[k] for k, wanted in topic.config.items() if k in has and has[k] != wanted}
        found.append(Found(topic, there.get(topic.name, 0), other))
    return found


def make(client: Any, found: Sequence[Found], replicas: int) -> list[str]:  # noqa: ANN401 - as above
    """Make what is missing and add partitions where there are too few; give the names of what was changed."""
    missing = [f.topic for f in found if not f.partitions]
    if missing:
        with contextlib.suppress(TopicAlreadyExistsError):  # Another may make them at the same time.
            client.create_topics(
                [NewTopic(t.name, t.partitions, replicas, topic_configs=dict(t.config)) for t in missing],
                timeout_ms=_TIMEOUT_MS, wait_for_metadata=True,
            )  # fmt: skip
    small = {f.topic.name: NewPartitions(f.topic.partitions) for f in found if 0 < f.partitions < f.topic.partitions}
    if small:
        client.create_partitions(small, timeout_ms=_TIMEOUT_MS)
    return [t.name for t in missing] + sorted(small)
