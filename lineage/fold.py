"""Fold what happened, entry by entry, into the state of a data subject; run what is due between them.

What arrives are events (already under the policy's own words), requests, decisions, receipts and days, in the order
of time; what leaves is the changed `Subject`. Before the entries of a day, at 00:00, everything that is due has run.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lineage.clocks import last_day, retention_end
from lineage.closings import FOREVER
from lineage.due import conditions_changed, due_warnings, next_warning, overdue
from lineage.ending import acknowledge, end, issue, target_ids, why
from lineage.events import take
from lineage.hindsight import Learnt, take_back
from lineage.keeping import Kept, keeping_of, keepings, kept_now
from lineage.requests import decide, request
from lineage.restricting import correct
from lineage.rights import Request
from lineage.subject import Change, DoNotUse, Item, Subject, Use


@dataclass(frozen=True, slots=True)
class Event:
    """An event as the graph remembers it: terms, driving fields, the matter and a second reference by their keys."""

    at: int
    type: str
    terms: tuple[str, ...]
    fields: tuple[tuple[str, object], ...]
    matter: str = ""
    about: str = ""
    device_only: bool = False
    occurred: int = 0
    """When it happened, where it is taken later than that (it came after the erasure); clocks run from then."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person at the controller decided about a request."""

    at: int
    question: str
    about: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A target's answer to a command, which is named by what it is about."""

    at: int
    outcome: str
    case: str
    target: str
    kind: str
    activity: str
    issued: int


@dataclass(frozen=True, slots=True)
class Succession:
    """The data subject follows an erased one under the same identifier: what the suppression keeps lives on."""

    at: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Revenant:
    """The graph had forgotten the erased person, and something from before the erasure has come: `case` sees to it."""

    at: int
    case: str


Entry = Event | Request | Decision | Receipt | Succession | Revenant | Learnt


def apply(s: Subject, entry: Entry) -> None:
    """Bring the state forward to an entry; raise ValueError if it lies before the last one."""
    if entry.at < s.now:
        msg = "entries must come in the order of their time"
        raise ValueError(msg)
    run_until(s, s.policy.zone.day(entry.at))
    s.now = entry.at
    s.memo.clear()
    match entry:
        case Event():
            take(s, entry)
        case Request():
            request(s, entry)
        case Decision():
            decide(s, entry.at, entry.question, entry.about)
        case Receipt():
            _receipt(s, entry)
        case Succession():
            _succeed(s, entry)
        case Revenant():
            request(s, Request(entry.case, entry.at, "erasure"))
        case Learnt():
            take_back(s, entry)
    s.memo.clear()
    conditions_changed(s)
    settle(s)


def _receipt(s: Subject, entry: Receipt) -> None:
    for command in list(s.commands.values()):
        named = command.about == (entry.case, entry.target, entry.kind, entry.activity, entry.issued)
        if named and command.state != "done":
            acknowledge(s, command, entry.outcome)
            ids = dict.fromkeys(i for reasons in command.why.values() for i in reasons)
            s.note("logged", s.cite(*ids), about=f"receipt:{entry.outcome}", target=command.target, case=command.case)
            if entry.outcome in ("refused", "failed", "unsupported"):
                kind = "informed" if command.notice else "warned"
                s.note(kind, s.cite(*ids), about=entry.outcome, target=command.target, case=command.case)


def _succeed(s: Subject, entry: Succession) -> None:
    s.do_not_use.append(DoNotUse(entry.reasons, entry.at, scope="direct_marketing"))
    s.soft_closed = entry.reasons


def run_until(s: Subject, day: dt.date) -> None:
    """Run everything that is due at 00:00 of every day up to and including `day`."""
    if s.now == 0:
        s.now = s.policy.zone.midnight(day)
        return
    while (due := next_due(s)) is not None and due <= day:
        s.now = max(s.now, s.policy.zone.midnight(max(due, s.today)))
        before = _mark(s)
        settle(s)
        if next_due(s) == due and _mark(s) == before:
            break
    s.now = max(s.now, s.policy.zone.midnight(day))


def _mark(s: Subject) -> tuple[int, ...]:
    return len(s.items), len(s.commands), len(s.notes), len(s.do_not_use), len(s.quarantine), len(s.changes)


def settle(s: Subject) -> None:
    """Do what has become due: end what no rule keeps any longer, let entries expire, warn, close cases."""
    today = s.today
    _pending(s)
    _expiring(s, today)
    _released(s)
    _entries(s, today)
    for warning in due_warnings(s, today):
        s.note("warned", warning.reasons, about=warning.about[0])
    _cases(s)


def _pending(s: Subject) -> None:
    """Erase what a hold kept and keeps no longer."""
    ending: dict[str, list[Item]] = {}
    for items, keeping in kept_now(s):
        item = items[0]
        if any(r.waits and r.covers(item) for r in s.restrictions):
            continue
        if keeping is None:
            ending.setdefault(s.erasure or item.asked, []).extend(items)
            continue
        for item in items:
            item.why = keeping.reasons
    for case_id, items in ending.items():
        case = s.cases.get(case_id)
        ids = case.reasons if case is not None else ()
        items.sort(key=lambda i: i.number)
        end(s, items, {i.key: why(s, i, *ids, *i.why) for i in items}, case_id)


def _expiring(s: Subject, today: dt.date) -> None:
    """Erase what has outlived its retention; a hold that blocks retention keeps it in ordinary use."""
    ending: list[tuple[Item, tuple[str, ...]]] = []
    for item in overdue(s, today)[0]:
        last = last_day(s, item)
        if last is None or today <= last or any(r.covers(item) and r.ground != "asked" for r in s.restrictions):
            continue
        keeping = keeping_of(s, item, keepings(s, "retention", today), today)
        _, ids = retention_end(s, item)
        if keeping is None or (keeping.statutory and not keeping.claim and kept_by_law(s, item)):
            ending.append((item, ids))
        elif keeping.claim:
            s.items.turn(item, Use.KEPT)
            item.claimed = True
            item.why = s.cite(*keeping.reasons, *ids)
        else:
            item.cites.update(keeping.reasons)
    if not ending:
        return
    activities = {i.activity for i, _ in ending}
    end(s, [i for i, _ in ending], {i.key: why(s, i, *ids, *sorted(i.cites)) for i, ids in ending})
    _disclosed_along(s, activities, {i.activity: ids for i, ids in ending})


def kept_by_law(s: Subject, item: Item) -> bool:
    """Tell whether an activity that the law asks for keeps the category there: then no other needs to."""
    own = s.policy.activities.get(item.activity)
    if own is None or own.legal:
        return False
    return any(s.items.left(item.target, item.category, name) for name in s.reading.legal)


def _disclosed_along(s: Subject, activities: set[str], ids: dict[str, tuple[str, ...]]) -> None:
    """Let disclosed copies go with the activity that named their recipient."""
    gone: list[Item] = []
    for activity in activities:
        if all("disclosed" in i.tags for i in s.items.of(activity) if i.live):
            gone += (i for i in s.items.of(activity) if i.live)
    gone.sort(key=lambda i: i.number)
    end(s, gone, {i.key: why(s, i, *ids[i.activity]) for i in gone})


def _released(s: Subject) -> None:
    """Carry out a rectification that a hold made wait."""
    for case in list(s.cases.values()):
        if case.right == "rectification" and case.waits and not case.declined:
            if any(r.case == case.id for r in s.restrictions):
                continue
            if not case.body.get("unproven"):
                correct(s, case)


def _entries(s: Subject, today: dt.date) -> None:
    for entry in [d for d in s.do_not_use if d.until is not None and d.until < today]:
        s.do_not_use.remove(entry)
        if entry.target:
            reasons = s.cite(*entry.reasons, *target_ids(s, entry.target))
            issue(s, "erase", entry.target, dict.fromkeys(entry.categories, reasons), entry.case).keeps_open = False
            for category in entry.categories:
                s.changes.append(Change(s.now, "erased", entry.target, category, "", reasons))
    for waiting in [q for q in s.quarantine if q.until is not None and q.until < today]:
        s.quarantine.remove(waiting)
        s.note("logged", waiting.reasons, about="quarantined sign-up deleted")


def pending_because(s: Subject, case_id: str) -> tuple[str, ...]:
    """Say why a case is open; empty: it is closed. What only a statute keeps, by its date, keeps none open."""
    case = s.cases[case_id]
    if case.waits:
        return case.waits
    found: list[str] = []
    if case.right == "erasure":
        for (item, *_), keeping in kept_now(s):
            if not case.in_part or item.asked == case_id:
                waits = [r for r in s.restrictions if r.waits and r.covers(item)]
                if waits or (keeping is not None and (not keeping.statutory or keeping.until is None)):
                    found += keeping.reasons if keeping else waits[0].reasons
    for command in s.commands.values():
        if case.waits_for(command) and command.keeps_open and command.state not in ("done", "refused"):
            found += [*target_ids(s, command.target), *(i for r in command.why.values() for i in r)]
    return s.cite(*found)


def keepings_of_case(s: Subject, case_id: str) -> list[dict[str, object]]:
    """List what is kept after an erasure, per target and category, with the reason and the last day."""
    found: dict[tuple[str, str], tuple[int, Kept]] = {}
    for items, keeping in kept_now(s):
        item, last = items[0], items[-1].number
        mine = not s.cases[case_id].in_part or item.asked == case_id
        name = item.target, item.category
        if mine and keeping is not None and found.get(name, (0, keeping))[0] < last:
            found[name] = last, keeping
    return [
        {"target": target, "category": category, "outcome": "retained", "because": keeping.reasons,
         "until": keeping.until.isoformat() if keeping.until else None}
        for (target, category), (_, keeping) in found.items()
    ]  # fmt: skip


def _cases(s: Subject) -> None:
    for case in s.cases.values():
        open_ = bool(pending_because(s, case.id))
        if not open_ and not case.done:
            case.done = True
            ids = dict.fromkeys(i for n in s.notes if n.case == case.id for i in n.reasons)
            s.note("informed", (*case.reasons, *ids, "param:answer_deadline"), about="closed", case=case.id)
            if case.right == "erasure" and not case.in_part and not s.items:
                s.changes.append(Change(s.now, "key_destroyed", "", "", "", case.reasons))
        elif open_:
            case.done = False
    erasure = s.cases.get(s.erasure)
    if erasure is None or not erasure.done or s.items:
        return
    if not any(c.kind == "key_destroyed" and not c.target for c in s.changes):
        s.changes.append(Change(s.now, "key_destroyed", "", "", "", erasure.reasons))


def next_due(s: Subject) -> dt.date | None:
    """Give the next day on which something happens by itself, None if nothing does."""
    today = s.today
    one = dt.timedelta(days=1)
    ends: list[dt.date | None] = [d.until for d in s.do_not_use] + [q.until for q in s.quarantine]
    items, soonest = overdue(s, today)
    ends.append(soonest)
    for item in items:
        last = last_day(s, item)
        if last is not None and last < today:
            keeping = keeping_of(s, item, keepings(s, "retention", today), today)
            last = keeping.until if keeping else last
        ends.append(last)
    ends += [keeping.until if keeping else None for _, keeping in kept_now(s)]
    blocked = [c for c in s.cases.values() if c.right == "rectification" and c.waits]
    if blocked:
        ends += [k.until for k in keepings(s, "rectification", today)]
    days = [e + one for e in ends if e is not None and e != FOREVER]
    warning = next_warning(s, today)
    later = [d for d in (*days, *((warning,) if warning is not None else ())) if d > today]
    return min(later, default=None)
