"""Say what keeps an item that would otherwise go: which holds, why, and until when (GDPR art. 17(3)).

What arrives is the state of a data subject; what leaves are holds with their last days. None as an end means that no day is
known yet: an event must come first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from lineage.closings import FOREVER, closed_on, is_transaction, parameter_end
from lineage.deadlines import Latest
from lineage.policy import Basis, Hold, Ids
from lineage.subject import Item, Matter, Reasons, Subject, Use


@dataclass(frozen=True, slots=True)
class Keeping:
    """A hold as it is now: `until` is its last day, None if that is not known."""

    hold: Hold
    until: dt.date | None
    recipients_until: dict[str, dt.date | None]
    active: bool = True
    """Whether it keeps anything but what those recipients have."""


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


def might_keep(s: Subject) -> list[Keeping]:
    """Give the statutory holds as they would be for a matter of which not enough is known to say whether they apply."""
    holds = [h for h in s.policy.holds if h.statutory and "erasure" in h.blocks]
    return [
        Keeping(h, None, dict.fromkeys(h.recipient_closings)) for h in holds
        if not h.needs_setting or s.policy.settings.get(h.needs_setting) is True
    ]  # fmt: skip


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
                if matter is None or (hold.transaction is not None and matter.kind != "order") or (
                    matter.late and not hold.statutory
                ):  # fmt: skip
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
    place = place_of(s, item.target)
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


def place_of(s: Subject, target: str) -> str:
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
    place = place_of(s, item.target)
    at_system = place in policy.systems
    for ref, about, categories, _ in s.claims if at_system else ():
        closed = s.closed_claims.get(ref)
        if closed is not None and policy.zone.day(closed) < today:
            continue
        if (not categories or item.category in categories) and about in ("", item.matter):
            ids = policy.restriction.get("claim") or policy.claim_cites
            return (*ids, "gdpr:17"), None if closed is None else policy.zone.day(closed)
    for until, activities, systems, named_categories in s.orders_to_keep:
        if until is not None and until < today:
            continue
        if not at_system and (not activities or named_categories):
            continue  # Where activities alone are named, their recipients hear of it when it ends.
        named = not activities or item.activity in activities
        if named and (not systems or place in systems) and (not named_categories or item.category in named_categories):
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
