"""Take a batch of records: the agents tag its parts, one transaction writes its facts. Whatever feed it came from.

Where the world is wrong the batch is the feed's to keep and to bring again; where one event makes the engine fail, the
others are written and that one goes to the dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemas
from lineage.errors import BadEvent, TooMuch, Undecodable, WorldError
from lineage.intake import Ahead, Prepared, Received, Taken
from lineage.store import Batch, Position
from streams.desk import Desk
from streams.wiring import Engine

STREAMS = ("order", "newsletter", "cookie", "support", "account", "campaign")
UNKNOWN = "support"
"""The agent that gets what has no stream: bytes that are no event of ours end as dead letters like any other."""
_HEADER_BYTES = schemas.HEADER.size
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
    trouble: str = ""
    """Why events wait, "" if they do not."""

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


def stream_of(value: bytes) -> str:
    """Say which agent an event's bytes are for."""
    if len(value) < _HEADER_BYTES or value[0] != 0:
        return UNKNOWN
    spec = schemas.registry().type_of(int.from_bytes(value[1:5], "big"))
    return spec.stream if spec is not None else UNKNOWN


class Taker:
    """Brings batches into the graph."""

    def __init__(self, engine: Engine, desk: Desk, ask: Callable[[str, Any], Awaitable[Any]], figures: Figures) -> None:
        """Take the shared parts; `ask` gives an agent work and waits for its answer."""
        self._engine, self._desk, self._ask, self.figures = engine, desk, ask, figures
        self._at_leisure = asyncio.Event()
        self._at_leisure.set()

    async def take(self, records: Sequence[Received]) -> Taken:
        """Bring a batch into the graph; raise a `WorldError` if it must be brought again."""
        return await self.put(records, await self.tag(records))

    async def leisure(self) -> None:
        """Wait while a batch is being made: to read the next one meanwhile would only keep the store waiting for both.

        One interpreter does either; there is time when the store writes.
        """
        await self._at_leisure.wait()

    async def tag(self, records: Sequence[Received]) -> list[Prepared | BadEvent]:
        """Have the agents tag a batch: for each event what it says and its facts, or why it is none."""
        parts: dict[str, list[int]] = {}
        for n, record in enumerate(records):
            parts.setdefault(stream_of(record.value), []).append(n)
        tagged: list[Prepared | BadEvent] = [Undecodable("not tagged")] * len(records)
        answers = await asyncio.gather(*(self._ask(s, [records[n] for n in part]) for s, part in parts.items()))
        for part, answer in zip(parts.values(), answers, strict=True):
            for n, found in zip(part, answer, strict=True):
                tagged[n] = found
        return tagged

    async def look_ahead(self, tagged: Sequence[Prepared | BadEvent]) -> Ahead | None:
        """Read what a batch will need of a graph that others write to, while the one before is written; None if it cannot be."""
        with contextlib.suppress(WorldError):
            return await asyncio.to_thread(self._engine.pipeline.look_ahead, tagged)
        return None

    async def put(
        self, records: Sequence[Received], tagged: Sequence[Prepared | BadEvent], ahead: Ahead | None = None,
    ) -> Taken:  # fmt: skip
        """Write a batch that has been tagged."""
        started, loop = time.monotonic(), asyncio.get_running_loop()

        def writing() -> None:
            loop.call_soon_threadsafe(self._at_leisure.set)

        self._at_leisure.clear()
        try:
            taken = await self._desk.do(lambda: self.write(records, tagged, int(time.time()), writing, ahead))
        finally:
            self._at_leisure.set()
        self.figures.add(taken, time.monotonic() - started)
        return taken

    def write(
        self, records: Sequence[Received], tagged: Sequence[Prepared | BadEvent], now: int,
        writing: Callable[[], None] = lambda: None, ahead: Ahead | None = None,
    ) -> Taken:  # fmt: skip
        """Write a batch; if it is too much for one transaction, in halves; if the engine fails on it, event by event.

        So neither a slow store nor one event holds up all.
        """
        try:
            return self._engine.pipeline.ingest(records, now, tagged, writing, ahead)
        except TooMuch:
            if len(records) == 1:
                raise
            half = len(records) // 2
            first = self.write(records[:half], tagged[:half], now, writing)
            return first + self.write(records[half:], tagged[half:], now, writing)
        except WorldError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours must not stop all events
            _log.error("a batch is taken event by event: %s", place(error))
        taken = Taken()
        for record, one in zip(records, tagged, strict=True):
            taken += self._write_one(record, one, now)
        return taken

    def _write_one(self, record: Received, tagged: Prepared | BadEvent, now: int) -> Taken:
        store, pipeline = self._engine.store, self._engine.pipeline
        if store.positions(record.topic).get(record.partition, 0) > record.offset:
            return Taken(events=1)
        try:
            return pipeline.ingest([record], now, [tagged])
        except WorldError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self.figures.failures += 1
            if store.positions(record.topic).get(record.partition, 0) > record.offset:
                return Taken(events=1)  # The facts are written; what they set off is due, and the timer comes to it.
            letter = pipeline.intake.dead_letter(record, f"internal error ({place(error)})", now)
            position = Position(record.topic, record.partition, record.offset + 1)
            store.write(Batch(dead_letters=[letter], positions=[position]))
            return Taken(events=1, dead=1)
