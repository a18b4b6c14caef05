"""Say what a request would do on a day: item by item, why in plain words, and on which day each remaining item will go.

What arrives is the pipeline and a request that nobody has made; what leaves is a `Plan`. Nothing is written: the person's
past is folded anew and the request put at its end. Of a system each category stands in one row only, with the latest
end of all that keeps it; a recipient is told of each activity that ends, so there a category may stand once for each.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lineage import fold
from lineage.ending import target_ids
from lineage.errors import BadCall
from lineage.keeping import Keeping, covers, keeping_of, keepings
from lineage.pipeline import Pipeline
from lineage.policy import Closing, Hold, Policy
from lineage.rights import ARTICLE, Request
from lineage.subject import Command, Item, Subject, Use
from lineage.timeline import entries
from streams.views import end_of, retention_words, span

DRY_RUN = "dry-run"
_ONE = dt.timedelta(days=1)
_LOOKS = frozenset({"access", "portability", "complaint"})
"""Rights that leave everything where it is."""
_MATTERS = {"order": "an order", "matter": "a question", "debt": "a debt", "credit": "an application for credit",
            "contract": "a contract", "incident": "an incident", "competition": "a competition", "campaign": "a campaign",
            "survey": "a survey", "return": "a return", "exchange": "an exchange"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decided:
    """What would be done about categories at a target, and why.

    Of what remains, `until` is its last day and `goes` the day on which it is gone, both None where no day is known yet;
    `words` says what must happen first. `activity` names all that the row is about, with commas.
    """

    target: str
    activity: str
    decision: str
    categories: tuple[str, ...]
    until: dt.date | None
    because: tuple[str, ...]
    words: str
    goes: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request would do; `state` is that of the case right after it; `going` lists what goes on which day."""

    controller: str
    right: str
    day: dt.date
    state: str
    because: tuple[str, ...]
    decisions: tuple[Decided, ...]
    going: tuple[tuple[dt.date | None, tuple[str, ...]], ...] = ()


def plan(
    pipeline: Pipeline, controller: str, identifier: tuple[str, str], right: str, at: int, *, via: str = "",
    scope: tuple[str, ...] = (), of: tuple[str, ...] = (), channel: str | None = None, ground: str | None = None,
) -> Plan:  # fmt: skip
    """Tell what a request at the second `at` would do, without doing it."""
    if right not in ARTICLE:
        msg = f"{right!r} is no right: {', '.join(ARTICLE)}"
        raise BadCall(msg)
    key = pipeline.current(controller, *identifier)
    facts = pipeline.store.facts((key,))
    policy = pipeline.policies[controller]
    _expect_known(policy, scope, of)
    s = Subject(policy, str(key))
    for entry in entries(facts, pipeline.shapes.by_id, pipeline.shapes.bodies):
        if entry.at <= at:
            fold.apply(s, entry)
    fold.run_until(s, policy.zone.day(at))
    fold.apply(s, Request(DRY_RUN, max(at, s.now), right, via, scope, of, channel, ground=ground))
    because = s.cases[DRY_RUN].declined or s.cases[DRY_RUN].reasons
    decisions = tuple(_decided(s))
    return Plan(controller, right, s.today, _state(s), because, decisions, tuple(_going(decisions)))


def _expect_known(policy: Policy, scope: tuple[str, ...], of: tuple[str, ...]) -> None:
    scopes = {*policy.activities, "direct_marketing", *(name for r in policy.rights for name in r.scope)}
    for given, known, what in ((scope, scopes, "activity"), (of, set(policy.categories), "category")):
        strange = [name for name in given if name not in known]
        if strange:
            msg = f"{strange[0]!r} is no {what} of {policy.id}: have {', '.join(sorted(known))}"
            raise BadCall(msg)


def _state(s: Subject) -> str:
    if s.cases[DRY_RUN].declined:
        return "declined"
    return "open" if fold.pending_because(s, DRY_RUN) else "closed"


def _going(decisions: Iterable[Decided]) -> Iterator[tuple[dt.date | None, tuple[str, ...]]]:
    """Give the days on which something goes by itself, in order, and what; last what has no day yet."""
    days: dict[dt.date | None, dict[str, dict[str, None]]] = {}
    for d in decisions:
        if d.decision in ("retain", "stay"):
            days.setdefault(d.goes, {}).setdefault(d.target, {}).update(dict.fromkeys(d.categories))
    for day in sorted(days, key=lambda day: day or dt.date.max):
        yield day, tuple(f"{_plain(target)}: {_list(sorted(names))}" for target, names in days[day].items())


def _decided(s: Subject) -> list[Decided]:
    found = [d for c in s.commands.values() if c.case == DRY_RUN for d in _of_command(s, c)]
    case = s.cases[DRY_RUN]
    if case.right not in _LOOKS:
        found += _remaining(s)
    asked = {d.target for d in found if d.decision == "export"}
    sources: dict[str, list[str]] = {}
    for category, places in case.answer.items():
        for place in places - asked:
            sources.setdefault(place, []).append(category)
    found += [_say(place, "", "answer", names, case.reasons) for place, names in sorted(sources.items())]
    for category, reasons in sorted(case.omitted.items()):
        found.append(_say("", "", "leave out", [category], reasons))
    for cover in (r for r in s.restrictions if r.case == DRY_RUN):
        names = sorted(cover.categories or ())
        found.append(_say("", ", ".join(sorted(cover.activities or ())), "restrict", names, cover.reasons))
    for entry in (d for d in s.do_not_use if d.case == DRY_RUN):
        about = entry.activity or entry.channel or entry.scope or ""
        found.append(_say(entry.target or "", about, "suppress", list(entry.categories), entry.reasons, entry.until))
    return found


def _of_command(s: Subject, command: Command) -> list[Decided]:
    kind = "notify" if command.notice and command.kind == "erase" else command.kind.replace("_", " ")
    reasons = (i for ids in command.why.values() for i in ids)
    return [_say(command.target, command.activity.strip("-"), kind, list(command.why), (*reasons, *target_ids(s, command.target)))]


@dataclass(frozen=True, slots=True)
class _Left:
    """Why something remains, and until when."""

    until: dt.date | None
    why: str
    ids: tuple[str, ...]
    kept: bool


def _remaining(s: Subject) -> Iterator[Decided]:
    """Give what would still be there: of a system one row for a category, of a recipient one for each activity too."""
    groups: dict[tuple[str, str, str], list[Item]] = {}
    for item in s.live():
        recipient = s.policy.recipients.get(item.target)
        apart = item.target not in s.policy.systems and not (recipient is not None and recipient.operates)
        groups.setdefault((item.target, item.activity if apart else "", item.category), []).append(item)
    rows: dict[tuple[str, str, str, dt.date | None, str], list[tuple[str, list[Item], tuple[str, ...]]]] = {}
    for (target, activity, category), items in groups.items():
        left = _left(s, items)
        key = (target, activity, "retain" if left.kept else "stay", left.until, left.why)
        rows.setdefault(key, []).append((category, items, left.ids))
    for (target, _, decision, until, why), held in rows.items():
        ids = (i for _, _, found in held for i in found)
        activities = dict.fromkeys(i.activity for _, items, _ in held for i in items if i.activity)
        yield _say(target, ", ".join(activities), decision, [c for c, _, _ in held], ids, until, why)


def _left(s: Subject, items: list[Item]) -> _Left:
    """Say why and until when a category remains at a target: the latest end of all its items there counts."""
    active = {right: keepings(s, right, s.today) for right in ("erasure", "retention")}
    parts = [_one_left(s, i, active) for i in items]
    ends = [p.until for p in parts]
    until = None if None in ends else max(e for e in ends if e is not None)
    deciding = [p for p in parts if p.until == until]
    why = "; ".join(dict.fromkeys(p.why for p in deciding))
    ids = tuple(dict.fromkeys(i for p in (*deciding, *parts) for i in p.ids))
    return _Left(until, why, ids, all(p.kept for p in parts))


def _one_left(s: Subject, item: Item, active: Mapping[str, Sequence[Keeping]]) -> _Left:
    waits = [r for r in s.restrictions if r.waits and r.covers(item)]
    if item.use is Use.ORDINARY:
        activity = s.policy.activities.get(item.activity)
        named = activity.retention if activity else ()
        rules = dict.fromkeys(retention_words(s.policy, _ruling(s, r), item.activity, plain=True) for r in named)
        why = f"for {_plain(item.activity) or 'what it was disclosed for'}, {' and '.join(rules) or 'without a clock of its own'}"
        ids = (activity.id, *activity.retention) if activity else ()
        return _Left(end_of(s, item, active["retention"]), why, item.why or ids, kept=False)
    asked = active["erasure" if s.erased_at is not None or item.asked else "retention"]
    kept = keeping_of(s, item, asked, s.today)
    holding = [k for k in asked if covers(s, k, item)]
    words = [hold_words(s, k, item) for k in holding]
    if kept is not None and kept.claim:
        words.append("a legal claim or an order to preserve needs it, until that has ended")
    if waits:
        return _Left(None, "a person has to decide about it first", item.why, kept=True)
    return _Left(kept.until if kept else None, "; ".join(dict.fromkeys(words)), kept.reasons if kept else item.why, kept=True)


def _ruling(s: Subject, rule: str) -> str:
    """Give the rule of retention that holds now: another may have taken its place."""
    unless = s.policy.retention[rule].unless
    return unless[1] if unless is not None and s.state(unless[0]) else rule


def hold_words(s: Subject, keeping: Keeping, item: Item) -> str:
    """Say in plain words why a hold keeps something, and what ends it."""
    hold, policy = keeping.hold, s.policy
    if hold.parameter is not None:
        known = policy.parameters.get(hold.parameter)
        if known is None:
            return f"the law may ask for it, but no setting says for how long ({_plain(hold.parameter)})"
        if known.years is not None:
            length = f"{span(12 * known.years, 0)} from the end of the financial year"
            return f"the law asks for it, {length}{_through(keeping)} ({known.source})"
        assert known.duration is not None
        anchor = known.anchor or "order.delivered"
        length = f"{span(known.duration.months, known.duration.days)} from “{_event(anchor)}” on"
        return f"the law asks for it, {length}{_through(keeping)} ({known.source})"
    about = _about(hold)
    if hold.duration is not None:
        return f"{about}: for {span(hold.duration.months, hold.duration.days)} from {_events(hold.opened_by)} on{_through(keeping)}"
    closings = hold.recipient_closings.get(item.target, hold.closed_by)
    ways = [_closing(policy, c) for c in closings]
    return f"{about} until {', or '.join(ways)}" if ways else about


def _through(keeping: Keeping) -> str:
    return f", through {keeping.until.isoformat()}" if keeping.until is not None else ""


def _about(hold: Hold) -> str:
    first = hold.opened_by[0] if hold.opened_by else "order"
    kind = {"support": "matter", "form": "matter", "service": "contract"}.get(first.partition(".")[0], first.partition(".")[0])
    if hold.duration is not None:
        return f"{_MATTERS.get(kind, 'something')} is the reason"
    return f"{_MATTERS.get(kind, 'something')} is under way"


def _closing(policy: Policy, closing: Closing) -> str:
    if closing.lines == "shipped":
        way = "all of it is shipped or cancelled"
    elif closing.lines is not None:
        way = "all of it is cancelled"
    else:
        way = _events(closing.all, " and ")
    if closing.plus:
        name = closing.plus.removeprefix("param:")
        known = policy.parameters.get(name)
        known_span = known.duration if known is not None else None
        length = span(known_span.months, known_span.days) if known_span is not None else "the time"
        way += f" and {length} more have passed ({_plain(name)})"
    if closing.none_open:
        way += " with nothing open again"
    return way


def _event(type_: str) -> str:
    return type_.replace(".", " ").replace("_", " ")


def _events(types: Iterable[str], between: str = " or ") -> str:
    return between.join(f"“{_event(t)}”" for t in types)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _list(names: Iterable[str]) -> str:
    plain = [_plain(n) for n in names]
    return " and ".join([", ".join(plain[:-1]), plain[-1]] if len(plain) > 1 else plain) or "everything"


def _say(
    target: str, activity: str, decision: str, categories: list[str], because: Iterable[str], until: dt.date | None = None,
    why: str = "",
) -> Decided:  # fmt: skip
    names = tuple(sorted(dict.fromkeys(categories)))
    what, who = _list(names), _plain(target or activity or "it")
    goes = until + _ONE if until and until != dt.date.max else None
    day = f"it goes on {goes.isoformat()}" if goes else "no day is known yet"
    words = {
        "erase": f"{who} must erase {what}",
        "notify": f"{who} is asked to erase {what}",
        "expire cookie": f"the cookie on the device expires, {what} with it",
        "retain": f"{who} keeps {what}, and for nothing else than this: {why}; {day}",
        "stay": f"{who} goes on holding {what}: {why}; {day}",
        "correct": f"{who} must correct {what}",
        "restrict": f"{what} may be stored only",
        "resume": f"{who} may use {what} again",
        "stop": f"{who} must stop using {what}",
        "export": f"{who} is asked for {what}",
        "answer": f"the answer has {what} from {who}",
        "leave out": f"the answer leaves out {what}",
        "suppress": f"nobody is to use the data for {_plain(activity or 'anything')}"
        + (f", as {who} remembers; {day}" if target else ""),
    }
    ids = tuple(dict.fromkeys(i for i in because if i))
    return Decided(target, activity, decision, names, until, ids, words.get(decision, f"{who}: {decision} {what}"), goes)
