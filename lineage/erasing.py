"""Erase what is held of a person, or of the activities and categories that a request names (GDPR art. 17).

What arrives is the case; what leaves are ended items, with commands to their targets, and what a hold keeps for itself.
"""

from __future__ import annotations

from collections.abc import Callable

from lineage.ending import end, target_ids, why
from lineage.keeping import keeping_of, keepings
from lineage.opting_out import end_activity, refuse, suppress
from lineage.policy import Activity, Ids
from lineage.rights import CHANNEL_TERM, marketing_of, via_ids
from lineage.subject import Case, DoNotUse, Item, Reasons, Subject, Use


def erase(s: Subject, case: Case) -> None:
    """Erase all that is held of the person but what a hold keeps, and suppress any use of what may come."""
    about = _about(s, case)
    case.awaits = frozenset(i.command for i in s.items.values() if i.use is Use.ENDING and about(i))
    if case.in_part:
        _erasure_in_part(s, case)
        return
    first = s.erased_at is None
    s.erased_at, s.erasure = s.now, case.id
    s.restrictions = [r for r in s.restrictions if r.waits]
    ids = (*case.reasons, *via_ids(s, case.via, "erasure"))
    ending: list[Item] = []
    told: dict[tuple[str, Reasons], None] = {}
    active = keepings(s, "erasure", s.today)
    for item in list(s.live()):
        kept = keeping_of(s, item, active, s.today)
        waits = [r for r in s.restrictions if r.covers(item)]
        if waits:
            s.items.turn(item, Use.KEPT)
            item.why = s.cite(*waits[0].reasons)
        elif kept is not None:
            s.items.turn(item, Use.KEPT)
            item.why = kept.reasons
            told[item.target, kept.reasons] = None
        else:
            ending.append(item)
    for target, reasons in told:
        s.note("logged", reasons, about="retained", target=target, case=case.id)
    end(s, ending, {i.key: why(s, i, *ids, *_unlawful(s)) for i in ending}, case.id)
    s.grants.clear()
    s.uses.clear()
    s.quarantine.clear()
    s.soft_closed = s.cite(*ids)
    if first:
        hashes = [x.id for x in s.policy.suppression if x.keeps == "hash"]
        s.do_not_use = [d for d in s.do_not_use if d.target and not d.hidden]
        s.do_not_use.append(DoNotUse(s.cite(*hashes, *ids), s.now, scope="direct_marketing", case=case.id))
    outside = [s.policy.recipients[t].id for t in sorted(s.uncontrolled | s.sources) if t in s.policy.recipients]
    devices = [g.id for g in s.policy.guards if g.on == "device"] if s.devices else []
    third = [g.id for g in s.policy.guards if g.on == "third_party_cookie"] if s.uncontrolled else []
    for target in sorted(s.uncontrolled | s.sources):
        s.note("informed", s.cite(*target_ids(s, target)), about="outside our control", target=target, case=case.id)
    if third:
        s.note("logged", s.cite(*third), about="uncontrolled recipient: no command", case=case.id)
    s.note("informed", s.cite(*outside, *devices, *third), about="outside our control", case=case.id)


def _erasure_in_part(s: Subject, case: Case) -> None:
    """Erase the activities or the categories that the request names; the person stays, and so does the rest."""
    named = [a for scope in case.scope for a in marketing_of(s, scope)]
    ids = (*case.reasons, *via_ids(s, case.via, "erasure"))
    ending: list[Item] = []
    active = keepings(s, "erasure", s.today)
    about = _about(s, case)
    for item in list(s.live()):
        if not about(item):
            continue
        kept = keeping_of(s, item, active, s.today)
        waits = [r for r in s.restrictions if r.waits and r.covers(item)]
        if waits or kept is not None:
            s.items.turn(item, Use.KEPT)
            item.asked = case.id
            item.why = s.cite(*waits[0].reasons) if waits else kept.reasons if kept else ()
        else:
            ending.append(item)
    end(s, ending, {i.key: why(s, i, *ids) for i in ending}, case.id)
    if case.of:
        for activity in named or s.policy.activities.values():
            if activity.marketing:
                _without_address(s, activity, case, ids)
        return
    for activity in named:
        s.grants = [g for g in s.grants if g.activity != activity.name]
        if activity.marketing:
            s.objected[activity.name] = s.cite(*ids)
    for scope in case.scope:
        if any(a.marketing for a in marketing_of(s, scope)):
            refuse(s, ids, case.id, scope, "erasure")


def _about(s: Subject, case: Case) -> Callable[[Item], bool]:
    """Say which items a request is about: all that is held, those of its activities, of its categories."""
    named = {a.name for scope in case.scope for a in marketing_of(s, scope)}
    return lambda item: (not named or item.activity in named) and (not case.of or item.category in case.of)


def _without_address(s: Subject, activity: Activity, case: Case, ids: Ids) -> None:
    """Stop the channels of marketing whose address is erased, and end a consent that has none left or whose record is erased."""
    granted = [g for g in s.grants if g.activity == activity.name and g.kinds is None]
    if activity.needs_consent and not granted:
        return
    record = {c for c in case.of if c in activity.categories and s.policy.categories[c].term == "subscription"}
    by_term = s.policy.by_term()
    used = {channel: c for channel, term in CHANNEL_TERM.items() if (c := by_term.get(term)) in activity.categories}
    gone = {channel for channel, category in used.items() if category in case.of}
    left = set(used) - gone
    ended = [g for g in granted if record or g.channel in gone or (gone and g.channel is None and not left)]
    s.grants = [g for g in s.grants if g not in ended]
    if activity.needs_consent and len(ended) == len(granted):
        end_activity(s, activity, ids, case.id)
    if activity.marketing != "direct":
        return
    if record:
        refuse(s, ids, case.id, activity.name, "erasure")
    for channel in sorted(gone):
        suppress(s, ids, case.id, channel=channel, act="erasure")
    if gone or record:
        s.soft_closed = s.cite(*ids)


def _unlawful(s: Subject) -> Ids:
    return s.policy.restriction.get("unlawful", ()) if any(c.right == "restriction" for c in s.cases.values()) else ()
