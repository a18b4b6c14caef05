"""Take a request of the data subject, carry it out, and what a person at the controller decides about it.

What arrives is a request or a decision; what leaves is its case and what the right does, which each right's own module says.
"""

from __future__ import annotations

from collections.abc import Callable

from lineage.access import access, complaint, portability
from lineage.ending import end, why
from lineage.erasing import erase
from lineage.opting_out import objection, withdrawal
from lineage.restricting import correct, hide, rectification, restriction, tell
from lineage.rights import Request, right_ids, via_ids
from lineage.subject import Case, Subject

RIGHTS: dict[str, Callable[[Subject, Case], None]] = {
    "erasure": erase, "withdrawal": withdrawal, "objection": objection, "restriction": restriction,
    "rectification": rectification, "hiding": hide, "access": access, "portability": portability, "complaint": complaint,
}  # fmt: skip
"""What each right does; a new one needs a line here and its article in `lineage.rights`."""


def request(s: Subject, r: Request) -> Case:
    """Take a request: open its case and, unless something has to be proven or decided first, carry it out."""
    s.now = r.at
    ids = right_ids(s, r.right, *r.scope) if r.right in ("objection", "withdrawal") else right_ids(s, r.right)
    case = Case(r.id, r.right, r.at, r.via, s.cite(*ids), r.scope, r.of, correct=r.correct, remove=r.remove)
    case.body = {"channel": r.channel, "ground": r.ground, "contested": r.contested}
    s.cases[r.id] = case
    channel = via_ids(s, r.via, r.right)
    s.note("logged", (*case.reasons, *channel), about=f"request:{r.right}", case=r.id)
    if not r.proven:
        checks = [str(c["id"]) for c in s.policy.channels if c["kind"] in ("identity_check", "email_match")]
        case.waits = s.cite(*(checks or ["gdpr:12"]), *channel)
        case.body["unproven"] = True
        s.note("informed", case.waits, about="identity", case=r.id)
        return case
    carry_out(s, case)
    return case


def carry_out(s: Subject, case: Case) -> None:
    """Do what the request asks for, as far as it may be done today."""
    RIGHTS[case.right](s, case)
    told = [i for n in s.notes if n.case == case.id and n.kind == "logged" for i in n.reasons]
    s.note("informed", (*case.reasons, *told, "param:answer_deadline"), about=case.right, case=case.id)


def decide(s: Subject, at: int, question: str, case_id: str) -> None:
    """Carry out what a person at the controller has decided about a request."""
    s.now = at
    case = s.cases[case_id]
    s.note("logged", case.waits or case.reasons, about=f"decided:{question}", case=case_id)
    cover = next((r for r in s.restrictions if r.case == case_id), None)
    if question == "identity_proven":
        case.waits = ()
        case.body["unproven"] = False
        carry_out(s, case)
        return
    ids = s.cite(*case.reasons, *case.waits, *(cover.reasons if cover else ()))
    if question == "extended":
        case.extended = True
        s.note("informed", (*ids, "param:answer_deadline"), about="the answer takes longer", case=case_id)
        return
    case.waits = ()
    if question == "restriction_lifted":
        s.do_not_use = [d for d in s.do_not_use if not (d.hidden and d.case == case_id)]
    s.note("informed", ids, about=f"decided:{question}", case=case_id)
    covered = [i for i in s.live() if cover is not None and cover.covers(i)]
    s.restrictions = [r for r in s.restrictions if r.case != case_id]
    if question == "no_overriding_ground":
        for name in case.acts:
            if not case.of:
                s.objected[name] = s.cite(*ids)
        end(s, covered, {i.key: why(s, i, *ids) for i in covered}, case_id)
    elif question == "inaccurate":
        correct(s, case)
        mended = {(c.target, c.category) for c in s.changes if c.kind == "corrected" and c.at == s.now}
        tell(s, "resume", [i for i in covered if i.live and (i.target, i.category) not in mended], ids, case_id)
    else:
        if question == "accurate":
            case.declined = ids
        if question == "overriding_ground":
            case.declined = ids
        for item in covered:
            item.cites.update(ids)
        tell(s, "resume", covered, ids, case_id)
