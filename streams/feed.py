"""Carry events from the journal into the graph: the embedded feed.

One batch at a time. It leaves the journal in the transaction that writes its facts, so whatever goes wrong it is still
there: where the world is wrong it is tried again, less and less often.
"""

from __future__ import annotations

import asyncio
import logging
import random

from mode import Service

from lineage.errors import WorldError
from lineage.intake import Received
from lineage.sqlite_journal import JOURNAL
from lineage.sqlite_store import SQLiteStore
from streams.desk import Desk
from streams.journal import Intake
from streams.taking import Taker, place

_BACKOFF_SECONDS_MAX = 30.0
_BACKOFF_SECONDS_MIN = 0.2
_IDLE_SECONDS_MAX = 0.5
_log = logging.getLogger("lineage.feed")


def longer(pause: float) -> float:
    """Give the pause after one of so many seconds: twice as long, half a minute at most, and never quite regular."""
    return min(_BACKOFF_SECONDS_MAX, max(_BACKOFF_SECONDS_MIN, pause * 2)) * random.uniform(0.8, 1.2)  # noqa: S311


class Feed(Service):  # type: ignore[misc]
    """Reads the journal, has each batch taken, until it is written."""

    def __init__(self, store: SQLiteStore, desk: Desk, intake: Intake, taker: Taker, batch_events_max: int) -> None:
        """Take the shared parts, and how many events make a batch at most."""
        super().__init__()
        self._store, self._desk, self._intake, self._taker, self._most = store, desk, intake, taker, batch_events_max

    @Service.task  # type: ignore[untyped-decorator]
    async def _run(self) -> None:
        pause, figures = 0.0, self._taker.figures
        while not self.should_stop:
            if pause:
                await self.sleep(pause)
            try:
                worked = await self.step()
                pause, figures.trouble = 0.0, ""
            except WorldError as error:
                # Nothing is lost: the batch is still in the journal. It is tried again, less and less often.
                figures.retries += 1
                pause, figures.trouble = longer(pause), str(error)
                _log.warning("events wait in the journal: %s", error)
                continue
            except Exception as error:  # noqa: BLE001 - a feed that dies in silence would be worse than one that tries again
                figures.failures += 1
                pause, figures.trouble = _BACKOFF_SECONDS_MAX, f"internal error ({place(error)})"
                _log.error("events wait in the journal: %s", figures.trouble)
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
        self._intake.arrived.clear()
        rows = await self._desk.do(lambda: self._store.journal_read(-1, self._most))
        if not rows:
            return False
        records = [Received(*JOURNAL, offset, value) for offset, value in rows]
        await self._taker.take(records)
        self._intake.consumed(records[-1].offset + 1)
        return True
