"""Say who holds what after an event: which systems, for which activities, and which recipients got it.

An event of a kind feeds every activity that lists the kind; its systems then hold what the event carries and the
activity lists, and what arises; a recipient gets what the activity then holds of that person and matter. Consents,
joins of devices and conditions stand in the way where the policy says so; what they stop leaves a verdict, no edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    item.first = min(item.first, e.at)
    if e.at > item.last:
        item.last = e.at
        s.items.moved.add((activity, item.matter))
    if item.kept:
        s.items.version += 1
    item.cites.update(cites)
    _tag(s, e, item)
    return item


def _tag(s: Subject, e: Happening, item: Item) -> None:
    policy = s.policy
    category = policy.categories.get(item.category)
    activity = policy.activities.get(item.activity)
    recipient = policy.recipients.get(item.target)
    if category is not None and not category.declared:
        item.tags.add("undeclared")
        item.cites.update(policy.cited_with_of("undeclared"))
    if category is not None and category.term == "subscription":
        item.tags.add("consent_proof")
    if e.type == "newsletter.subscribed" and e.fields.get("proof") is True:
        item.tags.add("consent_proof")
        item.cites.update(r.id for r in policy.rights if r.right == "handed_over")
    if e.type == "data.derived":
        item.tags.add("derived")
    if activity is not None and "profiling" in activity.flags:
        item.tags.add("profiling")
    if recipient is not None and recipient.location is not None and recipient.location not in EEA:
        item.tags.add("outside_eea")


def systems_of(activity: Activity, base: str) -> Ids:
    """Give the systems of an activity that an event of a kind feeds."""
    return activity.feeds.get(base, activity.systems) if activity.feeds else activity.systems


def lets_in(s: Subject, target: str, category: str, type_: str) -> bool:
    """Tell whether a system that is a recipient too may hold the category after an event of the type."""
    recipient = s.policy.recipients.get(target)
    return recipient is None or (
        (recipient.receives is None or category in recipient.receives)
        and (not recipient.reached_by or type_ in recipient.reached_by)
    )


def receives(recipient: Recipient, category: str) -> bool:
    """Tell whether the policy names the category among what the recipient gets."""
    return recipient.receives is None or category in recipient.receives


def carried(s: Subject, e: Happening, activity: Activity) -> frozenset[str]:
    """Give what the activity takes of the event: what it lists and the event carries, and what arises from it."""
    arises = {c for c in activity.categories if e.type in s.policy.categories[c].arises_from}
    found = (set(e.categories) | arises) & set(activity.categories)
    if activity.condition and not s.state(activity.condition):
        found -= set(activity.conditional)
    return frozenset(found)


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
    if not s.devices and category in _of_devices(s.policy):
        return next((r for r in s.policy.links if r.unjoined), None)
    return None


def _of_devices(policy: Policy) -> set[str]:
    """Give the categories that nothing but a device brings, where the policy joins devices by an event."""
    if not any(r.device and r.since == "then" and not r.accepted for r in policy.links):
        return set()
    brought = {c for k in policy.kinds.values() if k.base == "cookie" for c in k.carries}
    return brought - {c for k in policy.kinds.values() if k.base != "cookie" for c in k.carries}


def stopped(s: Subject, activity: Activity, e: Happening) -> Reasons | None:
    """Say why an activity may take nothing of the event: no consent, an objection, a suppression; None if it may."""
    if activity.name in s.objected:
        return s.cite(*s.objected[activity.name], activity.id)
    advertises = activity.marketing not in (None, "outreach")
    for entry in s.do_not_use:
        if advertises and entry.scope == "direct_marketing" and not renewed(s, activity, entry):
            return s.cite(*entry.reasons, *consent_ids(s, activity))
    imported = e.type == "data.imported"
    if activity.needs_consent and not imported and not consented(s, activity, e.base, derived=e.type == "data.derived"):
        return s.cite(*consent_ids(s, activity), s.policy.soft_opt_in or "", *s.soft_closed)
    return None


def feed(s: Subject, e: Happening, cites: Iterable[str] = ()) -> None:
    """Let an event feed the activities that list its kind, their systems and their recipients."""
    policy = s.policy
    fed: set[str] = set()
    listing = [a for a in policy.activities.values() if e.kinds and any(k.base in a.events for k in e.kinds)]
    for activity in listing:
        base = next(k.base for k in e.kinds if k.base in activity.events)
        categories = carried(s, e, activity)
        if activity.name in e.closed:
            fed |= categories
            continue
        reasons = stopped(s, activity, e)
        if reasons is not None:
            if categories:
                for target in systems_of(activity, base):
                    verdict(s, e, "blocked", reasons, target, sorted(categories))
            fed |= categories
            continue
        fed |= categories
        event_ids = [k.id for k in e.kinds]
        _systems(s, e, activity, base, categories, (*event_ids, *cites))
        _recipients(s, e, activity, categories, (*event_ids, *cites))
    leftovers(s, e, fed, listing)


def _systems(s: Subject, e: Happening, activity: Activity, base: str, categories: frozenset[str], cites: Ids) -> None:
    for system in systems_of(activity, base):
        for category in sorted(categories):
            if system in activity.in_systems and category not in activity.in_systems[system]:
                continue
            if not lets_in(s, system, category, e.type):
                continue
            rule = narrowed(s, activity, system, category, e)
            if rule is not None:
                unjoined = [r.id for r in s.policy.links if r.unjoined]
                if category in e.categories:
                    verdict(s, e, "blocked", s.cite(rule.id, *unjoined), system, (category,))
                continue
            links = [r.id for r in s.policy.links if r.activity == activity.name and system in r.systems]
            joined = [r.id for r in s.policy.links if r.device] if e.base == "cookie" or links else []
            put(s, e, system, activity.name, category, (*cites, *joined, *links, activity.id))
            verdict(s, e, "allowed", s.cite(activity.id, *cites, *joined), system, (category,))


def _recipients(s: Subject, e: Happening, activity: Activity, categories: frozenset[str], cites: Ids) -> None:
    if not activity.recipients:
        return
    held = {i.category for i in s.items.group(activity.name, e.matter).values() if i.live}
    for name in activity.recipients:
        recipient = s.policy.recipients[name]
        if name in s.policy.systems or recipient.role in (Role.SOURCE, Role.UNCONTROLLED):
            continue
        if e.type not in recipient.reached_by if recipient.reached_by else not categories:
            continue
        for category in sorted(held):
            if receives(recipient, category):
                put(s, e, name, activity.name, category, (*cites, activity.id, recipient.id))
                verdict(s, e, "allowed", s.cite(activity.id, recipient.id, *cites), name, (category,))


def leftovers(s: Subject, e: Happening, fed: Iterable[str], listing: Iterable[Activity]) -> None:
    """Quarantine what no activity fed by this kind lists, and block what another party alone may hold."""
    policy = s.policy
    left = set(e.categories) - set(fed)
    listed = {c for a in listing for c in a.categories}
    for category in sorted(left):
        own = policy.categories[category]
        if own.collected_by:
            ids = s.cite(*(g.id for g in policy.guards if g.on == "held_elsewhere"), *(k.id for k in e.kinds))
            cites = [i for g in policy.guards if g.on == "held_elsewhere" for i in g.cites]
            verdict(s, e, "blocked", (*ids, *cites), "", (category,))
        elif category not in listed:
            verdict(s, e, "quarantined", _undeclared_ids(s, listing), "", (category,))
    if e.unknown:
        verdict(s, e, "quarantined", _undeclared_ids(s, listing), "", ("",))
        s.note("warned", _undeclared_ids(s, listing), about="undeclared data")


def _undeclared_ids(s: Subject, listing: Iterable[Activity]) -> Ids:
    return s.cite(*(g.id for g in s.policy.guards if g.on == "undeclared"), *(a.id for a in listing))
