"""Say, per shape of event, what the hot path has to know: look at the person now, later, or not at all.

Most events only add to the graph. Some set something off at once (an unsubscription, a death); some start a clock
that cannot run out before a certain time. Both follow from the policy alone, so they are worked out once per shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import schemas
from lineage.calendar import Duration
from lineage.facts import Shapes
from lineage.kinds import EVERY_POLICY, kinds_of
from lineage.landing import landings
from lineage.policy import Clock, Policy
from lineage.store import Observation
from lineage.tagging import Tagged

_AT_ONCE = ("newsletter.unsubscribed", "consent.withdrawn", "cookie.declined", "person.", "breach.", "claim.", "preservation.",
            "data.disclosed", "account.terminated", "cookie.third_party_set")  # fmt: skip
_DAY = 86_400
_SUMMER_TIME = 3_600
"""A day can be so many seconds short."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """Look at the data subject `now`, or `after` so many seconds at the earliest; `edges` is what the event touches."""

    now: bool
    after: int | None
    edges: int


class Clocks(NamedTuple):
    """Whether a clock of retention may have run out, and the first second (if any) in which another may."""

    out: bool = False
    next: int | None = None


NO_CLOCKS = Clocks()


class Reactions:
    """The reactions to all shapes under the policies, worked out when first asked for."""

    def __init__(self, policies: Mapping[str, Policy], shapes: Shapes) -> None:
        """Take the policies and the shapes, which grow."""
        self._policies, self._shapes = policies, shapes
        self._found: dict[int, Reaction] = {}
        self._anchors = {p.id: _anchors(p) for p in policies.values()}

    def relevant(self, tagged: Tagged) -> bool:
        """Tell whether the graph has to remember the event: it carries data, or its type drives a decision."""
        if tagged.terms:
            return True
        if not tagged.identifiers:
            return False
        policy = self._policies[tagged.controller]
        kinds = kinds_of(policy, tagged.type)
        if not kinds and schemas.registry().types[tagged.type].kinds and not tagged.type.startswith(EVERY_POLICY):
            base = tagged.type.partition(".")[0]
            return any(g.on == "unknown_kind" and g.kind in (None, base) for g in policy.guards)
        if not tagged.type.startswith("cookie.") or tagged.type == "cookie.third_party_set":
            return True
        return any(r.accepted for r in policy.links)

    def of(self, shape: int) -> Reaction:
        """Give the reaction to an event of this shape."""
        found = self._found.get(shape)
        if found is None:
            found = self._found[shape] = self._work_out(shape)
        return found

    def clocks(self, observations: Iterable[Observation], now: int) -> Clocks:
        """Say of the clocks that these events have started whether one may be out by now, and when the next may be.

        What comes later may be bound by such a clock though nothing is today, so the time is kept in mind.
        """
        ends = {o.at + after for o in observations if (after := self.of(o.shape).after) is not None}
        return Clocks(any(end <= now for end in ends), min((end for end in ends if end > now), default=None))

    def _work_out(self, id_: int) -> Reaction:
        shape = self._shapes.by_id[id_]
        body = self._shapes.bodies[id_]
        policy = self._policies[shape.controller]
        fields = dict(body.fields)
        kinds = kinds_of(policy, shape.type, fields.get("channel"), fields.get("network"))
        by_term = policy.by_term()
        categories = {by_term[t] for t in body.terms if t in by_term}
        edges = sum(landing.edges for landing in landings(policy, shape.type, body))
        objects = fields.get("objects_to_marketing") is True
        required = {c.id for c in policy.categories.values() if c.required}
        lacking = any(g.on == "required" and g.event == shape.type and required - categories for g in policy.guards)
        refused = objects or lacking or "born" in fields or "?" in body.terms or fields.get("secure") is False or not kinds
        return Reaction(refused or shape.type.startswith(_AT_ONCE), self._anchors[policy.id].get(shape.type), edges)


def _least(clock: Clock, policy: Policy) -> int:
    days = 0
    named = [p for n in clock.params if (p := policy.parameters.get(n)) is not None]
    for duration in (*clock.durations, *(p.duration for p in named if p.duration is not None)):
        days += _days(duration)
    return max(0, days * _DAY - _SUMMER_TIME)


def _days(duration: Duration) -> int:
    """Give the least number of days that a duration can have, or a few less: one month can have 28."""
    return max(0, duration.months * 30 - 2 - duration.months // 6 * 2) + duration.days


def _anchors(policy: Policy) -> dict[str, int]:
    """Give, per type of event, the least seconds after which a clock that it starts, or a hold that it ends, is out."""
    found: dict[str, int] = {}

    def lower(type_: str, seconds: int) -> None:
        found[type_] = min(seconds, found.get(type_, seconds))

    clocks = [r.clock for r in policy.retention.values() if r.clock is not None]
    clocks += list(policy.clocks.values())
    for clock in [*clocks, *(c.unless[1] for c in clocks if c.unless)]:
        for type_ in (*clock.anchors, *clock.after):
            lower(type_, _least(clock, policy))
        if clock.unless:
            lower(clock.unless[0], 0)
    for rule in policy.retention.values():
        if rule.collected and rule.clock is not None:
            for type_ in ("competition.entered", "survey.answered", "campaign.entered", "social.listened"):
                lower(type_, _least(rule.clock, policy))
        parameter = policy.parameters.get(rule.parameter or "")
        if parameter is not None:
            years = parameter.years if parameter.years is not None else 0
            for type_ in ("order.placed", "order.paid", "order.shipped", "relationship.ended"):
                lower(type_, years * 365 * _DAY)
            lower("order.cancelled", 0)
        if rule.warn_opened:
            for type_ in (*rule.warn_opened, *(rule.clock.anchors if rule.clock else ())):
                lower(type_, 0)
    for hold in policy.holds:
        if "retention" in hold.blocks:
            for closing in hold.closed_by:
                for type_ in closing.all:
                    lower(type_, 0)
    return found
