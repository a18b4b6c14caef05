"""Say until when the clock lets an item stay: the end of a retention (GDPR art. 5(1)(e)).

What arrives is the state of a data subject; what leaves are last days. None as an end means that no day is known yet:
an event must come first, or a setting is missing, and the engine refuses to guess.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from lineage.closings import never_booked, parameter_end, settled_on
from lineage.keeping import place_of
from lineage.policy import Activity, Clock, Ids, Retention
from lineage.reading import ACCOUNT_ENDED, OPENING, SUBSCRIBED, UNSUBSCRIBED, matter_kind
from lineage.subject import Item, Matter, Reasons, Subject


def retention_end(s: Subject, item: Item) -> tuple[dt.date | None, Reasons]:
    """Give the last day of the item by the clock (the latest of its rules), and the rules that say so.

    None: some rule has no end yet. An item without any activity (a copy that was disclosed) has no clock.
    """
    activity = s.policy.activities.get(item.activity)
    if activity is None:
        return None, ()
    ids: list[str] = []
    for named, rule, _ in _applying(s, activity, item):
        ids += [rule.id, named, f"param:{rule.parameter}" if rule.parameter else ""]
    return last_day(s, item), s.cite(*ids, activity.id, *sorted(item.cites))


def last_day(s: Subject, item: Item) -> dt.date | None:
    """Give the last day of the item by the clock alone: what `retention_end` gives, without the reasons."""
    timing = s.reading.timing(item.activity)
    last = s.deadlines.worked((item.activity, item.matter)).last
    name = (place_of(s, item.target) if timing.by_place else "", item.last if timing.by_last else 0)
    if name not in last:
        last[name] = _last_day(s, item)
    return last[name]


def _last_day(s: Subject, item: Item) -> dt.date | None:
    activity = s.policy.activities.get(item.activity)
    latest: dt.date | None = None
    for _, _, end in _applying(s, activity, item) if activity is not None else ():
        if end is None:
            return None
        latest = max(latest or end, end)
    return latest


def _applying(s: Subject, activity: Activity, item: Item) -> Iterator[tuple[str, Retention, dt.date | None]]:
    """Give the rules that have a say for the item: as the activity names them, as they turn out, and their last days."""
    place = place_of(s, item.target)
    for named in activity.retention:
        rule = _ruling(s, s.policy.retention[named], item)
        only = rule.systems.get(activity.name)
        if only is not None and place not in only:
            continue
        applies, end = rule_end(s, rule, item)
        if applies:
            yield named, rule, end


def rule_end(s: Subject, rule: Retention, item: Item) -> tuple[bool, dt.date | None]:
    """Give whether a rule has a say for the item, and the last day that it gives (None: none yet)."""
    matter = s.matters.get(item.matter)
    if rule.parameter is not None:
        if matter is None:
            return True, None
        return True, never_booked(s, rule.parameter, matter) or parameter_end(s, rule.parameter, matter)
    if rule.collected:
        assert rule.clock is not None
        return True, rule.clock.durations[0].after(s.policy.zone.day(item.last))
    if rule.guest_as is not None and not _under_account(s, matter):
        clock = _set_for(s, rule.guest_as)
    else:
        clock = s.policy.clocks.get((rule.id, item.activity)) if rule.needs_setting else rule.clock
    if clock is None:
        return True, None
    if rule.guest_as is not None and s.has_account:
        expired = _accounts_expired(s, rule.guest_as)
        return True, _later(s, clock, expired) if expired is not None else None
    if clock.anchors == (ACCOUNT_ENDED,) and not _under_account(s, matter):
        return False, None
    end = clock_end(s, clock, matter)
    if end is None and not rule.needs_setting:
        kinds = {matter_kind(t) for t in clock.anchors}
        own = matter.kind if matter else None
        if None not in kinds and own not in kinds:
            return False, None
    return True, end


def _accounts_expired(s: Subject, activity: str) -> dt.date | None:
    """Give the day on which the last account counts as ended, since by then an activity's clock has taken its data."""
    own = s.policy.activities.get(activity)
    clock = _set_for(s, activity)
    if own is None or "account" not in own.events or clock is None:
        return None
    ends = [clock_end(s, clock, m) for m in s.matters.values() if m.kind == "account"]
    return None if None in ends or not ends else max(e for e in ends if e is not None) + dt.timedelta(days=1)


def _set_for(s: Subject, activity: str) -> Clock | None:
    """Give the clock that the settings have for an activity, whatever rule leaves it open."""
    return next((clock for (_, name), clock in s.policy.clocks.items() if name == activity), None)


def _ruling(s: Subject, rule: Retention, item: Item) -> Retention:
    """Give the rule itself, or the one that takes its place for this item."""
    if rule.unless is None:
        return rule
    condition, other = rule.unless
    holds = _under_account(s, s.matters.get(item.matter)) if condition == "has_account" else s.state(condition)
    return s.policy.retention[other] if holds else rule


def _under_account(s: Subject, matter: Matter | None) -> bool:
    """Tell whether the person has an account, or had one that ended after the matter had begun."""
    since = matter.events[0][0] if matter is not None and matter.events else 0
    return s.has_account or any(at >= since for at in s.times.get(ACCOUNT_ENDED, ()))


def clock_end(s: Subject, clock: Clock, matter: Matter | None) -> dt.date | None:
    """Give the last day by a clock: per matter, or per person where the anchor is about another kind of matter."""
    if clock.unless is not None and matter is not None and matter.happened(clock.unless[0]):
        return clock_end(s, clock.unless[1], matter)
    zone = s.policy.zone
    anchors = _anchor_times(s, clock.anchors, matter)
    after = None
    if clock.after:
        done = _anchor_times(s, clock.after, matter)
        after = zone.day(max(done)) if done else None
        if after is None and matter is not None and matter.events:
            after = settled_on(s, matter)
        if after is None:
            return None
        anchors = anchors or done
    if not anchors:
        return None
    day = _later(s, clock, zone.day(max(anchors)))
    return max(day, after) if day is not None and after is not None else day


def _later(s: Subject, clock: Clock, day: dt.date) -> dt.date | None:
    """Give the day that lies as long after another as the clock says, None where a length is not known."""
    for name in clock.params:
        parameter = s.policy.parameters.get(name)
        if parameter is None or parameter.duration is None:
            return None
        day = parameter.duration.after(day)
    for duration in clock.durations:
        day = duration.after(day)
    return day


def _anchor_times(s: Subject, types: Ids, matter: Matter | None) -> list[int]:
    found: list[int] = []
    own = [t for t in types if matter is not None and matter_kind(t) == matter.kind]
    if matter is not None:
        found += matter.times(tuple(own))
    # Where the matter has ends of its own, those of others do not count that were there before it began.
    since = matter.events[0][0] if matter is not None and matter.events and own else 0
    for type_ in types:
        if type_ not in own and (type_ != ACCOUNT_ENDED or not s.has_account):
            found += (at for at in s.times.get(type_, ()) if at >= since)
    if types == (UNSUBSCRIBED,) and found and max(s.times.get(SUBSCRIBED, (0,))) > max(found):
        return []  # Whoever came back has not left: the old clock does not take the new subscription.
    if matter is not None and found:
        # A matter that was opened again after it was handled is not handled: the clock waits.
        opened = matter.times(OPENING)
        if opened and max(opened) > max(found):
            return []
    return found
