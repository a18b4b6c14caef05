"""Take events in for a cluster: what arrives over HTTP goes onto its stream's topic, and is acknowledged when it is there.

The same face as the journal's intake, so the API does not know the difference. The broker acknowledges when all replicas
that are in step have the records (`acks=all`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError

import schemas
from lineage.errors import StoreUnavailable
from lineage.store import GraphStore
from streams import wire
from streams.desk import Desk
from streams.kafka import for_aiokafka
from streams.settings import Kafka
from streams.taking import stream_of
from streams.topics import Topics

_LOOK_SECONDS = 0.1
_SEND_MS_MAX = 30_000


class KafkaIntake:
    """The door of the topics."""

    def __init__(
        self, kafka: Kafka, store: GraphStore, desk: Desk, events_max: int, wire_id: Callable[[bytes], bytes] = lambda value: value,
    ) -> None:  # fmt: skip
        """Refuse events while more than `events_max` are on their way; `wire_id` puts a registry's schema id for ours."""
        self._kafka, self._store, self._desk, self._events_max, self._wire_id = kafka, store, desk, events_max, wire_id
        self._topics = Topics(kafka.prefix)
        self._producer: Any = None
        self._ends: dict[tuple[str, int], int] = {}
        self.open = True
        self.depth = 0

    async def start(self) -> None:
        """Connect to the broker."""
        self._producer = aiokafka.AIOKafkaProducer(
            acks="all", enable_idempotence=True, linger_ms=2, request_timeout_ms=_SEND_MS_MAX, **for_aiokafka(self._kafka),
        )  # fmt: skip
        await self._producer.start()

    async def stop(self) -> None:
        """Let the broker have what was handed over."""
        await self._producer.stop()

    async def take(self, values: Sequence[bytes]) -> range | None:
        """Answer once the events are durable; raise `StoreUnavailable` if they cannot be taken now. They have no one number."""
        if not self.open:
            msg = "the pipeline is stopping: send again"
            raise StoreUnavailable(msg)
        if self.depth + len(values) > self._events_max:
            msg = f"too much is under way ({self.depth} events): send again later"
            raise StoreUnavailable(msg)
        self.depth += len(values)
        try:
            sent = []
            for value in values:
                key, headers = address(value)
                topic = self._topics.event(stream_of(value))
                sent.append(await self._producer.send(topic, key=key, value=self._wire_id(value), headers=headers))
            for found in await asyncio.gather(*sent):
                place = (found.topic, found.partition)
                self._ends[place] = max(self._ends.get(place, 0), found.offset + 1)
        except KafkaError as error:
            # Some may be there already; sent again they change nothing.
            msg = f"the broker did not take the events ({type(error).__name__}): send them again"
            raise StoreUnavailable(msg) from None
        finally:
            self.depth -= len(values)
        return None

    async def caught_up(self, seconds_max: float) -> bool:
        """Wait until all that was acknowledged here so far is in the graph; False if that takes too long."""
        ends, until = dict(self._ends), time.monotonic() + seconds_max
        while True:
            done = await self._desk.do(lambda: {t: self._store.positions(t) for t in {topic for topic, _ in ends}})
            if all(done[topic].get(partition, 0) >= end for (topic, partition), end in ends.items()):
                return True
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(_LOOK_SECONDS)


def address(value: bytes) -> tuple[bytes | None, list[tuple[str, bytes]]]:
    """Read an event's partition key and CloudEvents headers; bytes that are no event have none, and end as a dead letter."""
    try:
        kind, record = schemas.registry().decode(value)
    except schemas.DecodeError:
        return None, []
    key = wire.event_key(record["controller"], wire.identifiers_of(kind, record))
    return key, wire.headers(record["id"], record["source"], kind.name, record["time"])
