"""Judge rows about what was done: commands and notices, answers to requests and questions, the log, the course of a case."""

from __future__ import annotations

import datetime as dt

import orjson

from lineage.ending import target_ids
from lineage.fold import pending_because
from lineage.holding import consent_ids
from lineage.judging import Found, Judge, delivered_why, explain_absence, items_of, told_of
from lineage.keeping import Keeping, keeping_now, keeping_of, keepings
from lineage.rehearsal import Rehearsal
from lineage.rights import ARTICLE, right_ids
from lineage.scenario import Row
from lineage.subject import Item, Subject, Use
from lineage.verdicts import verdicts_of

_COMMANDS = ["erase", "correct", "restrict", "resume", "stop", "expire_cookie"]


def _commanded(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    kinds = [str(row.get("command"))] if row.get("command") else _COMMANDS
    told = [d for d in told_of(r, s, row, category, kinds, row.at if row.acknowledged else day) if not d.notice]
    if told and row.acknowledged:
        state = [s.commands[d.base].acknowledged for d in told if d.base in s.commands]
        days = {s.policy.zone.day(a) for a in state if a is not None}
        ok = row.acknowledged in days if day >= row.acknowledged else not days
        return ok, delivered_why(told, category), f"acknowledged on {', '.join(map(str, sorted(days))) or 'no day'}"
    return bool(told), [*delivered_why(told, category), *target_ids(s, row.target or "")], "no such command went out that day"


def _notified(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    kinds = ("erase", "correct", "restrict", "resume")
    told = [d for d in told_of(r, s, row, category, kinds, day) if d.notice or d.target in s.policy.recipients]
    told = [d for d in told if not s.policy.recipients[d.target].role.obeys]
    return bool(told), [*delivered_why(told, category), *target_ids(s, row.target or "")], "no notification went out that day"


def _not_told(r: Rehearsal, s: Subject, row: Row, category: str, day: dt.date) -> Found:
    kinds = [str(row.get("command"))] if row.get("command") else _COMMANDS
    told = [d for d in told_of(r, s, row, category, kinds, None) if d.day <= day]
    ids = [*explain_absence(s, row, category), *(i for c in s.cases.values() for i in c.waits)]
    known: dict[str, list[Keeping]] = {}
    kept = [k for i in items_of(s, row, category) if i.use is Use.KEPT and (k := keeping_now(s, i, known, s.today))]
    ids += [i for k in kept for i in k.reasons]
    if len(r.policies) > 1:
        ids += [g.id for p in r.policies.values() for g in p.guards]
    if not s.cases:  # what others asked for is theirs alone
        asked = {step.what for step in r.scenario.steps if step.kind == "request" and step.controller == row.controller}
        ids += [i for right in sorted(asked & ARTICLE.keys()) for i in right_ids(s, right)]
    return not told, ids, f"{told[0].kind} went out on {told[0].day}" if told else ""


def _judge_step(outcome: str) -> Judge:
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
    kept = [i for i in items_of(s, row, category) if _keeps_open(s, i, case)] if row.target else []
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


def _judge_log(kind: str, *, by: bool) -> Judge:
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


ACTS: dict[str, Judge] = {
    "commanded": _commanded,
    "notified": _notified,
    "not_told": _not_told,
    "quarantined": _quarantined,
    "exported": _exported,
    "omitted": _omitted,
    "declined": _declined,
    "pending": _pending,
    "closed": _closed,
    "affected": _affected,
    "informed": _informed,
    "key_destroyed": _key_destroyed,
    "unchanged": _unchanged,
    "allowed": _judge_step("allowed"),
    "blocked": _judge_step("blocked"),
    "refused": _judge_step("refused"),
    "warned": _judge_log("warned", by=True),
    "logged": _judge_log("logged", by=False),
}
"""Outcome -> its judge."""
