"""Fold persons' facts into their states, and remember the last states: who comes again is folded on from there.

What arrives are facts and a moment; what leaves is the state then, as it is or as it would be. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lineage import fold
from lineage.facts import Shapes
from lineage.hindsight import lost
from lineage.policy import Policy
from lineage.store import Facts, GraphStore, Key
from lineage.subject import Item, Subject
from lineage.timeline import LEARNT, NOTHING_LOST, entries, late_of, shapes_in

_SUBJECTS_MAX = 512


class Folds:
    """The states of those who were folded last."""

    def __init__(self, store: GraphStore, policies: Mapping[str, Policy], shapes: Shapes) -> None:
        """Take the shared parts."""
        self.policies = policies
        self._store, self._shapes = store, shapes
        self._subjects: dict[Key, tuple[Subject, list[fold.Entry]]] = {}

    def clear(self) -> None:
        """Forget them all: they are folded anew."""
        self._subjects.clear()

    def forget(self, key: Key) -> None:
        """Forget a data subject, by its first key."""
        self._subjects.pop(key, None)

    def look(self, keys: Iterable[Key], controller: str, now: int) -> Subject:
        """Fold a data subject up to `now`."""
        return self.state(self._store.facts(keys), controller, now)

    def state(self, facts: Facts, controller: str, now: int) -> Subject:
        """Fold a data subject's facts up to `now`."""
        name = facts.keys[0] if facts.keys else 0
        told = self._told(facts)
        cached = self._subjects.pop(name, None)
        subject, done = cached if cached is not None else (Subject(self.policies[controller], str(name)), [])
        if subject.policy is not self.policies[controller] or done != told[: len(done)] or (
            len(told) > len(done) and told[len(done)].at < subject.now
        ) or subject.now > now:  # fmt: skip
            subject, done = Subject(self.policies[controller], str(name)), []
        done = [*done]
        for entry in told[len(done) :]:
            if entry.at > now:
                break
            fold.apply(subject, entry)
            done.append(entry)
        fold.run_until(subject, subject.policy.zone.day(now))
        subject.now = max(subject.now, now)
        if len(self._subjects) >= _SUBJECTS_MAX:
            self._subjects.pop(next(iter(self._subjects)))
        if name:
            self._subjects[name] = (subject, done)
        return subject

    def _told(self, facts: Facts) -> list[fold.Entry]:
        """Read the facts as a story; shapes that another worker has written are asked for."""
        if self._store.shared and not self._shapes.by_id.keys() >= shapes_in(facts):
            self._shapes.learn(self._store.shapes())
        return entries(facts, self._shapes.by_id, self._shapes.bodies, self._lost(facts))

    def _lost(self, facts: Facts) -> Mapping[int, tuple[Item, ...]]:
        """Say what was held before it was learnt that something else had happened earlier, by when that was learnt."""
        learnt = [(line.at, late_of(line)[:5]) for line in facts.entries if line.kind == LEARNT]
        found: dict[int, tuple[Item, ...]] = {}
        if not learnt:
            return NOTHING_LOST
        shapes, bodies, policy = self._shapes.by_id, self._shapes.bodies, self.policies[facts.identifiers[0].controller]
        for at in sorted({at for at, _ in learnt}):
            states = []
            for unknown in ({row for when, row in learnt if when >= at}, {row for when, row in learnt if when > at}):
                known = replace(facts, observations=tuple(o for o in facts.observations if o[:5] not in unknown))
                s = Subject(policy)
                for entry in entries(known, shapes, bodies, found):
                    if entry.at > at:
                        break
                    fold.apply(s, entry)
                states.append(s)
            found[at] = lost(*states)
        return found
