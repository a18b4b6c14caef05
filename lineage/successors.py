"""Tell whose an event is where its identifiers were erased: the erased person's, nobody's, or a new data subject's.

An erased identifier leaves a tombstone: its key, and when. What happened before it never comes back (GDPR art. 17); what
happens after it begins a new data subject, under a key of its own, so that the two are never taken for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import orjson

import schemas
from lineage.errors import NotFound
from lineage.facts import Rows, Writer
from lineage.fold import Revenant, Succession
from lineage.identity import KeyRing
from lineage.kinds import kinds_of
from lineage.policy import Policy
from lineage.store import AuditRow, Batch, GraphStore, Identifier, Key, Tombstone
from lineage.tagging import Tagged
from lineage.timeline import LATE, came_at, late_of, write_entry, write_late

DAY = 86_400


class Successors:
    """Those who bear identifiers after an erasure of them."""

    def __init__(
        self, store: GraphStore, policies: Mapping[str, Policy], keys: KeyRing, writer: Writer, known: dict[Key, bool],
    ) -> None:  # fmt: skip
        """Take the shared parts; `known` are the identifiers that the pipeline knows to be there, and it is kept up to date."""
        self.policies = policies
        self._store, self._keys, self._writer, self._known = store, keys, writer, known

    def tombstones(self, keys: Iterable[Key], batch: Batch) -> Mapping[Key, Tombstone]:
        """Give the tombstones of keys, and note in the batch that they were heeded."""
        found = self._store.tombstones(keys)
        for key, stone in found.items():
            batch.heeded[key] = stone.at
        return found

    def current(self, controller: str, kind: str, value: str) -> Key:
        """Give the key of the data subject who bears an identifier now; raise `NotFound` for an unknown controller."""
        if controller not in self.policies:
            msg = f"there is no policy for controller {controller!r}: have {', '.join(sorted(self.policies))}"
            raise NotFound(msg)
        epoch = 0
        key, _ = self._keys.key(controller, kind, value)
        while key in self._store.tombstones((key,)):
            after, _ = self._keys.successor(controller, kind, value, epoch + 1)
            if after not in self._store.known((after,)) and after not in self._store.tombstones((after,)):
                break
            key, epoch = after, epoch + 1
        return key

    def check(self, controller: str, kind: str, value: str, key: Key) -> int:
        """Give the check of a value under the key that it has now, or had."""
        epoch = 0
        while True:
            found, check = self._keys.successor(controller, kind, value, epoch)
            if found == key:
                return check
            epoch += 1

    def next_key(self, identifier: Identifier) -> Key:
        """Give the key that an identifier has after its next erasure."""
        kind, value = self._keys.open(identifier.sealed)
        epoch = 0
        while self._keys.successor(identifier.controller, kind, value, epoch)[0] != identifier.key:
            epoch += 1
        return self._keys.successor(identifier.controller, kind, value, epoch + 1)[0]

    def route(
        self, tagged: Tagged, rows: Rows, stones: Mapping[Key, Tombstone], batch: Batch, evidence: int, now: int,
    ) -> tuple[Rows, set[Key]]:  # fmt: skip
        """Decide whose an event under an erased identifier is: the erased person's, or a new data subject's.

        Gives the rows to write, none if the event is dropped, and the erased person's key where that one must be looked at.
        """
        spec = schemas.registry().types[tagged.type]
        matters = {o.matter for o in rows.observations if o.matter}
        first, hops = rows, 0
        while True:
            # An event may carry identifiers that were erased at different times, of different persons: it is of those who
            # bear them at its time. Those of one erasure are one person.
            passed = sorted({stones[k].at for k in rows.keys if k in stones and tagged.at > stones[k].at})
            groups = [[k for k in rows.keys if k in stones and stones[k].at == at] for at in passed]
            owner = next((keys for keys in groups if matters and self._has_matter(keys, matters)), None)
            if owner is not None or not passed:
                break
            hops += 1
            moved = self._moved(tagged, first, evidence, hops, batch)
            later = self.tombstones(moved.keys, batch)
            begun = spec.act or self._begun(set(moved.keys) - set(rows.keys), tagged.at, batch)
            if not later and begun:
                return self._succeed(tagged, moved, batch), set()
            if not begun:
                break
            rows, stones = moved, later
        old = not passed
        stone = max((stones[k] for k in rows.keys if k in stones), key=lambda t: t.at)
        erased = [k for k in owner or rows.keys if k in stones and k in self._known]
        if old:
            rows = _only(rows, stones)
        if erased:
            return (self._late(rows, erased[0], batch, now) if old else rows), {erased[0]}
        if old and self._lies_somewhere(tagged):
            return self._return(rows, stone.at, batch, now), {rows.keys[0]}
        # The graph has forgotten the person: the event from before is dropped, and the log says that one was.
        ids = ("gdpr:17",)
        batch.audit.append(
            AuditRow(f"late-{tagged.controller}-{tagged.type}-{tagged.at // DAY}", tagged.at, tagged.controller, "logged",
                     orjson.dumps({"about": f"dropped after erasure: {tagged.type}", "reasons": ids}).decode()),
        )  # fmt: skip
        return Rows((), (), (), ()), set()

    def _has_matter(self, keys: list[Key], matters: set[Key]) -> bool:
        """Tell whether what the graph still has of an erased person is about one of these matters."""
        facts = self._store.facts(keys)
        late = (late_of(line).matter for line in facts.entries if line.kind == LATE)
        return any(o.matter in matters for o in facts.observations) or any(m in matters for m in late)

    def _late(self, rows: Rows, erased: Key, batch: Batch, now: int) -> Rows:
        """Tell what happened before an erasure and comes after it; what was there already is a mere repetition."""
        facts = self._store.facts(rows.keys)
        known = {o[:5] for o in facts.observations}
        if not all(o[:5] in known for o in rows.observations):
            batch.entries += [write_late(erased, row, came_at(facts, now)) for row in rows.observations]
        return rows._replace(observations=())

    def _return(self, rows: Rows, erased_at: int, batch: Batch, now: int) -> Rows:
        """Remember a person whom the graph has forgotten for as long as what has come from before the erasure takes.

        A system tells of data that it should not have any more: it is commanded again, and what a statute keeps is kept.
        """
        bearer = rows.keys[0]
        case = hashlib.sha256(f"revenant\x1f{bearer}\x1f{erased_at}\x1f{now}".encode()).hexdigest()[:20]
        batch.entries.append(write_entry(bearer, f"revenant-{bearer}", Revenant(erased_at, case)))
        batch.entries += [write_late(bearer, row, now) for row in rows.observations]
        batch.watched.update(dict.fromkeys(rows.keys, True))
        return rows._replace(observations=())

    def _lies_somewhere(self, tagged: Tagged) -> bool:
        """Tell whether an event carries data of a person to a system that can be commanded."""
        policy = self.policies[tagged.controller]
        if not tagged.terms or all(kind == "cookie" for kind, _ in tagged.identifiers):
            return False
        bases = {k.base for k in kinds_of(policy, tagged.type)}
        fed = (a for a in policy.activities.values() if not bases.isdisjoint(a.events))
        return any(policy.systems[name].erasable for a in fed for name in a.systems)

    def _moved(self, tagged: Tagged, rows: Rows, evidence: int, hops: int, batch: Batch) -> Rows:
        """Give the rows of an event under the keys of those who follow the erased, so many erasures later."""

        def successor(key: Key, kind: str, value: str) -> tuple[Key, int]:
            check = next(i[1] for i in rows.identifiers if i[0] == key)
            for epoch in range(1, hops + 1):
                stone = self.tombstones((key,), batch).get(key)
                if stone is None or tagged.at <= stone.at:
                    break
                key, check = self._keys.successor(tagged.controller, kind, value, epoch)
            return key, check

        moved = self._writer.rows(tagged, evidence, successor)
        self._known.update(self._store.known(moved.keys))
        return moved

    def _begun(self, keys: set[Key], at: int, batch: Batch) -> bool:
        """Tell whether the data subject of the keys had done something by then: what others report begins nobody."""
        times = [o.at for o in batch.observations if o.key in keys]
        known = self._store.known(keys)
        if known:
            times += [o.at for o in self._store.facts(known).observations]
        return min(times, default=at + 1) <= at

    def _succeed(self, tagged: Tagged, moved: Rows, batch: Batch) -> Rows:
        """Let a new data subject begin, if this is the first that the person does after the erasure."""
        if not any(k in self._known for k in moved.keys):
            reasons = self.policies[tagged.controller].suppression
            ids = tuple(x.id for x in reasons if x.keeps == "hash") or ("gdpr:21",)
            entry = Succession(tagged.at, ids)
            batch.entries.append(write_entry(moved.keys[0], f"succession-{moved.keys[0]}", entry))
        return moved


def _only(rows: Rows, stones: Mapping[Key, Tombstone]) -> Rows:
    """Leave out the identifiers of an event that were not erased: what was before an erasure joins nobody to the erased person."""
    own = tuple(k for k in rows.keys if k in stones)
    return rows._replace(
        keys=own, identifiers=tuple(i for i in rows.identifiers if i[0] in own),
        links=tuple(link for link in rows.links if link.a in own and link.b in own),
    )  # fmt: skip
