"""One data subject at one controller, as the fold of all that happened: holdings, matters, consents, cases.

What arrives are entries in the order of their time (events, requests, decisions, receipts); what leaves are
the same values that a test, a what-if and production look at. Nothing here reads a clock or a store: the state
on a day is a function of the policy and of the entries up to that day, so replaying gives the same state again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lineage.deadlines import Deadlines
from lineage.held import Held
from lineage.policy import Ids, Policy
from lineage.reading import reading

Reasons = tuple[str, ...]


class Use(StrEnum):
    """What a holding may be used for."""

    ORDINARY = "ordinary"
    KEPT = "kept"
    """For the purpose of a hold only."""
    ENDING = "ending"
    """An erase command is out and not acknowledged yet."""


@dataclass(slots=True)
class Item:
    """A holding (at a system) or a disclosure (to a recipient): one category for one activity and matter."""

    target: str
    activity: str
    category: str
    matter: str
    first: int
    last: int
    cites: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    source: str | None = None
    use: Use = Use.ORDINARY
    why: Reasons = ()
    command: str = ""
    claimed: bool = False
    asked: str = ""
    """The case of an erasure of a part that waits for it."""
    number: int = field(default=0, compare=False)
    """Its place in the order in which items came."""

    @property
    def live(self) -> bool:
        """Tell whether a target holds it, under whatever terms."""
        return self.use is not Use.ENDING

    @property
    def kept(self) -> bool:
        """Tell whether it is there for a hold only."""
        return self.use is Use.KEPT

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Give what makes it one item."""
        return self.target, self.activity, self.category, self.matter


@dataclass(slots=True)
class Matter:
    """An order, debt, support case, …: the events that named it, in order of time."""

    kind: str
    ref: str
    events: list[tuple[int, str, dict[str, object]]] = field(default_factory=list)
    late: bool = False
    """Whether it came to be known after the erasure and is from before it: it opens no hold but a statute's."""

    def times(self, types: Iterable[str]) -> list[int]:
        """Give the times of the events of these types."""
        wanted = set(types)
        return [at for at, type_, _ in self.events if type_ in wanted]

    def happened(self, type_: str) -> bool:
        """Tell whether an event of the type has come."""
        return any(t == type_ for _, t, _ in self.events)

    def lines_left(self, *, shipped: bool) -> int:
        """Count the lines neither cancelled nor (if `shipped` counts) shipped; without a placement, none.

        What has left the warehouse cannot be cancelled any more: a cancellation is of lines that are still there.
        """
        left = there = 0
        for _, type_, fields in self.events:
            if type_ == "order.placed":
                left += int(str(fields.get("lines", 1)))
                there += int(str(fields.get("lines", 1)))
            elif type_ in ("order.cancelled", "order.shipped"):
                lines = min(there, int(str(fields.get("lines", there))))
                there -= lines
                left -= lines if shipped or type_ == "order.cancelled" else 0
        return left


@dataclass(slots=True)
class Grant:
    """A consent: to an activity, perhaps for a channel or for the kinds of events that it covers only."""

    activity: str
    at: int
    channel: str | None = None
    kinds: frozenset[str] | None = None
    soft: bool = False
    proof: bool = False
    parent: bool = False


@dataclass(slots=True)
class DoNotUse:
    """A suppression: for a channel, an activity or all direct marketing; `until` is its last day, None no end."""

    reasons: Reasons
    since: int
    channel: str | None = None
    activity: str | None = None
    scope: str | None = None
    target: str | None = None
    categories: Ids = ()
    until: dt.date | None = None
    hidden: bool = False
    case: str = ""


@dataclass(slots=True)
class Restriction:
    """A restriction of processing (GDPR art. 18): of an activity, of categories, of both; lifted by a decision."""

    case: str
    ground: str
    reasons: Reasons
    since: int
    activities: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    waits: bool = False
    """A person has to decide, and deletion waits for it."""

    def covers(self, item: Item) -> bool:
        """Tell whether the item is restricted."""
        return (self.activities is None or item.activity in self.activities) and (
            self.categories is None or item.category in self.categories
        )


@dataclass(slots=True)
class Command:
    """An order to a target, or a notice to an independent recipient; `why` gives the reasons per category."""

    id: str
    case: str
    kind: str
    target: str
    issued: int
    why: dict[str, Reasons]
    activity: str = ""
    notice: bool = False
    keeps_open: bool = True
    """Whether a case waits for its acknowledgement."""
    state: str = "open"
    acknowledged: int | None = None
    sent: list[int] = field(default_factory=list)

    @property
    def about(self) -> tuple[str, str, str, str, int]:
        """Give what makes it one command among those of a person, whatever the person is called."""
        return self.case, self.target, self.kind, self.activity, self.issued


@dataclass(slots=True)
class Case:
    """A rights request and what became of it."""

    id: str
    right: str
    at: int
    via: str
    reasons: Reasons
    scope: Ids = ()
    of: Ids = ()
    waits: Reasons = ()
    """Why nothing is done yet: an unproven identity, a decision of a person."""
    declined: Reasons = ()
    acts: list[str] = field(default_factory=list)
    answer: dict[str, set[str]] = field(default_factory=dict)
    """category -> targets and sources, for access and portability."""
    omitted: dict[str, Reasons] = field(default_factory=dict)
    unnamed: dict[str, Reasons] = field(default_factory=dict)
    """Recipients that the answer must not name, and why."""
    correct: Ids = ()
    remove: Ids = ()
    awaits: frozenset[str] = frozenset()
    """Commands from before the request that its erasure needs answered: nothing is erased that a target has not confirmed."""
    done: bool = False
    extended: bool = False
    """Whether a person has extended the time for the answer, with a reason (GDPR art. 12(3))."""
    body: dict[str, object] = field(default_factory=dict)

    def waits_for(self, command: Command) -> bool:
        """Tell whether an answer to the command belongs to the case: it sent it, or its erasure needs it answered."""
        return command.case == self.id or command.id in self.awaits

    @property
    def in_part(self) -> bool:
        """Tell whether the request names activities or categories, and so not all that is held."""
        return bool(self.scope or self.of)


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the audit log, a warning to people at the controller, or something the person is told."""

    at: int
    kind: str
    reasons: Reasons
    about: str = ""
    target: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event's category at a target: allowed, blocked, quarantined, refused."""

    outcome: str
    reasons: Reasons
    target: str = ""
    category: str = ""
    until: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to an item at a target: erased, unlinked, corrected, key_destroyed."""

    at: int
    kind: str
    target: str
    category: str
    activity: str
    reasons: Reasons
    first: int = 0
    """When the target had got what is erased."""


@dataclass(slots=True)
class Quarantine:
    """A sign-up that waits for somebody's consent until a day."""

    at: int
    type: str
    until: dt.date | None
    reasons: Reasons
    event: object = None
    """What waits, to be taken once the consent comes."""


class Subject:
    """The state of one data subject; the modules of the engine change it, everybody else reads it."""

    def __init__(self, policy: Policy, name: str = "") -> None:
        """Start with nothing known; `name` tells the commands of one person from those of another."""
        self.policy = policy
        self.name = name
        self.now = 0
        self.reading = reading(policy)
        self.items = Held()
        self.deadlines = Deadlines()
        """Last days as they follow from the events so far."""
        self.memo: dict[object, Any] = {}
        """What else follows from the entries so far, and is asked for again and again between two."""
        self.matters: dict[str, Matter] = {}
        self.times: dict[str, list[int]] = {}
        """When events of each type happened, whatever they were about."""
        self.grants: list[Grant] = []
        self.uses: dict[str, int] = {}
        self.soft_closed: Reasons = ()
        self.objected: dict[str, Reasons] = {}
        self.do_not_use: list[DoNotUse] = []
        self.restrictions: list[Restriction] = []
        self.devices: dict[str, int] = {}
        self.accepted: dict[str, int] = {}
        self.waiting_views: dict[str, list[object]] = {}
        self.late: list[object] = []
        """Events from before the erasure that came after it and were dropped: a later one may make them a statute's."""
        self.claims: list[tuple[str, str, frozenset[str], int]] = []
        self.closed_claims: dict[str, int] = {}
        self.orders_to_keep: list[tuple[dt.date | None, Ids, Ids, Ids]] = []
        self.cases: dict[str, Case] = {}
        self.commands: dict[str, Command] = {}
        self.notes: list[Note] = []
        self.changes: list[Change] = []
        self.verdicts: dict[tuple[int, str], list[Verdict]] = {}
        self.quarantine: list[Quarantine] = []
        self.sources: set[str] = set()
        self.uncontrolled: set[str] = set()
        self.died: int | None = None
        self.born: dt.date | None = None
        self.age: tuple[int, int] | None = None
        self.underage: Reasons = ()
        self.erased_at: int | None = None
        self.erasure: str = ""
        self.last_copy: dict[str, int] = {}
        self.warned: set[tuple[str, str]] = set()
        self.had_account = False

    @property
    def today(self) -> dt.date:
        """Give the local day that the fold has come to."""
        return self.policy.zone.day(self.now)

    def changed(self) -> None:
        """Let go of all that was worked out from the entries so far."""
        self.memo.clear()
        self.deadlines = Deadlines()
        self.deadlines.matters.update(self.matters)
        self.items.moved.update((i.activity, i.matter) for i in self.items.values())

    @property
    def has_account(self) -> bool:
        """Tell whether an account is open."""
        found = self.memo.get("account")
        if found is None:
            found = self.memo["account"] = self._account()
        return bool(found)

    def _account(self) -> bool:
        named = [m for m in self.matters.values() if m.kind == "account" and m.happened("account.created")]
        made, ended = self.times.get("account.created"), self.times.get("account.terminated")
        if not ended or not named:
            return bool(made) and (not ended or max(made or ()) > max(ended))
        return any(max(m.times(("account.created",))) > max(m.times(("account.terminated",)), default=0) for m in named)

    def state(self, name: str) -> bool:
        """Tell whether a condition of the policy holds of the person now."""
        match name:
            case "has_account":
                return self.has_account
            case "has_purchase":
                return any(m.kind == "order" for m in self.matters.values())
            case "deceased":
                return self.died is not None
            case _:
                msg = f"no such condition: {name}"
                raise ValueError(msg)

    def live(self) -> Iterator[Item]:
        """Give the items that a target holds, under whatever terms; those on their way out are not among them."""
        return (i for i in self.items.values() if i.use is not Use.ENDING)

    def cite(self, *ids: str) -> Reasons:
        """Give the ids, each once and in order, followed by those that the policy cites with them."""
        return self.reading.cite(ids)

    def note(self, kind: str, reasons: Iterable[str], about: str = "", target: str = "", case: str = "") -> None:
        """Write a line for the log."""
        self.notes.append(Note(self.now, kind, tuple(dict.fromkeys(reasons)), about, target, case))
