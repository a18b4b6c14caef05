"""Put what happened into order: rows of a data set arrive, moments leave, and each moment makes its event late.

A moment is small and sorts by time, then by the order in which it was noted; the event's dictionary, which is not
small, exists only while somebody looks at it.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Event = dict[str, Any]
"""An event in its JSON form; `time` is milliseconds since the epoch, UTC."""

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Timeline:
    """Everything that happened in one data set, sorted when it is first read."""

    __slots__ = ("_moments",)

    def __init__(self) -> None:
        """Start with nothing noted."""
        self._moments: list[tuple[int, int, Callable[..., Event], tuple[Any, ...]]] = []

    def note(self, at: int, make: Callable[..., Event], *args: Any) -> None:
        """Remember that at `at` (milliseconds) the event `make(at, *args)` happened."""
        self._moments.append((at, len(self._moments), make, args))

    def __len__(self) -> int:
        """Count the moments."""
        return len(self._moments)

    def span(self) -> tuple[int, int]:
        """Return the first and the last time, in milliseconds; an empty timeline spans nothing."""
        if not self._moments:
            return (0, 0)
        return (min(self._moments)[0], max(self._moments)[0])

    def __iter__(self) -> Iterator[Event]:
        """Make the events, in time order."""
        self._moments.sort()
        for at, _, make, args in self._moments:
            yield make(at, *args)


def milliseconds(moment: dt.datetime) -> int:
    """Read a data set's local time, which names no zone, as UTC and return milliseconds since the epoch."""
    return int(moment.replace(tzinfo=dt.UTC).timestamp()) * SECOND_MS
