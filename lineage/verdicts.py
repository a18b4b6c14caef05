"""Say what became of a step of a scenario: let through, stopped, set aside or declined, and by which rules.

What arrives is the rehearsal, a person's state and a row; what leaves are reasons by outcome. A step that came late is judged
as it stood when it came: what it brought and what had ended by then was not let through.
"""

from __future__ import annotations

from lineage.ending import target_ids
from lineage.rehearsal import Rehearsal
from lineage.scenario import Row
from lineage.subject import Subject, Verdict


def _verdicts(r: Rehearsal, s: Subject, row: Row, category: str) -> dict[str, list[str]]:
    step = next(x for x in r.scenario.steps if x.name == row.step)
    answer = r.played.answers.get(step.name)
    if answer is not None:
        return {"allowed" if answer.allowed else "blocked": [*answer.reasons, *target_ids(s, row.target or "")]}
    case = s.cases.get(r.played.cases.get(step.name, ""))
    if case is not None:
        declined = bool(case.declined)
        channels = [str(c["id"]) for c in s.policy.channels]
        return {"declined" if declined else "allowed": [*case.reasons, *case.declined, *channels]}
    found: dict[str, list[str]] = {}
    at = r.played.at[step.name]
    if step.name in r.played.anonymous and (at, step.what) not in s.verdicts:
        s = r.pipeline.look((r.played.anonymous[step.name],), row.controller, r.clock)
    occurred = step.fields.get("occurred")
    for (when, type_), verdicts in s.verdicts.items():
        late = occurred and (s.policy.zone.day(when).isoformat() == str(occurred)[:10] or when == s.erased_at)
        if type_ != step.what or (when != at and not late):
            continue
        for v in verdicts:
            if v.target in ("", row.target or v.target) and v.category in ("", category or v.category):
                ended = _ended_before(s, v, when, at) if v.outcome == "allowed" and when < at else []
                found.setdefault("blocked" if ended else v.outcome, []).extend(ended or v.reasons)
    return found


def _ended_before(s: Subject, v: Verdict, happened: int, came: int) -> list[str]:
    """Give the reasons why what an event brought had ended before the event came; none if it is held."""
    own = {a.name: a for a in s.policy.activities.values() if a.id in v.reasons}
    if any((i.target, i.category) == (v.target, v.category) and i.live and i.activity in own for i in s.items.values()):
        return []
    told = [
        c.why[v.category] for c in s.commands.values()
        if c.target == v.target and c.kind in ("erase", "expire_cookie") and c.activity in ("", *own) and v.category in c.why
        and happened <= c.issued <= came
    ]  # fmt: skip
    told += [c.reasons for c in s.changes
             if (c.target, c.category) == (v.target, v.category) and c.activity in own and happened <= c.at <= came]  # fmt: skip
    refused = [d.reasons for d in s.do_not_use if happened <= d.since <= came] if any(a.marketing for a in own.values()) else []
    return [i for reasons in (*told, *refused) for i in reasons] if told else []


def verdicts_of(r: Rehearsal, s: Subject, row: Row, category: str) -> dict[str, list[str]]:
    """Give what became of a step: of an event that was about the data subject before the present one, too."""
    found = _verdicts(r, s, row, category)
    earlier = () if found else r.sharing(row.controller, row.person)
    return found or next((v for _, x in earlier if (v := _verdicts(r, x, row, category))), {})
