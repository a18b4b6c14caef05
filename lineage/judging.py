"""Say what there is of a person, and why, for those who judge the rows of scenarios.

What arrives are states, what leaves are items and the reasons that the engine gives for them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from lineage.children import child_ids, is_child
from lineage.clocks import retention_end
from lineage.ending import target_ids
from lineage.holding import consent_ids
from lineage.keeping import keeping_of, keepings
from lineage.policy import Basis, LinkRule, Policy
from lineage.rehearsal import Delivery, Rehearsal
from lineage.scenario import Row
from lineage.subject import Item, Subject, Use

Found = tuple[bool, Iterable[str], str]
"""Whether it is so, the reasons that the engine gives, and what was found instead."""
Judge = Callable[[Rehearsal, Subject, Row, str, dt.date], Found]
"""Judges one category of a row on a day."""


def items_of(s: Subject, row: Row, category: str, *, ending: bool = False) -> list[Item]:
    """Give what the target of a row holds of a category, or of all; what is ending only where asked for."""
    activity = row.get("activity")
    return [
        i for i in s.items.values()
        if i.target == row.target and (not category or i.category == category) and (ending or i.use is not Use.ENDING)
        and (activity is None or i.activity == activity)
    ]  # fmt: skip


def describe(s: Subject, items: list[Item]) -> str:
    """Say what is held, for whom, for somebody who reads why a row does not hold."""
    if not items:
        return "nothing is held"
    parts = []
    for item in items:
        cover = [c.ground for c in s.restrictions if c.covers(item)]
        parts.append(f"{item.category or '-'} {item.use}{' restricted' if cover else ''} for {item.activity or '-'}")
    return ", ".join(dict.fromkeys(parts))


def is_legal(s: Subject, item: Item) -> bool:
    """Tell whether the law alone asks for what the item is for."""
    activity = s.policy.activities.get(item.activity)
    return activity is not None and activity.legal


def reasons_of(s: Subject, items: Iterable[Item]) -> list[str]:
    """Give all that the engine says of why items are held, and until when."""
    found: list[str] = []
    active = keepings(s, "retention", s.today)
    for item in items:
        activity = s.policy.activities.get(item.activity)
        found += item.why
        found += s.cite(*((activity.id, *activity.retention) if activity else ()), *target_ids(s, item.target), *sorted(item.cites))
        found += retention_end(s, item)[1]
        kept = keeping_of(s, item, active, s.today)
        found += kept.reasons if kept else ()
        found += [i for c in s.cases.values() if item.activity in c.acts or c.right == "rectification" for i in c.reasons]
        found += [i for c in s.cases.values() if c.right == "rectification" for i in s.policy.restriction.get("accuracy", ())]
        if activity is not None and Basis.CONSENT in activity.kinds:
            soft = any(g.soft and g.activity == activity.name for g in s.grants)
            found += (*consent_ids(s, activity), *((s.policy.soft_opt_in or "",) if soft else ()))
        found += [x.id for x in s.policy.suppression if x.keeps == "data" and x.activity in (None, item.activity)]
    found += child_ids(s) if is_child(s) else ()
    return found


_ADMITTING = frozenset(
    {"required", "no_data", "undeclared", "unknown_kind", "insecure", "cookie", "device", "held_elsewhere", "import"},
)
"""Guards that decide whether what an event brings comes in at all."""


def explain_absence(s: Subject, row: Row, category: str) -> list[str]:
    """Give what the engine says of why the target holds nothing: what ended or stopped it, and what it would need to come."""
    policy = s.policy
    found = [*target_ids(s, row.target or "")]
    found += [i for c in s.changes if c.target == row.target and category in ("", c.category) for i in c.reasons]
    for command in s.commands.values():
        if command.target == row.target:
            found += [i for c, reasons in command.why.items() if category in ("", c) for i in reasons]
    for verdicts in s.verdicts.values():
        found += [i for v in verdicts if v.target in ("", row.target) and category in ("", v.category) for i in v.reasons]
    naming = [a for a in policy.activities.values() if row.target in (*a.systems, *a.recipients)]
    fitting = [a for a in naming if category in a.categories] or naming
    for activity in fitting:
        found += [*consent_ids(s, activity), *activity.retention, *((policy.soft_opt_in or "",) if activity.needs_consent else ())]
        found += [h.id for h in policy.holds if isinstance(h.activities, tuple) and activity.name in h.activities]
        found += [k.id for k in policy.kinds.values() if k.base in activity.events]
    found += [a.id for a in policy.activities.values() if category in a.categories]
    found += [x.id for x in policy.links if x.activity in {a.name for a in fitting} or _by_device(policy, row, category, x)]
    found += [g.id for g in policy.guards if g.on in _ADMITTING or (g.on == "child" and is_child(s))]
    found += [x.id for x in policy.suppression if row.target in (x.system, x.operator)]
    found += [i for d in s.do_not_use for i in d.reasons]
    found += [i for c in s.cases.values() for i in c.reasons]
    return list(s.cite(*found))


def _by_device(policy: Policy, row: Row, category: str, link: LinkRule) -> bool:
    """Tell whether a join of a device decides whether the category comes to the target."""
    brought = {c for k in policy.kinds.values() if k.base == "cookie" for c in k.carries}
    fed = any("cookie" in a.events and row.target in (*a.systems, *a.recipients) for a in policy.activities.values())
    waiting = {c for x in policy.links if x.needs == "device" and row.target in x.systems for c in x.takes_up}
    return bool(link.device or link.unjoined) and fed and (not category or category in brought | waiting)


def told_of(r: Rehearsal, s: Subject, row: Row, category: str, kinds: Iterable[str], day: dt.date | None) -> list[Delivery]:
    """Give the commands and notices of some kinds that the target of a row got, on a day or ever."""
    activity = s.policy.activities.get(row.get("activity") or "")
    return [
        d for d in r.played.deliveries
        if d.target == row.target and d.controller == row.controller and d.base in s.commands and d.kind in kinds
        and (not category or category in d.categories) and (day is None or d.day == day)
        and (activity is None or activity.id in delivered_why([d], category))
    ]  # fmt: skip


def delivered_why(found: list[Delivery], category: str) -> list[str]:
    """Give the reasons that stood in commands and notices, for a category or for all."""
    return [i for d in found for c, reasons in d.reasons.items() if not category or c == category for i in reasons]
