"""Answer those who ask the graph: what is held of a person, what is processed for what, who is touched by a breach.

What arrives is the pipeline and a question; what leaves are values that the command line, the API and the picture show
alike. Nothing is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import schemas
from lineage.clocks import retention_end
from lineage.ending import why
from lineage.errors import NotFound
from lineage.keeping import Keeping, keeping_of, keepings
from lineage.pipeline import Pipeline
from lineage.policy import Policy
from lineage.store import Key
from lineage.subject import Item, Subject, Use

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
    """All that is held of a person on a day.

    `identifiers` are the kinds that the person is known by, `key` is what the graph calls the one that was asked for.
    """

    controller: str
    day: dt.date
    key: str
    identifiers: tuple[str, ...]
    holdings: tuple[Holding, ...]


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
        return Lineage(controller, pipeline.policies[controller].zone.day(now), str(key), (), ())
    s = pipeline.look((key,), controller, now)
    return Lineage(controller, s.today, str(key), kinds, holdings(s))


def holdings(s: Subject) -> tuple[Holding, ...]:
    """Give the rows of a state, one for each target, activity and category."""
    active = {right: keepings(s, right, s.today) for right in ("erasure", "retention")}
    groups: dict[tuple[str, str, str], list[Item]] = {}
    for item in s.items.values():
        groups.setdefault((item.target, item.activity, item.category), []).append(item)
    found = []
    for (target, activity, category), items in groups.items():
        ends = [end_of(s, i, active["erasure" if s.erased_at is not None else "retention"]) for i in items]
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


def end_of(s: Subject, item: Item, active: Sequence[Keeping]) -> dt.date | None:
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


def retention_words(policy: Policy, rule: str, activity: str, *, plain: bool = False) -> str:
    """Say how long a rule of retention lets an activity keep data; `plain` leaves the rule's id out."""
    words = _retention_words(policy, rule, activity)
    return words if plain else f"{rule}: {words}"


def _retention_words(policy: Policy, rule: str, activity: str) -> str:
    retention = policy.retention[rule]
    if retention.parameter is not None:
        return f"statutory, {retention.parameter.replace('_', ' ')}"
    clock = policy.clocks.get((rule, activity)) or retention.clock
    if clock is not None:
        statutory = [(n, policy.parameters.get(n)) for n in clock.params]
        lengths = [f"{span(p.duration.months, p.duration.days)} ({n.replace('_', ' ')})" if p is not None and p.duration is not None
                   else n.replace("_", " ") for n, p in statutory]  # fmt: skip
        spans = " and ".join([*lengths, *(span(d.months, d.days) for d in clock.durations)])
        return f"{spans} after {' or '.join(clock.anchors) or 'the collection'}"
    return f"until {(retention.until or 'a setting says').replace('_', ' ')}"


def span(months: int, days: int) -> str:
    """Say how long a duration is."""
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
