"""Keep the graph in one SQLite file: what arrives are batches, what leaves are the facts of one data subject.

The embedded store: `lineage.sqlite_file` opens the file, `lineage.sqlite_schema` lays it out, `lineage.sqlite_write`
fills it. The same file holds the journal of incoming events, so that an event leaves the journal in the
transaction that writes its facts: it is always in exactly one of the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import orjson

from lineage import sqlite_journal
from lineage.digest import graph_digest
from lineage.sqlite_file import SQLiteFile
from lineage.sqlite_schema import COUNTS
from lineage.sqlite_write import certificate_line, write_batch
from lineage.store import (
    AuditRow,
    Batch,
    CaseRow,
    CommandRow,
    DeadLetter,
    Entry,
    Facts,
    Identifier,
    Key,
    Link,
    Observation,
    Shape,
    Tombstone,
)

if TYPE_CHECKING:
    from lineage.sqlite_file import Connection

_SAME = "same"


class SQLiteStore:
    """A `GraphStore` in one file, with the journal of incoming events beside the graph."""

    def __init__(self, file: SQLiteFile) -> None:
        """Use an open file; `open` is the usual way."""
        self._file = file
        self._stamp = 0

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, readonly: bool = False, pages_max: int | None = None) -> Self:
        """Open or create the file at `path`; `:memory:` keeps nothing.

        Raises `StoreInUse` if another process has it open for writing, `StoreUnavailable` if it is not ours, of
        another version, or cannot be opened.
        """
        return cls(SQLiteFile(path, readonly=readonly, pages_max=pages_max))

    @property
    def shared(self) -> bool:
        """Say no: the file has one writer."""
        return False

    @property
    def stamp(self) -> int | None:
        """Give a number that changes whenever facts are written; None where another process may write them."""
        return None if self._file.readonly else self._stamp

    def write(self, batch: Batch) -> int:
        """Write everything in one durable transaction and return the number of rows of facts touched."""
        with self._file.transaction() as db:
            if any((batch.observations, batch.identifiers, batch.links, batch.entries, batch.tombstones,
                    batch.forget_observations, batch.forget_identifiers, batch.forget_entries)):  # fmt: skip
                self._stamp += 1
            return write_batch(db, batch)

    def shapes(self) -> Sequence[Shape]:
        """List all shapes, by number."""
        return [Shape._make(r) for r in self._file.rows("SELECT id, controller, type, body FROM shape ORDER BY id")]

    def known(self, keys: Iterable[Key]) -> Mapping[Key, bool]:
        """Find the identifiers among `keys` that exist, and whether they are watched."""
        # One row of JSON: a row each would give up the interpreter's lock for each.
        rows = self._file.rows(
            "SELECT json_group_array(i.key), json_group_array(w.key) FILTER (WHERE w.key IS NOT NULL) FROM json_each(?) AS k"
            " JOIN identifier AS i ON i.key = k.value LEFT JOIN watched AS w ON w.key = i.key",
            (_json(keys),),
        )
        there, watched = map(orjson.loads, rows[0])
        return {**dict.fromkeys(there, False), **dict.fromkeys(watched, True)}

    def tombstones(self, keys: Iterable[Key]) -> Mapping[Key, Tombstone]:
        """Find the erased identifiers among `keys`."""
        rows = self._file.rows(
            "SELECT key, controller, at, next FROM tombstone WHERE key IN (SELECT value FROM json_each(?))",
            (_json(keys),),
        )
        return {row[0]: Tombstone._make(row) for row in rows}

    def facts(self, keys: Iterable[Key]) -> Facts:
        """Collect the facts of the data subject that the identifiers `keys` belong to."""
        with self._file.snapshot() as db:
            members, links = _component(db, keys)
            devices = {link.b for link in links if link.kind != _SAME}
            own, with_devices = (_json(members),), (_json(members | devices),)

            def ask(sql: str, among: tuple[str]) -> Iterable[Any]:
                return db.execute(sql, among)

            return Facts(
                identifiers=tuple(map(Identifier._make, ask(_FACTS_IDENTIFIERS, with_devices))),
                links=tuple(sorted(links)),
                observations=tuple(map(Observation._make, ask(_FACTS_OBSERVATIONS, with_devices))),
                entries=tuple(map(Entry._make, ask(_FACTS_ENTRIES, own))),
                commands=tuple(map(CommandRow._make, ask(_FACTS_COMMANDS, own))),
            )

    def due(self, now: int, limit: int) -> Sequence[Key]:
        """List the identifiers whose due date is not after `now`, earliest first."""
        return [r[0] for r in self._file.rows("SELECT key FROM due WHERE at <= ? ORDER BY at, key LIMIT ?", (now, limit))]

    def next_due(self) -> int | None:
        """Find the earliest due date of a data subject or a pending command; None if nothing waits."""
        rows = self._file.rows("SELECT min(at) FROM due UNION ALL SELECT min(due) FROM command WHERE state = 'pending'")
        return min((at for (at,) in rows if at is not None), default=None)

    def commands(self, controller: str | None, target: str | None, now: int, limit: int) -> Sequence[CommandRow]:
        """List pending commands that are due at `now`.

        By the time they are due, so that one that is sent again and again does not hold up the others.
        """
        rows = self._file.rows(
            "SELECT * FROM command WHERE state = 'pending' AND due <= ?1"
            " AND controller = coalesce(?2, controller) AND target = coalesce(?3, target)"
            " ORDER BY due, issued, id LIMIT ?4",
            (now, controller, target, limit),
        )
        return [CommandRow._make(r) for r in rows]

    def command(self, id: str) -> CommandRow | None:  # noqa: A002 -- the protocol's word
        """Find a command."""
        return next(map(CommandRow._make, self._file.rows("SELECT * FROM command WHERE id = ?", (id,))), None)

    def case(self, id: str) -> CaseRow | None:  # noqa: A002 -- the protocol's word
        """Find a case."""
        return next(map(CaseRow._make, self._file.rows('SELECT * FROM "case" WHERE id = ?', (id,))), None)

    def cases(self, controller: str | None = None, state: str | None = None) -> Sequence[CaseRow]:
        """List cases, oldest first."""
        rows = self._file.rows(
            'SELECT * FROM "case" WHERE controller = coalesce(?1, controller) AND state = coalesce(?2, state) ORDER BY opened, id',
            (controller, state),
        )
        return [CaseRow._make(r) for r in rows]

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRow]:
        """List lines of the audit log with seq > `since`, in order."""
        sql = "SELECT id, at, controller, kind, body, seq, previous, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"
        return [AuditRow._make(r) for r in self._file.rows(sql, (since, limit))]

    def certificate(self, case: str) -> str | None:
        """Find the certificate of a case."""
        return next((body for (body,) in self._file.rows("SELECT body FROM certificate WHERE id = ?", (case,))), None)

    def certificates(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRow]:
        """List certificates with seq > `since` as lines of their chain, for `verify_chain`."""
        sql = "SELECT id, body, seq, previous, hash FROM certificate WHERE seq > ? ORDER BY seq LIMIT ?"
        return [certificate_line(*r) for r in self._file.rows(sql, (since, limit))]

    def dead_letters(self, limit: int = 1000, after: tuple[str, int, int] = ("", -1, -1)) -> Sequence[DeadLetter]:
        """List dead letters after a place, by topic, partition and offset."""
        rows = self._file.rows(
            "SELECT * FROM dead_letter WHERE (topic, partition, offset) > (?, ?, ?) ORDER BY topic, partition, offset LIMIT ?",
            (*after, limit),
        )
        return [DeadLetter._make(r) for r in rows]

    def positions(self, topic: str) -> Mapping[int, int]:
        """Tell the offset of the next record to read, by partition."""
        return dict(self._file.rows("SELECT partition, offset FROM position WHERE topic = ?", (topic,)))

    def observers(self, shapes: Iterable[int], after: Key, limit: int) -> Sequence[Key]:
        """List identifiers > `after` with an observation of one of `shapes`, by key."""
        rows = self._file.rows(
            "SELECT DISTINCT key FROM observation WHERE key > ? AND shape IN (SELECT value FROM json_each(?)) ORDER BY key LIMIT ?",
            (after, _json(shapes), limit),
        )
        return [r[0] for r in rows]

    def digest(self, controller: str | None = None) -> str:
        """Hash all identifiers, observations and links, whatever the order in which they came."""
        with self._file.snapshot() as db:
            return graph_digest(
                map(Shape._make, db.execute("SELECT id, controller, type, body FROM shape")),
                map(Identifier._make, db.execute("SELECT * FROM identifier")),
                map(Observation._make, db.execute("SELECT * FROM observation")),
                map(Link._make, db.execute("SELECT * FROM link")),
                controller,
            )

    def counts(self) -> Mapping[str, int]:
        """Count rows per kind."""
        return dict(self._file.rows(COUNTS))

    def journal_append(self, values: Sequence[bytes], at: int) -> range:
        """Keep incoming events durably, in one transaction, and return their offsets; `at` is when they came."""
        with self._file.transaction() as db:
            return sqlite_journal.append(db, values, at)

    def journal_read(self, after_offset: int, limit: int) -> list[tuple[int, bytes]]:
        """Read events that wait for their facts, with an offset > `after_offset`; -1 reads from the first."""
        with self._file.snapshot() as db:
            return sqlite_journal.read(db, after_offset, limit)

    def journal_depth(self) -> int:
        """Count the events whose facts are not written yet."""
        with self._file.snapshot() as db:
            return sqlite_journal.depth(db)

    def checkpoint(self) -> bool:
        """Empty the write-ahead log, in which erased rows may still stand; False if a reader is in the way."""
        return self._file.checkpoint()

    def close(self) -> None:
        """Empty the write-ahead log and let the next writer in."""
        self._file.close()


_FACTS_IDENTIFIERS = "SELECT * FROM identifier WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key"
_FACTS_OBSERVATIONS = (
    "SELECT * FROM observation WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key, at, shape, matter, about"
)
_FACTS_ENTRIES = "SELECT key, id, at, kind, body FROM entry WHERE key IN (SELECT value FROM json_each(?)) ORDER BY at, id"
_FACTS_COMMANDS = "SELECT * FROM command WHERE key IN (SELECT value FROM json_each(?)) ORDER BY issued, id"
_LINKS_OF = (
    "SELECT * FROM link WHERE a IN (SELECT value FROM json_each(?1))"
    " UNION SELECT * FROM link WHERE b IN (SELECT value FROM json_each(?1))"
)


def _component(db: Connection, keys: Iterable[Key]) -> tuple[set[Key], set[Link]]:
    """Follow `same` links until no new identifier comes up; devices are seen, but nobody is reached through them."""
    members: set[Key] = set()
    links: set[Link] = set()
    frontier = set(keys)
    while frontier:
        members |= frontier
        found = set(map(Link._make, db.execute(_LINKS_OF, (_json(frontier),))))
        links |= found
        frontier = {end for link in found if link.kind == _SAME for end in link[:2]} - members
    return members, links


def _json(values: Iterable[int]) -> str:
    return orjson.dumps(list(values)).decode()
