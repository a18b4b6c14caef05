"""Tell whose an event is where its identifiers were erased: the erased person's, nobody's, or a new data subject's.

An erased identifier leaves a tombstone: its key, and when. What happened before it never comes back (GDPR art. 17); what
happens after it begins a new data subject, under a key of its own, so that the two are never taken for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

import schemas
from lineage.errors import NotFound
from lineage.facts import LATE, Rows, Writer
from lineage.fold import Succession
from lineage.identity import KeyRing
from lineage.policy import Policy
from lineage.store import AuditRow, Batch, GraphStore, Identifier, Key, Tombstone
from lineage.tagging import Tagged
from lineage.timeline import write_entry

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
        self, tagged: Tagged, rows: Rows, stones: Mapping[Key, Tombstone], batch: Batch, evidence: int,
    ) -> tuple[Rows, set[Key]]:  # fmt: skip
        """Decide whose an event under an erased identifier is: the erased person's, or a new data subject's.

        Gives the rows to write, none if the event is dropped, and the erased person's key where that one must be looked at.
        """
        spec = schemas.registry().types[tagged.type]
        matters = {o.matter for o in rows.observations if o.matter}
        first, hops = rows, 0
        while True:
            stone = next(stones[k] for k in rows.keys if k in stones)
            old = tagged.at <= stone.at
            # Identifiers that an event carries may have been erased at different times: those of one erasure are one person.
            erased_then = [k for k in rows.keys if k in stones and stones[k].at == stone.at]
            if old or (matters and self._has_matter(erased_then, matters)):
                break
            hops += 1
            moved = self._moved(tagged, first, evidence, hops, batch)
            later = self.tombstones(moved.keys, batch)
            if not later:
                if spec.act or self._begun(set(moved.keys) - set(rows.keys), tagged.at, batch):
                    return self._succeed(tagged, moved, batch), set()
                break
            rows, stones = moved, later
        erased = [k for k in rows.keys if k in stones and k in self._known]
        if not erased:
            # The graph has forgotten the person: the event from before is dropped, and the log says that one was.
            ids = ("gdpr:17",)
            batch.audit.append(
                AuditRow(f"late-{tagged.controller}-{tagged.type}-{tagged.at // DAY}", tagged.at, tagged.controller, "logged",
                         orjson.dumps({"about": f"dropped after erasure: {tagged.type}", "reasons": ids}).decode()),
            )  # fmt: skip
            return Rows((), (), (), ()), set()
        return (self._late(rows, stone.at) if old else rows), {erased[0]}

    def _has_matter(self, keys: list[Key], matters: set[Key]) -> bool:
        """Tell whether what the graph still has of an erased person is about one of these matters."""
        return any(o.matter in matters for o in self._store.facts(keys).observations)

    def _late(self, rows: Rows, erased_at: int) -> Rows:
        """Mark an event from before an erasure that arrives after it; one that was there already is a mere repetition."""
        known = {o[:5] for o in self._store.facts(rows.keys).observations}
        if all(o[:5] in known for o in rows.observations):
            return rows
        observations = []
        for row in rows.observations:
            body, shape = self._writer.shapes.bodies[row.shape], self._writer.shapes.by_id[row.shape]
            marked = body._replace(fields=(*body.fields, (LATE, erased_at)))
            observations.append(row._replace(shape=self._writer.shapes.id_of(shape.controller, shape.type, marked)))
        return rows._replace(observations=tuple(observations))

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
        self._known.update({k: w for k, (_, w) in self._store.known(moved.keys).items()})
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
