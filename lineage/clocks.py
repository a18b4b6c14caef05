"""Say until when: the end of a retention, and which holds keep an item, why and how long.

What arrives is the state of a data subject; what leaves are last days. None as an end means that no day is known
yet: an event must come first, or a setting is missing, and the engine refuses to guess (GDPR art. 5(1)(e), 17(3)).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from lineage.calendar import end_of_year_after
from lineage.deadlines import Latest
from lineage.policy import Activity, Basis, Clock, Closing, Hold, Ids, Retention
from lineage.reading import ACCOUNT_ENDED, DELIVERED, OPENING, SETTLED, matter_kind
from lineage.subject import Item, Matter, Reasons, Subject, Use

FOREVER = dt.date.max
_SETTLED = Closing(all=SETTLED)


@dataclass(frozen=True, slots=True)
class Keeping:
    """A hold as it is now: `until` is its last day, None if that is not known."""

    hold: Hold
    until: dt.date | None
    recipients_until: dict[str, dt.date | None]
    active: bool = True
    """Whether it keeps anything but what those recipients have."""


def _closing_day(s: Subject, matter: Matter, closing: Closing, opened: int) -> dt.date | None:
    zone = s.policy.zone
    if closing.lines is not None:
        if not matter.happened("order.placed") or matter.lines_left(shipped=closing.lines == "shipped"):
            return None
        return zone.day(max(matter.times(("order.shipped", "order.cancelled")), default=opened))
    moments = []
    for type_ in closing.all:
        later = [at for at in matter.times((type_,)) if at >= opened]
        if not later:
            return None
        moments.append(min(later))
    day = zone.day(max(moments))
    if closing.plus:
        parameter = s.policy.parameters.get(closing.plus.removeprefix("param:"))
        if parameter is None or parameter.duration is None:
            return None
        day = parameter.duration.after(day)
    if closing.none_open:
        opened_again = matter.times(closing.none_open[0])
        if opened_again:
            closed = [at for at in matter.times(closing.none_open[1]) if at >= max(opened_again)]
            if not closed:
                return None
            day = max(day, zone.day(min(closed)))
    return day


def closed_on(s: Subject, matter: Matter, opened_by: Ids, closings: Sequence[Closing]) -> dt.date | None:
    """Give the day on which the matter was closed, `date.max` while it is open, None if it never opened."""
    opened = matter.times(opened_by)
    if not opened:
        return None
    days = [d for c in closings if (d := _closing_day(s, matter, c, max(opened))) is not None]
    return min(days, default=FOREVER)


def is_transaction(matter: Matter, *, shipped_counts: bool) -> bool:
    """Tell whether an order is one for the books: paid, invoiced or shipped, and not cancelled before that."""
    if matter.happened("order.paid") or (shipped_counts and matter.happened("order.shipped")):
        return True
    invoiced = any(t == "order.placed" and f.get("payment") in ("invoice", "account") for _, t, f in matter.events)
    return invoiced and not (matter.happened("order.cancelled") and matter.lines_left(shipped=False) == 0)


def parameter_end(s: Subject, name: str, matter: Matter) -> dt.date | None:
    """Give the last day that a statutory parameter sets for a matter; None if it cannot be told."""
    parameter = s.policy.parameters.get(name)
    zone = s.policy.zone
    if parameter is None or not matter.events:
        return None
    if parameter.years is not None:
        return end_of_year_after(zone.day(matter.events[0][0]), parameter.years)
    assert parameter.duration is not None
    if parameter.anchor is None:
        anchors = matter.times((DELIVERED,))
    else:
        began = matter.events[0][0]  # what began after it (a relationship taken up again) has not come to its end
        anchors = [at for at in s.times.get(parameter.anchor, ()) if at >= began]
    return parameter.duration.after(zone.day(max(anchors))) if anchors else None


def _end_for(s: Subject, hold: Hold, matter: Matter) -> dt.date | None:
    """Give the last day of the hold for one matter; `date.max` if open, None if it does not apply."""
    if hold.transaction is not None:
        if not is_transaction(matter, shipped_counts=hold.transaction == "any"):
            return None
    elif not matter.times(hold.opened_by):
        return None
    if hold.parameter is not None:
        return parameter_end(s, hold.parameter, matter) or FOREVER
    if hold.duration is not None:
        return hold.duration.after(s.policy.zone.day(max(matter.times(hold.opened_by))))
    return closed_on(s, matter, hold.opened_by, hold.closed_by)


class Keepings(list[Keeping]):
    """The holds that block something on a day, and what they have been found to keep so far."""

    def __init__(self, found: Iterable[Keeping] = ()) -> None:
        """Take the holds."""
        super().__init__(found)
        self.known: dict[tuple[object, ...], Kept | None] = {}


def keepings(s: Subject, blocks: str, today: dt.date) -> list[Keeping]:
    """Give the policy's holds that block something now, each with its latest end over all matters."""
    name = ("keepings", blocks, today)
    found: Keepings | None = s.memo.get(name)
    if found is None:
        found = s.memo[name] = Keepings(_keepings(s, blocks, today))
    return found


def _keepings(s: Subject, blocks: str, today: dt.date) -> Iterator[Keeping]:
    _hold_ends(s)
    for n, hold in enumerate(s.policy.holds):
        if blocks not in hold.blocks:
            continue
        if hold.needs_setting and s.policy.settings.get(hold.needs_setting) is not True:
            continue
        if (hold.if_state and not s.state(hold.if_state)) or (hold.unless_state and s.state(hold.unless_state)):
            continue
        latest = s.deadlines.holds[n, ""].latest
        active = latest is not None and latest >= today
        own: dict[str, dt.date | None] = {}
        for target in hold.recipient_closings:
            end = s.deadlines.holds[n, target].latest
            if end is not None and end >= today:
                own[target] = _known(end)
        if active or own:
            yield Keeping(hold, _known(latest) if active else today, own, active)


def _known(end: dt.date | None) -> dt.date | None:
    return None if end == FOREVER else end


def _hold_ends(s: Subject) -> None:
    """Work out until when each hold lasts for the matters of which something has happened."""
    stale, s.deadlines.matters = s.deadlines.matters, set()
    ends = s.deadlines.holds
    for n, hold in enumerate(s.policy.holds):
        for target, closings in (("", None), *hold.recipient_closings.items()):
            found = ends.get((n, target))
            if found is None:
                found = ends[n, target] = Latest()
            for ref in stale:
                matter = s.matters.get(ref)
                if matter is None or (hold.transaction is not None and matter.kind != "order"):
                    end = None
                elif closings is None:
                    end = _end_for(s, hold, matter)
                else:
                    end = closed_on(s, matter, hold.opened_by, closings)
                found.put(ref, end)


def covers(s: Subject, keeping: Keeping, item: Item) -> bool:
    """Tell whether a hold protects the item: its activity or category, in its systems, or at its recipients."""
    hold, policy = keeping.hold, s.policy
    activity = policy.activities.get(item.activity)
    if hold.recipients is not None:
        return item.target in hold.recipients
    if activity is not None and activity.marketing:
        return False
    if item.target in hold.recipient_closings:
        return item.target in keeping.recipients_until and _in_activities(s, hold, item)
    if not keeping.active:
        return False
    place = _place(s, item.target)
    if hold.activities is None:
        return hold.categories is not None and item.category in hold.categories and (
            hold.systems is None or place in hold.systems
        ) and place in policy.systems  # fmt: skip
    if not _in_activities(s, hold, item):
        return False
    at_system = place in policy.systems
    if at_system and hold.systems is not None and place not in hold.systems:
        return False
    return hold.categories is None or item.category in hold.categories or not (at_system or hold.statutory)


def _in_activities(s: Subject, hold: Hold, item: Item) -> bool:
    if isinstance(hold.activities, tuple):
        return item.activity in hold.activities
    activity = s.policy.activities.get(item.activity)
    return activity is not None and hold.activities is not None and Basis(hold.activities) in activity.kinds


def _place(s: Subject, target: str) -> str:
    """Give the system that a recipient operates, or the target itself."""
    recipient = s.policy.recipients.get(target)
    return recipient.operates if recipient is not None and recipient.operates else target


@dataclass(frozen=True, slots=True)
class Kept:
    """That an item is kept, why, and until when (None: not known)."""

    reasons: Reasons
    until: dt.date | None
    statutory: bool
    claim: bool = False


def keeping_of(s: Subject, item: Item, active: Sequence[Keeping], today: dt.date) -> Kept | None:
    """Give what keeps an item: the latest end wins, and an unknown end is later than any other."""
    if not isinstance(active, Keepings):
        return _keeping_of(s, item, active, today)
    name = (*alike(s, item), today)
    if name not in active.known:
        active.known[name] = _keeping_of(s, item, active, today)
    return active.known[name]


def alike(s: Subject, item: Item) -> tuple[object, ...]:
    """Give what two items have in common that the same holds keep for the same reasons."""
    return item.target, item.activity, item.category, item.matter if s.claims else "", frozenset(item.cites)


def _keeping_of(s: Subject, item: Item, active: Sequence[Keeping], today: dt.date) -> Kept | None:
    ids: list[str] = []
    ends: list[dt.date | None] = []
    statutory = True
    for keeping in active:
        if covers(s, keeping, item):
            hold = keeping.hold
            parameter = f"param:{hold.parameter}" if hold.parameter else ""
            ids += [hold.id, *hold.cites, parameter]
            ends.append(keeping.recipients_until.get(item.target, keeping.until))
            statutory = statutory and hold.statutory
    claim = _claim(s, item, today)
    if claim is not None:
        ids += claim[0]
        ends.append(claim[1])
        statutory = False
    if not ends:
        return None
    until = None if None in ends else max(e for e in ends if e is not None)
    return Kept(s.cite(*ids, *_why_held(s, item)), until, statutory, claim is not None)


def keeping_now(s: Subject, item: Item, known: dict[str, list[Keeping]], today: dt.date) -> Kept | None:
    """Give what keeps an item that is no longer in ordinary use; `known` spares asking for the holds again."""
    right = "erasure" if s.erased_at is not None or item.asked else "retention"
    if right not in known:
        known[right] = keepings(s, right, today)
    return keeping_of(s, item, known[right], today)


def kept(s: Subject) -> list[list[Item]]:
    """Give what is kept for a hold, in lists of items that are kept for the same reasons."""
    if not s.items.kept:
        return []
    name = ("kept", s.items.version)
    if name not in s.memo:
        found: dict[tuple[object, ...], list[Item]] = {}
        for item in s.items.values():
            if item.use is Use.KEPT:
                found.setdefault((*alike(s, item), item.asked), []).append(item)
        s.memo[name] = list(found.values())
    return cast("list[list[Item]]", s.memo[name])


def kept_now(s: Subject) -> list[tuple[list[Item], Kept | None]]:
    """Give what is kept for a hold with what keeps it today, None if nothing does any longer."""
    name = ("kept now", s.items.version, s.today)
    found: list[tuple[list[Item], Kept | None]] | None = s.memo.get(name)
    if found is None:
        known: dict[str, list[Keeping]] = {}
        found = s.memo[name] = [(items, keeping_now(s, items[0], known, s.today)) for items in kept(s)]
    return found


def _claim(s: Subject, item: Item, today: dt.date) -> tuple[Ids, dt.date | None] | None:
    """Give why and until when a legal claim or a court's order needs the item (GDPR art. 17(3)(e), 18(1)(c))."""
    policy = s.policy
    if _place(s, item.target) not in policy.systems:
        return None
    for ref, about, categories, _ in s.claims:
        closed = s.closed_claims.get(ref)
        if closed is not None and policy.zone.day(closed) < today:
            continue
        if (not categories or item.category in categories) and about in ("", item.matter):
            ids = policy.restriction.get("claim") or policy.claim_cites
            return (*ids, "gdpr:17"), None if closed is None else policy.zone.day(closed)
    for until, activities, systems, named_categories in s.orders_to_keep:
        if until is not None and until < today:
            continue
        named = not activities or item.activity in activities
        if named and (not systems or item.target in systems) and (not named_categories or item.category in named_categories):
            ids = tuple(g.id for g in policy.guards if g.on == "disclosure" and g.to == "authority")
            return (*ids, "gdpr:17"), until
    return None


def _why_held(s: Subject, item: Item) -> Ids:
    activity = s.policy.activities.get(item.activity)
    recipient = s.policy.recipients.get(item.target)
    return (
        *((activity.id, *activity.retention) if activity else ()),
        *((recipient.id,) if recipient else ()),
        *sorted(item.cites),
    )


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
    name = (_place(s, item.target) if timing.by_place else "", item.last if timing.by_last else 0)
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
    place = _place(s, item.target)
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
        return True, parameter_end(s, rule.parameter, matter) if matter else None
    if rule.collected:
        assert rule.clock is not None
        return True, rule.clock.durations[0].after(s.policy.zone.day(item.last))
    if rule.guest_as is not None and not s.had_account:
        clock = next((c for (_, a), c in s.policy.clocks.items() if a == rule.guest_as), None)
    else:
        clock = s.policy.clocks.get((rule.id, item.activity)) if rule.needs_setting else rule.clock
    if clock is None:
        return True, None
    if clock.anchors == (ACCOUNT_ENDED,) and not _under_account(s, matter):
        return False, None
    end = clock_end(s, clock, matter)
    if end is None and not rule.needs_setting:
        kinds = {matter_kind(t) for t in clock.anchors}
        own = matter.kind if matter else None
        if None not in kinds and own not in kinds:
            return False, None
    return True, end


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
            after = _closing_day(s, matter, _SETTLED, matter.events[0][0])
        if after is None:
            return None
        anchors = anchors or done
    if not anchors:
        return None
    day = zone.day(max(anchors))
    for name in clock.params:
        parameter = s.policy.parameters.get(name)
        if parameter is None or parameter.duration is None:
            return None
        day = parameter.duration.after(day)
    for duration in clock.durations:
        day = duration.after(day)
    return max(day, after) if after is not None else day


def _anchor_times(s: Subject, types: Ids, matter: Matter | None) -> list[int]:
    found: list[int] = []
    for type_ in types:
        if matter is not None and matter_kind(type_) == matter.kind:
            found += matter.times((type_,))
        elif type_ != ACCOUNT_ENDED or not s.has_account:
            found += s.times.get(type_, ())
    if matter is not None and found:
        # A matter that was opened again after it was handled is not handled: the clock waits.
        opened = matter.times(OPENING)
        if opened and max(opened) > max(found):
            return []
    return found
