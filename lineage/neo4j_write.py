"""Write a batch in a transaction of Neo4j: what arrives are the facts of many events, what leaves are nodes and edges.

Several workers write at once, and Neo4j locks what is written, not what is read. So the order is always the same:

1. the positions, and nothing more if the batch has been written before;
2. every key that the batch touches: first those that are there, then those that are thought to be new, which get what is
   known of them at once, each smallest first. The version goes up, which locks the key until the end. Where it was not what
   the batch was worked out from, or is gone, or has a tombstone that was not heeded, all is undone (`Conflict`);
3. the shapes, under one lock, with what the policy says of them;
4. the facts, in statements of many rows each. An edge is never merged: that would lock the shape at its other end, which
   all workers share. Keys that were made just now can have no edges, and what happened after all that was observed of a key
   cannot have been observed before (`latest`), so these edges need not be looked for;
5. what is forgotten, and keys that were made only to be locked, go;
6. the ends of the two chains come last, since everybody waits for them.

What exists already stays as it is: the functions can run again at any time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, LiteralString

from lineage.errors import Conflict, IdentifierCollision
from lineage.landing import Landing
from lineage.neo4j_cascades import only_new, write_cascades, write_chains
from lineage.neo4j_rows import KEYS, OF_KEY, OF_ROW, ROWS, SEALED_ROWS, SHAPE_ROWS, line, lines
from lineage.neo4j_server import Transaction, ask, number
from lineage.neo4j_types import draw_shapes
from lineage.store import Batch, Identifier, Key, Shape

Rows = list[list[Any]]

_DEVICE = "cookie"
_NEVER = -(1 << 62)
_NOTHING = (-_NEVER, _NEVER)
"""When the oldest and the newest of nothing happened."""


class Vanished(Exception):
    """A key was deleted by another transaction while this one waited for it: run it again."""


@dataclass(slots=True)
class Work:
    """A batch made ready: sorted, without repetitions, as rows for statements."""

    batch: Batch
    landings: dict[int, tuple[Landing, ...]]
    keys: list[list[int]] = field(default_factory=list)
    """[key, version that was seen or -1, oldest and newest that is observed of it now], smallest first, without the new ones."""
    new: list[Identifier] = field(default_factory=list)
    """Identifiers that are thought to be new, smallest first."""
    spans: dict[Key, tuple[int, int]] = field(default_factory=dict)
    """Key -> when the oldest and the newest happened that is observed of it now."""
    wanted: set[Key] = field(default_factory=set)
    """Keys that something hangs on: these stay if they are made now."""
    guarded: list[Key] = field(default_factory=list)
    """Keys under which nothing may be written unless their tombstone was heeded."""
    observations: dict[int, Rows] = field(default_factory=dict)
    """Shape -> [key, at, matter, about, evidence]."""
    links: dict[str, Rows] = field(default_factory=dict)
    """Kind -> [a, b, shape, at]."""


def prepare(batch: Batch, landings: Callable[[Shape], Iterable[Landing]]) -> Work:
    """Make a batch ready, outside the transaction, which may run more than once."""
    work = Work(batch, {s.id: tuple(landings(s)) for s in batch.shapes})
    seen_first: dict[tuple[int, ...], int] = {}
    for key, at, shape, matter, about, evidence in batch.observations:
        name = (shape, key, at, matter, about)
        if evidence < seen_first.get(name, evidence + 1):
            seen_first[name] = evidence
    for (shape, key, at, matter, about), evidence in sorted(seen_first.items()):
        work.observations.setdefault(shape, []).append([key, at, matter, about, evidence])
        oldest, newest = work.spans.get(key, (at, at))
        work.spans[key] = (min(oldest, at), max(newest, at))
    first: dict[tuple[str, Key, Key, int], int] = {}
    for a, b, kind, shape, at in batch.links:
        first[kind, a, b, shape] = min(at, first.get((kind, a, b, shape), at))
    for (kind, a, b, shape), at in sorted(first.items()):
        work.links.setdefault(kind, []).append([a, b, shape, at])
    guarded = {o.key for o in batch.observations} | {i.key for i in batch.identifiers}
    guarded.update(key for link in batch.links for key in link[:2])
    work.guarded = sorted(guarded)
    work.wanted = guarded | {e.key for e in batch.entries} | batch.due.keys()
    work.wanted |= {k for k, at in batch.due_exact.items() if at is not None} | {k for k, on in batch.watched.items() if on}
    others = {*batch.due_exact, *batch.watched, *batch.forget_identifiers, *(o.key for o in batch.forget_observations)}
    others |= batch.known
    others.update(row.key for rows in (batch.cases, batch.commands, batch.tombstones) for row in rows)
    thought_new = {i.key: i for i in reversed(batch.identifiers) if i.key not in batch.seen}
    work.new = [thought_new[key] for key in sorted(thought_new)]
    there = sorted((work.wanted | others | batch.seen.keys()) - thought_new.keys())
    work.keys = [[k, batch.seen.get(k, -1), *work.spans.get(k, _NOTHING)] for k in there]
    return work


async def write_work(tx: Transaction, work: Work) -> int:
    """Write a batch and return how many rows of facts it inserted, changed or removed.

    Raises `Conflict` and `IdentifierCollision`, which undo it.
    """
    batch = work.batch
    if batch.positions and not await _move_on(tx, batch):
        return 0
    made = await _lock(tx, work)
    touched = await _write_shapes(tx, work)
    touched += await _write_identifiers(tx, work, made)
    touched += await _write_observations(tx, work, made)
    touched += await _write_links(tx, work, made)
    touched += await _write_data_subjects(tx, work, made)
    touched += await write_cascades(tx, batch)
    unwanted = sorted(made.keys - work.wanted)
    touched += await _forget(tx, batch, set(unwanted))
    if unwanted:
        await ask(tx, _UNWANTED, keys=unwanted)
    return touched + await write_chains(tx, batch)


_UNWANTED: LiteralString = "UNWIND $keys AS key " + OF_KEY + "DETACH DELETE k"
# What is locked is read in a statement of its own: within one, the planner may read before it waits.
_LOCK_POSITIONS: LiteralString = (
    "UNWIND $rows AS r MERGE (p:Position {topic: r[0], partition: r[1]})"
    " ON CREATE SET p.offset = -1 SET p.locks = coalesce(p.locks, 0) + 1"
)
_OF_POSITION: LiteralString = (
    "UNWIND $rows AS r MATCH (p:Position {topic: r[0], partition: r[1]}) USING INDEX SEEK p:Position(topic, partition) "
)
_POSITIONS: LiteralString = _OF_POSITION + "RETURN p.topic, p.partition, p.offset"
_MOVE: LiteralString = _OF_POSITION + "SET p.offset = r[2]"


async def _move_on(tx: Transaction, batch: Batch) -> bool:
    """Lock the positions and move them; say no if everything up to them has been written before."""
    wanted: dict[tuple[str, int], int] = {}
    for topic, partition, offset in batch.positions:
        wanted[topic, partition] = max(offset, wanted.get((topic, partition), offset))
    rows = [[topic, partition, offset] for (topic, partition), offset in sorted(wanted.items())]
    await ask(tx, _LOCK_POSITIONS, rows=rows)
    stored = {(t, p): offset for t, p, offset in await ask(tx, _POSITIONS, rows=rows)}
    ahead = [r for r in rows if r[2] > stored[r[0], r[1]]]
    if ahead:
        await ask(tx, _MOVE, rows=ahead)
    return bool(ahead)


# Of a key that was written before `latest` was kept nothing is known: it stays so, and its edges are looked for.
_LATEST: LiteralString = "k.latest = CASE WHEN k.latest < r[3] THEN r[3] ELSE k.latest END"
_LOCK: LiteralString = (
    ROWS + "MERGE (k:Key {key: r[0]}) ON CREATE SET k.version = $first, k.latest = r[3] ON MATCH SET k.version = k.version + 1"
    " WITH r, k, CASE WHEN k.version = $first THEN 0 ELSE k.version - 1 END AS before,"
    " k.watched AS watched, coalesce(k.latest < r[2], false) AS newer SET " + _LATEST + " RETURN"
    " collect(CASE WHEN before = 0 THEN r[0] END), count(CASE WHEN r[1] >= 0 AND r[1] <> before THEN 1 END),"
    " count(CASE WHEN before IS NULL THEN 1 END), collect(CASE WHEN watched THEN r[0] END),"
    " collect(CASE WHEN before <> 0 AND NOT newer THEN r[0] END)"
)
_IDENTITY: LiteralString = ", k.check = r[1], k.controller = $owners[r[4]][0], k.kind = $owners[r[4]][1], k.sealed = sealed"
_NEW: LiteralString = SEALED_ROWS + "MERGE (k:Key {key: r[0]}) ON CREATE SET "
_NEW_END: LiteralString = (
    _IDENTITY + ", k.version = $first, k.due = r[2], k.latest = r[3] ON MATCH SET k.version = k.version + 1, " + _LATEST + " RETURN"
    " collect(CASE WHEN k.version <> $first THEN r[0] END), count(CASE WHEN k.version IS NULL THEN 1 END),"
    " collect(CASE WHEN k.watched THEN r[0] END)"
)
_NEW_PERSONS: LiteralString = _NEW + "k:Identifier:DataSubject" + _NEW_END
_NEW_DEVICES: LiteralString = _NEW + "k:Identifier:Device" + _NEW_END


def _by_label(
    rows: list[Identifier], persons: LiteralString, devices: LiteralString
) -> Iterator[tuple[LiteralString, list[Identifier]]]:
    """Give the statement for persons' identifiers and that for devices, each with its rows, where it has any."""
    own = [i for i in rows if i.kind != _DEVICE]
    others = [i for i in rows if i.kind == _DEVICE]
    return ((statement, part) for statement, part in ((persons, own), (devices, others)) if part)


def _identities(rows: list[Identifier], work: Work) -> dict[str, object]:
    """Give identifiers as the values of a statement: [key, check, due date, newest event, owner], with what `owner` stands for."""
    owners = {owner: n for n, owner in enumerate(sorted({(i.controller, i.kind) for i in rows}))}
    due, spans = work.batch.due, work.spans
    numbers = [[i.key, i.check, due.get(i.key), spans.get(i.key, _NOTHING)[1], owners[i.controller, i.kind]] for i in rows]
    return {"rows": lines(numbers), "owners": list(map(list, owners)), "sealed": [i.sealed for i in rows]}


_STONES: LiteralString = KEYS + "MATCH (t:Tombstone {key: key}) USING INDEX SEEK t:Tombstone(key) RETURN t.key, t.at"


@dataclass(slots=True)
class Made:
    """The keys that a transaction has made: `keys` all of them, `whole` those that got what is known of them at once.

    `watched` are others, of persons whose events are looked at one by one, be it that another worker has said so just now.
    """

    keys: set[Key] = field(default_factory=set)
    whole: set[Key] = field(default_factory=set)
    watched: set[Key] = field(default_factory=set)
    older: set[Key] = field(default_factory=set)
    """Keys that were there, of which something is observed now that is no newer than all before: it may be there already."""


async def _lock(tx: Transaction, work: Work) -> Made:
    """Lock all keys, compare what the batch was worked out from, and give the keys that were not there.

    Whoever waits for a node that is deleted meanwhile is let go with a node that has no properties and takes none:
    `Vanished`, and the transaction must begin anew. A key's first version is a time in milliseconds and 20 random bits, so
    that one that is deleted and made again is never taken for the one that was seen.
    """
    made = Made()
    first = (time.time_ns() // 1_000_000 << 20) | secrets.randbits(20)
    stale = gone = 0
    if work.keys:
        [[keys, stale, gone, watched, older]] = await ask(tx, _LOCK, rows=lines(work.keys), first=first)
        made.keys.update(keys)
        made.watched.update(watched)
        made.older.update(older)
    for statement, part in _by_label(work.new, _NEW_PERSONS, _NEW_DEVICES):
        [[there, vanished, watched]] = await ask(tx, statement, first=first, **_identities(part, work))
        made.whole |= {i.key for i in part}.difference(there)
        made.watched.update(watched)
        made.older.update(there)
        gone += vanished
    made.keys |= made.whole
    if gone:
        raise Vanished
    if stale or not work.batch.known.isdisjoint(made.keys):
        msg = "another worker has changed the facts"
        raise Conflict(msg)
    if work.guarded:
        heeded = work.batch.heeded
        if any(heeded.get(key) != at for key, at in await ask(tx, _STONES, keys=line(work.guarded))):
            msg = "another worker has erased an identifier"
            raise Conflict(msg)
    return made


_SHAPES: LiteralString = (
    "UNWIND $rows AS r MERGE (s:Shape {id: r[0]})"
    " ON CREATE SET s.controller = r[1], s.type = r[2], s.body = r[3], s.fresh = true"
    " WITH r, s, s.fresh IS NOT NULL AS fresh REMOVE s.fresh RETURN r[0], s.controller, s.type, s.body, fresh"
)


async def _write_shapes(tx: Transaction, work: Work) -> int:
    rows = sorted({tuple(s) for s in work.batch.shapes})
    if not rows:
        return 0
    await lock_types(tx)
    found = await ask(tx, _SHAPES, rows=[list(r) for r in rows])
    if {tuple(r[:4]) for r in found} != set(rows) or len(found) != len(rows):
        msg = "a shape's number stands for another shape already"
        raise ValueError(msg)
    fresh = [Shape(*r[:4]) for r in found if r[4]]
    await draw_shapes(tx, {s: work.landings[s.id] for s in fresh})
    return len(fresh)


async def lock_types(tx: Transaction) -> None:
    """Wait for all others that write shapes, or what the policies say of them."""
    await ask(tx, "MERGE (h:ChainHead {name: 'types'}) SET h.locks = coalesce(h.locks, 0) + 1")


_CHECKS: LiteralString = "UNWIND $keys AS key " + OF_KEY + "WHERE k:Identifier RETURN collect([k.key, k.check])"
_PERSONS: LiteralString = SEALED_ROWS + OF_ROW + "SET k:Identifier:DataSubject" + _IDENTITY
_DEVICES: LiteralString = SEALED_ROWS + OF_ROW + "SET k:Identifier:Device" + _IDENTITY


async def _write_identifiers(tx: Transaction, work: Work, made: Made) -> int:
    """Write what is known of identifiers that were there after all, and see that no two share a key."""
    rows = {i.key: i for i in reversed(work.batch.identifiers)}
    checks: dict[Key, int] = {}
    there = sorted(rows.keys() - made.keys)
    if there:
        checks = dict((await ask(tx, _CHECKS, keys=there))[0][0])
    if any(i.check != checks.get(i.key, rows[i.key].check) for i in work.batch.identifiers):
        msg = "two identifiers share a key; rotate the controller's hash key"
        raise IdentifierCollision(msg)
    bare = [row for key, row in sorted(rows.items()) if key not in checks and key not in made.whole]
    for statement, part in _by_label(bare, _PERSONS, _DEVICES):
        await ask(tx, statement, **_identities(part, work))
    return len(bare) + len(made.whole)


_OBSERVE: LiteralString = (
    SHAPE_ROWS + OF_ROW + "CREATE (k)-[:OBSERVED {at: r[1], matter: r[2], about: r[3], evidence: r[4]}]->(s)"
    " RETURN count(*) AS found, count(*) AS changed"
)
_OBSERVE_AGAIN: LiteralString = (
    SHAPE_ROWS + OF_ROW + "OPTIONAL MATCH (k)-[o:OBSERVED {at: r[1], matter: r[2], about: r[3]}]->(s)"
    " WITH s, r, k, o, o IS NULL AS new, coalesce(o.evidence > r[4], false) AS earlier"
    " FOREACH (_ IN CASE WHEN new THEN [1] ELSE [] END |"
    "  CREATE (k)-[:OBSERVED {at: r[1], matter: r[2], about: r[3], evidence: r[4]}]->(s))"
    " FOREACH (_ IN CASE WHEN earlier THEN [1] ELSE [] END | SET o.evidence = r[4])"
    " RETURN count(*), count(CASE WHEN new OR earlier THEN 1 END)"
)


async def _write_observations(tx: Transaction, work: Work, made: Made) -> int:
    touched = 0
    for statement, again in ((_OBSERVE, False), (_OBSERVE_AGAIN, True)):
        parts = {shape: [r for r in rows if (r[0] in made.older) is again] for shape, rows in work.observations.items()}
        groups = [[shape, lines(rows)] for shape, rows in parts.items() if rows]
        if groups:
            [[found, changed]] = await ask(tx, statement, groups=groups)
            if found != sum(map(len, parts.values())):
                msg = "an observation names a shape that is not there"
                raise ValueError(msg)
            touched += changed
    return touched


_ENDS: LiteralString = (
    ROWS + "MATCH (a:Key {key: r[0]}) USING INDEX SEEK a:Key(key) MATCH (b:Key {key: r[1]}) USING INDEX SEEK b:Key(key) "
)
_SAME: LiteralString = (
    _ENDS + "OPTIONAL MATCH (a)-[l:SAME_PERSON {shape: r[2]}]->(b)"
    " WITH r, a, b, l, l IS NULL AS new, coalesce(l.at > r[3], false) AS earlier"
    " FOREACH (_ IN CASE WHEN new THEN [1] ELSE [] END | CREATE (a)-[:SAME_PERSON {shape: r[2], at: r[3]}]->(b))"
    " FOREACH (_ IN CASE WHEN earlier THEN [1] ELSE [] END | SET l.at = r[3])"
    " RETURN count(CASE WHEN new OR earlier THEN 1 END)"
)
_SAME_NEW: LiteralString = _ENDS + "CREATE (a)-[:SAME_PERSON {shape: r[2], at: r[3]}]->(b) RETURN count(*)"
_DEVICE_USED: LiteralString = (
    _ENDS + "OPTIONAL MATCH (a)-[l:USES_DEVICE {shape: r[2]}]->(b)"
    " WITH r, a, b, l, l IS NULL AS new, coalesce(l.at > r[3], false) AS earlier"
    " FOREACH (_ IN CASE WHEN new THEN [1] ELSE [] END | CREATE (a)-[:USES_DEVICE {shape: r[2], at: r[3]}]->(b))"
    " FOREACH (_ IN CASE WHEN earlier THEN [1] ELSE [] END | SET l.at = r[3])"
    " RETURN count(CASE WHEN new OR earlier THEN 1 END)"
)
_LINK_STATEMENTS: dict[str, LiteralString] = {"same": _SAME, "device": _DEVICE_USED}


async def _write_links(tx: Transaction, work: Work, made: Made) -> int:
    touched = 0
    for kind, rows in work.links.items():
        known = rows
        if kind == "same":
            fresh = [r for r in rows if r[0] in made.keys or r[1] in made.keys]
            known = [r for r in rows if r[0] not in made.keys and r[1] not in made.keys]
            if fresh:
                touched += await number(tx, _SAME_NEW, rows=lines(fresh))
        if known:
            touched += await number(tx, _LINK_STATEMENTS[kind], rows=lines(known))
    return touched


# The condition stands apart from the MATCH: else the planner may look for keys by their due dates, and never end.
_DUE: LiteralString = ROWS + OF_ROW + "WITH r, k, k.due AS due WHERE due IS NULL OR due > r[1] SET k.due = r[1] RETURN count(*)"
_DUE_EXACT: LiteralString = (
    "UNWIND $rows AS r " + OF_ROW + "WITH r, k, k.due AS due WHERE (due IS NULL) <> (r[1] IS NULL) OR due <> r[1]"
    " SET k.due = r[1] RETURN count(*)"
)
_WATCH: LiteralString = (
    "UNWIND $rows AS r " + OF_ROW + "WHERE (k.watched IS NULL) <> (r[1] IS NULL) SET k.watched = r[1] RETURN count(*)"
)
_ENTRIES_THERE: LiteralString = "UNWIND $ids AS id MATCH (e:Entry {id: id}) USING INDEX SEEK e:Entry(id) RETURN collect(e.id)"
_ENTRY: LiteralString = (
    "UNWIND $rows AS r "
    + OF_ROW
    + "CREATE (k)-[:TOLD]->(:Entry {key: r[0], id: r[1], at: r[2], kind: r[3], body: r[4]}) RETURN count(*)"
)


async def _write_data_subjects(tx: Transaction, work: Work, made: Made) -> int:
    batch = work.batch
    soon = {**batch.due, **dict.fromkeys(made.watched.intersection(work.guarded), 0)}
    due = [[key, at] for key, at in sorted(soon.items()) if key not in made.whole]
    touched = len(soon) - len(due)
    entries = await only_new(tx, _ENTRIES_THERE, {e.id: list(e) for e in reversed(batch.entries)})
    watched = [[key, True if on else None] for key, on in sorted(batch.watched.items())]
    if due:
        touched += await number(tx, _DUE, rows=lines(due))
    for statement, rows in (
        (_ENTRY, entries),
        (_DUE_EXACT, [[key, batch.due_exact[key]] for key in sorted(batch.due_exact)]),
        (_WATCH, watched),
    ):
        if rows:
            touched += await number(tx, statement, rows=rows)
    return touched


_FORGET_OBSERVATION: LiteralString = (
    "UNWIND $rows AS r MATCH (k:Key {key: r[0]})-[o:OBSERVED {at: r[1], matter: r[3], about: r[4]}]->(:Shape {id: r[2]})"
    " USING INDEX SEEK k:Key(key) DELETE o RETURN count(*)"
)
_LATEST_LEFT: LiteralString = (
    "UNWIND $keys AS key " + OF_KEY + "CALL (k) { OPTIONAL MATCH (k)-[o:OBSERVED]->() RETURN max(o.at) AS at }"
    " SET k.latest = coalesce(at, $never)"
)
_FORGET_ENTRY: LiteralString = (
    "UNWIND $rows AS id MATCH (e:Entry {id: id}) USING INDEX SEEK e:Entry(id) DETACH DELETE e RETURN count(*)"
)
_FORGET_IDENTIFIER: LiteralString = "UNWIND $rows AS key " + OF_KEY + "DETACH DELETE k RETURN count(*)"


async def _forget(tx: Transaction, batch: Batch, never_there: set[Key]) -> int:
    touched = 0
    observations = sorted({o[:5] for o in batch.forget_observations})
    for statement, rows in (
        (_FORGET_OBSERVATION, [list(o) for o in observations]),
        (_FORGET_ENTRY, sorted(set(batch.forget_entries))),
        (_FORGET_IDENTIFIER, sorted(set(batch.forget_identifiers) - never_there)),
    ):
        if rows:
            touched += await number(tx, statement, rows=rows)
    left = sorted({o[0] for o in observations} - set(batch.forget_identifiers))
    if left:
        await ask(tx, _LATEST_LEFT, keys=left, never=_NEVER)
    return touched
