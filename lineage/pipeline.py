"""Join the steps: bytes become facts in one transaction, what they set off is folded, decided and sent after it.

Everything that happens to a data subject goes through `advance`: load its facts, fold them, write what is new (commands,
cases, log lines, the next due date). It can be repeated at any time with the same result, so a crash between the facts
and what follows from them costs a repetition, never a loss: the due date that the facts were written with asks for it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import orjson

import schemas
from lineage import fold
from lineage.answers import Answers, States
from lineage.effects import Effects, effects
from lineage.errors import BadCall, BadEvent, Conflict, NotFound, Undecodable
from lineage.facts import Rows, Shapes, Writer, seal_row
from lineage.guards import Answer, Question, ask
from lineage.identity import KeyRing
from lineage.policy import Policy
from lineage.projection import reader
from lineage.reactions import Reactions
from lineage.rights import Request
from lineage.store import AuditRow, Batch, DeadLetter, Facts, GraphStore, Key, Link, Position, Tombstone
from lineage.store import Entry as EntryRow
from lineage.subject import Subject
from lineage.successors import Successors
from lineage.tagging import Tagged
from lineage.timeline import entries, write_entry

DAY = 86_400
OUTCOMES = ("erased", "retained", "no_data", "unsupported", "refused", "failed")
"""What a target may answer to an erasure; whatever it answers, "complete" is not among it."""
_SUBJECTS_MAX = 512
_LINKS_MAX = 200_000
_NO_POLICY = "the event names a controller that has no policy here"
_NEVER = 1 << 62
_LATER = Link(0, 0, "", 0, _NEVER)
_BY_OUR_CLOCK = frozenset({"request", "decision", "receipt"})
_CONFLICTS_MAX = 20
"""So often something is worked out again because another worker was faster; then the feed waits a little."""
T = TypeVar("T")


class Received(NamedTuple):
    """A record as it came: where it lay, and its bytes in the wire format."""

    topic: str
    partition: int
    offset: int
    value: bytes


@dataclass(slots=True)
class Taken:
    """What became of a batch."""

    events: int = 0
    dead: int = 0
    rows: int = 0
    edges: int = 0
    dropped: int = 0
    touched: set[Key] = field(default_factory=set)


class Pipeline:
    """The engine over one store. Not for concurrent use: one writer, as a partition has one consumer."""

    def __init__(self, store: GraphStore, policies: Mapping[str, Policy], keys: KeyRing, random: Callable[[int], bytes],
                 *, forgets: bool = True) -> None:  # fmt: skip
        """Take everything from outside: the store, the policies, the secrets, the source of randomness.

        `forgets` False keeps the facts of persons whose erasure is through: for tests of a policy only.
        """
        self._forgets = forgets
        self.store, self.policies, self.keys, self._random = store, policies, keys, random
        self.shapes = Shapes(store.shapes(), shared=store.shared)
        self.writer = Writer(keys, policies, self.shapes)
        self.reactions = Reactions(policies, self.shapes)
        countries = {c: p.jurisdiction for c, p in policies.items()}
        keys.at_home(countries)
        self._reader = reader(tuple(sorted(countries.items())))
        self._known: dict[Key, bool] = {}
        self._successors = Successors(store, policies, keys, self.writer, self._known)
        self._linked: dict[tuple[Key, Key, str, int], int] = {}
        self._subjects: dict[Key, tuple[Subject, list[fold.Entry]]] = {}
        self.answers, self._states = Answers(store), States(store)

    # -- events ------------------------------------------------------------------------------------------------

    def tag(self, value: bytes) -> Tagged:
        """Decode and tag the bytes of an event; raise `Undecodable`."""
        return self._reader.read(value)

    def ingest(self, records: Sequence[Received], now: int, tags: Sequence[Tagged | BadEvent] | None = None) -> Taken:
        """Write the facts of a batch with its positions in one transaction; then carry out what they set off.

        `tags` are the records' tags, or why they have none, where an agent has worked them out already.
        """
        taken = self._until_first(lambda: self._ingest(records, now, tags))
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

    def _ingest(self, records: Sequence[Received], now: int, tags: Sequence[Tagged | BadEvent] | None) -> Taken:
        taken = Taken()
        batch = Batch()
        pending: list[tuple[Tagged, Rows, Received]] = []
        for n, record in enumerate(records):
            try:
                tagged = self.tag(record.value) if tags is None else _tagged(tags[n])
                if tagged.controller not in self.policies:
                    raise Undecodable(_NO_POLICY)
                rows = self.writer.rows(tagged, record.partition << 40 | record.offset)
            except BadEvent as error:
                batch.dead_letters.append(self.dead_letter(record, str(error), now))
                taken.dead += 1
                continue
            pending.append((tagged, rows, record))
        try:
            self._facts(batch, pending, taken, now)
        except BaseException:
            self._unlearn(batch)
            raise
        batch.positions = _positions(records)
        taken.rows = self._write(batch)
        self._remember_links(batch.links)
        taken.events = len(records)
        return taken

    def _bearers(self, key: Key) -> tuple[Key, ...]:
        """Give the data subjects of a key: its own, or those who use the device that it is."""
        facts = self.store.facts((key,))
        if any(i.kind != "cookie" for i in facts.identifiers):
            return facts.keys[:1]
        persons = [self.store.facts((link.a,)).keys[:1] for link in facts.links if link.a != key]
        return tuple(dict.fromkeys(k for found in persons for k in found)) or (key,)

    def dead_letter(self, record: Received, reason: str, now: int) -> DeadLetter:
        """Describe an event that cannot become facts, without showing anything of it."""
        schema_id = (
            int.from_bytes(record.value[1:5], "big")
            if record.value[:1] == b"\0" and len(record.value) >= schemas.HEADER.size
            else 0
        )
        sealed = self.keys.seal_payload(record.value, self._random)
        return DeadLetter(record.topic, record.partition, record.offset, schema_id, reason, now, sealed)

    def _facts(self, batch: Batch, pending: list[tuple[Tagged, Rows, Received]], taken: Taken, now: int) -> None:
        if self.store.shared:
            self._known.clear()  # Others write too: what was known is asked for again.
        keys = {k for _, rows, _ in pending for k in rows.keys}
        fresh = {k for k in keys if self._known.get(k, True)}
        stones: Mapping[Key, Tombstone] = {}
        if fresh:
            stones = self._successors.tombstones(fresh, batch)
            for key, (_, watched) in self.store.known(fresh).items():
                self._known[key] = watched
        links: dict[tuple[Key, Key, str, int], Link] = {}
        written = self._linked
        for tagged, plain, record in pending:
            rows = plain
            if stones and any(k in stones for k in rows.keys):
                rows, erased = self._successors.route(tagged, rows, stones, batch, record.partition << 40 | record.offset)
                taken.touched |= erased
            if not rows.keys or not self.reactions.relevant(tagged):
                taken.dropped += 1
                # One that came too late for an erased person is no bad event: nothing of it is kept, not even sealed.
                if not plain.keys and self.reactions.relevant(tagged):
                    batch.dead_letters.append(self.dead_letter(record, "the event carries data but no identifier", now))
                    taken.dead += 1
                continue
            for row in rows.identifiers:
                if row[0] not in self._known:
                    self._known[row[0]] = False
                    batch.identifiers.append(seal_row(self.keys, tagged.controller, row, self._random))
            batch.observations += rows.observations
            for link in rows.links:
                # The earliest of each: the graph must not depend on how events were split into batches.
                name = link[:4]
                if link.at < links.get(name, _LATER).at and link.at < written.get(name, _NEVER):
                    links[name] = link
            self._mark(batch, tagged, rows, taken)
            if tagged.found:
                batch.audit.append(_drift(tagged, now, self.policies[tagged.controller]))
        batch.links += links.values()
        if self.store.shared:
            touched = {o.key for o in batch.observations} | {key for link in batch.links for key in link[:2]}
            batch.known = touched - {i.key for i in batch.identifiers}

    def _remember_links(self, links: list[Link]) -> None:
        """Keep the links that are written, so that the same is not written with every event; a bound keeps it small."""
        if len(self._linked) > _LINKS_MAX:
            self._linked.clear()
        for link in links:
            self._linked[link[:4]] = link.at

    def _write(self, batch: Batch) -> int:
        """Write a batch with the shapes that are new; where that fails, what is known is again what the store knows."""
        batch.shapes = self.shapes.take_fresh()
        try:
            touched = self.store.write(batch)
            if batch.shapes and batch.positions and not touched:
                # It was written before, by another worker, and nothing of it was written now: but these shapes will be used.
                self.store.write(Batch(shapes=batch.shapes))
        except BaseException:
            self.shapes.fresh = [*batch.shapes, *self.shapes.fresh]
            self._unlearn(batch)
            raise
        return touched

    def _unlearn(self, batch: Batch) -> None:
        """Forget what was learnt of the identifiers of a batch that was not written: the store is asked anew."""
        for key in {i.key for i in batch.identifiers} | batch.watched.keys():
            self._known.pop(key, None)

    def _mark(self, batch: Batch, tagged: Tagged, rows: Rows, taken: Taken) -> None:
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
        self._add_entries(row.key, [entry])
        return self._go_on(row.key, now) or Subject(self.policies[row.controller])

    def _add_entries(self, key: Key, lines: list[EntryRow]) -> bool:
        """Tell a data subject's story on, and have it looked at; False if the graph has forgotten whose story it is."""

        def add() -> bool:
            seen = self._seen(key)
            if not self.store.known((key,)):
                return False
            self.store.write(Batch(entries=lines, due={key: 0}, seen=seen))
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
        entry = fold.Receipt(now, outcome, row.case, row.target, row.kind, activity, row.issued)
        lines = [write_entry(row.key, f"{command}-{outcome}-{row.attempts}", entry)]
        if data is not None and row.kind == "export":
            sealed = self.keys.seal_payload(orjson.dumps({"target": row.target, "data": data}), self._random)
            lines.append(EntryRow(row.key, f"{command}-export", now, "export", b64encode(sealed).decode()))
        if not self._add_entries(row.key, lines):
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
            subject = subject or self._fold(facts.keys, self._told(facts), controller, now)
            self._states.keep(name, stamp, key, facts, subject)
            found = key, subject
        key, subject = found
        answer = ask(subject, question)
        if log:
            extra = tuple(g.id for g in subject.policy.guards if g.on == "log")
            self.answers.add(key, controller, question, answer, extra, now)
        return answer

    # -- the fold ----------------------------------------------------------------------------------------------

    def look(self, keys: Iterable[Key], controller: str, now: int) -> Subject:
        """Fold a data subject up to `now` without writing anything: the state as it is, or as it would be."""
        facts = self.store.facts(keys)
        return self._fold(facts.keys, self._told(facts), controller, now)

    def _told(self, facts: Facts) -> list[fold.Entry]:
        """Read the facts as a story; shapes that another worker has written are asked for."""
        if self.store.shared and any(row.shape not in self.shapes.by_id for row in facts.observations):
            self.shapes.learn(self.store.shapes())
        return entries(facts, self.shapes.by_id, self.shapes.bodies)

    def _fold(self, keys: tuple[Key, ...], told: list[fold.Entry], controller: str, now: int) -> Subject:
        name = keys[0] if keys else 0
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
        told = self._told(facts)
        subject = self._fold(facts.keys, told, controller, now)
        shared = self._shared_devices(facts) if subject.erased_at is not None else frozenset()
        found: Effects = effects(subject, facts, now, self._successors.next_key, shared, forgets=self._forgets)
        batch = found.batch
        batch.seen = dict(facts.version)
        self._known.update({i.key: found.watched for i in facts.identifiers})
        if found.forget:
            self._linked.clear()
            self.writer.forget()
            self.keys.clear()
            self._subjects.pop(facts.keys[0], None)
            self._states.clear()
            for key in facts.keys:
                self._known.pop(key, None)
        self._write(batch)
        return subject

    def _shared_devices(self, facts: Facts) -> frozenset[Key]:
        """Give the devices that another data subject uses too: what is theirs stays when this one is erased."""
        own = set(facts.keys)
        devices = [i.key for i in facts.identifiers if i.kind == "cookie"]
        return frozenset(d for d in devices if any(link.a not in own for link in self.store.facts((d,)).links))

    def deploy(self, policy: Policy, now: int) -> None:
        """Put a policy into force: its gaps are warned of from the first day, what was folded is folded anew."""
        self.policies = self._successors.policies = {**self.policies, policy.id: policy}
        self.reactions = Reactions(self.policies, self.shapes)
        self._subjects.clear()
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
        while go_on() and (due := self.store.due(now, limit)):
            for key in due:
                if not go_on():
                    break
                for bearer in self._bearers(key):
                    self._go_on(bearer, now)
                    if bearer != key:
                        self.store.write(Batch(due_exact={key: None}))
                looked += 1
        return looked


def _tagged(found: Tagged | BadEvent) -> Tagged:
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
