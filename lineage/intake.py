"""Turn a batch of records into one `Batch` of facts, with the places of the records in it: read, routed, once each.

What arrives are bytes, or what the agents have made of them; what leaves is what one transaction writes. Nothing is written
here; what was learnt of identifiers while a batch was made is forgotten again if it could not be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

import schemas
from lineage.errors import BadEvent, Undecodable
from lineage.facts import Rows, Writer, seal_row
from lineage.identity import KeyRing
from lineage.policy import Policy
from lineage.projection import reader
from lineage.reactions import Reactions
from lineage.store import AuditRow, Batch, DeadLetter, GraphStore, Key, Link, Position, Tombstone
from lineage.store import Entry as EntryRow
from lineage.successors import Successors
from lineage.tagging import Tagged
from lineage.timeline import LEARNT, write_late

DAY = 86_400
_LINKS_MAX = 1 << 15
_KNOWN_MAX = 1 << 16
_LATE_SECONDS = 60
"""An event that is no older than that has not come late."""
_NO_POLICY = "the event names a controller that has no policy here"
_NO_IDENTIFIER = "the event carries data but no identifier"
_NEVER = 1 << 62
_LATER = Link(0, 0, "", 0, _NEVER)


class Received(NamedTuple):
    """A record as it came: where it lay, and its bytes in the wire format."""

    topic: str
    partition: int
    offset: int
    value: bytes

    @property
    def evidence(self) -> int:
        """Give the place in the topic as the one number that an observation keeps of it."""
        return self.partition << 40 | self.offset


class Prepared(NamedTuple):
    """An event as it was read: what it says, and its facts, whoever bears its identifiers by now."""

    tagged: Tagged
    rows: Rows


class Ahead(NamedTuple):
    """What a store that others write to said of the identifiers of a batch a little before the batch is made."""

    known: Mapping[Key, bool]
    tombstones: Mapping[Key, Tombstone]


@dataclass(slots=True)
class Taken:
    """What became of a batch."""

    events: int = 0
    dead: int = 0
    rows: int = 0
    edges: int = 0
    dropped: int = 0
    touched: set[Key] = field(default_factory=set)

    def __add__(self, other: Taken) -> Taken:
        """Give what became of both."""
        return Taken(self.events + other.events, self.dead + other.dead, self.rows + other.rows, self.edges + other.edges,
                     self.dropped + other.dropped, self.touched | other.touched)  # fmt: skip


class Intake:
    """Makes batches of what comes. `known` says of identifiers that are there whether their events are looked at one by one."""

    def __init__(self, store: GraphStore, policies: Mapping[str, Policy], keys: KeyRing, random: Callable[[int], bytes],
                 writer: Writer, successors: Successors, known: dict[Key, bool]) -> None:  # fmt: skip
        """Take the shared parts."""
        self._store, self._keys, self._random = store, keys, random
        self.writer, self._successors, self._known = writer, successors, known
        self._links: dict[tuple[Key, Key, str, int], int] = {}
        self._reader = reader(tuple(sorted((c, p.jurisdiction) for c, p in policies.items())))
        self.govern(policies)

    def govern(self, policies: Mapping[str, Policy]) -> None:
        """Put policies into force: what events set off follows from them."""
        self._policies = policies
        self.reactions = Reactions(policies, self.writer.shapes)

    def tag(self, value: bytes) -> Tagged:
        """Decode and tag the bytes of an event; raise `Undecodable`."""
        return self._reader.read(value)

    def prepare(self, record: Received) -> Prepared:
        """Tag an event and make its facts; raise `BadEvent`. It asks no store, so it can be done while a batch is written."""
        tagged = self.tag(record.value)
        if tagged.controller not in self._policies:
            raise Undecodable(_NO_POLICY)
        return Prepared(tagged, self.writer.rows(tagged, record.evidence))

    def look_ahead(self, found: Sequence[Prepared | BadEvent]) -> Ahead | None:
        """Read what a batch will need of the store, while another one is written; None where memory knows it better.

        What others do before the batch is written, the store notices then, and the batch is made again without this.
        """
        if not self._store.shared:
            return None
        keys = {k for one in found if isinstance(one, Prepared) for k in one.rows.keys}
        return Ahead(self._store.known(keys), self._store.tombstones(keys))

    def batch(
        self, records: Sequence[Received], now: int, found: Sequence[Prepared | BadEvent] | None, ahead: Ahead | None = None,
    ) -> tuple[Batch, Taken]:  # fmt: skip
        """Make the batch of records; `found` is what `prepare` made of each, or why nothing, where that is known already."""
        taken, batch = Taken(events=len(records)), Batch(positions=_positions(records))
        pending: list[tuple[Tagged, Rows, Received]] = []
        for n, record in enumerate(records):
            try:
                tagged, rows = self.prepare(record) if found is None else _prepared(found[n])
            except BadEvent as error:
                batch.dead_letters.append(self.dead_letter(record, str(error), now))
                taken.dead += 1
                continue
            pending.append((tagged, rows, record))
        try:
            self._facts(batch, pending, taken, now, ahead)
        except BaseException:
            self.unlearn(batch)
            raise
        return batch, taken

    def dead_letter(self, record: Received, reason: str, now: int) -> DeadLetter:
        """Describe an event that cannot become facts, without showing anything of it."""
        schema_id = (
            int.from_bytes(record.value[1:5], "big")
            if record.value[:1] == b"\0" and len(record.value) >= schemas.HEADER.size
            else 0
        )
        sealed = self._keys.seal_payload(record.value, self._random)
        return DeadLetter(record.topic, record.partition, record.offset, schema_id, reason, now, sealed)

    def unlearn(self, batch: Batch) -> None:
        """Forget what was learnt of the identifiers of a batch that was not written: the store is asked anew."""
        for key in {i.key for i in batch.identifiers} | batch.watched.keys():
            self._known.pop(key, None)

    def written(self, batch: Batch) -> None:
        """Remember the links of a batch, so that the same are not written with every event; a bound keeps it small."""
        if len(self._links) > _LINKS_MAX:
            self._links.clear()
        for link in batch.links:
            self._links[link[:4]] = link.at

    def forget(self) -> None:
        """Drop the values that are kept in memory, and what is known of links: somebody was erased."""
        self._links.clear()
        self.writer.forget()

    def _learn(self, keys: set[Key], batch: Batch, ahead: Ahead | None) -> Mapping[Key, Tombstone]:
        """Get to know which of the keys are there and which were erased, from the store or from what it said before."""
        if ahead is not None:
            # Since then this worker has written itself.
            meanwhile = {k: watched or ahead.known.get(k, False) for k, watched in self._known.items() if k in keys}
            self._known.clear()
            self._known.update(ahead.known)
            self._known.update(meanwhile)
            batch.heeded.update((k, stone.at) for k, stone in ahead.tombstones.items())
            return ahead.tombstones
        if self._store.shared or len(self._known) > _KNOWN_MAX:
            self._known.clear()  # Others write too: what was known is asked for again. If none do, a bound keeps it small.
        fresh = {k for k in keys if self._known.get(k, True)}
        if not fresh:
            return {}
        stones = self._successors.tombstones(fresh, batch)
        self._known.update(self._store.known(fresh))
        return stones

    def _facts(
        self, batch: Batch, pending: list[tuple[Tagged, Rows, Received]], taken: Taken, now: int, ahead: Ahead | None,
    ) -> None:  # fmt: skip
        stones = self._learn({k for _, rows, _ in pending for k in rows.keys}, batch, ahead)
        links: dict[tuple[Key, Key, str, int], Link] = {}
        written = self._links
        # A link that was written before may have gone with its person since, by another worker's hand.
        unsure: set[Key] = set(stones)
        for tagged, plain, record in pending:
            rows = plain
            if stones and any(k in stones for k in rows.keys):
                rows, erased = self._successors.route(tagged, rows, stones, batch, record.evidence, now)
                taken.touched |= erased
            if not rows.keys or not self.reactions.relevant(tagged):
                taken.dropped += 1
                # One that came too late for an erased person is no bad event: nothing of it is kept, not even sealed.
                if not plain.keys and self.reactions.relevant(tagged):
                    batch.dead_letters.append(self.dead_letter(record, _NO_IDENTIFIER, now))
                    taken.dead += 1
                continue
            for row in rows.identifiers:
                if row[0] not in self._known:
                    self._known[row[0]] = False
                    unsure.add(row[0])
                    batch.identifiers.append(seal_row(self._keys, tagged.controller, row, self._random))
            batch.observations += rows.observations
            for link in rows.links:
                # The earliest of each: the graph must not depend on how events were split into batches.
                name = link[:4]
                since = _NEVER if link.a in unsure or link.b in unsure else written.get(name, _NEVER)
                if link.at < links.get(name, _LATER).at and link.at < since:
                    links[name] = link
            self._mark(batch, tagged, rows, taken)
            if rows.keys[0] in taken.touched and rows.observations and rows is plain:
                batch.entries += self._learnt(tagged, rows, now)
            if rows.links and any(link.kind == "device" and link[:4] in links for link in rows.links):
                batch.due[rows.keys[0]] = 0  # What the device did before is the person's now, and may have to go already.
            if tagged.found:
                batch.audit.append(_drift(tagged, now, self._policies[tagged.controller]))
        batch.links += links.values()
        if self._store.shared:
            touched = {o.key for o in batch.observations} | {key for link in batch.links for key in link[:2]}
            touched |= {entry.key for entry in batch.entries} | batch.due.keys()
            batch.known = touched - {i.key for i in batch.identifiers}

    def _learnt(self, tagged: Tagged, rows: Rows, now: int) -> Iterator[EntryRow]:
        """Note when something became known that sets something off, and happened before others that were known already."""
        if tagged.at >= now - _LATE_SECONDS or not self.reactions.of(rows.observations[0].shape).now:
            return
        facts = self._store.facts(rows.keys)
        known = {o[:5] for o in facts.observations}
        if any(o.at > tagged.at for o in facts.observations) and not any(o[:5] in known for o in rows.observations):
            yield write_late(rows.keys[0], rows.observations[0], now, LEARNT)

    def _mark(self, batch: Batch, tagged: Tagged, rows: Rows, taken: Taken) -> None:
        if not rows.observations:
            batch.due.update(dict.fromkeys(taken.touched & set(rows.keys), 0))
            return
        shape = rows.observations[0].shape
        reaction = self.reactions.of(shape)
        taken.edges += reaction.edges
        key = rows.keys[0]
        urgent = reaction.now
        if not urgent:
            for k in rows.keys:
                if self._known.get(k):
                    urgent = True
                    break
        if urgent:
            batch.due[key] = 0
            taken.touched.add(key)
        elif reaction.after is not None:
            due = tagged.at + reaction.after
            if due < batch.due.get(key, due + 1):
                batch.due[key] = due


def _prepared(found: Prepared | BadEvent) -> Prepared:
    if isinstance(found, BadEvent):
        raise found
    return found


def _positions(records: Sequence[Received]) -> list[Position]:
    last: dict[tuple[str, int], int] = {}
    for record in records:
        at = (record.topic, record.partition)
        last[at] = max(last.get(at, 0), record.offset + 1)
    return [Position(topic, partition, offset) for (topic, partition), offset in last.items()]


def _drift(tagged: Tagged, now: int, policy: Policy) -> AuditRow:
    """Say that free text holds personal data of a kind that the event does not declare."""
    ids = policy.cited_with_of("undeclared") or ("gdpr:5",)
    body = {"about": f"undeclared personal data in free text: {tagged.type}: {', '.join(tagged.found)}", "reasons": ids}
    id_ = f"drift-{tagged.type}-{'-'.join(tagged.found)}-{now // DAY}"
    return AuditRow(id_, now, tagged.controller, "warned", orjson.dumps(body).decode())
