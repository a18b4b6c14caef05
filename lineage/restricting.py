"""Lay a cover over what is held, lift it, and correct what is wrong (GDPR art. 16, 18, 21(1)).

What arrives is the case; what leaves are restrictions that wait for a decision or for being lifted, and corrected items.
"""

from __future__ import annotations

from collections.abc import Iterable

from lineage.ending import end, issue, why
from lineage.keeping import keeping_of, keepings
from lineage.policy import Activity, Ids, Role
from lineage.rights import marketing_of, via_ids
from lineage.subject import Case, Change, DoNotUse, Item, Reasons, Restriction, Subject


def balance(s: Subject, case: Case, activities: list[Activity], of: Ids) -> None:
    """Restrict what is objected to until a person has weighed the grounds (GDPR art. 21(1), 18(1)(d))."""
    own = [r.id for r in s.policy.rights if r.right == "objection"
           and (set(r.scope) & {a.name for a in activities} or "legitimate_interest" in r.scope)]  # fmt: skip
    rules = s.policy.restriction.get("objection", ())
    ids = s.cite(*rules, *own, "gdpr:21", "gdpr:18", *(a.id for a in activities))
    case.reasons = s.cite(*own, *case.reasons)
    case.acts = [a.name for a in activities]
    case.waits = ids
    cover = Restriction(case.id, "objection", ids, s.now, frozenset(case.acts), frozenset(of) or None, waits=True)
    lay(s, cover)


def lay(s: Subject, cover: Restriction) -> None:
    """Put a restriction over the items it covers and command it at each target (GDPR art. 18, 19)."""
    s.restrictions.append(cover)
    tell(s, "restrict", [i for i in s.live() if cover.covers(i)], cover.reasons, cover.case)


def tell(s: Subject, kind: str, items: Iterable[Item], ids: Reasons, case: str) -> None:
    """Command the targets of some items, each with the reasons by category; who takes no commands is left out."""
    by_target: dict[str, dict[str, Reasons]] = {}
    for item in items:
        recipient, system = s.policy.recipients.get(item.target), s.policy.systems.get(item.target)
        if recipient is not None and recipient.role in (Role.AUTHORITY, Role.SOURCE, Role.UNCONTROLLED):
            continue
        if system is not None and not system.erasable:
            continue
        by_target.setdefault(item.target, {})[item.category] = why(s, item, *ids)
    for target, because in sorted(by_target.items()):
        issue(s, kind, target, because, case)


def restriction(s: Subject, case: Case) -> None:
    """Lay the restriction that the request asks for (GDPR art. 18)."""
    ground = case.body.get("ground") or "asked"
    rules = s.policy.restriction.get(str(ground)) or s.policy.restriction.get("asked") or ()
    ids = s.cite(*rules, *((s.policy.silent_rights or "", "gdpr:18") if not rules else ()),
                 *via_ids(s, case.via, "restriction"))  # fmt: skip
    activities = frozenset(a.name for scope in case.scope for a in marketing_of(s, scope)) or None
    waits = ground in ("accuracy", "objection")
    if waits:
        case.waits = ids
    lay(s, Restriction(case.id, str(ground), ids, s.now, activities, frozenset(case.of) or None, waits=waits))


def rectification(s: Subject, case: Case) -> None:
    """Correct what the request names; what is contested waits for a person to decide (GDPR art. 16, 18(1)(a))."""
    if case.body.get("contested") and case.correct:
        ids = s.cite(*(s.policy.restriction.get("accuracy") or (s.policy.silent_rights or "", "gdpr:18")))
        case.waits = ids
        lay(s, Restriction(case.id, "accuracy", ids, s.now, None, frozenset(case.correct), waits=True))
        return
    correct(s, case)


def correct(s: Subject, case: Case) -> None:
    """Correct or remove what the request names, everywhere but in what is booked; what a hold blocks waits."""
    ids = (*case.reasons, *via_ids(s, case.via, "rectification"))
    active = keepings(s, "rectification", s.today)
    booked: list[str] = []
    corrected: list[Item] = []
    removed: list[Item] = []
    waits: list[str] = []
    for item in list(s.live()):
        activity = s.policy.activities.get(item.activity)
        if item.category not in (*case.correct, *case.remove) or f"{item.key}" in case.acts:
            continue
        if activity is not None and activity.legal and any(s.policy.retention[r].parameter for r in activity.retention):
            booked += (activity.id, *activity.retention)
            continue
        kept = keeping_of(s, item, active, s.today)
        if kept is not None and not kept.claim:
            waits += kept.reasons
            continue
        case.acts.append(f"{item.key}")
        (corrected if item.category in case.correct else removed).append(item)
    case.waits = tuple(dict.fromkeys(waits))
    if corrected:
        tell(s, "correct", corrected, ids, case.id)
    for item in corrected:
        s.changes.append(Change(s.now, "corrected", item.target, item.category, item.activity, why(s, item, *ids)))
    end(s, removed, {i.key: why(s, i, *ids) for i in removed}, case.id)
    if booked:
        s.note("informed", s.cite(*booked), about="booked documents are not rewritten", case=case.id)


def hide(s: Subject, case: Case) -> None:
    """Keep the categories from being read by anybody."""
    ids = s.cite(*case.reasons, *via_ids(s, case.via, "suppress"))
    s.do_not_use.append(DoNotUse(ids, s.now, categories=case.of, hidden=True, case=case.id))
