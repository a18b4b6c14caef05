"""Play a scenario on a virtual clock through the same code as production, and look at its rows day by day.

What arrives is a scenario; real events are made of it, encoded with the real schemas, ingested by the real pipeline
into a store, and commands are delivered to targets that answer as the scenario says. What leaves is a result per row.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

import schemas
from lineage import policy_file
from lineage.deployment import Deployment, deployment
from lineage.errors import BadCall
from lineage.guards import Answer, Question
from lineage.identity import KeyRing
from lineage.intake import Received
from lineage.kinds import default_categories
from lineage.pipeline import Pipeline
from lineage.policy import Policy
from lineage.rights import Request
from lineage.scenario import Row, Scenario, Step
from lineage.store import Batch, GraphStore
from lineage.subject import Subject

_REQUEST_FIELDS = ("via", "channel", "ground", "by")
ONE = dt.timedelta(days=1)
_STEP_NAMES = {"origin": "source"}
"""Fields that an event calls otherwise than a step does."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A command as a target got it."""

    day: dt.date
    base: str
    target: str
    kind: str
    categories: frozenset[str]
    notice: bool
    controller: str
    key: int
    reasons: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Result:
    """Whether a row holds, and what was found where it does not."""

    scenario: str
    row: Row
    passed: bool
    found: str


@dataclass(slots=True)
class Played:
    """What the checks need to know of the steps that have been played."""

    at: dict[str, int] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    cases: dict[str, str] = field(default_factory=dict)
    loads: dict[str, Deployment] = field(default_factory=dict)
    unchanged: dict[str, bool] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    anonymous: dict[str, int] = field(default_factory=dict)
    """Steps whose event names no person: the key of the device that it hangs on."""
    meant: dict[int, int] = field(default_factory=dict)
    """Rows, and the key of the data subject whom their name meant on their first day."""
    other_use: dict[tuple[int, str], bool] = field(default_factory=dict)


class Rehearsal:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario, store: GraphStore, root: Path = policy_file.POLICIES) -> None:
        """Prepare the policies with the scenario's settings, and secrets that are the same at each run."""
        self.scenario, self.store, self._root = scenario, store, root
        self.policies = {c: policy_file.load(c, scenario.settings.get(c), root) for c in scenario.controllers}
        rng = random.Random(scenario.id)  # noqa: S311 - a rehearsal protects nobody's data
        keys = KeyRing({c: hashlib.sha256(c.encode()).digest() for c in self.policies}, hashlib.sha256(b"kek").digest())
        self.pipeline = Pipeline(store, self.policies, keys, rng.randbytes, forgets=False)
        self.played = Played()
        self.offset = 0
        self.clock = 0
        self._log: list[bytes] = []

    @property
    def zone(self) -> Any:  # noqa: ANN401
        """Give the time zone of the first controller."""
        return next(iter(self.policies.values())).zone

    def run(self, check: Callable[[Rehearsal, Row, dt.date], str | None]) -> list[Result]:
        """Play all days, and check each row on those that it speaks of; `check` says what is wrong, None if nothing is."""
        wrong: dict[int, str] = {}
        todo: dict[dt.date, list[Row]] = {}
        for row in self.scenario.rows:
            for day in {row.at, *((row.until, row.until + ONE) if row.until else ()), *filter(None, (row.acknowledged,))}:
                todo.setdefault(day, []).append(row)
        steps = list(self.scenario.steps)
        day = min([*todo, *(s.at.date() for s in steps)])
        last = max([*todo, *(s.at.date() for s in steps)])
        for policy in self.policies.values():
            self.pipeline.deploy(policy, self.zone.midnight(day))
        while day <= last:
            self._begin(day)
            while steps and steps[0].at.date() == day:
                self._play(steps.pop(0))
            self.clock = max(self.clock + 1, self.zone.midnight(day + ONE) - 60)
            for row in todo.pop(day, ()):
                problem = check(self, row, day)
                if problem and row.number not in wrong:
                    wrong[row.number] = f"{day}: {problem}"
            day = self._next(day, [*todo, *(s.at.date() for s in steps)])
        return [Result(self.scenario.id, r, r.number not in wrong, wrong.get(r.number, "as expected")) for r in self.scenario.rows]

    def _next(self, day: dt.date, wanted: list[dt.date]) -> dt.date:
        due = self.store.next_due()
        days = [d for d in wanted if d > day]
        if due is not None:
            days.append(max(day + ONE, self.zone.day(due)))
        return min(days, default=dt.date.max)

    def _begin(self, day: dt.date) -> None:
        self.clock = max(self.clock + 1, self.zone.midnight(day))
        self.pipeline.tick(self.clock)
        self._deliver()

    def _play(self, step: Step) -> None:
        wanted = self.zone.at(step.at) + (1 if step.whole_day else 0)
        self.clock = max(self.clock + 1, wanted)
        self.played.at[step.name] = self.clock
        before = self._mark(step.controller)
        getattr(self, f"_{step.kind}")(step)
        self.played.unchanged[step.name] = before == self._mark(step.controller)
        self._deliver()

    def _mark(self, controller: str) -> tuple[object, ...]:
        commands = self.store.commands(None, None, 1 << 40, 10_000)
        cases = [(c.id, c.state) for c in self.store.cases(controller)]
        return self.store.digest(controller), cases, [(c.id, c.state, c.attempts) for c in commands]

    # -- steps -------------------------------------------------------------------------------------------------

    def _event(self, step: Step) -> None:
        value = self.event_bytes(step)
        self._log.append(value)
        tagged = self.pipeline.tag(value)
        if tagged.identifiers and all(kind == "cookie" for kind, _ in tagged.identifiers):
            self.played.anonymous[step.name] = self.pipeline.keys.key(step.controller, *tagged.identifiers[0])[0]
        for _ in range(int(step.fields.get("copies", 1))):
            self._ingest([value])

    def _ingest(self, values: list[bytes]) -> None:
        records = [Received("journal", 0, self.offset + n, v) for n, v in enumerate(values)]
        self.offset += len(values)
        self.pipeline.ingest(records, self.clock)
        self.pipeline.tick(self.clock)

    def identifiers(self, person: str) -> dict[str, str]:
        """Give a person's identifiers; those that the scenario does not name are made up."""
        given = {k: str(v) for k, v in self.scenario.people[person].items() if k in ("email", "phone", "customer_number")}
        return {
            "email": f"{person}@{self.scenario.id.lower()}.example",
            "customer_number": f"C-{self.scenario.id}-{person}",
            **given,
        }

    def event_bytes(self, step: Step) -> bytes:
        """Make the event of a step and encode it as a service would."""
        spec = schemas.registry().types[step.what]
        policy = self.policies[step.controller]
        fields = dict(step.fields)
        network, channel = fields.get("network"), fields.get("channel")
        carried = fields.get("categories")
        categories = list(default_categories(policy, step.what, channel, network) if carried is None else carried)
        categories = [c for c in categories if c not in (fields.get("without") or ())] + list(fields.get("with") or ())
        event: dict[str, Any] = {"id": f"{self.scenario.id}-{step.number}", "source": "scenario", "type": step.what,
                                 "controller": step.controller}  # fmt: skip
        occurred = fields.get("occurred")
        seconds = self.clock if occurred is None else self.zone.midnight(_date(occurred)) + 1 + step.number
        event["time"] = seconds * 1000
        anonymous = step.what == "cookie.page_viewed" and not fields.get("logged_in")
        event["person"] = {} if anonymous else self.identifiers(step.person)
        terms = [self._term(policy, c) for c in categories]
        for name in spec.refs:
            if fields.get(name) is not None:
                event[name] = str(fields[name])
        for name, sort in spec.fields.items():
            if sort == "terms":
                event[name] = [t for t in terms if t in schemas.registry().terms]
            elif fields.get(_STEP_NAMES.get(name, name)) is not None:
                event[name] = self._field(sort, fields[_STEP_NAMES.get(name, name)])
        if "terms" not in spec.fields.values():
            event["data"] = {t: _value(t) for t in terms if t in spec.data}
            others = {t: _value(t) for t in terms if t not in spec.data}
            if others:
                event["data"]["others"] = others
        return schemas.registry().encode_json(event)

    def _field(self, sort: str, value: Any) -> Any:  # noqa: ANN401
        if sort in ("int", "boolean"):
            return value
        if sort == "list":
            return [str(v) for v in (value if isinstance(value, list) else [value])]
        if sort == "reference":
            named = next((s for s in self.scenario.steps if s.name == str(value)), None)
            refs = named.fields if named else {}
            return str(refs.get("matter") or refs.get("order") or value)
        return value.isoformat() if isinstance(value, dt.date) else str(value)

    @staticmethod
    def _term(policy: Policy, category: str) -> str:
        known = policy.categories.get(category)
        return known.term if known is not None else category

    def _request(self, step: Step) -> None:
        f = step.fields
        case = f"{self.scenario.id}-{step.name}"
        self.played.cases[step.name] = case
        more: dict[str, Any] = {k: str(f[k]) for k in _REQUEST_FIELDS if f.get(k) is not None}
        request = Request(
            case, self.clock, step.what, scope=_names(f.get("scope")), of=_names(f.get("of")),
            correct=_names(f.get("correct")), remove=_names(f.get("remove")), contested=bool(f.get("contested")),
            proven=f.get("identity", "proven") == "proven", **more,
        )  # fmt: skip
        self.pipeline.request(step.controller, self.bearer(step.person), request)

    def bearer(self, person: str) -> tuple[str, str]:
        """Give the identifier that names a person: the customer number, which no two persons share."""
        return "customer_number", self.identifiers(person)["customer_number"]

    def _decide(self, step: Step) -> None:
        about = str(step.fields.get("about"))
        if about not in self.played.cases:
            msg = f"there is no request {about!r} before step {step.number} to decide about"
            raise BadCall(msg)
        self.pipeline.decide(self.played.cases[about], step.what, self.clock)

    def _ask(self, step: Step) -> None:
        f = {k: v for k, v in step.fields.items() if k != "via"}
        asked: dict[str, Any] = {k: _names(v) if k == "categories" else v for k, v in f.items()}
        question = Question(step.what, **asked)
        answer = self.pipeline.ask(step.controller, self.bearer(step.person), question, self.clock)
        self.pipeline.answers.flush()
        self.played.answers[step.name] = answer

    def _receipt(self, step: Step) -> None:
        about = str(step.fields.get("about", ""))
        case = self.played.cases.get(about)
        told = {d.base: self.store.command(d.base) for d in self.played.deliveries if d.target == step.fields["from"]}
        asked = [row for row in told.values() if row is not None and case in (None, row.case)]
        for row in [row for row in asked if row.state == "pending"] or asked[:1]:
            self.pipeline.receipt(row.id, step.what, self.clock)

    def _load(self, step: Step) -> None:
        policy = self.policies[step.controller]
        without = {str(x) for x in step.fields.get("without") or ()}
        settings = {k: v for k, v in policy.settings.items() if k not in without}
        changed = policy_file.load(step.controller, settings, self._root)
        found = deployment(changed, step.fields.get("changes") or (), step.fields.get("version"), self.clock)
        self.played.loads[step.name] = found
        if found.lines:
            self.store.write(Batch(audit=list(found.lines)))

    def _replay(self, step: Step) -> None:
        values = self._log * int(step.fields.get("copies", 1))
        if step.fields.get("shuffled"):
            random.Random(self.scenario.id).shuffle(values)  # noqa: S311
        self._ingest(values)

    def _tick(self, _step: Step) -> None:
        self.pipeline.tick(self.clock)

    # -- targets -----------------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        day = self.zone.day(self.clock)
        while rows := self.store.commands(None, None, self.clock, 1000):
            for row in rows:
                body = orjson.loads(row.body)
                reasons = {c: tuple(r) for c, r in body["reasons"].items()}
                self.played.deliveries.append(Delivery(day, body["base"], row.target, row.kind, frozenset(reasons),
                                                       body["notice"], row.controller, row.key, reasons))  # fmt: skip
                answers = self.scenario.downstream.get(row.target)
                late = self.zone.midnight(day + ONE)
                self.store.write(Batch(command_states={row.id: ("pending", late, row.attempts + 1)}))
                if answers is None or (isinstance(answers, dt.date) and day >= answers):
                    self.clock += 1
                    self.pipeline.receipt(row.id, "erased", self.clock)
            self.pipeline.tick(self.clock)

    # -- what the checks look at -------------------------------------------------------------------------------

    def meant(self, controller: str, person: str) -> int:
        """Give the key of the data subject whom a name means now."""
        return self.pipeline.current(controller, *self.bearer(person))

    def lives(self, controller: str, person: str) -> Iterator[tuple[int, Subject]]:
        """Give all data subjects whom the name has meant, one after each erasure, the latest first: keys and states."""
        return self._bearers(controller, self.bearer(person))

    def taken_over(self, controller: str, person: str) -> bool:
        """Tell whether one of the person's identifiers was somebody's who was erased: of that one, nothing is left for the next."""
        keys = {self.pipeline.keys.key(controller, *i)[0] for i in self.identifiers(person).items()}
        return bool(self.store.tombstones(keys))

    def sharing(self, controller: str, person: str) -> Iterator[tuple[int, Subject]]:
        """Give all data subjects who bear, or bore, one of a person's identifiers: an event may have been about any of them."""
        for identifier in self.identifiers(person).items():
            yield from self._bearers(controller, identifier)

    def _bearers(self, controller: str, identifier: tuple[str, str]) -> Iterator[tuple[int, Subject]]:
        keys = [self.pipeline.keys.key(controller, *identifier)[0]]
        while self.store.tombstones((keys[-1],)):
            keys.append(self.pipeline.keys.successor(controller, *identifier, len(keys))[0])
        for key in reversed(keys):
            if key in self.store.known((key,)):
                yield key, self.pipeline.look((key,), controller, self.clock)


def _names(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    if value is None:
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(v) for v in value)


def _date(value: Any) -> dt.date:  # noqa: ANN401
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])


def _value(term: str) -> str:
    return f"some {term.replace('_', ' ')}"
