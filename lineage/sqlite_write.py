"""Write a batch into an open transaction: what arrives are the facts of many events, what leaves are table rows.

Rows are sorted before they are written, so that neighbours on a page are written together. What exists already
stays as it is. First comes all that the batch brings, last all that it forgets: what is in both is gone.

The tables that every event touches are written by statements of 2048 rows. Python's `executemany` gives up the
interpreter's lock for every row and has to win it back: beside a busy thread, 5 ms a row. One statement gives it up
once, and the other thread works on meanwhile.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from lineage.digest import GENESIS, extend_chain
from lineage.errors import IdentifierCollision
from lineage.sqlite_journal import JOURNAL, drop_until
from lineage.store import AuditRow, Batch, Identifier, Observation, Position, Shape

if TYPE_CHECKING:
    from lineage.sqlite_file import Connection


@functools.cache
def _values(statement: str, width: int, count: int) -> str:
    """Let a statement take `count` rows of `width` columns at once, in place of the word ROWS."""
    row = f"({', '.join('?' * width)})"
    return statement.replace("ROWS", f"VALUES {', '.join([row] * count)}")


def _insert(db: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run a statement over rows, 2048 at a time and the rest in powers of two, so that few statements are prepared."""
    done, at, count = 0, 0, _ROWS_AT_ONCE
    while at < len(rows):
        while count > len(rows) - at:
            count //= 2
        part = rows[at : at + count]
        done += db.execute(_values(statement, len(part[0]), count), [v for row in part for v in row]).rowcount
        at += count
    return done


_ROWS_AT_ONCE = 2048
_POSITION = (
    "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET offset = excluded.offset WHERE excluded.offset > offset"
)
_IDENTIFIER = "INSERT INTO identifier ROWS ON CONFLICT DO NOTHING"
_OBSERVATION = (
    "INSERT INTO observation ROWS ON CONFLICT DO UPDATE SET evidence = excluded.evidence WHERE excluded.evidence < evidence"
)
_LINK = "INSERT INTO link ROWS ON CONFLICT DO UPDATE SET at = excluded.at WHERE excluded.at < at"
_DUE = "INSERT INTO due ROWS ON CONFLICT DO UPDATE SET at = excluded.at WHERE excluded.at < at"
_DUE_EXACT = "INSERT INTO due ROWS ON CONFLICT DO UPDATE SET at = excluded.at WHERE excluded.at <> at"
_CASE = (
    'INSERT INTO "case" VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET key = excluded.key,'
    ' controller = excluded.controller, "right" = excluded."right", opened = excluded.opened,'
    " state = excluded.state, body = excluded.body"
)
_TOMBSTONE = (
    "INSERT INTO tombstone VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET controller = excluded.controller,"
    " at = excluded.at, next = excluded.next WHERE (excluded.at, excluded.next) > (at, next)"
)
_FORGET_IDENTIFIER = (
    "DELETE FROM identifier WHERE key = ?",
    "DELETE FROM due WHERE key = ?",
    "DELETE FROM watched WHERE key = ?",
    "DELETE FROM link WHERE a = ?",
    "DELETE FROM link WHERE b = ?",
)
_AUDIT_HEAD = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
_CERTIFICATE_HEAD = "SELECT seq, hash FROM certificate ORDER BY seq DESC LIMIT 1"


def is_replay(db: Connection, positions: Sequence[Position]) -> bool:
    """Say whether everything up to `positions` has been written before; a batch without positions never has."""
    for topic, partition, offset in positions:
        found = db.execute("SELECT offset FROM position WHERE topic = ? AND partition = ?", (topic, partition))
        row = found.fetchone()
        if row is None or row[0] < offset:
            return False
    return bool(positions)


def write_batch(db: Connection, batch: Batch) -> int:
    """Write a batch and return how many rows of facts it inserted, changed or removed.

    Raises `IdentifierCollision`; the caller's transaction then undoes what came before.
    """
    if is_replay(db, batch.positions):
        return 0
    before = db.total_changes
    _write_shapes(db, batch.shapes)
    _write_identifiers(db, batch.identifiers)
    _write_observations(db, batch.observations)
    _write_data_subjects(db, batch)
    _write_cascades(db, batch)
    _write_chains(db, batch)
    _forget(db, batch)
    touched = db.total_changes - before
    _move_on(db, batch.positions)
    return touched


def _write_shapes(db: Connection, shapes: list[Shape]) -> None:
    if not shapes:
        return
    db.executemany("INSERT INTO shape VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", shapes)
    stored = db.execute(
        "SELECT id, controller, type, body FROM shape WHERE id IN (SELECT value FROM json_each(?))",
        (_json([s.id for s in shapes]),),
    )
    if not set(shapes) <= set(map(Shape._make, stored)):
        # Observations would change their meaning. Only a second writer can cause it, and there is none.
        msg = "a shape's number stands for another shape already"
        raise ValueError(msg)


def _write_identifiers(db: Connection, identifiers: list[Identifier]) -> None:
    if not identifiers:
        return
    if _insert(db, _IDENTIFIER, sorted(identifiers)) == len(identifiers):
        return
    known = dict(
        db.execute(
            'SELECT key, "check" FROM identifier WHERE key IN (SELECT value FROM json_each(?))',
            (_json([i.key for i in identifiers]),),
        )
    )
    if any(known[i.key] != i.check for i in identifiers):
        msg = "two identifiers share a key; rotate the controller's hash key"
        raise IdentifierCollision(msg)


def _write_observations(db: Connection, observations: list[Observation]) -> None:
    if not observations:
        return
    _insert(db, _OBSERVATION, sorted(observations))


def _write_data_subjects(db: Connection, batch: Batch) -> None:
    if batch.links:
        _insert(db, _LINK, sorted(batch.links))
    if batch.entries:
        db.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", batch.entries)
    if batch.due:
        _insert(db, _DUE, sorted(batch.due.items()))
    if batch.due_exact:
        _insert(db, _DUE_EXACT, [row for row in batch.due_exact.items() if row[1] is not None])
        db.executemany("DELETE FROM due WHERE key = ?", [(key,) for key, at in batch.due_exact.items() if at is None])
    if batch.watched:
        db.executemany("INSERT INTO watched VALUES (?) ON CONFLICT DO NOTHING", [(k,) for k, on in batch.watched.items() if on])
        db.executemany("DELETE FROM watched WHERE key = ?", [(k,) for k, on in batch.watched.items() if not on])


def _write_cascades(db: Connection, batch: Batch) -> None:
    if batch.cases:
        db.executemany(_CASE, batch.cases)
    if batch.commands:
        db.executemany("INSERT INTO command VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", batch.commands)
    if batch.command_states:
        db.executemany(
            "UPDATE command SET state = ?, due = ?, attempts = ? WHERE id = ?",
            [(*state, id_) for id_, state in batch.command_states.items()],
        )
    if batch.command_pauses:
        db.executemany(
            "UPDATE command SET due = ?, attempts = ? WHERE id = ? AND state = 'pending'",
            [(*pause, id_) for id_, pause in batch.command_pauses.items()],
        )
    if batch.dead_letters:
        db.executemany("INSERT INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", batch.dead_letters)
    if batch.tombstones:
        db.executemany(_TOMBSTONE, batch.tombstones)


def _write_chains(db: Connection, batch: Batch) -> None:
    if batch.audit:
        present = db.execute("SELECT id FROM audit WHERE id IN (SELECT value FROM json_each(?))", (_ids(batch.audit),))
        lines = _new_lines(batch.audit, {row[0] for row in present})
        chained = extend_chain(lines, *(db.execute(_AUDIT_HEAD).fetchone() or (0, GENESIS)))
        db.executemany(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((r.seq, r.id, r.at, r.controller, r.kind, r.body, r.previous, r.hash) for r in chained),
        )
    if batch.certificates:
        rows = [certificate_line(case, body) for case, body in batch.certificates]
        present = db.execute("SELECT id FROM certificate WHERE id IN (SELECT value FROM json_each(?))", (_ids(rows),))
        lines = _new_lines(rows, {row[0] for row in present})
        chained = extend_chain(lines, *(db.execute(_CERTIFICATE_HEAD).fetchone() or (0, GENESIS)))
        db.executemany(
            "INSERT INTO certificate VALUES (?, ?, ?, ?, ?)",
            ((r.seq, r.id, r.body, r.previous, r.hash) for r in chained),
        )


def certificate_line(case: str, body: str, seq: int = 0, previous: str = "", digest: str = "") -> AuditRow:
    """Give a certificate the form of a line, so that one function verifies both chains."""
    return AuditRow(case, 0, "", "certificate", body, seq, previous, digest)


def _new_lines(rows: Iterable[AuditRow], present: set[str]) -> list[AuditRow]:
    by_id: dict[str, AuditRow] = {}
    for row in rows:
        if row.id not in present:
            by_id.setdefault(row.id, row)
    return list(by_id.values())


def _forget(db: Connection, batch: Batch) -> None:
    if batch.forget_observations:
        _forget_observations(db, batch.forget_observations)
    if batch.forget_entries:
        db.executemany("DELETE FROM entry WHERE id = ?", [(id_,) for id_ in batch.forget_entries])
    if batch.forget_identifiers:
        keys = [(key,) for key in sorted(batch.forget_identifiers)]
        for statement in _FORGET_IDENTIFIER:
            db.executemany(statement, keys)


def _forget_observations(db: Connection, observations: list[Observation]) -> None:
    db.executemany(
        "DELETE FROM observation WHERE key = ? AND at = ? AND shape = ? AND matter = ? AND about = ?",
        sorted(o[:5] for o in observations),
    )


def _move_on(db: Connection, positions: list[Position]) -> None:
    for position in positions:
        db.execute(_POSITION, position)
        if position[:2] == JOURNAL:
            drop_until(db, position.offset)


def _ids(rows: Iterable[AuditRow]) -> str:
    return _json([r.id for r in rows])


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()
