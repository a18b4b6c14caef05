"""Say when something happens by itself because a last day is over, or somebody is to be warned before it is.

What arrives are events and the state of a data subject; what leaves are the earliest days, and the items and warnings
that are due. Only what an event can have changed is worked out again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from lineage.calendar import Duration
from lineage.clocks import clock_end, last_day
from lineage.closings import FOREVER, closed_on
from lineage.deadlines import Days
from lineage.held import Group
from lineage.reading import ACCOUNT_ENDED
from lineage.subject import Item, Reasons, Subject, Use


class Warn(NamedTuple):
    """That people at the controller are to be warned: by which rule, of what, from when; the first three give the order."""

    rule: int
    instead: bool
    """Whether the rule would have ended it, had another not taken its place."""
    item: int
    day: dt.date | None
    """None: not known yet."""
    about: tuple[str, str]
    reasons: Reasons


def happened(s: Subject, type_: str, matters: Iterable[str], *, began: bool) -> None:
    """Take note of an event about matters; `began` says that it is the first about one of them."""
    s.memo.clear()
    if type_ in s.reading.anchors:
        s.deadlines.matters.update(s.matters)
    s.deadlines.happened(type_, matters, s.reading.timing, began=began)
    conditions_changed(s)


def conditions_changed(s: Subject) -> None:
    """Let go of all last days if a condition of the person that they rest on is another now."""
    state = (s.has_account, s.had_account, len(s.times.get(ACCOUNT_ENDED, ())), *(s.state(c) for c in s.reading.conditions))
    if state != s.deadlines.state:
        s.changed()
        s.deadlines.state = state


def first_end(s: Subject) -> dt.date | None:
    """Give the earliest last day of all that is in ordinary use: before it nothing runs out by the clock."""
    found = _first(s, s.deadlines.ends)
    return found[0] if found is not None else None


def overdue(s: Subject, today: dt.date) -> tuple[list[Item], dt.date | None]:
    """Give what is in ordinary use of matters of which something is past its last day, and the first end of the others."""
    ends = s.deadlines.ends
    over: list[tuple[dt.date, Group]] = []
    while (found := _first(s, ends)) is not None and found[0] < today:
        over.append(found)
        ends.put(found[1], None)
    for day, group in over:
        ends.put(group, day)
    items = [i for _, group in over for i in s.items.group(*group).values() if i.use is Use.ORDINARY]
    return sorted(items, key=lambda i: i.number), found[0] if found is not None else None


def next_warning(s: Subject, today: dt.date) -> dt.date | None:
    """Give the next day on which people at the controller are to be warned of something that they do not know yet."""
    if not s.reading.warns:
        return None
    warnings = s.deadlines.warnings
    over: list[tuple[dt.date, Group]] = []
    while (found := _first(s, warnings)) is not None and found[0] <= today:
        over.append(found)
        warnings.put(found[1], None)
    for day, group in over:
        warnings.put(group, day)
    days = [w.day for _, group in over for w in _warnings(s, group) if w.about not in s.warned]
    days += [found[0]] if found is not None else []
    return min((d for d in days if d is not None and d > today), default=None)


def due_warnings(s: Subject, today: dt.date) -> list[Warn]:
    """Give the warnings that are due, each thing once, and remember that they were given."""
    if not s.reading.warns:
        return []
    groups: list[Group] = []
    while (found := _first(s, s.deadlines.warnings)) is not None and found[0] <= today:
        groups.append(found[1])
        s.deadlines.warnings.put(found[1], None)
    due = sorted(w for g in groups for w in _warnings(s, g) if w.day is not None and w.day <= today)
    told = []
    for warning in due:
        if warning.about not in s.warned:
            s.warned.add(warning.about)
            told.append(warning)
    s.deadlines.stale.update(groups)
    return told


def _first(s: Subject, days: Days) -> tuple[dt.date, Group] | None:
    fresh = s.items.moved | s.deadlines.stale
    s.items.moved.clear()
    s.deadlines.stale.clear()
    for group in fresh:
        _work_out(s, group)
    while (found := days.first()) is not None and not s.deadlines.stands(found[1]):
        _work_out(s, found[1])
    return found


def _work_out(s: Subject, group: Group) -> None:
    timing = s.reading.timing(group[0])
    end: dt.date | None = None
    for item in s.items.group(*group).values():
        if item.use is Use.ORDINARY:
            last = last_day(s, item)
            end = last if end is None or (last is not None and last < end) else end
            if not timing.by_place and not timing.by_last:
                break
    warnings = _warnings(s, group) if s.reading.warns else []
    days = [w.day for w in warnings if w.about not in s.warned]
    unknown = None in s.deadlines.worked(group).last.values() or None in days
    s.deadlines.put(group, end, min((d for d in days if d is not None), default=None), unknown=unknown)


def _warnings(s: Subject, group: Group) -> list[Warn]:
    """Give what people at the controller are to be warned of for what an activity holds of a matter."""
    name, ref = group
    matter = s.matters.get(ref)
    activity = s.policy.activities.get(name)
    items = [i for i in s.items.group(name, ref).values() if i.live]
    if matter is None or not items:
        return []
    found: list[Warn] = []
    for n, rule in enumerate(s.policy.retention.values()):
        about = rule.id, ref
        if rule.warn_setting and rule.warn_setting in s.policy.settings and name in (rule.activities or ()):
            ahead = Duration.parse(str(s.policy.settings[rule.warn_setting]))
            if closed_on(s, matter, rule.warn_opened, ()) == FOREVER and not matter.times(rule.warn_closed):
                for item in items:
                    last = last_day(s, item)
                    day = last - dt.timedelta(days=ahead.days) if last is not None else None
                    found.append(Warn(n, False, item.number, day, about, s.cite(rule.id)))
        if rule.unless is not None and rule.clock is not None and activity is not None and rule.id in activity.retention:
            if not s.state(rule.unless[0]):
                continue
            general = [r.id for r in s.policy.retention.values() if r.activities is None]
            last = clock_end(s, rule.clock, matter)
            day = last + dt.timedelta(days=1) if last is not None else None
            reasons = s.cite(*general, rule.unless[1], rule.id)
            found.append(Warn(n, True, items[0].number, day, about, reasons))
    return found
