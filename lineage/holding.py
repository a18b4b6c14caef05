"""Say who holds what after an event: which systems, for which activities, and which recipients got it.

An event of a kind feeds every activity that lists the kind; its systems then hold what the event carries and the
activity lists, and what arises; a recipient gets what the activity then holds of that person and matter. Consents,
joins of devices and conditions stand in the way where the policy says so; what they stop leaves a verdict, no edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lineage.calendar import EEA
from lineage.policy import Activity, EventKind, Ids, LinkRule, Policy, Recipient, Role
from lineage.subject import DoNotUse, Item, Reasons, Subject, Use, Verdict


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as the fold sees it: the policy's categories, the fields that drive decisions, the references."""

    at: int
    type: str
    categories: frozenset[str]
    unknown: frozenset[str]
    """Terms that the policy has no category for; "?" for a field that nobody has a name for."""
    fields: dict[str, object]
    refs: dict[str, str]
    kinds: tuple[EventKind, ...]
    kindless: bool
    """No kind of the policy fits, though the type needs one."""
    matter: str = ""
    about: str = ""
    device_only: bool = False
    occurred: int = 0
    """When it happened, if not at `at`."""
    closed: frozenset[str] = frozenset()
    """Activities that may take nothing of it: a child's, without the parent's consent."""

    @property
    def base(self) -> str:
        """Give the kind without subtype that activities list."""
        return self.kinds[0].base if self.kinds else ""


def verdict(
    s: Subject,
    e: Happening,
    outcome: str,
    reasons: Iterable[str],
    target: str = "",
    categories: Iterable[str] = ("",),
) -> None:
    """Record what became of an event's categories at a target."""
    ids = tuple(dict.fromkeys(reasons))
    found = s.verdicts.setdefault((e.at, e.type), [])
    found.extend(Verdict(outcome, ids, target, c) for c in categories)


def put(
    s: Subject,
    e: Happening,
    target: str,
    activity: str,
    category: str,
    cites: Iterable[str],
    *,
    use: Use = Use.ORDINARY,
    why: Reasons = (),
    source: str | None = None,
    matter: str | None = None,
) -> Item:
    """Add or refresh an item."""
    key = (target, activity, category, e.matter if matter is None else matter)
    item = s.items.get(key)
    if item is None or item.use is Use.ENDING:
        item = Item(*key, first=e.at, last=e.at, use=use, why=why, source=source)
        s.items[key] = item
    tags = tags_of(s, e, target, activity, category)
    _renew(item, e.at, (*cites, *tags.cites), tags.tags)
    _renewed(s, activity, item.matter)
    return item


def _renew(item: Item, at: int, cites: Iterable[str], tags: Ids) -> None:
    if at > item.last:
        item.last = at
    elif at < item.first:
        item.first = at
    item.cites.update(cites)
    if tags:
        item.tags.update(tags)


def _renewed(s: Subject, activity: str, matter: str) -> None:
    """Let what has been worked out of items be looked at again: they have come again, perhaps for other reasons."""
    if s.items.kept:
        s.items.version += 1
    if s.reading.timing(activity).by_last:
        s.items.moved.add((activity, matter))


class Tags(NamedTuple):
    """What an event makes of the items that it brings, and the rules that say so."""

    tags: Ids
    cites: Ids


def tags_of(s: Subject, e: Happening, target: str, activity: str, category: str) -> Tags:
    """Give what an event makes of an item."""
    proven = e.type == "newsletter.subscribed" and e.fields.get("proof") is True
    derived = e.type == "data.derived"
    name = ("tags", target, activity, category, proven, derived)
    return s.reading.once(name, lambda: _tags_of(s.policy, target, activity, category, proven=proven, derived=derived))


def _tags_of(policy: Policy, target: str, activity: str, category: str, *, proven: bool, derived: bool) -> Tags:
    tags: list[str] = []
    cites: list[str] = []
    kind, purpose, recipient = policy.categories.get(category), policy.activities.get(activity), policy.recipients.get(target)
    if kind is not None and not kind.declared:
        tags.append("undeclared")
        cites += policy.cited_with_of("undeclared")
    if kind is not None and kind.term == "subscription":
        tags.append("consent_proof")
    if proven:
        tags.append("consent_proof")
        cites += (r.id for r in policy.rights if r.right == "handed_over")
    if derived or (kind is not None and kind.provenance == "derived"):
        tags.append("derived")
    if purpose is not None and "profiling" in purpose.flags:
        tags.append("profiling")
    if recipient is not None and recipient.location is not None and recipient.location not in EEA:
        tags.append("outside_eea")
    return Tags(tuple(tags), tuple(cites))


def systems_of(activity: Activity, base: str) -> Ids:
    """Give the systems of an activity that an event of a kind feeds."""
    return activity.feeds.get(base, activity.systems) if activity.feeds else activity.systems


def has_place(policy: Policy, activity: Activity, system: str, category: str) -> bool:
    """Tell whether the activity may have the category in the system; one that is a recipient too has only what it receives."""
    recipient = policy.recipients.get(system)
    return category in activity.in_systems.get(system, (category,)) and (recipient is None or receives(recipient, category))


def may_lie(policy: Policy, activity: Activity, system: str, category: str, type_: str) -> bool:
    """Tell whether the category may come to lie in a system of the activity's after an event of the type."""
    recipient = policy.recipients.get(system)
    return (recipient is None or _reaches(type_, recipient)) and has_place(policy, activity, system, category)


def _reaches(type_: str, recipient: Recipient, *, carries: bool = True) -> bool:
    """Tell whether an event of the type reaches a recipient: one of those it is bound to, else all that carry something."""
    return type_ in recipient.reached_by if recipient.reached_by else carries


def reached(policy: Policy, activity: Activity, type_: str, *, carries: bool = True) -> Iterator[Recipient]:
    """Give the recipients that an event of the type reaches for an activity; what is a system too is fed as one."""
    for name in activity.recipients:
        recipient = policy.recipients[name]
        if name in policy.systems or recipient.role in (Role.SOURCE, Role.UNCONTROLLED):
            continue
        if _reaches(type_, recipient, carries=carries):
            yield recipient


def receives(recipient: Recipient, category: str) -> bool:
    """Tell whether the policy names the category among what the recipient gets."""
    return recipient.receives is None or category in recipient.receives


def carried(s: Subject, e: Happening, activity: Activity) -> frozenset[str]:
    """Give what the activity takes of the event: what it lists and the event carries, and what arises from it."""
    unmet = bool(activity.condition) and not s.state(activity.condition or "")

    def work_out() -> frozenset[str]:
        arises = {c for c in activity.categories if e.type in s.policy.categories[c].arises_from}
        found = (e.categories | arises) & set(activity.categories)
        return found - set(activity.conditional) if unmet else found

    return s.reading.once(("carried", activity.name, e.type, e.categories, unmet), work_out)


def consented(s: Subject, activity: Activity, base: str, *, derived: bool = False) -> bool:
    """Tell whether a consent covers events of this kind for the activity."""
    kind = "derived" if derived else base
    return any(g.activity == activity.name and (g.kinds is None or kind in g.kinds) for g in s.grants)


def renewed(s: Subject, activity: Activity, entry: DoNotUse) -> bool:
    """Tell whether a consent to the activity was given after a do-not-use entry was written."""
    return any(
        g.activity == activity.name and g.at >= entry.since and g.kinds is None and not g.soft for g in s.grants
    )  # fmt: skip


def consent_ids(s: Subject, activity: Activity) -> Ids:
    """Give the rules that ask for a consent to the activity."""
    ids = [r.id for r in s.policy.rights if r.right == "consent" and (r.activities == "consent" or activity.name in r.activities)]
    withdrawn = [r.id for r in s.policy.rights if r.right == "withdrawal" and activity.name in (*r.ends, *r.asked_ends)]
    return (*ids, *withdrawn, activity.id)


def narrowed(s: Subject, activity: Activity, system: str, category: str, e: Happening) -> LinkRule | None:
    """Give the link rule that keeps a category from a system as long as what it waits for has not come."""
    for rule in s.policy.links:
        if rule.activity != activity.name or system not in rule.systems:
            continue
        joined = rule.needs != "device" or bool(s.devices)
        if rule.only_at and not (e.type in rule.only_at and joined):
            return rule
        if category in rule.takes_up and not joined:
            return rule
    if not s.devices and category in s.reading.of_devices:
        return next((r for r in s.policy.links if r.unjoined), None)
    return None


def apart(s: Subject, rule: LinkRule) -> Reasons:
    """Give the reasons why what has not been joined to the person is not theirs."""
    return s.cite(rule.id, *(r.id for r in s.policy.links if r.unjoined))


def stopped(s: Subject, activity: Activity, e: Happening) -> Reasons | None:
    """Say why an activity may take nothing of the event: no consent, an objection, a suppression; None if it may."""
    if activity.name in s.objected:
        return s.cite(*s.objected[activity.name], activity.id)
    advertises = activity.marketing not in (None, "outreach")
    for entry in s.do_not_use:
        if advertises and entry.scope == "direct_marketing" and not renewed(s, activity, entry):
            return s.cite(*entry.reasons, *consent_ids(s, activity))
    if activity.name in s.reading.needing_consent and not consented(s, activity, e.base, derived=e.type == "data.derived"):
        return s.cite(*consent_ids(s, activity), s.policy.soft_opt_in or "", *s.soft_closed)
    return None


def feed(s: Subject, e: Happening, cites: Iterable[str] = ()) -> None:
    """Let an event feed the activities that list its kind, their systems and their recipients."""
    fed: set[str] = set()
    listing = s.reading.listing(e.kinds)
    ids = (*(k.id for k in e.kinds), *cites)
    for activity, base in listing:
        categories = carried(s, e, activity)
        fed |= categories
        if activity.name in e.closed:
            continue
        reasons = stopped(s, activity, e)
        if reasons is not None:
            if categories:
                for target in systems_of(activity, base):
                    verdict(s, e, "blocked", reasons, target, sorted(categories))
            continue
        _take(s, e, activity, _systems(s, e, activity, base, categories, ids))
        if activity.recipients:
            held = frozenset(i.category for i in s.items.group(activity.name, e.matter).values() if i.live)
            _take(s, e, activity, _recipients(s, e, activity, held, ids, carries=bool(categories)))
    leftovers(s, e, fed, [a for a, _ in listing])


class Placed(NamedTuple):
    """A category that comes to lie with a target, why, and what it is tagged with there."""

    target: str
    category: str
    cites: Ids
    tags: Ids


class Landing(NamedTuple):
    """What an event brings to targets for an activity, and a verdict on each category that it might have brought."""

    placed: tuple[Placed, ...]
    verdicts: tuple[Verdict, ...]


def _take(s: Subject, e: Happening, activity: Activity, landing: Landing) -> None:
    items, name, matter, at = s.items, activity.name, e.matter, e.at
    for target, category, cites, tags in landing.placed:
        key = (target, name, category, matter)
        item = items.get(key)
        if item is None or item.use is Use.ENDING:
            items[key] = Item(target, name, category, matter, at, at, set(cites), set(tags))
        else:
            _renew(item, at, cites, tags)
    if landing.placed:
        _renewed(s, name, matter)
    if landing.verdicts:
        s.verdicts.setdefault((at, e.type), []).extend(landing.verdicts)


def _systems(s: Subject, e: Happening, activity: Activity, base: str, categories: frozenset[str], cites: Ids) -> Landing:
    proven = e.fields.get("proof") is True
    name = ("systems", activity.name, base, e.base, e.type, e.categories, categories, cites, bool(s.devices), proven)
    return s.reading.once(name, lambda: _to_systems(s, e, activity, base, categories, cites))


def _to_systems(s: Subject, e: Happening, activity: Activity, base: str, categories: frozenset[str], cites: Ids) -> Landing:
    placed: list[Placed] = []
    verdicts: list[Verdict] = []
    for system in systems_of(activity, base):
        for category in sorted(categories):
            if not may_lie(s.policy, activity, system, category, e.type):
                continue
            rule = narrowed(s, activity, system, category, e)
            if rule is not None:
                if category in e.categories:
                    verdicts.append(Verdict("blocked", apart(s, rule), system, category))
                continue
            links = [r.id for r in s.policy.links if r.activity == activity.name and system in r.systems]
            joined = [r.id for r in s.policy.links if r.device] if e.base == "cookie" or links else []
            reasons = (*cites, *joined, *links, activity.id)
            tags = tags_of(s, e, system, activity.name, category)
            placed.append(Placed(system, category, (*reasons, *tags.cites), tags.tags))
            verdicts.append(Verdict("allowed", s.cite(activity.id, *cites, *joined), system, category))
    return Landing(tuple(placed), tuple(verdicts))


def _recipients(s: Subject, e: Happening, activity: Activity, held: frozenset[str], cites: Ids, *, carries: bool) -> Landing:
    proven = e.fields.get("proof") is True
    name = ("recipients", activity.name, e.type, held, cites, carries, proven)
    return s.reading.once(name, lambda: _to_recipients(s, e, activity, held, cites, carries=carries))


def _to_recipients(s: Subject, e: Happening, activity: Activity, held: frozenset[str], cites: Ids, *, carries: bool) -> Landing:
    placed: list[Placed] = []
    verdicts: list[Verdict] = []
    for recipient in reached(s.policy, activity, e.type, carries=carries):
        for category in sorted(held):
            if receives(recipient, category):
                tags = tags_of(s, e, recipient.name, activity.name, category)
                placed.append(Placed(recipient.name, category, (*cites, activity.id, recipient.id, *tags.cites), tags.tags))
                verdicts.append(Verdict("allowed", s.cite(activity.id, recipient.id, *cites), recipient.name, category))
    return Landing(tuple(placed), tuple(verdicts))


def leftovers(s: Subject, e: Happening, fed: Iterable[str], listing: Iterable[Activity]) -> None:
    """Quarantine what no activity fed by this kind lists, and block what another party alone may hold."""
    policy = s.policy
    left = set(e.categories) - set(fed)
    listed = {c for a in listing for c in a.categories}
    for category in sorted(left):
        own = policy.categories[category]
        if own.collected_by:
            verdict(s, e, "blocked", elsewhere_ids(s, e), "", (category,))
        elif category not in listed:
            verdict(s, e, "quarantined", _undeclared_ids(s, listing), "", (category,))
    if e.unknown:
        verdict(s, e, "quarantined", _undeclared_ids(s, listing), "", ("",))
        s.note("warned", _undeclared_ids(s, listing), about="undeclared data")


def elsewhere_ids(s: Subject, e: Happening) -> Ids:
    """Give the reasons why what another party alone may hold is blocked."""
    guards = [g for g in s.policy.guards if g.on == "held_elsewhere"]
    return (*s.cite(*(g.id for g in guards), *(k.id for k in e.kinds)), *(i for g in guards for i in g.cites))


def _undeclared_ids(s: Subject, listing: Iterable[Activity]) -> Ids:
    ids = [g.id for g in s.policy.guards if g.on == "undeclared"]
    return s.cite(*(ids or (*s.policy.cited_with_of("undeclared"), "gdpr:5")), *(a.id for a in listing))
