"""Take back what targets got before it was known that they ought not have (GDPR art. 5(1)(c), 7(3)).

A consent may have been withdrawn weeks before that is reported. Folded in the order of time, what came in meanwhile never
was there; but it is. What arrives are the states before and after something was learnt; what leaves is what only the first
has and nobody was told to erase, as an entry of the story that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lineage.ending import end, why
from lineage.holding import consent_ids
from lineage.subject import Item, Subject


@dataclass(frozen=True, slots=True)
class Learnt:
    """It became known that something had happened before: what targets have got meanwhile they have against it."""

    at: int
    items: tuple[Item, ...]


def lost(before: Subject, after: Subject) -> tuple[Item, ...]:
    """Compare a person's state before something was learnt with the state after it."""
    told = {(c.target, category) for c in after.commands.values() if c.kind in ("erase", "expire_cookie") for category in c.why}
    told |= {(c.target, c.category) for c in after.changes}
    return tuple(i for i in before.live() if i.key not in after.items and (i.target, i.category) not in told)


def take_back(s: Subject, entry: Learnt) -> None:
    """End what was got in between, with commands to those who have it."""
    found: dict[tuple[str, str, str, str], tuple[Item, tuple[str, ...]]] = {}
    for one in entry.items:
        item = Item(*one.key, one.first, one.last, set(one.cites), set(one.tags), one.source)
        activity = s.policy.activities.get(one.activity)
        if item.key in s.items or activity is None:
            continue
        s.items[item.key] = item
        ids = (*s.objected.get(activity.name, ()), *consent_ids(s, activity), *activity.retention, *s.underage)
        found[item.key] = item, why(s, item, *ids)
    end(s, [item for item, _ in found.values()], {key: ids for key, (_, ids) in found.items()})
