"""Say what stands in the way of using data for an activity: a refusal, a restriction, no consent, or nothing left to use.

What arrives is the state of a data subject and an activity; what leaves are the rules that forbid it, the deciding one
first, or None. The gates ask here, and so do the events that report what has already happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

import schemas
from lineage.children import child_ids, is_child
from lineage.holding import consent_ids, renewed
from lineage.keeping import covers, keepings
from lineage.policy import Activity, Ids, Policy
from lineage.rights import CHANNEL_TERM, marketing_of
from lineage.subject import Grant, Item, Reasons, Subject, Use

CHANNEL_TERMS = {**{channel: (term,) for channel, term in CHANNEL_TERM.items()}, "post": (CHANNEL_TERM["post"], "postal_address")}
"""The terms by which a message over a channel reaches a person."""
_ANY_CHANNEL = "user.contact"
"""Contact details of which nobody says by what way they reach a person."""


def child_block(s: Subject, activity: Activity) -> Reasons | None:
    """Give the rules on children that stand in the way of an activity, None if none does."""
    if not is_child(s):
        return None
    if s.underage:
        return s.cite(*s.underage, activity.id)
    rules = [g for g in s.policy.guards if g.on == "child"]
    if any(activity.name in g.exempt for g in rules):
        return None
    agreed = any(g.parent and g.activity == activity.name for g in s.grants)
    if agreed and not activity.marketing:
        return None
    return s.cite(*child_ids(s), activity.id)


def covered(s: Subject, activity: Activity, categories: Ids) -> Reasons | None:
    """Give the reasons of a restriction that covers the use, None if there is none."""
    for cover in s.restrictions:
        probes = [Item("", activity.name, c, "", 0, 0) for c in categories or activity.categories]
        hit = [p for p in probes if cover.covers(p)]
        if hit and (categories or cover.activities is not None or len(hit) == len(probes)):
            return s.cite(*cover.reasons, activity.id)
    return None


def barred(s: Subject, categories: Ids) -> Reasons | None:
    """Give the reasons of a restriction of every use of one of the categories, None if there is none."""
    for cover in s.restrictions:
        if cover.activities is None and (cover.categories is None or cover.categories & set(categories)):
            return cover.reasons
    return None


def suppressed(s: Subject, activity: Activity, channel: str | None) -> Reasons | None:
    """Give the reasons of a do-not-use entry for the activity over the channel, None if there is none."""
    for entry in s.do_not_use:
        if entry.hidden or entry.target:
            continue
        by_scope = entry.scope == "direct_marketing" and activity in marketing_of(s, "direct_marketing")
        by_channel = entry.channel is not None and entry.channel == channel and activity.marketing == "direct"
        by_activity = entry.activity == activity.name and entry.channel is None
        if by_channel or ((by_scope or by_activity) and not renewed(s, activity, entry)):
            readers = [x.id for x in s.policy.suppression if x.reader]
            ids = [r.id for r in s.policy.rights if activity.name in r.ends or activity.name == r.activity]
            return s.cite(*entry.reasons, *readers, *ids, *consent_ids(s, activity))
    return None


def hidden(s: Subject, activity: Activity, categories: Ids) -> Reasons | None:
    """Give the reasons why data are hidden from whoever would use them in the ordinary course, None if they are not."""
    reasons = None if activity.legal else hiding(s, categories or activity.categories)
    return None if reasons is None else s.cite(*reasons, activity.id)


def hiding(s: Subject, categories: Ids) -> Reasons | None:
    """Give the reasons why one of the categories is hidden on the person's wish, None if none is."""
    for entry in s.do_not_use:
        if entry.hidden and (not entry.categories or set(entry.categories) & set(categories)):
            return entry.reasons
    return None


def consents(s: Subject, activity: Activity) -> list[Grant]:
    """Give the consents to an activity that still count: one for a channel that was stopped since does not."""
    stopped = {d.channel: d.since for d in s.do_not_use if d.channel and not d.target and not d.hidden}
    return [
        g for g in s.grants
        if g.activity == activity.name and not (g.channel in stopped and stopped[g.channel] >= g.at)
    ]  # fmt: skip


def reaching(policy: Policy, activity: Activity, channel: str | None) -> Ids:
    """Give the categories of an activity by which a message over a channel reaches a person."""
    terms = set(CHANNEL_TERMS.get(channel or "", ()))
    if channel:
        terms |= {t.name for t in schemas.registry().terms.values() if t.category == _ANY_CHANNEL}
    found = tuple(c for c in activity.categories if policy.categories[c].term in terms)
    return found or activity.channels.get(channel or "", ())


def _channels(policy: Policy, activity: Activity, category: str) -> frozenset[str]:
    """Give the channels that a category is there for."""
    if activity.channels:
        return frozenset(channel for channel, needed in activity.channels.items() if category in needed)
    term = policy.categories[category].term
    return frozenset(channel for channel, terms in CHANNEL_TERMS.items() if term in terms)


def usable(s: Subject, activity: Activity) -> list[Item]:
    """Give what the activity may use: what is kept serves the purpose of the hold, and no other (GDPR art. 5(1)(b))."""
    own = [i for i in s.items.of(activity.name) if i.use is not Use.ENDING]
    if all(i.use is Use.ORDINARY for i in own):
        return own
    asked = s.erased_at is not None or any(i.asked for i in own)
    active = [k for k in keepings(s, "erasure" if asked else "retention", s.today)
              if activity.legal or k.hold.activities is not None]  # fmt: skip
    return [i for i in own if i.use is Use.ORDINARY or any(covers(s, k, i) for k in active)]


def lacking(s: Subject, activity: Activity, categories: Ids = ()) -> Reasons | None:
    """Say why an activity has none of a category any more: it was erased, or is kept for something else.

    None if it has all of the categories (or, where none are named, anything), or has never had what it lacks: then
    nothing forbids that it comes to have it.
    """
    own = _at_hand(s, activity)
    missing = [c for c in categories or activity.categories if c not in own]
    if not missing or (not categories and own):
        return None
    since = max((g.at for g in s.grants if g.activity == activity.name), default=-1)
    lost = _lost(s)
    why = [lost[activity.name, c] for c in missing if (activity.name, c) in lost]
    ids = [i for at, reasons in why if at > since for i in takewhile(lambda x: x != activity.id, reasons)]
    if s.erased_at is not None:
        return s.cite(*s.cases[s.erasure].reasons, *ids, activity.id)
    return s.cite(*ids, activity.id) if any(at > since for at, _ in why) else None


def known(s: Subject, activity: Activity, category: str) -> bool:
    """Tell whether an activity has a category, or has had it."""
    return category in _at_hand(s, activity) or (activity.name, category) in _lost(s)


def _at_hand(s: Subject, activity: Activity) -> frozenset[str]:
    name = ("at hand", activity.name, s.items.version, s.today)
    found: frozenset[str] | None = s.memo.get(name)
    if found is None:
        found = s.memo[name] = frozenset(i.category for i in usable(s, activity))
    return found


def _lost(s: Subject) -> Mapping[tuple[str, str], tuple[float, Reasons]]:
    """Give when, and why, an activity lost a category: erased then, on its way out, or kept for a hold."""
    name = ("lost", s.items.version, len(s.changes))
    found: dict[tuple[str, str], tuple[float, Reasons]] | None = s.memo.get(name)
    if found is None:
        found = s.memo[name] = {}
        for change in s.changes:
            if change.kind in ("erased", "ended", "unlinked"):
                found[change.activity, change.category] = change.at, change.reasons
        for item in s.items.values():
            if item.use is Use.ENDING and item.command in s.commands:
                command = s.commands[item.command]
                found[item.activity, item.category] = command.issued, command.why.get(item.category, ())
        for item in s.items.values():
            if item.use is Use.KEPT:
                found[item.activity, item.category] = float("inf"), item.why
    return found


def closed(s: Subject, activity: Activity, category: str, to: str) -> Reasons | None:
    """Say why a category may not be passed on to a recipient for an activity, None if it may."""
    stop = covered(s, activity, (category,)) or s.objected.get(activity.name) or child_block(s, activity)
    if stop:
        return stop
    channels = s.reading.once(("channels", activity.name, category), lambda: _channels(s.policy, activity, category))
    refused = [suppressed(s, activity, channel) for channel in channels or (None,)]
    if all(refused):
        return next(r for r in refused if r)
    if activity.name in s.reading.needing_consent:
        agreed = consents(s, activity)
        if not any(g.channel is None or not channels or g.channel in channels for g in agreed):
            return s.cite(*consent_ids(s, activity), *s.soft_closed)
    gone = lacking(s, activity, (category,))
    return None if gone is None or _holds_for(s, to, activity, category) else gone


def _holds_for(s: Subject, to: str, activity: Activity, category: str) -> bool:
    """Tell whether a hold that names the recipient keeps the category with it."""
    if not any(to in (h.recipients or ()) or to in h.recipient_closings for h in s.policy.holds):
        return False
    return any(i.target == to and i.category == category and i.live for i in s.items.of(activity.name))
