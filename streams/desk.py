"""Serialise the work on the store: one thread does it, in the order in which it was asked for.

The event loop stays free while a transaction waits for the disk, and the store has one writer, as it must.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Desk:
    """A single worker thread."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def do(self, work: Callable[[], T]) -> T:
        """Run the work after all that was asked for before it, and give its result or raise its error."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Finish what was asked for."""
        self._thread.shutdown(wait=True)
