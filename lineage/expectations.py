"""Judge a scenario's row: what arrives is the state after a day, what leaves is what is wrong, or None.

A row holds for every category that it lists, and its reasons hold when one of them is among those that the engine
gives for each. Nothing here decides anything: it only compares what the engine did and says with what was expected.
"""

from __future__ import annotations

import datetime as dt

from lineage.clocks import retention_end
from lineage.fold import kept_by_law
from lineage.judges_of_acts import ACTS
from lineage.judges_of_holdings import HOLDINGS
from lineage.judging import is_legal, items_of
from lineage.keeping import Keeping, keeping_now
from lineage.rehearsal import Rehearsal
from lineage.scenario import Row
from lineage.subject import Subject, Use

_JUDGES = {**HOLDINGS, **ACTS}


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
    others = [i for i in items_of(s, row, category) if i.use is Use.ORDINARY and not is_legal(s, i)]
    if day == row.at:
        r.played.other_use[row.number, category] = bool(others)
    return bool(others) if r.played.other_use.get((row.number, category)) else so


_HISTORIC = frozenset({"informed", "warned", "logged"})


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
    items = items_of(s, row, category) if row.target else [i for i in s.live() if i.use is Use.KEPT]
    if row.outcome == "held":
        items = [i for i in items if i.use is Use.ORDINARY and not is_legal(s, i)] or items
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
    by_law = [k.until for i in items if is_legal(s, i) and (k := keeping_now(s, i, known, s.today)) and k.until]
    if row.outcome == "retained" and by_law:
        return max(by_law)
    if not ends or None in ends:
        return None
    return max(e for e in ends if e is not None)
