"""What a policy's words say a target holds, worked out slowly and independently of the engine.

What arrives is a policy file as it lies on disk, its settings, and what happened to one person day by day; what leaves
is, for any day, which categories each target holds, for ordinary use or for a hold only. Everything is asked again from
the list of what happened: no index, no incremental state but the set of what is held. Where the words leave a question
open, the pair of target and category is called doubtful from then on, rather than guessed.
"""

from __future__ import annotations

import datetime as dt

from oracle.endings import clock, covers, end, hold_until, kept_until, outlived
from oracle.feeding import consent, feed, join, refuse, withdraw
from oracle.person import NEVER, Happening, Pair, Person, doubt, legal


def begin(x: Person, day: dt.date) -> None:
    """Let go what has no day left: at 00:00 of the day after the last."""
    for key in list(x.held):
        last = end(x, key)
        if last is not None and last < day:
            del x.held[key]
            x.ran_out.setdefault(day, set()).add((key[0], key[2]))


def happen(x: Person, h: Happening) -> None:
    before = {(k[0], k[2]) for k in x.held}
    if h.type.startswith("request:"):
        erase(x, h) if h.type == "request:erasure" else refuse(x, h)
    else:
        mine = join(x, h)
        if x.asked is None and mine:
            consent(x, h)
        x.past.append(h)
        if mine:
            feed(x, h)
        if h.type == "newsletter.unsubscribed":
            refuse(x, h)
        if h.type == "consent.withdrawn":
            withdraw(x, str(h.fields["activity"]))
    if h.type.startswith("request:"):
        x.told[h.day] = before - {(k[0], k[2]) for k in x.held}
    for key, held in x.held.items():
        last = end(x, key)
        own = None if held.kept else clock(x, key)
        if (last is not None and last < h.day) or (own is not None and own <= h.day):
            x.blurred.setdefault(h.day, set()).add((key[0], key[2]))


def erase(x: Person, h: Happening) -> None:
    doubt(x, [k for k in x.held if outlived(x, k, h.day)])  # whether the law alone keeps it, or the activity too
    x.asked = h.day
    for key in list(x.held):
        until = kept_until(x, key, "erasure")
        if until is None or until < h.day:
            del x.held[key]
        else:
            x.held[key].kept = True
    x.waits_for = [
        hold for hold in x.policy["holds"]
        if "erasure" in hold["blocks"] and any(covers(x.policy, hold, *k[:3]) and (hold_until(x, hold, k[0]) or dt.date.min) >= h.day for k in x.held)
    ]  # fmt: skip


def ends(x: Person) -> set[dt.date]:
    return {e for k in list(x.held) if (e := end(x, k)) is not None and e != NEVER}


def states(x: Person, day: dt.date) -> dict[Pair, frozenset[str]]:
    """Say for each target and category that is held whether for ordinary use, for a hold or the law only, or both.

    What a hold that blocks retention keeps, without a request, stays in ordinary use; but where an activity that the law
    asks for has the same there, what has outlived its own purpose is there for the law only.
    """
    found: dict[Pair, list[tuple[bool, bool]]] = {}
    for key, held in x.held.items():
        by_law = any((k[0], k[2]) == (key[0], key[2]) and legal(x.policy, k[1]) for k in x.held)
        law = legal(x.policy, key[1]) or (by_law and not held.kept and outlived(x, key, day))
        found.setdefault((key[0], key[2]), []).append((held.kept, law))
    return {
        pair: frozenset(
            [*(["held"] if any(not kept for kept, _ in rows) else []), *(["retained"] if all(k or law for k, law in rows) else [])],
        )
        for pair, rows in found.items()
    }  # fmt: skip
