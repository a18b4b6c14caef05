"""Say where the data of an event land under a policy: what arrives is a kind of event, what leaves are activities.

This is the level of types: which activities take which categories of such events, in which systems these may lie and
which recipients may get them. What becomes of one person's event (consents, objections, restrictions) the fold decides.
"""

from __future__ import annotations

from typing import NamedTuple

from lineage.events import kinds_of
from lineage.facts import ShapeBody, decode_shape
from lineage.holding import systems_of
from lineage.policy import Activity, Ids, Policy, Recipient
from lineage.store import Shape


class Receiver(NamedTuple):
    """A party that an activity's data go to, with its role (GDPR art. 4), and which of the categories it may get."""

    name: str
    role: str
    categories: Ids


class Landing(NamedTuple):
    """One activity that takes data of an event: for what, on which legal bases, which categories, where they land."""

    activity: str
    purpose: str
    legal_basis: Ids
    categories: Ids
    systems: Ids
    recipients: tuple[Receiver, ...]

    @property
    def edges(self) -> int:
        """Count the systems and recipients that data reach."""
        return len(self.systems) + len(self.recipients)


def landings(policy: Policy, type_: str, body: ShapeBody) -> tuple[Landing, ...]:
    """Give the activities that list such events and take one of the categories that they carry."""
    fields = dict(body.fields)
    kinds = kinds_of(policy, type_, fields.get("channel"), fields.get("network"))
    by_term = policy.by_term()
    categories = {by_term[t] for t in body.terms if t in by_term}
    found = []
    for activity in policy.activities.values():
        base = next((k.base for k in kinds if k.base in activity.events), None)
        held = categories & set(activity.categories)
        if base is not None and held:
            found.append(_landing(policy, activity, base, tuple(sorted(held)), type_))
    return tuple(found)


def landings_of(policy: Policy | None, shape: Shape) -> tuple[Landing, ...]:
    """Give the landings of a shape; none if its controller has no policy here."""
    return () if policy is None else landings(policy, shape.type, decode_shape(shape.body))


def _landing(policy: Policy, activity: Activity, base: str, held: Ids, type_: str) -> Landing:
    systems = tuple(s for s in systems_of(activity, base) if set(activity.in_systems.get(s, held)) & set(held))
    reached = (policy.recipients[n] for n in activity.recipients)
    receivers = tuple(_receiver(r, held) for r in reached if not r.reached_by or type_ in r.reached_by)
    bases = tuple(dict.fromkeys(g.kind.value for g in activity.basis))
    return Landing(activity.id, activity.name, bases, held, systems, receivers)


def _receiver(recipient: Recipient, held: Ids) -> Receiver:
    may = held if recipient.receives is None else tuple(c for c in held if c in recipient.receives)
    return Receiver(recipient.name, recipient.role.value, may)
