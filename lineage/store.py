"""Say what a graph store must do. SQLite (embedded) and Neo4j (cluster) keep this protocol.

What arrives is a `Batch`, the facts of many events; it is written in one transaction, together with
the positions up to which the events were consumed. What leaves are the facts of one data subject, the
things that are due, the commands that wait for a target. A store decides nothing.

Facts commute: a row that is there already stays as it is (its time is the minimum of both), so any
order, any number of replays and any splitting into batches gives the same graph, digest for digest.

What is decided does not commute. Where several processes write (`shared`), a batch says what it was worked out from:
the versions of the facts (`seen`), the tombstones that were heeded, the identifiers that were there (`known`). If another
process has changed any of these since, nothing is written, and the batch is worked out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Key = int
"""The first 64 bits, signed, of an HMAC-SHA256 over (controller, kind, value): an identifier or a matter."""


class Identifier(NamedTuple):
    """A data subject's identifier; the value itself only encrypted.

    `check` holds the next 64 bits of the hash, so that two values that share a key are noticed and never
    silently merged. `sealed` is the value under a key of its own that is wrapped by the key-encryption key;
    it is what commands to downstream systems are addressed with, and destroying it ends that.
    """

    key: Key
    check: int
    controller: str
    kind: str
    sealed: bytes


class Observation(NamedTuple):
    """One event, as far as the graph remembers it: five integers.

    `shape` interns everything that repeats (controller, type, categories, driving fields); `matter` is the
    order, support case, … that the event is about, `about` a second reference, 0 where there is none.
    `at` is seconds since the epoch, UTC. `evidence` packs the position in the log and is not part of the digest.
    """

    key: Key
    at: int
    shape: int
    matter: Key
    about: Key
    evidence: int


class Link(NamedTuple):
    """Two identifiers seen in one event: `same` person, or a `device` that the policy may join; first seen at `at`."""

    a: Key
    b: Key
    kind: str
    shape: int
    at: int


class Shape(NamedTuple):
    """What many events have in common. `body` is canonical JSON; its identity is (controller, type, body)."""

    id: int
    controller: str
    type: str
    body: str


class Entry(NamedTuple):
    """What was asked, decided or answered about a data subject: request, decision, receipt, question, policy."""

    key: Key
    id: str
    at: int
    kind: str
    body: str


class CommandRow(NamedTuple):
    """A row of the outbox. `state`: pending, acknowledged, refused, dead. `due` is when to (re)send it."""

    id: str
    key: Key
    controller: str
    target: str
    case: str
    kind: str
    body: str
    issued: int
    due: int
    state: str
    attempts: int


class CaseRow(NamedTuple):
    """A rights request as the outside sees it. `body` is JSON: plan, decisions, receipts, deadline."""

    id: str
    key: Key
    controller: str
    right: str
    opened: int
    state: str
    body: str


class AuditRow(NamedTuple):
    """A line of the audit log, without personal data; `seq`, `previous` and `hash` are set by the store."""

    id: str
    at: int
    controller: str
    kind: str
    body: str
    seq: int = 0
    previous: str = ""
    hash: str = ""


class DeadLetter(NamedTuple):
    """An event that could not become facts: where it lay and why; the payload only encrypted."""

    topic: str
    partition: int
    offset: int
    schema_id: int
    reason: str
    at: int
    sealed: bytes


class Tombstone(NamedTuple):
    """An erased identifier, by its key: what happened up to `at` never comes back. `next` is its successor's key."""

    key: Key
    controller: str
    at: int
    next: Key


class Position(NamedTuple):
    """How far a partition has been consumed: `offset` is that of the next record to read."""

    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class Batch:
    """Everything that one transaction writes."""

    shapes: list[Shape] = field(default_factory=list)
    identifiers: list[Identifier] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    due: dict[Key, int] = field(default_factory=dict)
    """When to look at the data subject next (seconds); the earlier of this and what is stored is kept."""
    due_exact: dict[Key, int | None] = field(default_factory=dict)
    """The same, but replacing what is stored; None: never by itself."""
    watched: dict[Key, bool] = field(default_factory=dict)
    """Identifiers whose every event must be looked at at once: something has been asked for, has ended, or is not to be used."""
    cases: list[CaseRow] = field(default_factory=list)
    """Inserted or replaced."""
    commands: list[CommandRow] = field(default_factory=list)
    """Inserted; a command whose id is there already is left as it is."""
    command_states: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """id -> (state, due, attempts) for commands that are there."""
    command_pauses: dict[str, tuple[int, int]] = field(default_factory=dict)
    """id -> (due, attempts): when to send a command again that is pending still; one that was answered meanwhile stays as it is."""
    audit: list[AuditRow] = field(default_factory=list)
    """Appended to the hash chain; a line whose id is there already is left out."""
    dead_letters: list[DeadLetter] = field(default_factory=list)
    tombstones: list[Tombstone] = field(default_factory=list)
    certificates: list[tuple[str, str]] = field(default_factory=list)
    """(case id, JSON body); chained by the store like the audit log."""
    forget_observations: list[Observation] = field(default_factory=list)
    forget_identifiers: list[Key] = field(default_factory=list)
    """The identifiers' rows, links, due dates and sealed values go; what hangs on them must be gone already."""
    forget_entries: list[str] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    seen: dict[Key, int] = field(default_factory=dict)
    """The versions of the identifiers that the batch was worked out from (`Facts.version`): `Conflict` if one is another now."""
    heeded: dict[Key, int] = field(default_factory=dict)
    """Tombstones that were heeded: key -> at. `Conflict` if an observation, identifier or link has one that was not."""
    known: set[Key] = field(default_factory=set)
    """Identifiers that were there and are not among `identifiers`: `Conflict` if the graph has forgotten one since."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts of one data subject: the connected component of `same` links, and the devices linked to it."""

    identifiers: tuple[Identifier, ...]
    links: tuple[Link, ...]
    observations: tuple[Observation, ...]
    entries: tuple[Entry, ...]
    commands: tuple[CommandRow, ...]
    version: tuple[tuple[Key, int], ...] = ()
    """Of each identifier (and each key that was asked for), how often it was written, 0 if never; empty unless `shared`."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """The identifiers' keys, devices last, smallest first; the first one names the data subject."""
        return tuple(k for _, k in sorted((i.kind == "cookie", i.key) for i in self.identifiers))


class GraphStore(Protocol):
    """What the engine needs of a store. Every method may raise `StoreUnavailable` (try again) only."""

    @property
    def shared(self) -> bool:
        """Tell whether other processes write to the same graph; then nothing read may be taken for true later."""

    def write(self, batch: Batch) -> int:
        """Write everything in one transaction and return the number of rows touched.

        Raises `IdentifierCollision` if a new identifier shares its key with another value, `Conflict` if another process
        has changed what the batch was worked out from (`seen`, `heeded`, `known`). A batch whose positions are all behind the
        stored ones has been written before: nothing changes, 0 is returned.
        """

    def shapes(self) -> Sequence[Shape]:
        """All shapes, by id."""

    def known(self, keys: Iterable[Key]) -> Mapping[Key, bool]:
        """Give the identifiers among `keys` that exist: key -> watched."""

    def tombstones(self, keys: Iterable[Key]) -> Mapping[Key, Tombstone]:
        """Give the erased identifiers among `keys`."""

    def facts(self, keys: Iterable[Key]) -> Facts:
        """Give the facts of the data subject that the identifiers `keys` belong to."""

    def due(self, now: int, limit: int) -> Sequence[Key]:
        """Give identifiers whose due date is not after `now`, earliest first, by index."""

    def next_due(self) -> int | None:
        """Give the earliest due date (of a data subject or a pending command), None if nothing waits."""

    def commands(self, controller: str | None, target: str | None, now: int, limit: int) -> Sequence[CommandRow]:
        """Pending commands that are due at `now`, oldest first."""

    def command(self, id: str) -> CommandRow | None:  # noqa: A002 - the word of the domain
        """Give a command by its id."""

    def case(self, id: str) -> CaseRow | None:  # noqa: A002 - the word of the domain
        """Give a case by its id."""

    def cases(self, controller: str | None = None, state: str | None = None) -> Sequence[CaseRow]:
        """Give the cases, of a controller or in a state where one is named."""

    def audit(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRow]:
        """Lines of the chain with seq > `since`, in order."""

    def certificate(self, case: str) -> str | None:
        """Give the certificate of a case, None if it has none yet."""

    def certificates(self, since: int = 0, limit: int = 1000) -> Sequence[AuditRow]:
        """Certificates with seq > `since`, in order, as lines of their chain."""

    def dead_letters(self, limit: int = 1000, after: tuple[str, int, int] = ("", -1, -1)) -> Sequence[DeadLetter]:
        """Give the dead letters after a place (topic, partition, offset), in the order of their places."""

    def positions(self, topic: str) -> Mapping[int, int]:
        """Partition -> offset of the next record to read."""

    def observers(self, shapes: Iterable[int], after: Key, limit: int) -> Sequence[Key]:
        """Give identifiers > `after` with an observation of one of `shapes`: the scan behind breach impact."""

    def digest(self, controller: str | None = None) -> str:
        """Give a hash of all identifiers, observations and links, whatever the order in which they came."""

    def counts(self) -> Mapping[str, int]:
        """Rows per kind, for metrics and health."""

    def close(self) -> None:
        """Let the store go."""
