"""Say where the data of an event land under a policy: what arrives is a kind of event, what leaves are activities.

This is the level of types: which activities take which categories of such events, in which systems these may lie and
which recipients may get them. What becomes of one person's event (consents, objections, restrictions) the fold decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lineage.facts import ShapeBody, decode_shape
from lineage.holding import may_lie, reached, receives, systems_of
from lineage.kinds import kinds_of
from lineage.policy import Activity, Ids, Policy
from lineage.store import Shape


class Holder(NamedTuple):
    """A system, or a party that data go to, and which of the categories it may hold; `role` (GDPR art. 4) if it is a party.

    What the policy calls by one name is one: a system that another party runs as a recipient is held in, with a role.
    """

    name: str
    categories: Ids
    role: str = ""


class Landing(NamedTuple):
    """One activity that takes data of an event: for what, on which legal bases, which categories, where they land."""

    activity: str
    purpose: str
    legal_basis: Ids
    categories: Ids
    systems: tuple[Holder, ...]
    recipients: tuple[Holder, ...]

    @property
    def edges(self) -> int:
        """Count the systems and recipients that data reach."""
        return len(self.systems) + len(self.recipients)


def landings(policy: Policy, type_: str, body: ShapeBody) -> tuple[Landing, ...]:
    """Give the activities that list such events and take a category that they carry, or tell a recipient of them."""
    fields = dict(body.fields)
    kinds = kinds_of(policy, type_, fields.get("channel"), fields.get("network"))
    by_term = policy.by_term()
    carried = {by_term[t] for t in body.terms if t in by_term}
    carried |= {c.id for c in policy.categories.values() if type_ in c.arises_from}
    if type_ in ("data.derived", "data.copied", "data.disclosed"):
        named = fields.get("categories")
        carried |= {by_term[t] for t in (named if isinstance(named, tuple) else ()) if t in by_term}
        return tuple(_passed_on(policy, type_, fields, carried))
    found = []
    for activity in policy.activities.values():
        base = next((k.base for k in kinds if k.base in activity.events), None)
        if base is not None:
            landing = _landing(policy, activity, base, tuple(c for c in activity.categories if c in carried), type_)
            if landing.categories or landing.recipients:
                found.append(landing)
    return tuple(found)


def _passed_on(policy: Policy, type_: str, fields: Mapping[str, object], carried: frozenset[str] | set[str]) -> Iterator[Landing]:
    """Give where data land that an activity has concluded, or that went to a system or a party by name."""
    to = str(fields.get("to"))
    for activity in policy.activities.values():
        held = tuple(c for c in activity.categories if c in carried)
        if not held:
            continue
        if type_ == "data.derived":
            if activity.name == fields.get("activity"):
                yield _landing(policy, activity, "", held, type_)
            continue
        recipient = policy.recipients.get(to)
        there = (Holder(to, held, recipient.role.value if recipient is not None else ""),)
        if to in policy.systems:
            yield Landing(activity.id, activity.name, _bases(activity), held, there, ())
        elif recipient is not None:
            yield Landing(activity.id, activity.name, _bases(activity), held, (), there)


def _bases(activity: Activity) -> Ids:
    return tuple(dict.fromkeys(g.kind.value for g in activity.basis))


def landings_of(policy: Policy | None, shape: Shape) -> tuple[Landing, ...]:
    """Give the landings of a shape; none if its controller has no policy here."""
    return () if policy is None else landings(policy, shape.type, decode_shape(shape.body))


def _landing(policy: Policy, activity: Activity, base: str, held: Ids, type_: str) -> Landing:
    systems = []
    for name in systems_of(activity, base):
        owner = policy.recipients.get(name)
        may = tuple(c for c in held if may_lie(policy, activity, name, c, type_))
        if may:
            systems.append(Holder(name, may, "" if owner is None else owner.role.value))
    told = []
    for recipient in reached(policy, activity, type_):
        # At every event a party gets what this one carries, at one that it waits for what was gathered.
        found = activity.categories if recipient.reached_by else held
        categories = tuple(c for c in found if receives(recipient, c))
        if categories:
            told.append(Holder(recipient.name, categories, recipient.role.value))
    return Landing(activity.id, activity.name, _bases(activity), held, tuple(systems), tuple(told))
