"""Judge rows about what is held: what arrives are the items of a person, what leaves is whether they are as expected."""

from __future__ import annotations

import datetime as dt

from lineage.ending import target_ids
from lineage.judging import Found, Judge, delivered_why, describe, explain_absence, is_legal, items_of, reasons_of, told_of
from lineage.keeping import Keeping, keeping_now
from lineage.opting_out import channels_of
from lineage.rehearsal import Delivery, Rehearsal
from lineage.rights import CHANNEL_TERM, marketing_of, right_ids
from lineage.scenario import Row
from lineage.subject import DoNotUse, Item, Subject, Use


def _held(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = [i for i in items_of(s, row, category) if i.use is Use.ORDINARY]
    free = [i for i in items if not any(c.covers(i) for c in s.restrictions) and not _hidden(s, i)]
    return bool(free), reasons_of(s, items), describe(s, items_of(s, row, category))


def _hidden(s: Subject, item: Item) -> bool:
    return any(d.hidden and (not d.categories or item.category in d.categories) for d in s.do_not_use)


def _absent(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = items_of(s, row, category, ending=True)
    listed = any(d.target == row.target and row.target and (not category or category in d.categories) for d in s.do_not_use)
    before = right_ids(s, "erasure") if r.taken_over(row.controller, row.person) else ()
    reasons = [*explain_absence(s, row, category), *before]
    return not items and not listed, reasons, describe(s, items) if items else "it is on the list"


def _erased(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    first = row.at if row.acknowledged else day
    before = {d.base for d in told_of(r, s, row, category, ("erase",), None) if d.day < first}
    told = [d for d in told_of(r, s, row, category, ("erase",), first) if d.base not in before]
    left = items_of(s, row, category, ending=True)
    if row.acknowledged:
        left = items_of(s, row, category)
        ok = bool(told) and not left and _acknowledged(s, told, row.acknowledged, day)
        return ok, delivered_why(told, category), "not acknowledged on that day" if told else "no erase command went out"
    found = "no erase command went out that day" if not told else f"still: {describe(s, left)}"
    return bool(told) and not left, [*delivered_why(told, category), *target_ids(s, row.target or "")], found


def _acknowledged(s: Subject, told: list[Delivery], wanted: dt.date, day: dt.date) -> bool:
    commands = [c for d in told if (c := s.commands.get(d.base)) is not None]
    if day < wanted:
        return all(c.acknowledged is None for c in commands)
    return any(c.acknowledged is not None and s.policy.zone.day(c.acknowledged) == wanted for c in commands)


def _retained(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = items_of(s, row, category)
    kept = [i for i in items if i.use is Use.KEPT]
    so = bool(items) and all(i in kept or is_legal(s, i) for i in items)
    known: dict[str, list[Keeping]] = {}
    reasons = [i for x in items if (k := keeping_now(s, x, known, s.today)) for i in k.reasons]
    return so, [*reasons, *reasons_of(s, items)], describe(s, items)


def _restricted(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    scope = row.get("scope")
    items = [i for i in items_of(s, row, category) if scope is None or i.activity == scope]
    covers = [[c for c in s.restrictions if c.covers(i)] for i in items]
    ground = set(s.policy.restriction.get("claim", ()))
    claimed = [i for i in items if i.claimed and ground & set(i.why)]
    so = (any(covers) or bool(claimed)) and all(
        c or i in claimed or i.use is Use.KEPT for c, i in zip(covers, items, strict=True))  # fmt: skip
    reasons = [i for cs in covers for c in cs for i in c.reasons] + [i for x in claimed for i in x.why]
    return so, [*reasons, *reasons_of(s, items)], describe(s, items)


def _is_entry(s: Subject, row: Row, category: str, d: DoNotUse) -> bool:
    """Tell whether an entry is the one that a row speaks of: of its channel or scope, of its list, for its target."""
    channel, scope = row.get("channel"), row.get("scope")
    scopes, channels = _reach(s, d)
    if d.hidden:
        return not channel and not scope and (not d.categories or category in d.categories) and bool(items_of(s, row, category))
    if row.target in {x.system for x in s.policy.suppression if x.system and x.keeps != "tag"}:
        return d.target == row.target and (not category or category in d.categories) and channel in (None, d.channel)
    if d.target is not None or (channel and channel not in channels) or (scope and scope not in scopes):
        return False
    stopped = [
        a for a in s.policy.activities.values()
        if row.target in (None, *a.systems, *a.recipients) and (not category or category in a.categories)
    ]  # fmt: skip
    return any(a.marketing or a.name in (d.activity, d.scope) for a in stopped) and bool(channel or scope or not category)


def _reach(s: Subject, d: DoNotUse) -> tuple[set[str | None], set[str | None]]:
    """Give the scopes and the channels that an entry covers: all direct marketing is all that the policy calls so."""
    scopes, channels = {d.scope, d.activity}, {d.channel}
    if d.channel is not None:
        return scopes, channels
    news = {a.name for a in marketing_of(s, "direct_marketing")}
    if "direct_marketing" in scopes:
        return scopes | news, {*CHANNEL_TERM}
    direct = [a for a in s.policy.activities.values() if a.name in scopes and a.marketing == "direct"]
    channels.update(c for a in direct for c in channels_of(s, a))
    return scopes | ({"direct_marketing"} if news <= scopes else set()), channels


def _suppressed(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    found = [d for d in s.do_not_use if _is_entry(s, row, category, d)]
    return bool(found), [i for d in found for i in d.reasons], "no do-not-use entry"


def _corrected(_r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    return _change(s, row, category, day, "corrected")


def _unlinked(_r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    return _change(s, row, category, day, "unlinked")


def _change(s: Subject, row: Row, category: str, day: dt.date, kind: str) -> Found:
    activity = row.get("activity")
    found = [
        c for c in s.changes
        if c.kind == kind and c.target == row.target and (not category or c.category == category)
        and s.policy.zone.day(c.at) == day and (activity is None or c.activity == activity)
    ]  # fmt: skip
    return bool(found), [i for c in found for i in c.reasons], f"no such change; {describe(s, items_of(s, row, category))}"


def _linked(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = items_of(s, row, category)
    days = sorted({s.policy.zone.day(i.first) for i in items})
    so = bool(days) and days[0] == row.at
    return so, reasons_of(s, items), f"first seen on {days[0]}" if days else "no edge"


def _tagged(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = items_of(s, row, category)
    tagged = [i for i in items if row.get("tag") in i.tags]
    tags = sorted({t for i in items for t in i.tags})
    return bool(tagged), reasons_of(s, tagged), f"tags are {', '.join(tags) or 'none'}" if items else "no edge"


HOLDINGS: dict[str, Judge] = {
    "held": _held,
    "absent": _absent,
    "erased": _erased,
    "retained": _retained,
    "restricted": _restricted,
    "suppressed": _suppressed,
    "corrected": _corrected,
    "linked": _linked,
    "unlinked": _unlinked,
    "tagged": _tagged,
}
"""Outcome -> its judge."""
