"""Replay the data sets as streams of events, one by one or interleaved as if they had happened at the same time."""

from __future__ import annotations

import heapq
import random
from itertools import islice
from typing import TYPE_CHECKING

from bench.datasets import cdnow, clickstream, invented, journey
from bench.datasets.fetching import DATA, NAMES, located
from bench.datasets.people import People

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.datasets.moments import Event, Timeline


def events(name: str, limit: int | None = None, root: Path = DATA, *, seed: int = 0, fulfilled: bool = False) -> Iterator[Event]:
    """Replay the data set `name`, the first `limit` events, in time order.

    `fulfilled` adds deliveries that the data do not tell, so that orders come to an end. The same arguments give the
    same events. Raises `DatasetError` if the data set has not been fetched.
    """
    return islice(_timeline(name, root, seed, fulfilled=fulfilled), limit)


def mixed(limit: int | None = None, root: Path = DATA, *, seed: int = 0, fulfilled: bool = False) -> Iterator[Event]:
    """Replay all data sets at once, each stretched over the same time; every event keeps the time it has.

    An event's turn comes when its share of its own data set's time is up, so the order is the same each time, and
    within each controller it is the order of time. Raises `DatasetError` if a data set has not been fetched.
    """
    return islice(_interleave([_timeline(name, root, seed, fulfilled=fulfilled) for name in NAMES]), limit)


def synthetic(count: int, seed: int = 0, *, fulfilled: bool = False) -> Iterator[Event]:
    """Invent `count` events of the three controllers, mixed like the real ones; needs no file."""
    dice = random.Random(seed)
    return islice(
        _interleave(
            [
                cdnow.timeline(invented.purchases(1 + count // 6, dice), People("cdnow", seed), fulfilled=fulfilled),
                journey.timeline(invented.households(1 + count // 3, dice), People("journey", seed), fulfilled=fulfilled),
                clickstream.timeline(invented.steps(1 + count // 10, dice), People("clickstream", seed), fulfilled=fulfilled),
            ]
        ),
        count,
    )


def _timeline(name: str, root: Path, seed: int, *, fulfilled: bool) -> Timeline:
    file = located(name, root)
    people = People(name, seed)
    match name:
        case "cdnow":
            return cdnow.timeline(cdnow.read(file), people, fulfilled=fulfilled)
        case "journey":
            return journey.timeline(journey.read(file), people, fulfilled=fulfilled)
        case _:
            return clickstream.timeline(clickstream.read(file), people, fulfilled=fulfilled)


def _interleave(timelines: Sequence[Timeline]) -> Iterator[Event]:
    """Merge by elapsed share of each timeline's span; equal shares go by the timelines' order."""
    turns = [_turns(place, timeline) for place, timeline in enumerate(timelines)]
    return (event for _, _, _, event in heapq.merge(*turns))


def _turns(place: int, timeline: Timeline) -> Iterator[tuple[float, int, int, Event]]:
    first, last = timeline.span()
    length = max(1, last - first)
    for number, event in enumerate(timeline):
        yield (event["time"] - first) / length, place, number, event
