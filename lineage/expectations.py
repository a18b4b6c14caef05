"""Judge a scenario's row: what arrives is the state after a day, what leaves is what is wrong, or None.

A row holds for every category that it lists, and its reasons hold when one of them is among those that the engine
gives for each. Nothing here decides anything: it only compares what the engine did and says with what was expected.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

import orjson

from lineage.children import child_ids, is_child
from lineage.clocks import retention_end
from lineage.ending import target_ids
from lineage.fold import kept_by_law, pending_because
from lineage.holding import consent_ids
from lineage.keeping import Keeping, keeping_now, keeping_of, keepings
from lineage.opting_out import channels_of
from lineage.policy import Basis, LinkRule, Policy
from lineage.rehearsal import Delivery, Rehearsal
from lineage.rights import ARTICLE, CHANNEL_TERM, marketing_of, right_ids
from lineage.scenario import Row
from lineage.subject import DoNotUse, Item, Subject, Use
from lineage.verdicts import verdicts_of

Found = tuple[bool, Iterable[str], str]
"""Whether it is so, the reasons that the engine gives, and what was found instead."""


def check(r: Rehearsal, row: Row, day: dt.date) -> str | None:
    """Compare a row with what is; on the day after `until` the state must have ended."""
    found = [_compare(r, s, row, day) for s in _whom(r, row, day)]
    return None if None in found else found[0]


def _compare(r: Rehearsal, s: Subject, row: Row, day: dt.date) -> str | None:
    ended = row.until is not None and day > row.until
    problems = []
    for category in row.categories or ("",):
        so, reasons, found = _JUDGES[row.outcome](r, s, row, category, day)
        if row.outcome == "held" and row.until:
            so = _last_use(r, s, row, category, day, so=so)
        label = f"{row.outcome} {category}".strip()
        if ended:
            if so and row.outcome not in _HISTORIC:
                problems.append(f"{label}: should have ended, but is still so")
            continue
        if not so:
            problems.append(f"{label}: {found}")
        elif not set(row.because) & set(reasons) and day == row.at:
            problems.append(f"{label}: reasons are {', '.join(dict.fromkeys(reasons)) or 'none'}")
    if row.foreseen and day == row.at and not ended:
        problems += _foreseen(r, s, row)
    return "; ".join(problems) or None


def _whom(r: Rehearsal, row: Row, day: dt.date) -> list[Subject]:
    """Give the states of those whom a row may be about: a name means another data subject after each erasure.

    It is the one whose the request was, else the one whom the name meant on the row's first day; what was done on a
    day may have been done for an earlier one.
    """
    lives = dict(r.lives(row.controller, row.person))
    case = r.played.cases.get(row.step or "")
    owners = [s for s in lives.values() if case in s.cases]
    if owners:
        return owners[:1]
    key = r.meant(row.controller, row.person)
    if day != row.at:
        key = r.played.meant.get(row.number, key)
    r.played.meant.setdefault(row.number, key)
    first = lives[key] if key in lives else Subject(r.policies[row.controller])
    done = row.outcome in ("erased", "commanded", "notified", "unlinked", "corrected", "key_destroyed")
    return [first, *(s for k, s in lives.items() if done and k != key)]


def _last_use(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date, *, so: bool) -> bool:
    """Leave what the law alone keeps out of account where there was another use at first: `until` is the last of those."""
    others = [i for i in _items(s, row, category) if i.use is Use.ORDINARY and not _legal(s, i)]
    if day == row.at:
        r.played.other_use[row.number, category] = bool(others)
    return bool(others) if r.played.other_use.get((row.number, category)) else so


_HISTORIC = frozenset({"informed", "warned", "logged"})


def _items(s: Subject, row: Row, category: str, *, ending: bool = False) -> list[Item]:
    activity = row.get("activity")
    return [
        i for i in s.items.values()
        if i.target == row.target and (not category or i.category == category) and (ending or i.use is not Use.ENDING)
        and (activity is None or i.activity == activity)
    ]  # fmt: skip


def _describe(s: Subject, items: list[Item]) -> str:
    if not items:
        return "nothing is held"
    parts = []
    for item in items:
        cover = [c.ground for c in s.restrictions if c.covers(item)]
        parts.append(f"{item.category or '-'} {item.use}{' restricted' if cover else ''} for {item.activity or '-'}")
    return ", ".join(dict.fromkeys(parts))


def _legal(s: Subject, item: Item) -> bool:
    activity = s.policy.activities.get(item.activity)
    return activity is not None and activity.legal


def _why(s: Subject, items: Iterable[Item]) -> list[str]:
    found: list[str] = []
    active = keepings(s, "retention", s.today)
    for item in items:
        activity = s.policy.activities.get(item.activity)
        found += item.why
        found += s.cite(*((activity.id, *activity.retention) if activity else ()), *target_ids(s, item.target), *sorted(item.cites))
        found += retention_end(s, item)[1]
        kept = keeping_of(s, item, active, s.today)
        found += kept.reasons if kept else ()
        found += [i for c in s.cases.values() if item.activity in c.acts or c.right == "rectification" for i in c.reasons]
        found += [i for c in s.cases.values() if c.right == "rectification" for i in s.policy.restriction.get("accuracy", ())]
        if activity is not None and Basis.CONSENT in activity.kinds:
            soft = any(g.soft and g.activity == activity.name for g in s.grants)
            found += (*consent_ids(s, activity), *((s.policy.soft_opt_in or "",) if soft else ()))
        found += [x.id for x in s.policy.suppression if x.keeps == "data" and x.activity in (None, item.activity)]
    found += child_ids(s) if is_child(s) else ()
    return found


_ADMITTING = frozenset(
    {"required", "no_data", "undeclared", "unknown_kind", "insecure", "cookie", "device", "held_elsewhere", "import"},
)
"""Guards that decide whether what an event brings comes in at all."""


def _explain_absence(s: Subject, row: Row, category: str) -> list[str]:
    """Give what the engine says of why the target holds nothing: what ended or stopped it, and what it would need to come."""
    policy = s.policy
    found = [*target_ids(s, row.target or "")]
    found += [i for c in s.changes if c.target == row.target and category in ("", c.category) for i in c.reasons]
    for command in s.commands.values():
        if command.target == row.target:
            found += [i for c, reasons in command.why.items() if category in ("", c) for i in reasons]
    for verdicts in s.verdicts.values():
        found += [i for v in verdicts if v.target in ("", row.target) and category in ("", v.category) for i in v.reasons]
    naming = [a for a in policy.activities.values() if row.target in (*a.systems, *a.recipients)]
    fitting = [a for a in naming if category in a.categories] or naming
    for activity in fitting:
        found += [*consent_ids(s, activity), *activity.retention, *((policy.soft_opt_in or "",) if activity.needs_consent else ())]
        found += [h.id for h in policy.holds if isinstance(h.activities, tuple) and activity.name in h.activities]
        found += [k.id for k in policy.kinds.values() if k.base in activity.events]
    found += [a.id for a in policy.activities.values() if category in a.categories]
    found += [x.id for x in policy.links if x.activity in {a.name for a in fitting} or _by_device(policy, row, category, x)]
    found += [g.id for g in policy.guards if g.on in _ADMITTING or (g.on == "child" and is_child(s))]
    found += [x.id for x in policy.suppression if row.target in (x.system, x.operator)]
    found += [i for d in s.do_not_use for i in d.reasons]
    found += [i for c in s.cases.values() for i in c.reasons]
    return list(s.cite(*found))


def _by_device(policy: Policy, row: Row, category: str, link: LinkRule) -> bool:
    """Tell whether a join of a device decides whether the category comes to the target."""
    brought = {c for k in policy.kinds.values() if k.base == "cookie" for c in k.carries}
    fed = any("cookie" in a.events and row.target in (*a.systems, *a.recipients) for a in policy.activities.values())
    waiting = {c for x in policy.links if x.needs == "device" and row.target in x.systems for c in x.takes_up}
    return bool(link.device or link.unjoined) and fed and (not category or category in brought | waiting)


def _held(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = [i for i in _items(s, row, category) if i.use is Use.ORDINARY]
    free = [i for i in items if not any(c.covers(i) for c in s.restrictions) and not _hidden(s, i)]
    return bool(free), _why(s, items), _describe(s, _items(s, row, category))


def _hidden(s: Subject, item: Item) -> bool:
    return any(d.hidden and (not d.categories or item.category in d.categories) for d in s.do_not_use)


def _absent(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = _items(s, row, category, ending=True)
    listed = any(d.target == row.target and row.target and (not category or category in d.categories) for d in s.do_not_use)
    before = right_ids(s, "erasure") if r.taken_over(row.controller, row.person) else ()
    reasons = [*_explain_absence(s, row, category), *before]
    return not items and not listed, reasons, _describe(s, items) if items else "it is on the list"


def _told(r: Rehearsal, s: Subject, row: Row, category: str, kinds: Iterable[str], day: dt.date | None) -> list[Delivery]:
    activity = s.policy.activities.get(row.get("activity") or "")
    return [
        d for d in r.played.deliveries
        if d.target == row.target and d.controller == row.controller and d.base in s.commands and d.kind in kinds
        and (not category or category in d.categories) and (day is None or d.day == day)
        and (activity is None or activity.id in _delivered_why([d], category))
    ]  # fmt: skip


def _delivered_why(found: list[Delivery], category: str) -> list[str]:
    return [i for d in found for c, reasons in d.reasons.items() if not category or c == category for i in reasons]


def _erased(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    first = row.at if row.acknowledged else day
    before = {d.base for d in _told(r, s, row, category, ("erase",), None) if d.day < first}
    told = [d for d in _told(r, s, row, category, ("erase",), first) if d.base not in before]
    left = _items(s, row, category, ending=True)
    if row.acknowledged:
        left = _items(s, row, category)
        ok = bool(told) and not left and _acknowledged(s, told, row.acknowledged, day)
        return ok, _delivered_why(told, category), "not acknowledged on that day" if told else "no erase command went out"
    found = "no erase command went out that day" if not told else f"still: {_describe(s, left)}"
    return bool(told) and not left, [*_delivered_why(told, category), *target_ids(s, row.target or "")], found


def _acknowledged(s: Subject, told: list[Delivery], wanted: dt.date, day: dt.date) -> bool:
    commands = [c for d in told if (c := s.commands.get(d.base)) is not None]
    if day < wanted:
        return all(c.acknowledged is None for c in commands)
    return any(c.acknowledged is not None and s.policy.zone.day(c.acknowledged) == wanted for c in commands)


def _retained(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = _items(s, row, category)
    kept = [i for i in items if i.use is Use.KEPT]
    so = bool(items) and all(i in kept or _legal(s, i) for i in items)
    known: dict[str, list[Keeping]] = {}
    reasons = [i for x in items if (k := keeping_now(s, x, known, s.today)) for i in k.reasons]
    return so, [*reasons, *_why(s, items)], _describe(s, items)


def _restricted(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    scope = row.get("scope")
    items = [i for i in _items(s, row, category) if scope is None or i.activity == scope]
    covers = [[c for c in s.restrictions if c.covers(i)] for i in items]
    ground = set(s.policy.restriction.get("claim", ()))
    claimed = [i for i in items if i.claimed and ground & set(i.why)]
    so = (any(covers) or bool(claimed)) and all(
        c or i in claimed or i.use is Use.KEPT for c, i in zip(covers, items, strict=True))  # fmt: skip
    reasons = [i for cs in covers for c in cs for i in c.reasons] + [i for x in claimed for i in x.why]
    return so, [*reasons, *_why(s, items)], _describe(s, items)


def _is_entry(s: Subject, row: Row, category: str, d: DoNotUse) -> bool:
    """Tell whether an entry is the one that a row speaks of: of its channel or scope, of its list, for its target."""
    channel, scope = row.get("channel"), row.get("scope")
    scopes, channels = _reach(s, d)
    if d.hidden:
        return not channel and not scope and (not d.categories or category in d.categories) and bool(_items(s, row, category))
    if row.target in {x.system for x in s.policy.suppression if x.system and x.keeps != "tag"}:
        return d.target == row.target and (not category or category in d.categories) and channel in (None, d.channel)
    if d.target is not None or (channel and channel not in channels) or (scope and scope not in scopes):
        return False
    stopped = [
        a for a in s.policy.activities.values()
        if row.target in (None, *a.systems, *a.recipients) and (not category or category in a.categories)
    ]  # fmt: skip
    return any(a.marketing or a.name in (d.activity, d.scope) for a in stopped) and bool(channel or scope or not category)


def _reach(s: Subject, d: DoNotUse) -> tuple[set[str | None], set[str | None]]:
    """Give the scopes and the channels that an entry covers: all direct marketing is all that the policy calls so."""
    scopes, channels = {d.scope, d.activity}, {d.channel}
    if d.channel is not None:
        return scopes, channels
    news = {a.name for a in marketing_of(s, "direct_marketing")}
    if "direct_marketing" in scopes:
        return scopes | news, {*CHANNEL_TERM}
    direct = [a for a in s.policy.activities.values() if a.name in scopes and a.marketing == "direct"]
    channels.update(c for a in direct for c in channels_of(s, a))
    return scopes | ({"direct_marketing"} if news <= scopes else set()), channels


def _suppressed(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    found = [d for d in s.do_not_use if _is_entry(s, row, category, d)]
    return bool(found), [i for d in found for i in d.reasons], "no do-not-use entry"


def _corrected(_r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    return _change(s, row, category, day, "corrected")


def _unlinked(_r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    return _change(s, row, category, day, "unlinked")


def _change(s: Subject, row: Row, category: str, day: dt.date, kind: str) -> Found:
    activity = row.get("activity")
    found = [
        c for c in s.changes
        if c.kind == kind and c.target == row.target and (not category or c.category == category)
        and s.policy.zone.day(c.at) == day and (activity is None or c.activity == activity)
    ]  # fmt: skip
    return bool(found), [i for c in found for i in c.reasons], f"no such change; {_describe(s, _items(s, row, category))}"


def _linked(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = _items(s, row, category)
    days = sorted({s.policy.zone.day(i.first) for i in items})
    so = bool(days) and days[0] == row.at
    return so, _why(s, items), f"first seen on {days[0]}" if days else "no edge"


def _tagged(_r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    items = _items(s, row, category)
    tagged = [i for i in items if row.get("tag") in i.tags]
    tags = sorted({t for i in items for t in i.tags})
    return bool(tagged), _why(s, tagged), f"tags are {', '.join(tags) or 'none'}" if items else "no edge"


_COMMANDS = ["erase", "correct", "restrict", "resume", "stop", "expire_cookie"]


def _commanded(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    kinds = [str(row.get("command"))] if row.get("command") else _COMMANDS
    told = [d for d in _told(r, s, row, category, kinds, row.at if row.acknowledged else day) if not d.notice]
    if told and row.acknowledged:
        state = [s.commands[d.base].acknowledged for d in told if d.base in s.commands]
        days = {s.policy.zone.day(a) for a in state if a is not None}
        ok = row.acknowledged in days if day >= row.acknowledged else not days
        return ok, _delivered_why(told, category), f"acknowledged on {', '.join(map(str, sorted(days))) or 'no day'}"
    return bool(told), [*_delivered_why(told, category), *target_ids(s, row.target or "")], "no such command went out that day"


def _notified(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    kinds = ("erase", "correct", "restrict", "resume")
    told = [d for d in _told(r, s, row, category, kinds, day) if d.notice or d.target in s.policy.recipients]
    told = [d for d in told if not s.policy.recipients[d.target].role.obeys]
    return bool(told), [*_delivered_why(told, category), *target_ids(s, row.target or "")], "no notification went out that day"


def _not_told(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    kinds = [str(row.get("command"))] if row.get("command") else _COMMANDS
    told = [d for d in _told(r, s, row, category, kinds, None) if d.day <= day]
    ids = [*_explain_absence(s, row, category), *(i for c in s.cases.values() for i in c.waits)]
    known: dict[str, list[Keeping]] = {}
    kept = [k for i in _items(s, row, category) if i.use is Use.KEPT and (k := keeping_now(s, i, known, s.today))]
    ids += [i for k in kept for i in k.reasons]
    if len(r.policies) > 1:
        ids += [g.id for p in r.policies.values() for g in p.guards]
    if not s.cases:  # what others asked for is theirs alone
        asked = {step.what for step in r.scenario.steps if step.kind == "request" and step.controller == row.controller}
        ids += [i for right in sorted(asked & ARTICLE.keys()) for i in right_ids(s, right)]
    return not told, ids, f"{told[0].kind} went out on {told[0].day}" if told else ""


def _judge_step(outcome: str) -> Callable[[Rehearsal, Subject, Row, str, dt.date], Found]:
    def judge(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
        loaded = r.played.loads.get(row.step or "")
        if outcome == "refused" and loaded is not None:
            return loaded.refused, loaded.rules, "the policy was accepted"
        if outcome == "allowed" and loaded is not None:
            asking = s.cite(*(x.id for x in s.policy.retention.values() if x.needs_setting))
            return not loaded.refused, asking, f"the policy was refused: {', '.join(loaded.rules)}"
        found = verdicts_of(r, s, row, category)
        so = outcome in found and not (outcome in ("blocked", "refused") and "allowed" in found)
        return so, found.get(outcome, ()), f"it was {', '.join(sorted(found)) or 'passed over'}"

    return judge


def _quarantined(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    found = verdicts_of(r, s, row, category)
    if row.until is not None:
        at = r.played.at[row.step or ""]
        waiting = [q for q in s.quarantine if q.at == at]
        return bool(waiting), [i for q in waiting for i in q.reasons], "nothing waits"
    so = "quarantined" in found and not (category and "allowed" in found)
    return so, found.get("quarantined", ()), f"it was {', '.join(sorted(found)) or 'passed over'}"


def _exported(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    case = s.cases.get(r.played.cases.get(row.step or "", ""))
    if case is None:
        return False, (), "there is no such request"
    places = case.answer.get(category, set())
    source = row.get("source")
    so = bool(places) and (source is None or source in places)
    naming = [a for a in s.policy.activities.values() if category in a.categories and places & {*a.systems, *a.recipients}]
    ids = [*case.reasons, *(i for p in places for i in target_ids(s, p)), *(i for a in naming for i in consent_ids(s, a)),
           *(x.id for x in s.policy.links if x.activity in {a.name for a in naming} or x.device or x.unjoined)]  # fmt: skip
    return so, s.cite(*ids), f"in the answer from {', '.join(sorted(places))}" if places else "not in the answer"


def _omitted(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    case = s.cases.get(r.played.cases.get(row.step or "", ""))
    if case is None or case.right not in ("access", "portability"):
        return False, (), "there is no answer to such a request"
    ids = [*case.omitted.get(category, ()), *case.reasons, *(i.id for i in s.policy.links if i.unjoined or i.device)]
    place = row.get("source") or row.target
    there = case.answer.get(category, set())
    if place:
        ids += [*target_ids(s, place), *case.unnamed.get(place, ())]
    gone = [c for c in s.changes if c.kind in ("erased", "ended", "unlinked") and c.category == category]
    ids += [i for c in gone if place in (None, c.target) for i in c.reasons]
    return (place not in there if place else not there), s.cite(*ids), "it is in the answer"


def _declined(r: Rehearsal, s: Subject, row: Row, _category: str, _day: dt.date) -> Found:
    case = s.cases.get(r.played.cases.get(row.step or "", ""))
    return bool(case and case.declined), case.declined if case else (), "it was not declined"


def _pending(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    case = r.played.cases.get(row.step or "", "")
    reasons = pending_because(s, case) if case in s.cases else ()
    kept = [i for i in _items(s, row, category) if _keeps_open(s, i, case)] if row.target else []
    unanswered = [
        c for c in s.commands.values()
        if case in s.cases and s.cases[case].waits_for(c) and c.target == row.target
        and c.keeps_open and c.state not in ("done", "refused")
        and (not category or category in c.why)
    ]  # fmt: skip
    so = bool(reasons) and (not row.target or bool(kept) or bool(unanswered))
    found = f"open, but not because of {row.target}" if reasons else "the case is closed"
    return so, [*reasons, *(i for x in kept for i in x.why)], found


def _keeps_open(s: Subject, item: Item, case: str) -> bool:
    """Tell whether the case waits for the item: not where a statute alone keeps it, until its day."""
    if item.use is not Use.KEPT or case not in s.cases or (s.cases[case].in_part and item.asked != case):
        return False
    kept = keeping_of(s, item, keepings(s, "erasure", s.today), s.today)
    waits = any(c.waits and c.covers(item) for c in s.restrictions)
    return waits or (kept is not None and (not kept.statutory or kept.until is None))


def _closed(r: Rehearsal, s: Subject, row: Row, _category: str, _day: dt.date) -> Found:
    case = r.played.cases.get(row.step or "", "")
    reasons = pending_because(s, case) if case in s.cases else ("no such case",)
    own = s.cases[case].reasons if case in s.cases else ()
    notes = [i for n in s.notes if n.case == case for i in n.reasons]
    return not reasons, [*own, *notes], f"open because of {', '.join(reasons)}"


def _affected(r: Rehearsal, s: Subject, row: Row, category: str, _day: dt.date) -> Found:
    found = verdicts_of(r, s, row, category)
    return "affected" in found, found.get("affected", ()), "not affected"


def _log(r: Rehearsal, row: Row) -> list[tuple[dt.date, str, list[str]]]:
    found, seq = [], 0
    while lines := r.store.audit(seq, 1000):
        seq = lines[-1].seq
        for line in lines:
            if line.controller == row.controller:
                found.append((r.zone.day(line.at), line.kind, list(orjson.loads(line.body).get("reasons", ()))))
    return found


def _judge_log(kind: str, *, by: bool) -> Callable[[Rehearsal, Subject, Row, str, dt.date], Found]:
    def judge(r: Rehearsal, _s: Subject, row: Row, _category: str, day: dt.date) -> Found:
        lines = [ids for at, k, ids in _log(r, row) if k == kind and (at <= day if by else at == day)]
        fitting = [ids for ids in lines if set(ids) & set(row.because)]
        told = sorted({i for ids in lines for i in ids})
        return bool(fitting), [i for ids in fitting for i in ids], f"the log has {', '.join(told) or 'nothing'}"

    return judge


def _informed(r: Rehearsal, s: Subject, row: Row, _category: str, day: dt.date) -> Found:
    """Look at what this person was told, and at what the controller told everybody."""
    persons = (s, *(x for _, x in r.lives(row.controller, row.person)))
    own = [n.reasons for x in persons for n in x.notes if n.kind == "informed" and s.policy.zone.day(n.at) <= day]
    lines = [x for d in r.played.loads.values() for x in d.lines if x.kind == "informed" and x.controller == row.controller]
    to_all = [orjson.loads(x.body)["reasons"] for x in lines if r.zone.day(x.at) <= day]
    known = sorted({i for ids in (*own, *to_all) for i in ids})
    return bool(set(known) & set(row.because)), known, f"the person was told {', '.join(known) or 'nothing'}"


def _key_destroyed(_r: Rehearsal, s: Subject, row: Row, _category: str, day: dt.date) -> Found:
    found = [c for c in s.changes if c.kind == "key_destroyed" and s.policy.zone.day(c.at) == day
             and (row.target is None or c.target == row.target)]  # fmt: skip
    return bool(found), [i for c in found for i in c.reasons], "no key was destroyed that day"


def _unchanged(r: Rehearsal, s: Subject, row: Row, _category: str, _day: dt.date) -> Found:
    return r.played.unchanged.get(row.step or "", False), row.because, f"something changed ({len(s.items)} items)"


_JUDGES: dict[str, Callable[[Rehearsal, Subject, Row, str, dt.date], Found]] = {
    "held": _held, "absent": _absent, "erased": _erased, "retained": _retained, "restricted": _restricted,
    "suppressed": _suppressed, "corrected": _corrected, "linked": _linked, "unlinked": _unlinked, "tagged": _tagged,
    "commanded": _commanded, "notified": _notified, "not_told": _not_told, "allowed": _judge_step("allowed"),
    "blocked": _judge_step("blocked"), "quarantined": _quarantined, "refused": _judge_step("refused"), "exported": _exported,
    "omitted": _omitted, "declined": _declined, "pending": _pending, "closed": _closed, "affected": _affected,
    "informed": _informed, "warned": _judge_log("warned", by=True), "logged": _judge_log("logged", by=False),
    "key_destroyed": _key_destroyed, "unchanged": _unchanged,
}  # fmt: skip


def _foreseen(r: Rehearsal, s: Subject, row: Row) -> list[str]:
    """Compare the end that the engine names on the first day with the one expected."""
    problems = []
    for category in row.categories or ("",):
        end = _named_end(r, s, row, category)
        if end != row.foreseen:
            problems.append(f"{row.outcome} {category}: foreseen end is {end}, not {row.foreseen}")
    return problems


def _named_end(r: Rehearsal, s: Subject, row: Row, category: str) -> dt.date | None:
    if row.outcome == "suppressed":
        return max((d.until for d in s.do_not_use if d.target == row.target and d.until), default=None)
    if row.outcome == "quarantined":
        at = r.played.at[row.step or ""]
        return max((q.until for q in s.quarantine if q.at == at and q.until), default=None)
    ends: list[dt.date | None] = []
    known: dict[str, list[Keeping]] = {}
    items = _items(s, row, category) if row.target else [i for i in s.live() if i.use is Use.KEPT]
    if row.outcome == "held":
        items = [i for i in items if i.use is Use.ORDINARY and not _legal(s, i)] or items
    for item in items:
        kept = keeping_now(s, item, known, s.today)
        if item.use is Use.KEPT:
            if row.outcome == "pending" and kept is not None and kept.statutory:
                continue
            ends.append(kept.until if kept else None)
        else:
            end, _ = retention_end(s, item)
            if kept is not None and kept.statutory and not kept.claim and kept_by_law(s, item) and row.outcome == "held":
                kept = None  # From then on the law alone keeps it: the last ordinary use is the clock's last day.
            if kept is not None and end is not None:
                end = None if kept.until is None else max(end, kept.until)
            ends.append(end)
    by_law = [k.until for i in items if _legal(s, i) and (k := keeping_now(s, i, known, s.today)) and k.until]
    if row.outcome == "retained" and by_law:
        return max(by_law)
    if not ends or None in ends:
        return None
    return max(e for e in ends if e is not None)
