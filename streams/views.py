"""Answer those who ask the graph: what is held of a person, what a request would do, who is touched by a breach.

What arrives is the pipeline and a question; what leaves are values that the command line, the API and the picture show
alike. Nothing is written: `plan` folds a copy of the person's state.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

import schemas
from lineage import fold
from lineage.clocks import Keeping, keeping_of, keepings, retention_end
from lineage.ending import target_ids, why
from lineage.errors import BadCall, NotFound
from lineage.pipeline import Pipeline
from lineage.policy import Policy
from lineage.rights import ARTICLE, Request
from lineage.store import Key
from lineage.subject import Command, Item, Subject, Use
from lineage.timeline import entries

DRY_RUN = "dry-run"
_BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Holding:
    """What a target holds for an activity: one category; days are those of the controller's clock."""

    target: str
    kind: str
    activity: str
    category: str
    since: dt.date
    until: dt.date | None
    use: str
    why: tuple[str, ...]
    tags: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lineage:
    """All that is held of a person on a day; `identifiers` are the kinds that the person is known by."""

    controller: str
    day: dt.date
    identifiers: tuple[str, ...]
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """What would be done about categories at a target, and why; `until` where it is kept."""

    target: str
    activity: str
    decision: str
    categories: tuple[str, ...]
    until: dt.date | None
    because: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request would do; `state` is that of the case right after it."""

    controller: str
    right: str
    day: dt.date
    state: str
    because: tuple[str, ...]
    decisions: tuple[Decided, ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """A person touched by a breach at a recipient; `person` is the graph's key, `known_by` the values if asked for."""

    person: str
    categories: tuple[str, ...]
    since: dt.date
    known_by: dict[str, str] = field(default_factory=dict)


def lineage_of(pipeline: Pipeline, controller: str, identifier: tuple[str, str], now: int) -> Lineage:
    """Tell what is held of a person; of one that nobody knows, nothing. Raise `NotFound` for an unknown controller."""
    key = pipeline.current(controller, *identifier)
    facts = pipeline.store.facts((key,))
    kinds = tuple(k for k in schemas.IDENTIFIER_KINDS if any(i.kind == k for i in facts.identifiers))
    if not facts.identifiers:
        return Lineage(controller, pipeline.policies[controller].zone.day(now), (), ())
    s = pipeline.look((key,), controller, now)
    return Lineage(controller, s.today, kinds, holdings(s))


def holdings(s: Subject) -> tuple[Holding, ...]:
    """Give the rows of a state, one for each target, activity and category."""
    active = {right: keepings(s, right, s.today) for right in ("erasure", "retention")}
    groups: dict[tuple[str, str, str], list[Item]] = {}
    for item in s.items.values():
        groups.setdefault((item.target, item.activity, item.category), []).append(item)
    found = []
    for (target, activity, category), items in groups.items():
        ends = [_end(s, i, active["erasure" if s.erased_at is not None else "retention"]) for i in items]
        reasons = dict.fromkeys(r for i in items for r in (*i.why, *why(s, i)))
        goes_to = sorted({i.target for i in s.items.values() if i.target in s.policy.recipients
                          and (i.activity, i.category) == (activity, category)})  # fmt: skip
        found.append(
            Holding(
                target, kind_of(s.policy, target), activity, category, s.policy.zone.day(min(i.first for i in items)),
                None if None in ends else max(e for e in ends if e is not None), _use(items), tuple(reasons),
                tuple(sorted({t for i in items for t in i.tags})), () if target in s.policy.recipients else tuple(goes_to),
            ),
        )  # fmt: skip
    order = {t: n for n, t in enumerate((*s.policy.systems, *s.policy.recipients))}
    return tuple(sorted(found, key=lambda h: (order.get(h.target, len(order)), h.activity, h.category)))


def _use(items: Iterable[Item]) -> str:
    uses = {i.use for i in items}
    return next(u for u in (Use.ORDINARY, Use.KEPT, Use.ENDING) if u in uses).value


def _end(s: Subject, item: Item, active: list[Keeping]) -> dt.date | None:
    """Give the last day of an item as far as it is known today."""
    kept = keeping_of(s, item, active, s.today)
    if item.use is Use.KEPT:
        return kept.until if kept is not None else None
    last, _ = retention_end(s, item)
    if last is None or kept is None:
        return last
    return None if kept.until is None else max(last, kept.until)


def kind_of(policy: Policy, target: str) -> str:
    """Say what a target is: system, or the role of a recipient."""
    if target in policy.systems:
        return "system"
    recipient = policy.recipients.get(target)
    return recipient.role.value if recipient is not None else "unlisted"


def plan(
    pipeline: Pipeline, controller: str, identifier: tuple[str, str], right: str, at: int, *, via: str = "",
    scope: tuple[str, ...] = (), of: tuple[str, ...] = (), channel: str | None = None, ground: str | None = None,
) -> Plan:  # fmt: skip
    """Tell what a request at the second `at` would do, without doing it."""
    if right not in ARTICLE:
        msg = f"{right!r} is no right: {', '.join(ARTICLE)}"
        raise BadCall(msg)
    key = pipeline.current(controller, *identifier)
    facts = pipeline.store.facts((key,))
    policy = pipeline.policies[controller]
    s = Subject(policy, str(key))
    for entry in entries(facts, pipeline.shapes.by_id, pipeline.shapes.bodies):
        if entry.at <= at:
            fold.apply(s, entry)
    fold.run_until(s, policy.zone.day(at))
    before = {i.key: (i.use, i.why) for i in s.items.values()}
    fold.apply(s, Request(DRY_RUN, max(at, s.now), right, via, scope, of, channel, ground=ground))
    because = s.cases[DRY_RUN].declined or s.cases[DRY_RUN].reasons
    return Plan(controller, right, s.today, _plan_state(s), because, tuple(_decided(s, before)))


def _plan_state(s: Subject) -> str:
    if s.cases[DRY_RUN].declined:
        return "declined"
    return "open" if fold.pending_because(s, DRY_RUN) else "closed"


def _decided(s: Subject, before: dict[tuple[str, str, str, str], tuple[Use, tuple[str, ...]]]) -> list[Decided]:
    found = [d for c in s.commands.values() if c.case == DRY_RUN for d in _of_command(s, c)]
    active = keepings(s, "erasure", s.today)
    kept: dict[tuple[str, str, dt.date | None], dict[str, tuple[str, ...]]] = {}
    for item in s.items.values():
        if item.use is Use.KEPT and before.get(item.key, (None,))[0] is not Use.KEPT:
            keeping = keeping_of(s, item, active, s.today)
            until = keeping.until if keeping else None
            kept.setdefault((item.target, item.activity, until), {})[item.category] = keeping.reasons if keeping else item.why
    for (target, activity, until), why_kept in kept.items():
        because = _short(i for ids in why_kept.values() for i in ids)
        found.append(_say(target, activity, "retain", list(why_kept), until, because))
    case = s.cases[DRY_RUN]
    asked = {d.target for d in found if d.decision == "export"}
    sources: dict[str, list[str]] = {}
    for category, places in case.answer.items():
        for place in places - asked:
            sources.setdefault(place, []).append(category)
    found += [_say(place, "", "answer", names, None, _short(case.reasons)) for place, names in sorted(sources.items())]
    for category, reasons in sorted(case.omitted.items()):
        found.append(_say("", "", "leave out", [category], None, _short(reasons)))
    for cover in (r for r in s.restrictions if r.case == DRY_RUN):
        names = sorted(cover.categories or ())
        found.append(_say("", ", ".join(sorted(cover.activities or ())), "restrict", names, None, _short(cover.reasons)))
    for entry in (d for d in s.do_not_use if d.case == DRY_RUN):
        about = entry.activity or entry.channel or entry.scope or ""
        found.append(_say(entry.target or "", about, "suppress", list(entry.categories), entry.until, _short(entry.reasons)))
    return found


def _of_command(s: Subject, command: Command) -> list[Decided]:
    kind = "notify" if command.notice and command.kind == "erase" else command.kind.replace("_", " ")
    reasons = (i for ids in command.why.values() for i in ids)
    because = _short((*reasons, *target_ids(s, command.target)))
    return [_say(command.target, command.activity.strip("-"), kind, list(command.why), None, because)]


def _short(reasons: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r for r in reasons if r))


def _say(
    target: str, activity: str, decision: str, categories: list[str], until: dt.date | None, because: tuple[str, ...],
) -> Decided:  # fmt: skip
    names = tuple(sorted(dict.fromkeys(categories)))
    what = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names).replace("_", " ") or "everything"
    who = (target or activity or "it").replace("_", " ")
    end = f"through {until.isoformat()}" if until else "until a day that is not known yet"
    words = {
        "erase": f"{who} must erase {what}",
        "notify": f"{who} is asked to erase {what}",
        "expire cookie": f"the cookie on the device expires, {what} with it",
        "retain": f"{who} keeps {what} for that hold only, {end}",
        "correct": f"{who} must correct {what}",
        "restrict": f"{what} may be stored only",
        "resume": f"{who} may use {what} again",
        "stop": f"{who} must stop using {what}",
        "export": f"{who} is asked for {what}",
        "answer": f"the answer has {what} from {who}",
        "leave out": f"the answer leaves out {what}",
        "suppress": f"nobody is to use the data for {(activity or 'anything').replace('_', ' ')}",
    }
    return Decided(target, activity, decision, names, until, because, words.get(decision, f"{who}: {decision} {what}"))


def register(policy: Policy) -> list[dict[str, object]]:
    """Give the record of processing activities (GDPR art. 30(1)), a row for each activity."""
    rows: list[dict[str, object]] = []
    for activity in policy.activities.values():
        recipients = [policy.recipients[r] for r in activity.recipients if r in policy.recipients]
        rows.append(
            {
                "id": activity.id,
                "activity": activity.name,
                "basis": [g.kind.value for g in activity.basis],
                "categories": list(activity.categories),
                "systems": list(activity.systems),
                "recipients": [
                    {"name": r.name, "role": r.role.value, "location": r.location, "safeguard": r.safeguard} for r in recipients
                ],
                "retention": [retention_words(policy, r, activity.name) for r in activity.retention],
            },
        )
    return rows


def retention_words(policy: Policy, rule: str, activity: str) -> str:
    """Say how long a rule of retention lets an activity keep data."""
    retention = policy.retention[rule]
    if retention.parameter is not None:
        return f"{rule}: statutory, {retention.parameter.replace('_', ' ')}"
    clock = policy.clocks.get((rule, activity)) or retention.clock
    if clock is not None:
        spans = " and ".join(_span(d.months, d.days) for d in clock.durations)
        return f"{rule}: {spans} after {' or '.join(clock.anchors) or 'the collection'}"
    return f"{rule}: until {(retention.until or 'a setting says').replace('_', ' ')}"


def _span(months: int, days: int) -> str:
    years = months // 12 if months % 12 == 0 else 0
    counts = {"year": years, "month": 0 if years else months, "day": days}
    return " ".join(f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items() if n) or "0 days"


def impact(
    pipeline: Pipeline, controller: str, recipient: str, since: int, until: int, *, reveal: bool = False,
) -> list[Affected]:  # fmt: skip
    """List the persons whose data a target held at any time between two seconds (GDPR art. 33 and 34)."""
    policy = pipeline.policies.get(controller)
    if policy is None:
        msg = f"there is no policy for controller {controller!r}: have {', '.join(sorted(pipeline.policies))}"
        raise NotFound(msg)
    if recipient not in policy.recipients and recipient not in policy.systems:
        msg = f"{recipient!r} is no recipient or system of {controller}: have {', '.join((*policy.recipients, *policy.systems))}"
        raise NotFound(msg)
    found: dict[Key, Affected] = {}
    shapes = [n for n, shape in pipeline.shapes.by_id.items() if shape.controller == controller]
    after = -(1 << 63)
    while keys := pipeline.store.observers(shapes, after, _BLOCK):
        after = keys[-1]
        for key in keys:
            facts = pipeline.store.facts((key,))
            person = facts.keys[0] if facts.keys else key
            if person in found:
                continue
            days = _touched(pipeline, controller, person, recipient, since, until)
            if days:
                known = dict(pipeline.keys.open(i.sealed) for i in facts.identifiers) if reveal else {}
                name = f"{person & (1 << 64) - 1:016x}"
                found[person] = Affected(name, tuple(sorted(days)), policy.zone.day(min(days.values())), known)
    return list(found.values())


def _touched(pipeline: Pipeline, controller: str, person: Key, target: str, since: int, until: int) -> dict[str, int]:
    """Give the categories that the target held in the window, each with the second from which it did."""
    touched: dict[str, int] = {}
    for moment in (since, until):
        s = pipeline.look((person,), controller, moment)
        for item in s.items.values():
            if item.target == target and item.first <= until:
                touched[item.category] = min(item.first, touched.get(item.category, item.first))
    for change in s.changes:
        if change.target == target and change.category and since <= change.at <= until:
            touched.setdefault(change.category, max(since, min((at for times in s.times.values() for at in times), default=since)))
    return touched
