"""The policy of a controller, as the engine reads it: values only, every rule under its id.

What arrives is a YAML file that `lineage.policy_file` has checked; what leaves is a `Policy`, asked by every decision.
The engine knows no controller and no rule id: whatever differs between two shops stands in these values.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lineage.calendar import Duration, Zone

Ids = tuple[str, ...]


class Role(StrEnum):
    """What a recipient is (GDPR art. 4(7) to 4(10)): it decides what is sent to it."""

    PROCESSOR = "processor"
    INDEPENDENT = "independent"
    UNCONTROLLED = "uncontrolled"
    AUTHORITY = "authority"
    AFFILIATE = "affiliate"
    SOURCE = "source"

    @property
    def obeys(self) -> bool:
        """Tell whether it is commanded (and must acknowledge) rather than notified (art. 28, art. 19)."""
        return self in (Role.PROCESSOR, Role.AFFILIATE)


class Basis(StrEnum):
    """A legal basis (GDPR art. 6(1); soft opt-in: Directive 2002/58 art. 13(2))."""

    CONSENT = "consent"
    SOFT_OPT_IN = "soft_opt_in"
    CONTRACT = "contract"
    LEGITIMATE_INTEREST = "legitimate_interest"
    LEGAL_OBLIGATION = "legal_obligation"


@dataclass(frozen=True, slots=True)
class Category:
    """A category of personal data in the policy's own words; `term` is the schemas' name of it."""

    id: str
    term: str
    provenance: str
    declared: bool = True
    required: bool = False
    optional: bool = False
    arises_from: Ids = ()
    collected_by: str | None = None
    exported: bool = True
    sensitive: str | None = None


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of event that the policy speaks of, and what it says such an event carries."""

    id: str
    kind: str
    carries: Ids
    declared: bool = True
    condition: str | None = None
    channels: Ids = ()

    @property
    def base(self) -> str:
        """Give the kind without its subtype: what activities list."""
        return self.kind.partition("/")[0]


@dataclass(frozen=True, slots=True)
class System:
    """A system of the controller; `erasable` is false for what lies on the person's device."""

    id: str
    name: str
    erasable: bool = True
    part_of: str | None = None
    stated: bool = True
    pseudonymised: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """A party that data go to; `receives` None means any category, `reached_by` empty means at every event."""

    id: str
    name: str
    role: Role
    receives: frozenset[str] | None
    reached_by: Ids = ()
    operates: str | None = None
    may_refuse: bool = False
    safeguard: str | None = None
    location: str | None = None
    names: Ids = ()
    granularity: str | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """One legal basis of an activity; with `categories` it covers these only."""

    kind: Basis
    stated: bool = True
    express: bool = False
    condition: str | None = None
    categories: Ids = ()


@dataclass(frozen=True, slots=True)
class Activity:
    """A processing activity (GDPR art. 30(1)): purpose, categories, where they lie and who gets them."""

    id: str
    name: str
    categories: Ids
    events: Ids
    systems: Ids
    recipients: Ids
    basis: tuple[Ground, ...]
    retention: Ids
    feeds: Mapping[str, Ids] = field(default_factory=dict)
    in_systems: Mapping[str, Ids] = field(default_factory=dict)
    condition: str | None = None
    conditional: Ids = ()
    flags: Ids = ()
    marketing: str | None = None
    channels: Mapping[str, Ids] = field(default_factory=dict)
    unsolicited_needs: Ids = ()
    rights: Ids = ()

    @property
    def kinds(self) -> frozenset[Basis]:
        """Give the kinds of its bases that hold for the activity as a whole."""
        return frozenset(g.kind for g in self.basis if not g.categories)

    @property
    def needs_consent(self) -> bool:
        """Tell whether it may hold nothing before a consent: consent (or soft opt-in) is all it rests on."""
        kinds = self.kinds
        return Basis.CONSENT in kinds and kinds <= {Basis.CONSENT, Basis.SOFT_OPT_IN}

    @property
    def legal(self) -> bool:
        """Tell whether the law alone asks for it."""
        return self.kinds == {Basis.LEGAL_OBLIGATION}


@dataclass(frozen=True, slots=True)
class Clock:
    """When a retention ends: the latest of the anchor events, plus durations; `unless` replaces it after an event."""

    anchors: Ids
    durations: tuple[Duration, ...]
    params: Ids = ()
    after: Ids = ()
    unless: tuple[str, Clock] | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """A rule of storage limitation (GDPR art. 5(1)(e))."""

    id: str
    activities: Ids | None
    systems: Mapping[str, Ids] = field(default_factory=dict)
    needs_setting: bool = False
    until: str | None = None
    clock: Clock | None = None
    collected: bool = False
    parameter: str | None = None
    unless: tuple[str, str] | None = None
    guest_as: str | None = None
    warn_setting: str | None = None
    warn_opened: Ids = ()
    warn_closed: Ids = ()


@dataclass(frozen=True, slots=True)
class Closing:
    """One way for a matter to be closed: all these events have happened, or all its lines are shipped or cancelled."""

    all: Ids = ()
    lines: str | None = None
    plus: str | None = None
    none_open: tuple[Ids, Ids] | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """What may delay an erasure: while which matters are so, over what, and until when (GDPR art. 17(3))."""

    id: str
    kind: str
    blocks: Ids
    opened_by: Ids = ()
    transaction: str | None = None
    if_state: str | None = None
    unless_state: str | None = None
    closed_by: tuple[Closing, ...] = ()
    duration: Duration | None = None
    parameter: str | None = None
    activities: Ids | str | None = None
    categories: Ids | None = None
    systems: Ids | None = None
    recipients: Ids | None = None
    recipient_closings: Mapping[str, tuple[Closing, ...]] = field(default_factory=dict)
    needs_setting: str | None = None
    cites: Ids = ()

    @property
    def statutory(self) -> bool:
        """Tell whether a statute fixes its end: such an item keeps no case open."""
        return self.kind == "legal_obligation"


@dataclass(frozen=True, slots=True)
class Right:
    """A right of the data subject as this policy words it (GDPR art. 7(3), 15 to 22)."""

    id: str
    right: str
    scope: Ids = ()
    ends: Ids = ()
    asked_ends: Ids = ()
    activities: Ids | str = ()
    absolute: bool = False
    effect: str | None = None
    activity: str | None = None
    channel: str | None = None
    limit: Duration | None = None
    express: bool = False
    irrelevant: bool = False
    source: str | None = None
    channel_ends: Mapping[str, Ids] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkRule:
    """When data of a device, or data taken up elsewhere, are joined to the person."""

    id: str
    device: str | None = None
    joined_by: Ids = ()
    since: str = "then"
    accepted: bool = False
    takes_up: Ids = ()
    only_at: Ids = ()
    activity: str | None = None
    systems: Ids = ()
    needs: str | None = None
    unjoined: bool = False
    cites: Ids = ()


@dataclass(frozen=True, slots=True)
class Suppression:
    """A do-not-use entry: what is kept, where, for how long and who may read it."""

    id: str
    keeps: str | None = None
    system: str | None = None
    category: str | None = None
    channel: str | None = None
    duration: Duration | None = None
    reader: str | None = None
    tag: str | None = None
    activity: str | None = None
    operator: str | None = None
    cites: Ids = ()
    after: Ids = ()
    """The acts that it follows: unsubscription, withdrawal, objection, erasure; empty: any."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A rule on an edge or an intake: what must be so before data may pass."""

    id: str
    on: str
    to: str | None = None
    allowed: str | None = None
    needs: str | None = None
    grounds: Ids = ()
    otherwise: str | None = None
    warns: bool = False
    cites: Ids = ()
    setting: str | None = None
    age: int | None = None
    marketing: str | None = None
    exempt: Ids = ()
    event: str | None = None
    kind: str | None = None
    omits: Ids = ()
    refuses: Ids = ()
    instruments: Ids = ()
    """Words of the legal instruments that a report to an authority rests on."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A statutory parameter: a duration from an anchor, or years after the end of the financial year."""

    name: str
    duration: Duration | None
    years: int | None
    anchor: str | None
    source: str
    extension: Duration | None = None


@dataclass(frozen=True)
class Policy:
    """A controller's policy with its settings, indexed for the engine."""

    id: str
    key: str
    version: int
    name: str | None
    jurisdiction: str | None
    zone: Zone
    identifiers: Ids
    channels: tuple[Mapping[str, object], ...]
    categories: Mapping[str, Category]
    kinds: Mapping[str, EventKind]
    systems: Mapping[str, System]
    recipients: Mapping[str, Recipient]
    activities: Mapping[str, Activity]
    retention: Mapping[str, Retention]
    holds: tuple[Hold, ...]
    suppression: tuple[Suppression, ...]
    restriction: Mapping[str, Ids]
    rights: tuple[Right, ...]
    links: tuple[LinkRule, ...]
    guards: tuple[Guard, ...]
    parameters: Mapping[str, Parameter]
    cited_with: Mapping[str, Ids]
    settings: Mapping[str, object]
    clocks: Mapping[tuple[str, str], Clock]
    """(retention id, activity) -> the clock that a setting gives."""
    silent: Ids = ()
    silent_rights: str | None = None
    soft_opt_in: str | None = None
    claim_cites: Ids = ()
    valid_from: dt.date | None = None

    def by_term(self) -> Mapping[str, str]:
        """Give the category of each term."""
        return {c.term: c.id for c in self.categories.values()}

    @functools.cached_property
    def _cited(self) -> Mapping[str, Ids]:
        """Turn `cited_with` round: for each id (or role) the ids that ride along."""
        found: dict[str, list[str]] = {}
        for id_, along in self.cited_with.items():
            for other in along:
                if other.startswith("role:"):
                    role = other.removeprefix("role:")
                    for recipient in self.recipients.values():
                        if recipient.role == role:
                            found.setdefault(recipient.id, []).append(id_)
                else:
                    found.setdefault(other, []).append(id_)
        return {k: tuple(v) for k, v in found.items()}

    def cited_with_of(self, id_: str) -> Ids:
        """Give the ids that the policy cites along with a rule, a target or a selector such as `via:email`."""
        return self._cited.get(id_, ())
