"""Keep what comes from children apart, where a policy names an age (GDPR art. 8).

What arrives are a person's age, an event, a parent's consent; what leaves is what goes on, what waits and what is ended.
"""

from __future__ import annotations

from dataclasses import replace

from lineage.calendar import Duration, age_on
from lineage.ending import end, why
from lineage.holding import Happening, verdict
from lineage.kinds import listing_of
from lineage.policy import Activity, Ids
from lineage.subject import Quarantine, Subject


def known_age(s: Subject) -> int | None:
    """Give the person's age today, None if it is not known."""
    if s.born is not None:
        return age_on(s.born, s.today)
    if s.age is not None:
        age, at = s.age
        since = s.policy.zone.day(at)
        return age + (s.today.year - since.year) - ((s.today.month, s.today.day) < (since.month, since.day))
    return None


def age_limit(s: Subject) -> int | None:
    """Give the age below which the policy takes a person for a child, None if it names none."""
    for guard in s.policy.guards:
        if guard.on == "child":
            if guard.age is not None:
                return guard.age
            if guard.setting and guard.setting in s.policy.settings:
                return int(str(s.policy.settings[guard.setting]))
    return None


def is_child(s: Subject) -> bool:
    """Tell whether the person is known to be below the age that the policy names."""
    limit, age = age_limit(s), known_age(s)
    return limit is not None and age is not None and age < limit


def child_ids(s: Subject) -> Ids:
    """Give the policy's rules on children."""
    return s.cite(*(i for g in s.policy.guards if g.on == "child" for i in (g.id, *g.cites)))


def child_learnt(s: Subject, e: Happening) -> None:
    """End what the policy does not let be held of a child."""
    ids = child_ids(s)
    refusing = next((g for g in s.policy.guards if g.on == "child" and g.refuses), None)
    if refusing is not None:
        s.underage = ids
        orders = {m.ref for m in s.matters.values() if m.kind == "order"}
        ending = [i for i in s.live() if i.matter in orders]
    else:
        ending = []
        for item in s.live():
            activity = s.policy.activities.get(item.activity)
            if activity is not None and activity.marketing:
                ending.append(item)
        s.grants = [g for g in s.grants if not s.policy.activities[g.activity].marketing]
    end(s, ending, {i.key: why(s, i, *ids) for i in ending})
    s.note("logged", ids, about=f"child: {e.type}")


def admit(s: Subject, e: Happening) -> Happening | None:
    """Set a child's sign-up aside until a parent consents; give what goes on: what a parent agreed to, the child's question."""
    rules = [g for g in s.policy.guards if g.on == "child"]
    if not any(g.marketing == "never" for g in rules) or not is_child(s) or not e.categories:
        return e
    ids = child_ids(s)
    listing = listing_of(s, e)
    closed = closed_to_children(s, listing)
    for activity in listing:
        outcome = "quarantined" if activity in closed else "allowed"
        for system in activity.systems:
            verdict(s, e, outcome, s.cite(*ids, activity.id), system, sorted(e.categories))
    if closed and len(closed) == len(listing):
        grace = s.policy.settings.get("deny_children_grace")
        until = Duration.parse(str(grace)).after(s.today) if grace else None
        s.quarantine.append(Quarantine(e.at, e.type, until, ids, e))
        s.note("warned", ids, about="a child's sign-up waits for a parent")
        return None
    return replace(e, closed=frozenset(a.name for a in closed))


def closed_to_children(s: Subject, listing: list[Activity]) -> list[Activity]:
    """Give the activities closed to a child; what the law asks for follows the use that a parent agreed to."""
    exempt = {a for g in s.policy.guards if g.on == "child" for a in g.exempt}
    closed = [a for a in listing if a.name not in exempt and not parent_agreed(s, a)]
    opened = len(closed) < len(listing)
    return [a for a in closed if not (opened and a.legal)]


def parent_agreed(s: Subject, activity: Activity) -> bool:
    """Tell whether a parent has agreed to the activity; nobody can agree to a child's marketing."""
    return not activity.marketing and any(g.parent and g.activity == activity.name for g in s.grants)
