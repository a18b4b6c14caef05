"""The Faust app of the embedded mode: agents for the six streams, for requests and receipts, on channels of batches.

A feed, a service of the app, takes a batch from the durable journal, gives each stream's part to the agent of that
stream, which tags it, and writes the facts of all of them with the consumed position in one transaction. Whole batches
go through a channel, not events: an event through a Faust topic costs more than all the work on it. An agent never
swallows an error: the batch stays in the journal until it is written.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.types.channels import ChannelT
from mode import Service

import schemas
from lineage.errors import BadEvent, Undecodable, WorldError
from lineage.pipeline import Received
from lineage.tagging import Tagged
from streams.desk import Desk
from streams.journal import Intake
from streams.wiring import Engine

STREAMS = ("order", "newsletter", "cookie", "support", "account", "campaign")
UNKNOWN = "support"
"""The agent that gets what has no stream: bytes that are no event of ours end as dead letters like any other."""
_HEADER_BYTES = schemas.HEADER.size
_BACKOFF_SECONDS_MAX = 30.0
_log = logging.getLogger("lineage.feed")


@dataclass(slots=True)
class Work:
    """A part of a batch for one agent, and where its answer goes."""

    content: Any
    done: asyncio.Future[Any]


@dataclass(slots=True)
class Figures:
    """What has been done since the start, for the metrics."""

    events: int = 0
    dead_letters: int = 0
    batches: int = 0
    rows: int = 0
    edges: int = 0
    retries: int = 0
    batch_seconds: list[float] = field(default_factory=list)


class Boot(BootStrategy):
    """A Faust app without Kafka: channels in memory, the journal as the log."""

    enable_kafka = False
    enable_kafka_consumer = False
    enable_kafka_producer = False
    enable_web = False
    enable_sensors = False


class Embedded(faust.App):
    """The app class with our boot strategy."""

    BootStrategy = Boot


def _stream_of(value: bytes) -> str:
    if len(value) < _HEADER_BYTES or value[0] != 0:
        return UNKNOWN
    spec = schemas.registry().type_of(int.from_bytes(value[1:5], "big"))
    return spec.stream if spec is not None else UNKNOWN


class Feed(Service):
    """Reads the journal, has the agents tag, writes the facts: one batch at a time, until it is written."""

    def __init__(self, engine: Engine, desk: Desk, intake: Intake, ask: Callable[[str, Any], Any], figures: Figures) -> None:
        """Take the shared parts; `ask` gives an agent work and waits for its answer."""
        super().__init__()
        self._engine, self._desk, self._intake, self._ask = engine, desk, intake, ask
        self._figures = figures
        self.idle = asyncio.Event()

    @Service.task
    async def _run(self) -> None:
        pause = 0.0
        while not self.should_stop:
            if pause:
                await self.sleep(pause)
            try:
                worked = await self.step()
                pause = 0.0
            except WorldError as error:
                # Nothing is lost: the batch is still in the journal. It is tried again, less and less often.
                self._figures.retries += 1
                pause = min(_BACKOFF_SECONDS_MAX, max(0.2, pause * 2)) * random.uniform(0.8, 1.2)  # noqa: S311
                _log.warning("events wait in the journal: %s", error)
                continue
            if not worked:
                self.idle.set()
                self._intake.arrived.clear()
                await self.wait_for_stopped_or_arrived()

    async def wait_for_stopped_or_arrived(self) -> None:
        """Sleep until events arrive, or for a moment."""
        try:
            await asyncio.wait_for(self._intake.arrived.wait(), 0.5)
        except TimeoutError:
            return

    async def step(self) -> bool:
        """Take one batch from the journal through the agents into the graph; tell whether there was one."""
        store, limit = self._engine.store, self._engine.settings.batch_events_max
        rows = await self._desk.do(lambda: store.journal_read(-1, limit))
        if not rows:
            return False
        self.idle.clear()
        started = time.monotonic()
        records = [Received("journal", 0, offset, value) for offset, value in rows]
        parts: dict[str, list[int]] = {}
        for n, record in enumerate(records):
            parts.setdefault(_stream_of(record.value), []).append(n)
        tagged: list[Tagged | BadEvent] = [Undecodable("not tagged")] * len(records)
        answers = await asyncio.gather(*(self._ask(s, [records[n].value for n in part]) for s, part in parts.items()))
        for part, answer in zip(parts.values(), answers, strict=True):
            for n, found in zip(part, answer, strict=True):
                tagged[n] = found
        taken = await self._desk.do(lambda: self._engine.pipeline.ingest(records, int(time.time()), tagged))
        self._intake.consumed(len(records))
        f = self._figures
        f.events += taken.events
        f.dead_letters += taken.dead
        f.batches += 1
        f.rows += taken.rows
        f.edges += taken.edges
        f.batch_seconds.append(time.monotonic() - started)
        del f.batch_seconds[:-1000]
        return True


class Timer(Service):
    """Carries out what is due, every few seconds."""

    def __init__(self, engine: Engine, desk: Desk) -> None:
        """Take the shared parts."""
        super().__init__()
        self._engine, self._desk = engine, desk

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            try:
                await self._desk.do(lambda: self._engine.pipeline.tick(int(time.time())))
            except WorldError as error:
                _log.warning("what is due waits: %s", error)
            await self.sleep(self._engine.settings.tick_seconds)


class Agents:
    """The app with its agents, and the way to give them work."""

    def __init__(self, engine: Engine, desk: Desk, intake: Intake) -> None:
        """Make the app: an agent per stream that tags, one for requests, one for receipts."""
        self.figures = Figures()
        self.app = Embedded("lineage", broker="kafka://127.0.0.1:9", store="memory://", web_enabled=False)
        self._channels: dict[str, ChannelT[Work]] = {}
        for stream in STREAMS:
            self._agent(stream, lambda values: tag_all(engine, values), None)
        self._agent("requests", lambda call: call(), desk)
        self._agent("receipts", lambda call: call(), desk)
        self.feed = Feed(engine, desk, intake, self.ask, self.figures)
        self.timer = Timer(engine, desk)

    def _agent(self, name: str, work: Callable[[Any], Any], desk: Desk | None) -> None:
        channel = self.app.channel(maxsize=4)
        self._channels[name] = channel

        async def agent(stream: faust.Stream[Work]) -> None:
            async for item in stream:
                try:
                    answer = await desk.do(lambda: work(item.content)) if desk is not None else work(item.content)
                except Exception as error:  # noqa: BLE001 - whoever asked is told; the batch stays in the journal
                    if not item.done.done():
                        item.done.set_exception(error)
                else:
                    if not item.done.done():
                        item.done.set_result(answer)

        agent.__name__ = name
        self.app.agent(channel, name=f"lineage.{name}")(agent)

    async def ask(self, name: str, content: Any) -> Any:  # noqa: ANN401
        """Put work on an agent's channel and wait for its answer."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._channels[name].put(Work(content, done))
        return await done

    async def start(self) -> None:
        """Start the agents, then the feed and the timer."""
        await self.app.start()
        self.app.flow_control.resume()
        await self.feed.start()
        await self.timer.start()

    async def stop(self) -> None:
        """Stop the feed between two batches, then the rest."""
        await self.timer.stop()
        await self.feed.stop()
        await self.app.stop()


def tag_all(engine: Engine, values: list[bytes]) -> list[Tagged | BadEvent]:
    """Tag a part of a batch: for each event what it says, or why it is none."""
    found: list[Tagged | BadEvent] = []
    for value in values:
        try:
            found.append(engine.pipeline.tag(value))
        except BadEvent as error:
            found.append(error)
    return found
