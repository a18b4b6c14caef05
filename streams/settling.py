"""Let many wait for one durable write: what each has left in a buffer is on the disk when its wait is over.

Whoever comes while a write is under way waits for the next one, which takes all who came meanwhile (a group commit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streams.desk import Desk


class Settling:
    """One write after another, each for all who wait for it."""

    def __init__(self, desk: Desk, flush: Callable[[], object]) -> None:
        """Take the desk that adds to the buffer, and what writes the buffer."""
        self._desk, self._flush = desk, flush
        self._next: asyncio.Task[None] | None = None
        self._now: asyncio.Task[None] | None = None

    async def settled(self) -> None:
        """Wait until all that was added before this call is durable; raise what stands in the way."""
        if self._next is None:
            self._next = asyncio.create_task(self._write(self._now))
        await asyncio.shield(self._next)

    async def _write(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        self._now, self._next = self._next, None
        await self._desk.do(self._flush)
