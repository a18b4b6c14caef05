"""Collect the answer to a person who asks what is held, takes it along or complains (GDPR art. 15, 20, 77).

What arrives is the case; what leaves is which category lies where, what must not be told, and commands to export the rest.
"""

from __future__ import annotations

from collections.abc import Callable

from lineage.ending import issue, target_ids
from lineage.keeping import kept_now
from lineage.policy import Basis
from lineage.rights import serves
from lineage.subject import Case, Item, Reasons, Subject


def access(s: Subject, case: Case) -> None:
    """Collect the copy of what is held, unless the last one is too recent, and name the recipients (GDPR art. 15)."""
    limit = next((r for r in s.policy.rights if r.right == "access" and r.limit is not None), None)
    last = s.last_copy.get("access")
    if limit is not None and limit.limit is not None and last is not None:
        free = limit.limit.after(s.policy.zone.day(last))
        if s.today < free:
            case.declined = s.cite(limit.id)
            case.body["next_free"] = free.isoformat()
            for kind in ("informed", "warned", "logged"):
                s.note(kind, case.declined, about=f"next free copy: {free}", case=case.id)
            return
    s.last_copy["access"] = s.now
    _collect(s, case, lambda _item: None)
    given = [i for i in s.live() if i.target in s.policy.recipients]
    recipients = sorted({i.target for i in given if "reported" not in i.tags or "named" in i.tags})
    for item in given:
        if item.target not in recipients:
            case.unnamed[item.target] = s.cite(*(g.id for g in s.policy.guards if g.on == "aml_report"))
    for about, parties in (("source", s.sources), ("outside our control", s.uncontrolled)):
        for party in sorted(parties):
            s.note("informed", s.cite(*case.reasons, *target_ids(s, party)), about=about, target=party, case=case.id)
    along = s.policy.cited_with_of("access:recipients")
    for target in recipients:
        s.note("informed", s.cite(*target_ids(s, target), *along), about="recipient", target=target, case=case.id)


def _collect(s: Subject, case: Case, refuse: Callable[[Item], Reasons | None]) -> None:
    hidden = {c: g.id for g in s.policy.guards if g.on == "export" for c in g.omits}
    for item in s.live():
        if item.target in s.policy.recipients and item.target not in s.policy.systems:
            continue
        no = s.cite(hidden[item.category], *case.reasons) if item.category in hidden else refuse(item)
        if no is not None:
            case.omitted[item.category] = no
            continue
        found = case.answer.setdefault(item.category, set())
        found.add(item.target)
        if item.source:
            found.add(item.source)
    for category in case.answer:
        case.omitted.pop(category, None)
    _fetch(s, case)


def _fetch(s: Subject, case: Case) -> None:
    """Ask the systems for the values: the graph has none, so they come through the channel that commands take."""
    by_target: dict[str, dict[str, Reasons]] = {}
    for category, places in case.answer.items():
        for place in places:
            system = s.policy.systems.get(place)
            if system is not None and system.erasable:
                by_target.setdefault(place, {})[category] = case.reasons
    for target, because in sorted(by_target.items()):
        issue(s, "export", target, because, case.id)


def portability(s: Subject, case: Case) -> None:
    """Collect only what the person provided, on consent or contract (GDPR art. 20(1)); what a statute keeps is on neither."""
    known = {item.key: keeping for items, keeping in kept_now(s) for item in items}

    def refuse(item: Item) -> Reasons | None:
        activity = s.policy.activities.get(item.activity)
        category = s.policy.categories.get(item.category)
        if category is None or category.provenance != "provided":
            return s.cite(*case.reasons, "gdpr:20")
        if (keeping := known.get(item.key)) is not None and keeping.statutory:
            return s.cite(*case.reasons, *keeping.reasons, "gdpr:20")
        grounds = activity.basis if activity is not None else ()
        own = [g for g in grounds if item.category in g.categories] or [g for g in grounds if not g.categories]
        granted = any(g.kind in (Basis.CONSENT, Basis.CONTRACT) for g in own)
        return None if granted else s.cite(*case.reasons, activity.id if activity else "", "gdpr:20")

    _collect(s, case, refuse)


def complaint(s: Subject, case: Case) -> None:
    """Note a complaint and tell the person where it goes (GDPR art. 77)."""
    channels = [str(c["id"]) for c in s.policy.channels if "complaint" in serves(c.get("serves"))]
    ids = s.cite(*channels, "gdpr:77")
    case.reasons = s.cite(*case.reasons, *ids)
    s.note("logged", ids, about="complaint", case=case.id)
    s.note("informed", ids, about="complaint", case=case.id)
