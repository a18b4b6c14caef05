"""Carry events from the journal into the graph: a batch arrives, the agents tag its parts, one transaction writes it.

One batch at a time. It leaves the journal in the transaction that writes its facts, so whatever goes wrong it is still
there: where the world is wrong it is tried again, where one event makes the engine fail it goes to the dead letters.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mode import Service

import schemas
from lineage.errors import BadEvent, Undecodable, WorldError
from lineage.pipeline import Received, Taken
from lineage.sqlite_journal import JOURNAL
from lineage.store import Batch, Position
from lineage.tagging import Tagged
from streams.desk import Desk
from streams.journal import Intake
from streams.wiring import Engine

STREAMS = ("order", "newsletter", "cookie", "support", "account", "campaign")
UNKNOWN = "support"
"""The agent that gets what has no stream: bytes that are no event of ours end as dead letters like any other."""
_HEADER_BYTES = schemas.HEADER.size
_BACKOFF_SECONDS_MAX = 30.0
_BACKOFF_SECONDS_MIN = 0.2
_IDLE_SECONDS_MAX = 0.5
_TIMES_MAX = 1000
_log = logging.getLogger("lineage.feed")


@dataclass(slots=True)
class Figures:
    """What has been done since the start, for the metrics."""

    events: int = 0
    dead_letters: int = 0
    batches: int = 0
    rows: int = 0
    edges: int = 0
    retries: int = 0
    failures: int = 0
    batch_seconds: list[float] = field(default_factory=list)

    def add(self, taken: Taken, seconds: float) -> None:
        """Count a batch."""
        self.events += taken.events
        self.dead_letters += taken.dead
        self.batches += 1
        self.rows += taken.rows
        self.edges += taken.edges
        self.batch_seconds.append(seconds)
        del self.batch_seconds[:-_TIMES_MAX]


def place(error: BaseException) -> str:
    """Say what went wrong and where without the error's text, which may show a value."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f" at {last.tb_frame.f_code.co_name}:{last.tb_lineno}" if last is not None else ""
    return f"{type(error).__name__}{where}"


def _stream_of(value: bytes) -> str:
    if len(value) < _HEADER_BYTES or value[0] != 0:
        return UNKNOWN
    spec = schemas.registry().type_of(int.from_bytes(value[1:5], "big"))
    return spec.stream if spec is not None else UNKNOWN


class Feed(Service):  # type: ignore[misc]
    """Reads the journal, has the agents tag, writes the facts: one batch at a time, until it is written."""

    def __init__(
        self, engine: Engine, desk: Desk, intake: Intake, ask: Callable[[str, Any], Awaitable[Any]], figures: Figures,
    ) -> None:  # fmt: skip
        """Take the shared parts; `ask` gives an agent work and waits for its answer."""
        super().__init__()
        self._engine, self._desk, self._intake, self._ask = engine, desk, intake, ask
        self._figures = figures
        self.trouble = ""
        """Why events wait, "" if they do not."""

    @Service.task  # type: ignore[untyped-decorator]
    async def _run(self) -> None:
        pause = 0.0
        while not self.should_stop:
            if pause:
                await self.sleep(pause)
            try:
                worked = await self.step()
                pause, self.trouble = 0.0, ""
            except WorldError as error:
                # Nothing is lost: the batch is still in the journal. It is tried again, less and less often.
                self._figures.retries += 1
                pause = min(_BACKOFF_SECONDS_MAX, max(_BACKOFF_SECONDS_MIN, pause * 2)) * random.uniform(0.8, 1.2)  # noqa: S311
                self.trouble = str(error)
                _log.warning("events wait in the journal: %s", error)
                continue
            except Exception as error:  # noqa: BLE001 - a feed that dies in silence would be worse than one that tries again
                self._figures.failures += 1
                pause, self.trouble = _BACKOFF_SECONDS_MAX, f"internal error ({place(error)})"
                _log.error("events wait in the journal: %s", self.trouble)
                continue
            if not worked:
                await self._idle()

    async def _idle(self) -> None:
        try:
            await asyncio.wait_for(self._intake.arrived.wait(), _IDLE_SECONDS_MAX)
        except TimeoutError:
            return

    async def step(self) -> bool:
        """Take one batch from the journal through the agents into the graph; tell whether there was one."""
        store, limit = self._engine.store, self._engine.settings.batch_events_max
        self._intake.arrived.clear()
        rows = await self._desk.do(lambda: store.journal_read(-1, limit))
        if not rows:
            return False
        started = time.monotonic()
        records = [Received(*JOURNAL, offset, value) for offset, value in rows]
        tagged = await self._tag(records)
        taken = await self._desk.do(lambda: self._write(records, tagged, int(time.time())))
        self._intake.consumed(records[-1].offset + 1)
        self._figures.add(taken, time.monotonic() - started)
        return True

    async def _tag(self, records: Sequence[Received]) -> list[Tagged | BadEvent]:
        parts: dict[str, list[int]] = {}
        for n, record in enumerate(records):
            parts.setdefault(_stream_of(record.value), []).append(n)
        tagged: list[Tagged | BadEvent] = [Undecodable("not tagged")] * len(records)
        answers = await asyncio.gather(*(self._ask(s, [records[n].value for n in part]) for s, part in parts.items()))
        for part, answer in zip(parts.values(), answers, strict=True):
            for n, found in zip(part, answer, strict=True):
                tagged[n] = found
        return tagged

    def _write(self, records: Sequence[Received], tagged: Sequence[Tagged | BadEvent], now: int) -> Taken:
        """Write a batch; if the engine fails on it, event by event, so that one does not hold up all."""
        try:
            return self._engine.pipeline.ingest(records, now, tagged)
        except WorldError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours must not stop all events
            _log.error("a batch is taken event by event: %s", place(error))
        taken = Taken(events=len(records))
        for record, tags in zip(records, tagged, strict=True):
            self._write_one(record, tags, now, taken)
        return taken

    def _write_one(self, record: Received, tags: Tagged | BadEvent, now: int, taken: Taken) -> None:
        store, pipeline = self._engine.store, self._engine.pipeline
        topic, partition = JOURNAL
        if store.positions(topic).get(partition, 0) > record.offset:
            return
        try:
            found = pipeline.ingest([record], now, [tags])
            taken.dead, taken.rows, taken.edges = taken.dead + found.dead, taken.rows + found.rows, taken.edges + found.edges
        except WorldError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._figures.failures += 1
            if store.positions(topic).get(partition, 0) > record.offset:
                return  # The facts are written; what they set off is due, and the timer comes to it.
            letter = pipeline.dead_letter(record, f"internal error ({place(error)})", now)
            store.write(Batch(dead_letters=[letter], positions=[Position(topic, partition, record.offset + 1)]))
            taken.dead += 1
