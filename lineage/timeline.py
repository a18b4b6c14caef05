"""Put the facts of a data subject in the order of their time, as entries for the fold.

What arrives are rows of a store; what leaves are typed entries. Two entries of the same second are ordered by what they
are and by their content, never by when they were delivered: so any order of delivery folds to the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from lineage.facts import ShapeBody
from lineage.fold import Decision, Entry, Event, Receipt, Revenant, Succession
from lineage.hindsight import Learnt
from lineage.rights import Request
from lineage.store import Entry as EntryRow
from lineage.store import Facts, Observation, Shape
from lineage.subject import Item

LATE = "late"
"""The kind of entry that an event is which comes after an erasure and is from before it: it is told, and no observation."""
LEARNT = "learnt"
"""The kind of entry that says when an event became known that happened before others that were known already."""
_LAST = 9
_RANK = {Event: 0, Request: 1, Decision: 2, Receipt: 3, Succession: -1, Revenant: -1}
NOTHING_LOST: Mapping[int, tuple[Item, ...]] = {}
Told = Request | Decision | Receipt | Succession | Revenant
KINDS: dict[str, type[Told]] = {
    "request": Request, "decision": Decision, "receipt": Receipt, "succession": Succession, "revenant": Revenant,
}  # fmt: skip


def event_of(row: Observation, shape: Shape, body: ShapeBody, *, device_only: bool, came: int | None = None) -> Event:
    """Read an observation, or what came as late as `came`."""
    matter = f"{body.matter}:{row.matter}" if row.matter else ""
    about = f"{body.about}:{row.about}" if row.about else ""
    if came is None:
        return Event(row.at, shape.type, body.terms, body.fields, matter, about, device_only)
    return Event(max(came, row.at), shape.type, body.terms, body.fields, matter, about, device_only, row.at)


def write_late(key: int, row: Observation, came: int, kind: str = LATE) -> EntryRow:
    """Make a row of an event from before an erasure that came after it, or `LEARNT`; the same event again has the same id."""
    name = "-".join(map(str, (row.key, row.shape, row.at, row.matter, row.about)))
    return EntryRow(key, f"{kind}-{name}", came, kind, orjson.dumps(row[:5]).decode())


def came_at(facts: Facts, now: int) -> int:
    """Give the time of what comes late: not before an answer that is told already, whatever this worker's clock says."""
    return max([now, *(line.at for line in facts.entries if line.kind == "receipt")])


def answered_at(facts: Facts, now: int) -> int:
    """Give the time of an answer: after all that has come late already, be it in this very second."""
    return max([now, *(line.at + 1 for line in facts.entries if line.kind == LATE)])


def late_of(row: EntryRow) -> Observation:
    """Read such a row."""
    return Observation._make([*orjson.loads(row.body), 0])


def write_entry(key: int, id_: str, entry: Told) -> EntryRow:
    """Make a row of an entry."""
    kind = next(k for k, cls in KINDS.items() if cls is type(entry))
    return EntryRow(key, id_, entry.at, kind, orjson.dumps(asdict(entry), option=orjson.OPT_SORT_KEYS).decode())


def read_entry(row: EntryRow) -> Told:
    """Read a row."""
    raw = orjson.loads(row.body)
    made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
    return KINDS[row.kind](**made)


def shapes_in(facts: Facts) -> set[int]:
    """Give the shapes that a story is told with."""
    return {row.shape for row in facts.observations} | {late_of(line).shape for line in facts.entries if line.kind == LATE}


def entries(
    facts: Facts, shapes: Mapping[int, Shape], bodies: Mapping[int, ShapeBody], lost: Mapping[int, tuple[Item, ...]] = NOTHING_LOST,
) -> list[Entry]:  # fmt: skip
    """Give all entries of a data subject, in order; `lost` says, by when something was learnt, what had come in meanwhile."""
    devices = {i.key for i in facts.identifiers if i.kind == "cookie"}
    found: list[tuple[tuple[int, int, int, str, str, str], Entry]] = []
    for row in facts.observations:
        body, shape = bodies[row.shape], shapes[row.shape]
        event = event_of(row, shape, body, device_only=row.key in devices)
        found.append(((event.at, 0, 0, shape.type, shape.body, f"{event.matter}{event.about}"), event))
    for line in facts.entries:
        if line.kind == LATE:
            row = late_of(line)
            body, shape = bodies[row.shape], shapes[row.shape]
            event = event_of(row, shape, body, device_only=row.key in devices, came=line.at)
            found.append(((event.at, _LAST, row.at, shape.type, shape.body, f"{event.matter}{event.about}"), event))
        if line.kind not in KINDS:
            continue
        entry = read_entry(line)
        found.append(((entry.at, _RANK[type(entry)], 0, line.id, "", ""), entry))
    found += [((at, _LAST, at, "", "", ""), Learnt(at, items)) for at, items in lost.items() if items]
    found.sort(key=lambda pair: pair[0])
    return [entry for _, entry in found]
