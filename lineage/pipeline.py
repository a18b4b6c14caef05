"""Join the steps: bytes become facts in one transaction, what they set off is folded, decided and sent after it.

Everything that happens to a data subject goes through `advance`: load its facts, fold them, write what is new (commands,
cases, log lines, the next due date). It can be repeated at any time with the same result, so a crash between the facts
and what follows from them costs a repetition, never a loss: the due date that the facts were written with asks for it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import orjson

from lineage import fold
from lineage.answers import Answers, States
from lineage.effects import Effects, effects
from lineage.errors import BadCall, BadEvent, Conflict, NotFound
from lineage.facts import Shapes, Writer, seal_row
from lineage.folding import Folds
from lineage.guards import Answer, Question, ask
from lineage.identity import KeyRing
from lineage.intake import Ahead, Intake, Prepared, Received, Taken
from lineage.policy import Policy
from lineage.rights import Request
from lineage.store import AuditRow, Batch, Facts, GraphStore, Key
from lineage.store import Entry as EntryRow
from lineage.subject import Subject
from lineage.successors import Successors
from lineage.tagging import Tagged
from lineage.timeline import LATE, LEARNT, answered_at, write_entry

OUTCOMES = ("erased", "retained", "no_data", "unsupported", "refused", "failed")
"""What a target may answer to an erasure; whatever it answers, "complete" is not among it."""
_BY_OUR_CLOCK = frozenset({"request", "decision", "receipt", LATE, LEARNT})
_CONFLICTS_MAX = 20
"""So often something is worked out again because another worker was faster; then the feed waits a little."""
T = TypeVar("T")


class Pipeline:
    """The engine over one store. Not for concurrent use: one writer, as a partition has one consumer."""

    def __init__(self, store: GraphStore, policies: Mapping[str, Policy], keys: KeyRing, random: Callable[[int], bytes],
                 *, forgets: bool = True) -> None:  # fmt: skip
        """Take everything from outside: the store, the policies, the secrets, the source of randomness.

        `forgets` False keeps the facts of persons whose erasure is through: for tests of a policy only.
        """
        self._forgets = forgets
        self.store, self.policies, self.keys, self._random = store, policies, keys, random
        keys.at_home({c: p.jurisdiction for c, p in policies.items()})
        self.shapes = Shapes(store.shapes(), shared=store.shared)
        writer = Writer(keys, policies, self.shapes)
        self._known: dict[Key, bool] = {}
        self._successors = Successors(store, policies, keys, writer, self._known)
        self.intake = Intake(store, policies, keys, random, writer, self._successors, self._known)
        self.folds = Folds(store, policies, self.shapes)
        self.answers, self._states = Answers(store), States(store)

    # -- events ------------------------------------------------------------------------------------------------

    def tag(self, value: bytes) -> Tagged:
        """Decode and tag the bytes of an event; raise `Undecodable`."""
        return self.intake.tag(value)

    def prepare(self, record: Received) -> Prepared:
        """Tag an event and make its facts; raise `BadEvent`. Another thread may do this while this one writes."""
        return self.intake.prepare(record)

    def look_ahead(self, found: Sequence[Prepared | BadEvent]) -> Ahead | None:
        """Read what a batch will need; raise `StoreUnavailable`. Another thread may do this while this one writes."""
        return self.intake.look_ahead(found)

    def ingest(self, records: Sequence[Received], now: int, found: Sequence[Prepared | BadEvent] | None = None,
               writing: Callable[[], None] = lambda: None, ahead: Ahead | None = None) -> Taken:  # fmt: skip
        """Write the facts of a batch with its positions in one transaction; then carry out what they set off.

        `found` is what `prepare` made of each record, or why it made nothing, where an agent has done so already;
        `writing` is called when the batch is made and the store begins to write it; `ahead` is what `look_ahead` gave.
        """
        once = iter((ahead,))  # Where another worker was faster, the store is asked anew.
        taken = self._until_first(lambda: self._ingest(records, now, found, writing, next(once, None)))
        for key in sorted({k for t in taken.touched for k in self._bearers(t)}):
            self._go_on(key, now)
        return taken

    def _until_first(self, work: Callable[[], T]) -> T:
        """Work something out and write it, again where another worker has changed the facts meanwhile."""
        for _ in range(_CONFLICTS_MAX - 1):
            try:
                return work()
            except Conflict:
                self._known.clear()
        return work()

    def _ingest(
        self, records: Sequence[Received], now: int, found: Sequence[Prepared | BadEvent] | None, writing: Callable[[], None],
        ahead: Ahead | None,
    ) -> Taken:  # fmt: skip
        batch, taken = self.intake.batch(records, now, found, ahead)
        writing()
        taken.rows = self._write(batch)
        self.intake.written(batch)
        return taken

    def _bearers(self, key: Key) -> tuple[Key, ...]:
        """Give the data subjects of a key: its own, or those who use the device that it is."""
        facts = self.store.facts((key,))
        if any(i.kind != "cookie" for i in facts.identifiers):
            return facts.keys[:1]
        persons = [self.store.facts((link.a,)).keys[:1] for link in facts.links if link.a != key]
        return tuple(dict.fromkeys(k for found in persons for k in found)) or (key,)

    def _write(self, batch: Batch) -> int:
        """Write a batch with the shapes that are new; where that fails, what is known is again what the store knows."""
        batch.shapes = self.shapes.take_fresh()
        try:
            touched = self.store.write(batch)
            if batch.shapes and batch.positions and not touched:
                # It was written before, by another worker, and nothing of it was written now: but these shapes will be used.
                self.store.write(Batch(shapes=batch.shapes))
        except BaseException:
            self.shapes.give_back(batch.shapes)
            self.intake.unlearn(batch)
            raise
        return touched

    # -- requests ----------------------------------------------------------------------------------------------

    def request(self, controller: str, identifier: tuple[str, str], request: Request) -> Subject:
        """Take a rights request; `identifier` is (kind, value). Unknown persons are answered too: nothing is held."""
        self._until_first(lambda: self._request(controller, identifier, request))
        return self._go_on(self.current(controller, *identifier), request.at) or Subject(self.policies[controller])

    def _request(self, controller: str, identifier: tuple[str, str], request: Request) -> None:
        key = self.current(controller, *identifier)
        batch = Batch(seen=self._seen(key), entries=[write_entry(key, request.id, request)], due={key: 0}, watched={key: True})
        if key not in self.store.known((key,)):
            check = self._successors.check(controller, *identifier, key)
            self._successors.tombstones((key,), batch)  # One whose erasure is through may ask again.
            batch.identifiers.append(seal_row(self.keys, controller, (key, check, *identifier), self._random))
        self._known[key] = True
        self._write(batch)

    def _seen(self, key: Key) -> dict[Key, int]:
        """Give the version of what is about to be added to, where another worker could be erasing it."""
        return dict(self.store.facts((key,)).version) if self.store.shared else {}

    def current(self, controller: str, kind: str, value: str) -> Key:
        """Give the key of the data subject who bears an identifier now: after an erasure, the successor if there is one."""
        return self._successors.current(controller, kind, value)

    def decide(self, case: str, question: str, now: int) -> Subject:
        """Take a decision of a person at the controller about a case."""
        row = self.store.case(case)
        if row is None:
            msg = f"there is no case {case!r}"
            raise NotFound(msg)
        entry = write_entry(row.key, f"{case}-{question}-{now}", fold.Decision(now, question, case))
        self._add_entries(row.key, lambda _: [entry])
        return self._go_on(row.key, now) or Subject(self.policies[row.controller])

    def _add_entries(self, key: Key, told: Callable[[Facts], list[EntryRow]]) -> bool:
        """Tell a data subject's story on, and have it looked at; False if the graph has forgotten whose story it is."""

        def add() -> bool:
            facts = self.store.facts((key,))
            if not self.store.known((key,)):
                return False
            self.store.write(Batch(entries=told(facts), due={key: 0}, seen=dict(facts.version)))
            return True

        return self._until_first(add)

    def receipt(self, command: str, outcome: str, now: int, data: Mapping[str, object] | None = None) -> Subject:
        """Take a target's answer to a command; a second answer changes nothing that the first has settled.

        `data` (category -> value) answers an export: it is kept sealed until `take_export` hands it over.
        """
        row = self.store.command(command)
        if row is None:
            msg = f"there is no command {command!r}"
            raise NotFound(msg)
        if outcome not in OUTCOMES and not (outcome == "done" and row.kind != "erase"):
            msg = f"{outcome!r} is no outcome of {row.kind}: {', '.join(OUTCOMES)}{'' if row.kind == 'erase' else ', done'}"
            raise BadCall(msg)
        activity = orjson.loads(row.body)["activity"]
        exported: list[EntryRow] = []
        if data is not None and row.kind == "export":
            sealed = self.keys.seal_payload(orjson.dumps({"target": row.target, "data": data}), self._random)
            exported.append(EntryRow(row.key, f"{command}-export", now, "export", b64encode(sealed).decode()))

        def told(facts: Facts) -> list[EntryRow]:
            at = answered_at(facts, max(now, row.issued))
            entry = fold.Receipt(at, outcome, row.case, row.target, row.kind, activity, row.issued)
            return [write_entry(row.key, f"{command}-{outcome}-{row.attempts}", entry), *exported]

        if not self._add_entries(row.key, told):
            # The graph has forgotten the person meanwhile: only the outbox remembers the command.
            self.store.write(Batch(command_states={command: ("acknowledged", row.due, row.attempts)}))
            return Subject(self.policies[row.controller])
        return self._go_on(row.key, now) or Subject(self.policies[row.controller])

    def ask(self, controller: str, identifier: tuple[str, str], question: Question, now: int, *, log: bool = True) -> Answer:
        """Answer a service that asks first. The answer is in the audit log soon, and for certain after `answers.flush()`."""
        name, policy, stamp = (controller, *identifier), self.policies.get(controller), self._states.stamp
        found = self._states.fresh(name, policy, now)
        if found is None:
            key = self.current(controller, *identifier)
            policy, facts = self.policies[controller], self.store.facts((key,))
            subject = self._states.same(name, policy, key, facts, now)
            subject = subject or self._forgotten(key, policy, facts, now) or self.folds.state(facts, controller, now)
            self._states.keep(name, stamp, key, facts, subject)
            found = key, subject
        key, subject = found
        answer = ask(subject, question)
        if log:
            extra = tuple(g.id for g in subject.policy.guards if g.on == "log")
            self.answers.add(key, controller, question, answer, extra, now)
        return answer

    def _forgotten(self, key: Key, policy: Policy, facts: Facts, now: int) -> Subject | None:
        """Give the state of an erased person whom the graph has forgotten, and who has not come back: all is erased, still."""
        if facts.identifiers or key not in self.store.tombstones((key,)):
            return None
        subject = Subject(policy)
        fold.apply(subject, fold.Revenant(now, "erased"))
        return subject

    # -- what follows ------------------------------------------------------------------------------------------

    def look(self, keys: Iterable[Key], controller: str, now: int) -> Subject:
        """Fold a data subject up to `now` without writing anything: the state as it is, or as it would be."""
        return self.folds.look(keys, controller, now)

    def advance(self, keys: Iterable[Key], now: int) -> Subject:
        """Fold a data subject up to `now` and write what is new: commands, cases, log lines, the next due date."""
        names = tuple(keys)
        return self._until_first(lambda: self._advance(names, now))

    def _go_on(self, key: Key, now: int) -> Subject | None:
        """Advance a data subject whom another worker may have seen off meanwhile: then there is nothing left to do."""
        try:
            return self.advance((key,), now)
        except NotFound:
            if not self.store.shared:
                raise
            return None

    def _advance(self, keys: tuple[Key, ...], now: int) -> Subject:
        facts = self.store.facts(keys)
        if not facts.identifiers:
            msg = "there is no such data subject"
            raise NotFound(msg)
        controller = facts.identifiers[0].controller
        # Another worker may have got an answer that came after the one this is about: a state is never written from before it.
        now = max([now, *(line.at for line in facts.entries if line.kind in _BY_OUR_CLOCK)])
        subject = self.folds.state(facts, controller, now)
        shared = self._shared_devices(facts) if subject.erased_at is not None else frozenset()
        clocks = self.intake.reactions.clocks(facts.observations, now)
        found: Effects = effects(subject, facts, now, self._successors.next_key, shared, forgets=self._forgets, clocks=clocks)
        batch = found.batch
        batch.seen = dict(facts.version)
        self._known.update({i.key: found.watched for i in facts.identifiers})
        if found.forget:
            self.forget_values()
            self.folds.forget(facts.keys[0])
            for key in facts.keys:
                self._known.pop(key, None)
        self._write(batch)
        return subject

    def forget_values(self) -> None:
        """Drop what is kept in memory under persons' values: somebody was erased, or may have been by another worker."""
        self.intake.forget()
        self.keys.clear()
        self._states.clear()

    def _shared_devices(self, facts: Facts) -> frozenset[Key]:
        """Give the devices that another data subject uses too: what is theirs stays when this one is erased."""
        own = set(facts.keys)
        devices = [i.key for i in facts.identifiers if i.kind == "cookie"]
        return frozenset(d for d in devices if any(link.a not in own for link in self.store.facts((d,)).links))

    def deploy(self, policy: Policy, now: int) -> None:
        """Put a policy into force: its gaps are warned of from the first day, what was folded is folded anew."""
        self.policies = self._successors.policies = self.folds.policies = {**self.policies, policy.id: policy}
        self.intake.govern(self.policies)
        self.folds.clear()
        lines = []
        for guard in policy.guards:
            if guard.warns:
                ids = (guard.id, *guard.cites, *policy.cited_with_of(guard.id))
                body = orjson.dumps({"about": "gap in the policy", "reasons": ids}).decode()
                lines.append(AuditRow(f"gap-{policy.id}-{policy.version}-{guard.id}", now, policy.id, "warned", body))
        self.store.write(Batch(audit=lines))

    def tick(self, now: int, limit: int = 1000, *, go_on: Callable[[], bool] = lambda: True) -> int:
        """Carry out what is due at `now`; repeated, it changes nothing more. Return how many data subjects were looked at.

        It stops where `go_on` says no, so that much that is due at once can be done in slices.
        """
        looked = 0
        before: Sequence[Key] = ()
        while go_on() and (due := self.store.due(now, limit)) and due != before:
            before = due  # What is due again after it was looked at is left to the next time: nothing may go on for ever.
            for key in due:
                if not go_on():
                    break
                for bearer in self._bearers(key):
                    self._go_on(bearer, now)
                    if bearer != key:
                        self.store.write(Batch(due_exact={key: None}))
                looked += 1
        return looked
