"""Erase persons of a graph and measure it: from the request until all commands that follow from it are durable.

A person asks two months after the last that they did, as if the log ended there: what had been ordered has arrived and
cannot be sent back any more, so that orders hold nothing up. Every command is then delivered and answered.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lineage.pipeline import Pipeline
from lineage.rights import Request
from lineage.sqlite_store import SQLiteStore

_QUIET_S = 60 * 86_400
_MINUTE = 60
_FETCHED_MAX = 1000
_FAR = 1 << 40


class Person(NamedTuple):
    """A data subject by whom the request will come: controller and e-mail address."""

    controller: str
    email: str


class Life(NamedTuple):
    """How much a person did, and the second of the last."""

    events: int
    last: int


def persons(pipeline: Pipeline, values: Sequence[bytes]) -> dict[Person, Life]:
    """Find everybody whose e-mail address the events carry."""
    found: dict[Person, Life] = {}
    for value in values:
        tagged = pipeline.tag(value)
        for kind, text in tagged.identifiers:
            if kind == "email":
                person = Person(tagged.controller, text)
                life = found.get(person, Life(0, tagged.at))
                found[person] = Life(life.events + 1, max(life.last, tagged.at))
    return found


def erase(pipeline: Pipeline, store: SQLiteStore, among: Mapping[Person, Life], most: int, seed: int) -> dict[str, float]:
    """Erase `most` persons, each as likely as any other, and besides the one with the most events; answer every command."""
    busiest = max(among, key=lambda p: (among[p].events, p))
    others = sorted(p for p in among if p != busiest)
    chosen = random.Random(seed + 2).sample(others, min(most, len(others)))
    times = sorted(_request(pipeline, person, among[person], n) for n, person in enumerate(chosen))
    longest = _request(pipeline, busiest, among[busiest], len(chosen))
    commands = answer_all(pipeline, store)
    return {
        "erase_p50_ms": round(times[len(times) // 2], 2),
        "erase_p99_ms": round(times[min(len(times) - 1, len(times) * 99 // 100)], 2),
        "erase_busiest_ms": round(longest, 2),
        "busiest_events": among[busiest].events,
        "erased_persons": len(times) + 1,
        "commands": commands,
        "commands_pending": len(store.commands(None, None, _FAR, _FETCHED_MAX)),
        "cases_open": sum(case.state == "open" for case in store.cases()),
    }


def _request(pipeline: Pipeline, person: Person, life: Life, number: int) -> float:
    request = Request(f"bench-{number}", life.last + _QUIET_S, "erasure")
    start = time.perf_counter()
    pipeline.request(person.controller, ("email", person.email), request)
    return (time.perf_counter() - start) * 1000


def answer_all(pipeline: Pipeline, store: SQLiteStore) -> int:
    """Let every target confirm each of its commands a minute later, until none is left; give how many there were."""
    done: set[str] = set()
    while rows := [row for row in store.commands(None, None, _FAR, _FETCHED_MAX) if row.id not in done]:
        for row in rows:
            done.add(row.id)
            pipeline.receipt(row.id, "erased", row.issued + _MINUTE)
    return len(done)
