"""Put the facts of a data subject in the order of their time, as entries for the fold.

What arrives are rows of a store; what leaves are typed entries. Two entries of the same second are ordered by what they
are and by their content, never by when they were delivered: so any order of delivery folds to the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from lineage.facts import LATE, ShapeBody
from lineage.fold import Decision, Entry, Event, Receipt, Succession
from lineage.rights import Request
from lineage.store import Entry as EntryRow
from lineage.store import Facts, Observation, Shape

_LAST = 9
_RANK = {Event: 0, Request: 1, Decision: 2, Receipt: 3, Succession: -1}
KINDS: dict[str, type[Request | Decision | Receipt | Succession]] = {
    "request": Request, "decision": Decision, "receipt": Receipt, "succession": Succession,
}  # fmt: skip


def event_of(row: Observation, shape: Shape, body: ShapeBody, *, device_only: bool) -> Event:
    """Read an observation."""
    matter = f"{body.matter}:{row.matter}" if row.matter else ""
    about = f"{body.about}:{row.about}" if row.about else ""
    late = next((int(str(v)) for k, v in body.fields if k == LATE), None)
    at = row.at if late is None else max(row.at, late)
    return Event(at, shape.type, body.terms, body.fields, matter, about, device_only, row.at if at != row.at else 0)


def write_entry(key: int, id_: str, entry: Request | Decision | Receipt | Succession) -> EntryRow:
    """Make a row of an entry."""
    kind = next(k for k, cls in KINDS.items() if cls is type(entry))
    return EntryRow(key, id_, entry.at, kind, orjson.dumps(asdict(entry), option=orjson.OPT_SORT_KEYS).decode())


def read_entry(row: EntryRow) -> Request | Decision | Receipt | Succession:
    """Read a row."""
    raw = orjson.loads(row.body)
    made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
    return KINDS[row.kind](**made)


def entries(facts: Facts, shapes: Mapping[int, Shape], bodies: Mapping[int, ShapeBody]) -> list[Entry]:
    """Give all entries of a data subject, in order."""
    devices = {i.key for i in facts.identifiers if i.kind == "cookie"}
    found: list[tuple[tuple[int, int, int, str, str, str], Entry]] = []
    for row in facts.observations:
        body, shape = bodies[row.shape], shapes[row.shape]
        event = event_of(row, shape, body, device_only=row.key in devices)
        rank = 0 if event.at == row.at else _LAST
        found.append(((event.at, rank, event.occurred, shape.type, shape.body, f"{event.matter}{event.about}"), event))
    for line in facts.entries:
        if line.kind not in KINDS:
            continue
        entry = read_entry(line)
        found.append(((entry.at, _RANK[type(entry)], 0, line.id, "", ""), entry))
    found.sort(key=lambda pair: pair[0])
    return [entry for _, entry in found]
