"""Keep the graph in Neo4j, for a cluster: what arrives are batches, what leaves are the facts of one data subject.

The cluster's store: `lineage.neo4j_server` talks to the server, `lineage.neo4j_schema` lays the graph out,
`lineage.neo4j_write` and `lineage.neo4j_cascades` fill it, `lineage.neo4j_types` draws what the policies say. Workers and
the API write at once; what they were wrong about by the time they write is noticed then, and nothing is written
(`Conflict`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, LiteralString, Self

from lineage.digest import graph_digest
from lineage.errors import Conflict
from lineage.landing import Landing
from lineage.neo4j_rows import KEYS, OF_KEY, line
from lineage.neo4j_schema import migrate
from lineage.neo4j_server import Neo4jServer, Transaction, ask
from lineage.neo4j_types import draw_shapes, erase_drawing
from lineage.neo4j_write import Vanished, lock_types, prepare, write_work
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

_KEY_MIN, _KEY_MAX = -(1 << 63), (1 << 63) - 1
_PAGE_KEYS = 2_000
_VANISHED_MAX = 20
Landings = Callable[[Shape], Iterable[Landing]]
_KINDS = {"SAME_PERSON": "same", "USES_DEVICE": "device"}


class Neo4jStore:
    """A `GraphStore` in Neo4j, for any number of processes and threads at once."""

    def __init__(self, server: Neo4jServer, landings: Landings | None = None) -> None:
        """Use a server whose schema is up to date; `open` is the usual way."""
        self._server = server
        self._landings = landings or _nowhere

    @classmethod
    def open(cls, uri: str, user: str, password: str, *, landings: Landings | None = None, database: str = "neo4j") -> Self:
        """Connect, and bring the schema up to date; `landings` says what the policies in force say of a shape.

        Raises `StoreUnavailable` if the server cannot be reached within seconds, refuses, or is of a newer release.
        """
        server = Neo4jServer(uri, user, password, database)
        try:
            migrate(server)
        except BaseException:
            server.close()
            raise
        return cls(server, landings)

    @property
    def shared(self) -> bool:
        """Say yes: any number of workers write."""
        return True

    def write(self, batch: Batch) -> int:
        """Write everything in one transaction and return the number of rows of facts touched."""
        work = prepare(batch, self._landings)
        for _ in range(_VANISHED_MAX):
            with contextlib.suppress(Vanished):
                return self._server.write(lambda tx: write_work(tx, work))
        msg = "other workers delete what this one writes to, again and again"
        raise Conflict(msg)

    def draw(self, landings: Landings | None = None) -> None:
        """Draw anew what the policies say of all shapes, when one is deployed."""
        if landings is not None:
            self._landings = landings
        found = self._landings

        async def work(tx: Transaction) -> None:
            await lock_types(tx)
            shapes = [Shape(*row) for row in await ask(tx, _SHAPES)]
            await erase_drawing(tx)
            await draw_shapes(tx, {s: tuple(found(s)) for s in shapes})

        self._server.write(work)

    def _rows(self, statement: LiteralString, **values: object) -> list[list[Any]]:
        return self._server.read(lambda tx: ask(tx, statement, **values))

    def shapes(self) -> Sequence[Shape]:
        """List all shapes, by number."""
        return [Shape(*row) for row in self._rows(_SHAPES)]

    def known(self, keys: Iterable[Key]) -> Mapping[Key, bool]:
        """Find the identifiers among `keys` that exist, and whether they are watched."""
        asked = set(keys)
        if not asked:
            return {}
        [[there, watched]] = self._rows(_KNOWN, keys=line(asked))
        return {**dict.fromkeys(there, False), **dict.fromkeys(watched, True)}

    def tombstones(self, keys: Iterable[Key]) -> Mapping[Key, Tombstone]:
        """Find the erased identifiers among `keys`."""
        asked = set(keys)
        return {row[0]: Tombstone(*row) for row in self._rows(_TOMBSTONES, keys=line(asked))} if asked else {}

    def facts(self, keys: Iterable[Key]) -> Facts:
        """Collect the facts of the data subject that the identifiers `keys` belong to."""
        asked = sorted(set(keys))
        if not asked:
            return Facts((), (), (), (), ())
        return self._server.read(lambda tx: _facts(tx, asked))

    def due(self, now: int, limit: int) -> Sequence[Key]:
        """List the identifiers whose due date is not after `now`, earliest first."""
        return list(self._rows(_DUE, now=now, limit=limit)[0][0])

    def next_due(self) -> int | None:
        """Find the earliest due date of a data subject or a pending command; None if nothing waits."""
        return min((row[0] for row in self._rows(_NEXT_DUE)), default=None)

    def commands(self, controller: str | None, target: str | None, now: int, limit: int) -> Sequence[CommandRow]:
        """List pending commands that are due at `now`, by the time they are due, so that none holds up the others."""
        rows = self._rows(_COMMANDS, controller=controller, target=target, now=now, limit=limit)
        return [CommandRow(*row) for row in rows]

    def command(self, id: str) -> CommandRow | None:  # noqa: A002 -- the protocol's word
        """Find a command."""
        return next((CommandRow(*row) for row in self._rows(_COMMAND, id=id)), None)

    def case(self, id: str) -> CaseRow | None:  # noqa: A002 -- the protocol's word
        """Find a case."""
        return next((CaseRow(*row) for row in self._rows(_CASE, id=id)), None)

    def cases(self, controller: str | None = None, state: str | None = None) -> Sequence[CaseRow]:
        """List cases, oldest first."""
        statement = _CASES[controller is not None, state is not None]
        return [CaseRow(*row) for row in self._rows(statement, controller=controller, state=state)]

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRow]:
        """List lines of the audit log with seq > `since`, in order."""
        return [AuditRow(*row) for row in self._rows(_AUDIT, since=since, limit=limit)]

    def certificate(self, case: str) -> str | None:
        """Find the certificate of a case."""
        return next((row[0] for row in self._rows(_CERTIFICATE, id=case)), None)

    def certificates(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRow]:
        """List certificates with seq > `since` as lines of their chain, for `verify_chain`."""
        rows = self._rows(_CERTIFICATES, since=since, limit=limit)
        return [AuditRow(id_, 0, "", "certificate", body, *chained) for id_, body, *chained in rows]

    def dead_letters(self, limit: int = 1000, after: tuple[str, int, int] = ("", -1, -1)) -> Sequence[DeadLetter]:
        """List dead letters after a place, by topic, partition and offset."""
        topic, partition, offset = after
        rows = self._rows(_DEAD_LETTERS, limit=limit, topic=topic, partition=partition, offset=offset)
        return [DeadLetter(*row) for row in rows]

    def positions(self, topic: str) -> Mapping[int, int]:
        """Tell the offset of the next record to read, by partition."""
        return dict(self._rows(_POSITIONS, topic=topic)[0][0])

    def observers(self, shapes: Iterable[int], after: Key, limit: int) -> Sequence[Key]:
        """List identifiers > `after` with an observation of one of `shapes`, by key."""
        wanted = sorted(set(shapes))
        return list(self._rows(_OBSERVERS, shapes=wanted, after=after, limit=limit)[0][0]) if wanted else []

    def digest(self, controller: str | None = None) -> str:
        """Hash all identifiers, observations and links, whatever the order in which they came.

        It reads the whole graph while others may write: it says something of a graph at rest.
        """
        return graph_digest(self.shapes(), self._identifiers(), self._observations(), self._links(), controller)

    def _identifiers(self) -> Iterator[Identifier]:
        rows = self._all(_ALL_IDENTIFIERS)
        return (Identifier(key, check, controller, kind, b"") for key, check, controller, kind in rows)

    def _observations(self) -> Iterator[Observation]:
        return (Observation(*row) for row in self._all(_ALL_OBSERVATIONS))

    def _links(self) -> Iterator[Link]:
        return (Link(a, b, _KINDS[kind], shape, at) for a, b, kind, shape, at in self._all(_ALL_LINKS))

    def _all(self, statement: LiteralString) -> Iterator[list[Any]]:
        """Read what hangs on all keys, by some of them at a time."""
        since = _KEY_MIN
        while since <= _KEY_MAX:
            [[last, rows]] = self._rows(statement, since=since, limit=_PAGE_KEYS)
            yield from rows
            since = _KEY_MAX + 1 if last is None else last + 1

    def counts(self) -> Mapping[str, int]:
        """Count rows per kind, from the server's own counters where it has them."""

        async def work(tx: Transaction) -> dict[str, int]:
            return {name: sum(row[0] for row in await ask(tx, statement)) for name, statement in _COUNTS.items()}

        return self._server.read(work)

    def close(self) -> None:
        """End the connection; a second time does nothing."""
        self._server.close()


def _nowhere(_shape: Shape) -> Iterable[Landing]:
    return ()


async def _facts(tx: Transaction, asked: list[Key]) -> Facts:
    """Read the versions first and last: where they differ, another worker has written meanwhile, and all is read again."""
    while True:
        before = dict((await ask(tx, _MEMBERS, keys=asked))[0][0])
        own = sorted({*before, *asked})
        links = set()
        found = (await ask(tx, _LINKS_OF, keys=own))[0][0]
        if any(row[2] is None for row in found):
            continue  # It is being deleted: what has been read of it has no type any more.
        for a, b, kind, shape, at, version in found:
            links.add(Link(a, b, _KINDS[kind], shape, at))
            if kind == "USES_DEVICE":
                before.setdefault(b, version)
        among = sorted({*own, *before})
        [[identifiers, observations, entries, commands]] = await ask(tx, _HANGING, own=own, among=among)
        after = dict((await ask(tx, _VERSIONS, keys=among))[0][0])
        if before == after:
            return Facts(
                identifiers=tuple(sorted(Identifier(*row) for row in identifiers)),
                links=tuple(sorted(links)),
                observations=tuple(sorted((Observation(*row) for row in observations), key=_OBSERVATION_ORDER)),
                entries=tuple(sorted((Entry(*row) for row in entries), key=_ENTRY_ORDER)),
                commands=tuple(sorted((CommandRow(*row) for row in commands), key=_COMMAND_ORDER)),
                version=tuple((key, after.get(key, 0)) for key in among),
            )


_OBSERVATION_ORDER = itemgetter(0, 1, 2, 3, 4)
_ENTRY_ORDER = attrgetter("at", "id")
_COMMAND_ORDER = attrgetter("issued", "id")

_SHAPES: LiteralString = "MATCH (s:Shape) RETURN s.id, s.controller, s.type, s.body ORDER BY s.id"
_KNOWN: LiteralString = KEYS + OF_KEY + "WHERE k:Identifier RETURN collect(k.key), collect(CASE WHEN k.watched THEN k.key END)"
_TOMBSTONES: LiteralString = (
    KEYS + "MATCH (t:Tombstone {key: key}) USING INDEX SEEK t:Tombstone(key) RETURN t.key, t.controller, t.at, t.next"
)
_MEMBERS: LiteralString = (
    "UNWIND $keys AS key MATCH (k:Key {key: key})-[:SAME_PERSON*0..]-(m:Key) USING INDEX SEEK k:Key(key)"
    " WITH DISTINCT m RETURN collect([m.key, m.version])"
)
_LINKS_OF: LiteralString = (
    "UNWIND $keys AS key MATCH (k:Key {key: key})-[l:SAME_PERSON|USES_DEVICE]-() USING INDEX SEEK k:Key(key) WITH DISTINCT l"
    " RETURN collect([startNode(l).key, endNode(l).key, type(l), l.shape, l.at, endNode(l).version])"
)
_VERSIONS: LiteralString = "UNWIND $keys AS key " + OF_KEY + "RETURN collect([k.key, k.version])"
_COMMAND_ROW: LiteralString = "c.id, c.key, c.controller, c.target, c.case, c.kind, c.body, c.issued, c.due, c.state, c.attempts"
_HANGING: LiteralString = (
    "RETURN COLLECT { UNWIND $among AS key " + OF_KEY + "WHERE k:Identifier"
    " RETURN [k.key, k.check, k.controller, k.kind, k.sealed] },"
    " COLLECT { UNWIND $among AS key MATCH (k:Key {key: key})-[o:OBSERVED]->(s:Shape) USING INDEX SEEK k:Key(key)"
    " RETURN [key, o.at, s.id, o.matter, o.about, o.evidence] },"
    " COLLECT { UNWIND $own AS key MATCH (e:Entry {key: key}) USING INDEX SEEK e:Entry(key)"
    " RETURN [e.key, e.id, e.at, e.kind, e.body] },"
    " COLLECT { UNWIND $own AS key MATCH (c:Command {key: key}) USING INDEX SEEK c:Command(key) RETURN [" + _COMMAND_ROW + "] }"
)
_DUE: LiteralString = (
    "MATCH (k:Key) WHERE k.due <= $now AND k.key IS NOT NULL WITH k ORDER BY k.due, k.key LIMIT $limit RETURN collect(k.key)"
)
_NEXT_DUE: LiteralString = (
    "CALL () { MATCH (k:Key) WHERE k.due IS NOT NULL AND k.key IS NOT NULL RETURN k.due AS at ORDER BY k.due, k.key LIMIT 1"
    " UNION ALL MATCH (c:Pending) WHERE c.due IS NOT NULL AND c.issued IS NOT NULL AND c.id IS NOT NULL"
    " RETURN c.due AS at ORDER BY c.due, c.issued, c.id LIMIT 1 } RETURN at"
)
_COMMANDS: LiteralString = (
    "MATCH (c:Pending) WHERE c.due <= $now AND c.issued IS NOT NULL AND c.id IS NOT NULL"
    " AND ($controller IS NULL OR c.controller = $controller) AND ($target IS NULL OR c.target = $target)"
    " RETURN " + _COMMAND_ROW + " ORDER BY c.due, c.issued, c.id LIMIT $limit"
)
_COMMAND: LiteralString = "MATCH (c:Command {id: $id}) RETURN " + _COMMAND_ROW
_CASE_ROW: LiteralString = "c.id, c.key, c.controller, c.right, c.opened, c.state, c.body"
_CASE: LiteralString = "MATCH (c:Case {id: $id}) RETURN " + _CASE_ROW
_CASES_END: LiteralString = " RETURN " + _CASE_ROW + " ORDER BY c.opened, c.id"
_CASES: dict[tuple[bool, bool], LiteralString] = {
    (False, False): "MATCH (c:Case)" + _CASES_END,
    (True, False): "MATCH (c:Case {controller: $controller})" + _CASES_END,
    (False, True): "MATCH (c:Case {state: $state}) WHERE c.controller IS NOT NULL" + _CASES_END,
    (True, True): "MATCH (c:Case {state: $state, controller: $controller})" + _CASES_END,
}
_AUDIT: LiteralString = (
    "MATCH (a:AuditLine) WHERE a.seq > $since"
    " RETURN a.id, a.at, a.controller, a.kind, a.body, a.seq, a.previous, a.hash ORDER BY a.seq LIMIT $limit"
)
_CERTIFICATE: LiteralString = "MATCH (c:Certificate {id: $id}) RETURN c.body"
_CERTIFICATES: LiteralString = (
    "MATCH (c:Certificate) WHERE c.seq > $since RETURN c.id, c.body, c.seq, c.previous, c.hash ORDER BY c.seq LIMIT $limit"
)
_DEAD_LETTERS: LiteralString = (
    "MATCH (d:DeadLetter) WHERE d.topic >= $topic AND d.partition IS NOT NULL AND d.offset IS NOT NULL"
    " AND (d.topic > $topic OR d.partition > $partition OR (d.partition = $partition AND d.offset > $offset))"
    " RETURN d.topic, d.partition, d.offset, d.schema_id, d.reason, d.at, d.sealed"
    " ORDER BY d.topic, d.partition, d.offset LIMIT $limit"
)
_POSITIONS: LiteralString = (
    "MATCH (p:Position) WHERE p.topic = $topic AND p.partition IS NOT NULL RETURN collect([p.partition, p.offset])"
)
_OBSERVERS: LiteralString = (
    "MATCH (k:Key) WHERE k.key > $after AND EXISTS { (k)-[:OBSERVED]->(s:Shape) WHERE s.id IN $shapes }"
    " WITH k ORDER BY k.key LIMIT $limit RETURN collect(k.key)"
)
_PAGE: LiteralString = (
    "MATCH (k:Key) WHERE k.key >= $since WITH k ORDER BY k.key LIMIT $limit"
    " WITH collect(k) AS page, max(k.key) AS last RETURN last,"
)
_ALL_IDENTIFIERS: LiteralString = _PAGE + " [k IN page WHERE k:Identifier | [k.key, k.check, k.controller, k.kind]]"
_ALL_OBSERVATIONS: LiteralString = (
    _PAGE + " COLLECT { UNWIND page AS k MATCH (k)-[o:OBSERVED]->(s:Shape)"
    " RETURN [k.key, o.at, s.id, o.matter, o.about, o.evidence] }"
)
_ALL_LINKS: LiteralString = (
    _PAGE + " COLLECT { UNWIND page AS k MATCH (k)-[l:SAME_PERSON|USES_DEVICE]->(b:Key)"
    " RETURN [k.key, b.key, type(l), l.shape, l.at] }"
)
_COUNTS: dict[str, LiteralString] = {
    "identifiers": "MATCH (n:Identifier) RETURN count(n)",
    "observations": "MATCH ()-[r:OBSERVED]->() RETURN count(r)",
    "links": "MATCH ()-[r:SAME_PERSON]->() RETURN count(r) UNION ALL MATCH ()-[r:USES_DEVICE]->() RETURN count(r)",
    "shapes": "MATCH (n:Shape) RETURN count(n)",
    "entries": "MATCH (n:Entry) RETURN count(n)",
    "cases": "MATCH (n:Case) RETURN count(n)",
    "commands": "MATCH (n:Command) RETURN count(n)",
    "audit": "MATCH (n:AuditLine) RETURN count(n)",
    "certificates": "MATCH (n:Certificate) RETURN count(n)",
    "dead_letters": "MATCH (n:DeadLetter) RETURN count(n)",
    "tombstones": "MATCH (n:Tombstone) RETURN count(n)",
    "due": "MATCH (n:Key) WHERE n.due IS NOT NULL AND n.key IS NOT NULL RETURN count(n)",
    "watched": "MATCH (n:Key) WHERE n.watched IS NOT NULL RETURN count(n)",
}
