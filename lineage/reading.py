"""Read out of a policy what the fold asks again and again, once for all persons under it.

What arrives is a policy; what leaves are which activities list an event, what the ids of rules bring along, which types
of events the clocks of an activity listen to, and whatever else follows from the policy alone.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from lineage.policy import Activity, Basis, Clock, EventKind, Ids, Policy, Retention

T = TypeVar("T")
_KNOWN_MAX = 65_536

SETTLED = ("order.delivered", "order.paid")
"""What both sides have to do before an order is settled."""
OPENING = ("support.opened", "support.reopened", "form.submitted")
"""What opens a matter of support, perhaps again: a matter that is open is not handled."""
DELIVERED = "order.delivered"
"""What statutory times count from, where they name nothing else."""
ACCOUNT_ENDED = "account.terminated"
SUBSCRIBED, UNSUBSCRIBED = "newsletter.subscribed", "newsletter.unsubscribed"
_KIND_OF_TYPE = {"order": "order", "debt": "debt", "credit": "credit", "service": "contract", "support": "matter",
                 "form": "matter", "incident": "incident", "competition": "competition", "prize": "competition",
                 "campaign": "campaign", "survey": "survey", "cookie": "cookie"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timing:
    """What the last days of an activity's items depend on, besides the state of the person."""

    types: frozenset[str]
    """The types of events about their matter that may change one."""
    elsewhere: frozenset[str]
    """The types that may put one off if they are about another kind of matter."""
    anywhere: frozenset[str]
    """Those that may whatever they are about."""
    by_place: bool
    """Whether items of one matter in different systems may have different last days."""
    by_last: bool
    """Whether a last day counts from the last time that the item was collected."""


def matter_kind(type_: str) -> str | None:
    """Give the kind of matter that events of this type are about, None for those about the person."""
    return _KIND_OF_TYPE.get(type_.partition(".")[0])


class Reading:
    """A policy as the fold reads it."""

    def __init__(self, policy: Policy) -> None:
        """Take the policy; everything is worked out when it is first asked for."""
        self._policy: Policy = weakref.proxy(policy)
        self._timings: dict[str, Timing] = {}
        self._listing: dict[Ids, tuple[tuple[Activity, str], ...]] = {}
        self._known: dict[Hashable, Any] = {}
        self.cite = functools.lru_cache(_KNOWN_MAX)(self._cite)
        """Give ids, each once and in order, followed by those that the policy cites with them."""

    def once(self, name: Hashable, work_out: Callable[[], T]) -> T:
        """Give what follows from the policy and a name alone; it is worked out where it is asked for the first time."""
        if name not in self._known:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[name] = work_out()
        return cast("T", self._known[name])

    def _cite(self, ids: Ids) -> Ids:
        found = dict.fromkeys(i for i in ids if i)
        for id_ in list(found):
            for more in self._policy.cited_with_of(id_):
                found.setdefault(more)
        return tuple(found)

    def listing(self, kinds: tuple[EventKind, ...]) -> tuple[tuple[Activity, str], ...]:
        """Give the activities that list a kind of event, each with the kind that it lists."""
        name = tuple(k.kind for k in kinds)
        found = self._listing.get(name)
        if found is None:
            bases = [k.base for k in kinds]
            listing = [(a, b) for a in self._policy.activities.values() for b in [_first(bases, a.events)] if b is not None]
            found = self._listing[name] = tuple(listing)
        return found

    @functools.cached_property
    def by_term(self) -> Mapping[str, str]:
        """Give the category of each term."""
        return self._policy.by_term()

    @functools.cached_property
    def of_devices(self) -> frozenset[str]:
        """Give the categories that nothing but a device brings, where the policy joins devices by an event."""
        policy = self._policy
        if not any(r.device and r.since == "then" and not r.accepted for r in policy.links):
            return frozenset()
        brought = {c for k in policy.kinds.values() if k.base == "cookie" for c in k.carries}
        return frozenset(brought - {c for k in policy.kinds.values() if k.base != "cookie" for c in k.carries})

    @functools.cached_property
    def needing_consent(self) -> frozenset[str]:
        """Give the activities that may hold nothing before a consent."""
        return frozenset(a.name for a in self._policy.activities.values() if a.needs_consent)

    @functools.cached_property
    def on_consent(self) -> tuple[Activity, ...]:
        """Give the activities that rest on consent, perhaps among other grounds."""
        return tuple(a for a in self._policy.activities.values() if Basis.CONSENT in a.kinds)

    def timing(self, name: str) -> Timing:
        """Give what the last days of an activity's items depend on."""
        found = self._timings.get(name)
        if found is None:
            found = self._timings[name] = self._timing(name)
        return found

    def _timing(self, name: str) -> Timing:
        policy = self._policy
        activity: Activity | None = policy.activities.get(name)
        types: set[str] = set(OPENING)
        elsewhere: set[str] = set()
        anywhere: set[str] = set()
        rules = list(self._rules(activity)) if activity is not None else []
        for rule in rules:
            for clock in self._clocks(rule, name):
                types.update(_types(clock))
                elsewhere.update(_anchors(clock))
                if UNSUBSCRIBED in _anchors(clock):
                    anywhere.add(SUBSCRIBED)
                if rule.guest_as is not None:
                    anywhere.update(("account.created", *_types(clock), *_anchors(clock)))
            parameter = policy.parameters.get(rule.parameter) if rule.parameter else None
            if parameter is not None:
                types.update((parameter.anchor or DELIVERED, "order.paid", "order.shipped", "order.cancelled"))
                anywhere.update([parameter.anchor] if parameter.anchor else [])
        for rule in policy.retention.values():
            if name in (rule.activities or ()):
                types.update(rule.warn_opened, rule.warn_closed)
        by_place = any(name in r.systems for r in rules)
        elsewhere |= anywhere
        return Timing(frozenset(types), frozenset(elsewhere), frozenset(anywhere), by_place, any(r.collected for r in rules))

    def _rules(self, activity: Activity) -> Iterator[Retention]:
        for named in activity.retention:
            rule = self._policy.retention[named]
            yield rule
            if rule.unless is not None:
                yield self._policy.retention[rule.unless[1]]

    def _clocks(self, rule: Retention, activity: str) -> Iterator[Clock]:
        if rule.clock is not None:
            yield rule.clock
        for (id_, name), clock in self._policy.clocks.items():
            if (id_ == rule.id and name == activity) or name == rule.guest_as:
                yield clock

    @functools.cached_property
    def conditions(self) -> Ids:
        """Give the conditions of the person that choose between rules of retention."""
        return tuple(dict.fromkeys(r.unless[0] for r in self._policy.retention.values() if r.unless is not None))

    @functools.cached_property
    def anchors(self) -> frozenset[str]:
        """Give the types of events that statutory times count from, whatever they are about."""
        return frozenset(p.anchor for p in self._policy.parameters.values() if p.anchor)

    @functools.cached_property
    def warns(self) -> bool:
        """Tell whether any rule of retention warns somebody before or instead of its end."""
        return any(r.warn_setting or r.unless is not None for r in self._policy.retention.values())

    @functools.cached_property
    def legal(self) -> Ids:
        """Give the activities that the law alone asks for."""
        return tuple(a.name for a in self._policy.activities.values() if a.legal)


def _first(bases: Sequence[str], events: Ids) -> str | None:
    return next((b for b in bases if b in events), None)


def _anchors(clock: Clock) -> Iterator[str]:
    yield from (*clock.anchors, *clock.after)
    if clock.unless is not None:
        yield from _anchors(clock.unless[1])


def _types(clock: Clock) -> Iterator[str]:
    yield from clock.anchors
    if clock.after:
        yield from (*clock.after, *SETTLED)
    if clock.unless is not None:
        yield clock.unless[0]
        yield from _types(clock.unless[1])


_READINGS: dict[int, Reading] = {}


def reading(policy: Policy) -> Reading:
    """Give the reading of a policy; it lives as long as the policy does."""
    found = _READINGS.get(id(policy))
    if found is None:
        found = _READINGS[id(policy)] = Reading(policy)
        weakref.finalize(policy, _READINGS.pop, id(policy), None)
    return found
