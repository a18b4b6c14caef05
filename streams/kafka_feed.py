"""Carry events, rights requests and receipts from Kafka's topics into the graph: the cluster's feed.

A consumer group shares the partitions among the workers. How far a partition has been consumed stands in the graph, in
the transaction that wrote the facts; when a partition is assigned the feed goes to that place, whatever offset the group
has committed (that is for monitoring only). When partitions are taken away, a batch that is being written is written to
its end and nothing else of them is; a worker that was asleep meanwhile finds that its positions are behind, and facts
commute. So nothing is lost and nothing doubled, and no guarantee of Kafka's transactions is needed for it.

Two tasks: one gathers a batch and has the agents tag it while the graph writes the batch before. Between them is room
for one batch; when the graph is slow, the consumer is paused, and stays in its group.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiokafka
from aiokafka import TopicPartition as Partition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from mode import Service

from lineage.errors import BadEvent, WorldError
from lineage.intake import Ahead, Prepared, Received
from lineage.store import GraphStore
from streams.desk import Desk
from streams.feed import longer
from streams.kafka import for_aiokafka
from streams.settings import Kafka
from streams.taking import Taker, place
from streams.topics import Topics

_IDLE_MS = 500
_REBALANCE_MS = 30_000
_POLL_MS = 600_000
_KEEP_ALIVE_SECONDS = 20.0
_COMMIT_SECONDS = 5.0
_log = logging.getLogger("lineage.feed")


class Call(NamedTuple):
    """A record of the topics of requests and receipts; `at` is when the broker got it, seconds since the epoch."""

    record: Received
    at: int
    wrong: BadEvent | None = None


@dataclass(slots=True)
class Gathered:
    """A batch: its events, tagged, and its calls; `age` tells between which two rebalances it was read."""

    age: int
    events: list[Received] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    wrong: dict[int, BadEvent] = field(default_factory=dict)
    """Which of the events are none: a schema that nobody knows."""
    tagged: Sequence[Prepared | BadEvent] = ()
    ahead: Ahead | None = None

    def __len__(self) -> int:
        """Count the records."""
        return len(self.events) + len(self.calls)


class KafkaFeed(Service, ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads the group's share of the topics, has each batch taken, until it is written."""

    def __init__(
        self, kafka: Kafka, store: GraphStore, desk: Desk, taker: Taker, calls: Callable[[Call], Any], most: int,
        own_id: Callable[[bytes], bytes] | None = None,
    ) -> None:  # fmt: skip
        """Take the shared parts; `calls` carries out a request or a receipt and moves its position, `most` bounds a batch.

        `own_id` puts our schema id in the place of a registry's; it may have to ask the registry, and so has its own thread.
        """
        Service.__init__(self)
        self._kafka, self._store, self._desk, self._taker, self._calls, self._most = kafka, store, desk, taker, calls, most
        self._own_id = own_id
        self.topics = Topics(kafka.prefix)
        self._spoken = frozenset((self.topics.requests, self.topics.receipts))
        self._age = 0
        self._unplaced: set[Partition] = set()
        self._place_at, self._place_pause = 0.0, 0.0
        self._writing = asyncio.Lock()
        self._ready: asyncio.Queue[Gathered] = asyncio.Queue(maxsize=1)
        self._done: dict[Partition, int] = {}
        self._committed_at = 0.0
        self._consumer: Any = None

    @property
    def leads(self) -> bool:
        """Tell whether this worker is the one that does what one has to do: it has the first partition of the requests."""
        return self._consumer is not None and Partition(self.topics.requests, 0) in self._consumer.assignment()

    @property
    def assigned(self) -> int:
        """Count the partitions that this worker has."""
        return len(self._consumer.assignment()) if self._consumer is not None else 0

    @property
    def placed(self) -> bool:
        """Tell whether this worker has partitions and knows from where to read each of them."""
        return bool(self.assigned) and not self._unplaced

    @property
    def lag(self) -> int:
        """Count the records of this worker's partitions that it has not read yet, as far as the broker has told."""
        if self._consumer is None:
            return 0
        marks = {p: self._consumer.highwater(p) for p in self._consumer.assignment() - self._unplaced}
        return sum(max(0, mark - self._done.get(p, mark)) for p, mark in marks.items() if mark is not None)

    @property
    def waiting(self) -> bool:
        """Tell whether a batch waits to be written."""
        return not self._ready.empty() or self._writing.locked()

    async def on_start(self) -> None:
        """Join the group; raise `KafkaError` where the broker cannot be reached."""
        session = self._kafka.session_ms
        self._consumer = aiokafka.AIOKafkaConsumer(
            group_id=self._kafka.group, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed",
            session_timeout_ms=session, heartbeat_interval_ms=session // 4, rebalance_timeout_ms=_REBALANCE_MS,
            max_poll_interval_ms=_POLL_MS, **for_aiokafka(self._kafka),
        )  # fmt: skip
        self._consumer.subscribe([*self.topics.events, *sorted(self._spoken)], listener=self)
        await self._consumer.start()

    async def on_stop(self) -> None:
        """Let the batch that is being written be written, commit, and leave the group at once."""
        async with self._writing:
            self._age += 1
        await self._commit()
        await self._consumer.stop()

    # -- rebalance ---------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[Partition]) -> None:
        """Give partitions back: only when the batch that is being written is written, and nothing after it."""
        async with self._writing:
            self._age += 1
        self._done.clear()
        _log.info("gave back %d partitions", len(list(revoked)))

    async def on_partitions_assigned(self, assigned: Iterable[Partition]) -> None:
        """Take partitions over: nothing is read of them before their places are known."""
        found = set(assigned)
        self._age += 1
        self._unplaced, self._place_at = found, 0.0
        if found:
            self._consumer.pause(*found)
        _log.info("got %d partitions", len(found))

    async def _find_places(self) -> None:
        """Go to where the graph says that each partition has been consumed to."""
        todo = sorted(self._unplaced & self._consumer.assignment())
        wrong: WorldError | None = None
        for topic in sorted({p.topic for p in todo}):
            positions = await self._desk.do(lambda t=topic: self._store.positions(t))  # type: ignore[misc]
            mine = [p for p in todo if p.topic == topic]
            firsts, ends = await self._consumer.beginning_offsets(mine), await self._consumer.end_offsets(mine)
            for partition in mine:
                if partition not in self._consumer.assignment() or partition not in self._unplaced:
                    continue  # Taken away again meanwhile.
                try:
                    self._place(partition, positions.get(partition.partition, 0), firsts[partition], ends[partition])
                except WorldError as error:
                    wrong = error
        if wrong is not None:
            raise wrong

    def _place(self, partition: Partition, at: int, first: int, end: int) -> None:
        name = f"{partition.topic}/{partition.partition}"
        if at > end:
            # Reading on from the start would look like a repetition, and be dropped as one.
            msg = f"{name} ends at {end}, but {at} records of it are in the graph: the topic was made anew; use another prefix"
            raise WorldError(msg)
        if at < first:
            _log.error("%s: records %d to %d were deleted by the broker before they were read", name, at, first - 1)
        self._consumer.seek(partition, max(at, first))
        self._consumer.resume(partition)
        self._unplaced.discard(partition)

    # -- reading -----------------------------------------------------------------------------------------------------

    @Service.task  # type: ignore[untyped-decorator]
    async def _read(self) -> None:
        pause = 0.0
        while not self.should_stop:
            await self._find_places_in_time()
            trouble: Exception | None = None
            try:
                await self._taker.leisure()
                found = await self._gather()
                if found is not None:
                    tagged = await self._taker.tag(found.events)
                    for place_, error in found.wrong.items():
                        tagged[place_] = error
                    found.tagged, found.ahead = tagged, await self._taker.look_ahead(tagged)
                    await self._hand_over(found)
            except Exception as error:  # noqa: BLE001 - a feed that dies in silence would be worse than one that tries again
                # What was read and not handed over is read again: the consumer is behind it already.
                self._again()
                trouble = error
            if trouble is None:
                pause = 0.0
            else:
                pause = longer(pause)
                self._note_trouble(trouble)
                await self.sleep(pause)

    async def _find_places_in_time(self) -> None:
        """Find the places of partitions that have none yet; one that cannot be found is looked for later, beside the others."""
        if not self._unplaced or time.monotonic() < self._place_at:
            return
        try:
            await self._find_places()
        except Exception as error:  # noqa: BLE001 - it is tried again
            self._place_pause = longer(self._place_pause)
            self._place_at = time.monotonic() + self._place_pause
            self._note_trouble(error)
        else:
            self._place_pause = 0.0

    def _note_trouble(self, error: Exception) -> None:
        """Say why events wait, and count it: the world's fault, or a defect of ours."""
        figures = self._taker.figures
        if isinstance(error, WorldError | KafkaError):
            figures.retries += 1
            figures.trouble = str(error) if isinstance(error, WorldError) else f"Kafka: {type(error).__name__}"
            _log.warning("events wait on their topics: %s", figures.trouble)
        else:
            figures.failures += 1
            figures.trouble = f"internal error ({place(error)})"
            _log.error("events wait on their topics: %s", figures.trouble)

    def _again(self) -> None:
        """Read all partitions again from their places in the graph."""
        self._age += 1
        self._unplaced = set(self._consumer.assignment())
        if self._unplaced:
            self._consumer.pause(*self._unplaced)

    async def _gather(self) -> Gathered | None:
        """Read for so many milliseconds, or until it is a batch; None if nothing came, or a rebalance came between."""
        found = Gathered(self._age)
        until = 0.0
        while len(found) < self._most and not self.should_stop:
            left = int((until - time.monotonic()) * 1000) if until else _IDLE_MS
            if left <= 0:
                break
            parts = await self._consumer.getmany(timeout_ms=left, max_records=self._most - len(found))
            if found.age != self._age:
                return None
            if not parts and not until:
                return None
            until = until or time.monotonic() + self._kafka.linger_ms / 1000
            if self._own_id is None:
                self._sort(found, parts)
            else:
                await asyncio.to_thread(self._sort, found, parts)
        return found if len(found) else None

    def _sort(self, found: Gathered, parts: Mapping[Partition, Sequence[Any]]) -> None:
        """Put records where they belong, events apart from calls, their schema ids ours."""
        own = self._own_id
        for partition, records in parts.items():
            topic, number = partition
            for record in records:
                value, wrong = record.value or b"", None
                if own is not None:
                    try:
                        value = own(value)
                    except BadEvent as error:
                        wrong = error
                if topic in self._spoken:
                    found.calls.append(Call(Received(topic, number, record.offset, value), record.timestamp // 1000, wrong))
                    continue
                if wrong is not None:
                    found.wrong[len(found.events)] = wrong
                found.events.append(Received(topic, number, record.offset, value))

    async def _hand_over(self, found: Gathered) -> None:
        """Give a batch to the writer; while it has another, tell the group that this worker is alive."""
        putting = asyncio.ensure_future(self._ready.put(found))
        try:
            while not (await asyncio.wait({putting}, timeout=_KEEP_ALIVE_SECONDS))[0]:
                held = self._consumer.assignment()
                if held:
                    self._consumer.pause(*held)
                    await self._consumer.getmany(timeout_ms=0)
                    self._consumer.resume(*(held - self._unplaced))
        finally:
            if not putting.done():
                putting.cancel()

    # -- writing -----------------------------------------------------------------------------------------------------

    @Service.task  # type: ignore[untyped-decorator]
    async def _write(self) -> None:
        while not self.should_stop:
            with contextlib.suppress(TimeoutError):
                await self._until_written(await asyncio.wait_for(self._ready.get(), _IDLE_MS / 1000))

    async def _until_written(self, found: Gathered) -> None:
        """Write a batch, again and again where the world is wrong; leave it where its partitions were taken away."""
        pause, figures = 0.0, self._taker.figures
        while not self.should_stop:
            async with self._writing:
                if found.age != self._age:
                    return
                try:
                    await self._put(found)
                except Exception as error:  # noqa: BLE001 - as above
                    self._note_trouble(error)
                else:
                    figures.trouble = figures.trouble if self._unplaced else ""
                    break
            pause = longer(pause)
            await self.sleep(pause)
        if time.monotonic() - self._committed_at > _COMMIT_SECONDS:
            await self._commit()

    async def _put(self, found: Gathered) -> None:
        if found.events:
            await self._taker.put(found.events, found.tagged, found.ahead)
            self._note(found.events)
            found.events, found.tagged, found.ahead = [], (), None
        while found.calls:
            await self._calls(found.calls[0])
            self._note([found.calls[0].record])
            del found.calls[0]

    def _note(self, records: Sequence[Received]) -> None:
        for record in records:
            self._done[Partition(record.topic, record.partition)] = record.offset + 1

    async def _commit(self) -> None:
        """Tell the group how far this worker is, so that its lag can be seen; nothing rests on it."""
        self._committed_at = time.monotonic()
        mine = self._consumer.assignment()
        done = {p: offset for p, offset in self._done.items() if p in mine}
        if not done:
            return
        try:
            await asyncio.wait_for(self._consumer.commit(done), _COMMIT_SECONDS)
        except (KafkaError, TimeoutError) as error:
            _log.debug("the group was not told how far this worker is: %s", type(error).__name__)
