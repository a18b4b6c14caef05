"""The feed where its consumer fails between two reads: what was read and not written is read again from its place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from lineage.intake import Received, Taken
from streams.desk import Desk
from streams.kafka_feed import KafkaFeed
from streams.settings import Kafka
from streams.taking import Figures

ORDERS, SUPPORT = TopicPartition("lineage.events.order", 0), TopicPartition("lineage.events.support", 0)


class Log:
    """A consumer over lists, whose reads fail when a test says so; it moves on with every read, as a real one does."""

    def __init__(self, logs: Mapping[TopicPartition, list[bytes]], fails: tuple[int, ...] = ()) -> None:
        self.logs, self.fails, self.reads = logs, fails, 0
        self.places: dict[TopicPartition, int] = dict.fromkeys(logs, 10**6)
        self.held: set[TopicPartition] = set()

    def assignment(self) -> set[TopicPartition]:
        return set(self.logs)

    def pause(self, *partitions: TopicPartition) -> None:
        self.held |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.held -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.places[partition] = offset

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {p: len(self.logs[p]) for p in partitions}

    async def getmany(self, timeout_ms: int, max_records: int = 1) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.001)
        self.reads += 1
        if self.reads in self.fails:
            raise KafkaConnectionError
        for partition, log in self.logs.items():
            at = self.places[partition]
            if partition not in self.held and at < len(log):
                self.places[partition] = at + 1
                return {partition: [SimpleNamespace(offset=at, value=log[at], timestamp=0)]}
        return {}

    async def commit(self, _offsets: Any) -> None:
        return

    async def stop(self) -> None:
        return


class Store:
    """What the graph says of positions."""

    def __init__(self) -> None:
        self.at: dict[str, dict[int, int]] = {}

    def positions(self, topic: str) -> dict[int, int]:
        return self.at.get(topic, {})


class Taker:
    """Takes batches, and moves the positions as the graph does."""

    def __init__(self, store: Store) -> None:
        self.store, self.figures, self.taken = store, Figures(), list[Received]()

    async def leisure(self) -> None:
        return

    async def tag(self, records: list[Received]) -> list[Any]:
        return [None] * len(records)

    async def look_ahead(self, _tagged: Any) -> None:
        return

    async def put(self, records: list[Received], _tagged: Any, _ahead: Any) -> Taken:
        self.taken += records
        for r in records:
            self.store.at.setdefault(r.topic, {})[r.partition] = r.offset + 1
        return Taken()


def run(log: Log, store: Store, until: int) -> Taker:
    async def work() -> Taker:
        taker, desk = Taker(store), Desk()
        nothing: Any = None
        feed = KafkaFeed(Kafka("nowhere:9", linger_ms=20), store, desk, taker, nothing, 100)  # type: ignore[arg-type]
        feed._consumer = log

        async def joined() -> None:
            await feed.on_partitions_assigned(log.assignment())

        feed.on_start = joined  # type: ignore[method-assign]
        await feed.start()
        for _ in range(500):
            if len(taker.taken) >= until:
                break
            await asyncio.sleep(0.01)
        await feed.stop()
        desk.close()
        return taker

    return asyncio.run(work())


@pytest.mark.parametrize("fails", [(), (1,), (2,), (3,), (2, 5, 6)])
def test_what_was_read_before_a_failure_is_read_again_from_its_place(fails: tuple[int, ...]) -> None:
    log = Log({ORDERS: [b"one", b"two", b"three", b"four"]}, fails)
    taker = run(log, Store(), until=4)
    assert sorted({r.offset for r in taker.taken}) == [0, 1, 2, 3]
    assert taker.figures.retries == len(fails)


def test_reading_begins_where_the_graph_says_and_not_where_the_consumer_stands() -> None:
    store = Store()
    store.at[ORDERS.topic] = {0: 2}
    taker = run(Log({ORDERS: [b"one", b"two", b"three", b"four"]}), store, until=2)
    assert [r.offset for r in taker.taken] == [2, 3]


def test_a_topic_that_was_made_anew_is_told_and_holds_up_no_other() -> None:
    store = Store()
    store.at[ORDERS.topic] = {0: 7}
    taker = run(Log({ORDERS: [b"one"], SUPPORT: [b"a", b"b"]}), store, until=2)
    assert [(r.topic, r.offset) for r in taker.taken] == [(SUPPORT.topic, 0), (SUPPORT.topic, 1)]
    assert store.positions(ORDERS.topic) == {0: 7}
    assert taker.figures.retries >= 1
