"""Say what an event is under a policy: of which kinds, and which categories it carries.

What arrives is an event as the graph remembers it; what leaves is the same event in the policy's own words.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import schemas
from lineage.holding import Happening
from lineage.policy import Activity, EventKind, Policy
from lineage.subject import Subject

if TYPE_CHECKING:
    from lineage.fold import Event

EVERY_POLICY = ("consent.", "person.", "relationship.", "claim.", "preservation.", "breach.", "data.")
_PREFERRED = {"sms": "newsletter/sms_signup", "push": "push_consent"}


def kinds_of(policy: Policy, type_: str, channel: object = None, network: object = None) -> tuple[EventKind, ...]:
    """Give the policy's kinds of an event: the first that fits; a social network adds that of a social login."""
    names = schemas.registry().types[type_].kinds
    found: list[EventKind] = []
    preferred = _PREFERRED.get(str(channel))
    if preferred in names and preferred in policy.kinds:
        return (policy.kinds[preferred],)
    for name in names:
        kind = policy.kinds.get(name)
        if kind is None and "/" not in name:
            kind = next((k for k in policy.kinds.values() if k.base == name and "/" in k.kind), None)
        if kind is not None and kind not in found:
            found.append(kind)
    social = type_.startswith("account.") and network
    return tuple(found) if social else tuple(found[:1])


def default_categories(policy: Policy, type_: str, channel: object = None, network: object = None) -> tuple[str, ...]:
    """Give what the policy says that an event of the type carries."""
    if schemas.registry().types[type_].carries_none:
        return ()
    return tuple(dict.fromkeys(c for k in kinds_of(policy, type_, channel, network) for c in k.carries))


def happening(s: Subject, event: Event) -> Happening:
    """Read an event under the policy: its kinds, and its terms as categories."""
    policy = s.policy
    fields = dict(event.fields)
    by_term = s.reading.by_term
    named = fields.get("categories")
    terms = (*event.terms, *(named if isinstance(named, tuple) else ()))
    kinds = kinds_of(policy, event.type, fields.get("channel"), fields.get("network"))
    needs_kind = bool(schemas.registry().types[event.type].kinds) and not event.type.startswith(EVERY_POLICY)
    return Happening(
        event.at,
        event.type,
        frozenset(by_term[t] for t in terms if t in by_term),
        frozenset(t for t in terms if t not in by_term),
        fields,
        {},
        kinds,
        needs_kind and not kinds,
        event.matter,
        event.about,
        event.device_only,
        occurred=event.occurred,
    )


def listing_of(s: Subject, e: Happening) -> list[Activity]:
    """Give the activities that list one of the event's kinds."""
    return [a for a in s.policy.activities.values() if any(k.base in a.events for k in e.kinds)]


def date_of(value: object) -> dt.date | None:
    """Read a date of a field, None if there is none."""
    return dt.date.fromisoformat(str(value)) if value else None
