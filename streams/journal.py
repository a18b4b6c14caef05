"""Take events in durably: what arrives are bytes of senders, what leaves is an offset once the disk has them.

Events that come within a few milliseconds share one transaction (group commit), so a sender waits for one
synchronisation of the disk, not for a queue of them. Nobody is told "taken" before that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from lineage.errors import StoreUnavailable
from lineage.sqlite_journal import JOURNAL
from lineage.sqlite_store import SQLiteStore
from streams.desk import Desk


class Intake:
    """The door of the journal."""

    def __init__(self, store: SQLiteStore, desk: Desk, flush_ms: int, events_max: int) -> None:
        """Gather for `flush_ms` milliseconds; refuse events while more than `events_max` wait to be consumed.

        The desk is the journal's own: a sender does not wait for the facts of a batch that is being written.
        """
        self._store, self._desk = store, desk
        self._pause, self._events_max = flush_ms / 1000, events_max
        self._waiting: list[tuple[Sequence[bytes], asyncio.Future[range]]] = []
        self._flush: asyncio.Task[None] | None = None
        self.arrived = asyncio.Event()
        self.open = True
        self.depth = store.journal_depth()
        topic, partition = JOURNAL
        self._position = store.positions(topic).get(partition, 0)
        self._end = self._position + self.depth
        self._readers: list[tuple[int, asyncio.Future[None]]] = []

    async def take(self, values: Sequence[bytes]) -> range:
        """Give the offsets of the events once they are durable; raise `StoreUnavailable` if they cannot be taken now."""
        if not self.open:
            msg = "the pipeline is stopping: send again"
            raise StoreUnavailable(msg)
        if self.depth + len(values) > self._events_max:
            msg = f"the journal is full ({self.depth} events wait): send again later"
            raise StoreUnavailable(msg)
        self.depth += len(values)
        done: asyncio.Future[range] = asyncio.get_running_loop().create_future()
        self._waiting.append((values, done))
        if self._flush is None:
            self._flush = asyncio.create_task(self._write())
        return await done

    async def _write(self) -> None:
        await asyncio.sleep(self._pause)
        self._flush = None
        group, self._waiting = self._waiting, []
        values = [v for part, _ in group for v in part]
        try:
            offsets = await self._desk.do(lambda: self._store.journal_append(values, int(time.time())))
        except Exception as error:  # noqa: BLE001 - each sender is told, whatever it was
            self.depth -= len(values)
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
            return
        self._end = offsets.stop
        first = offsets.start
        for part, done in group:
            if not done.done():
                done.set_result(range(first, first + len(part)))
            first += len(part)
        self.arrived.set()

    def consumed(self, position: int) -> None:
        """Make room: the facts of all events before `position` are written."""
        self.depth -= position - self._position
        self._position = position
        waiting = [r for r in self._readers if r[0] > position]
        for end, done in self._readers:
            if end <= position and not done.done():
                done.set_result(None)
        self._readers = waiting

    async def caught_up(self, seconds_max: float) -> bool:
        """Wait until all that has been acknowledged so far is in the graph; False if that takes too long."""
        if self._position >= self._end:
            return True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._readers.append((self._end, done))
        try:
            await asyncio.wait_for(done, seconds_max)
        except TimeoutError:
            return False
        return True
