"""The engine holds, day by day, what a slow and independent reading of the policies' words says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from oracle import days as by_words
from oracle.person import MATTERS, Happening, Pair, Person, catalog, policy
from stories import ACTS, CONTROLLERS, scenarios

from lineage.rehearsal import Rehearsal
from lineage.scenario import Row, scenario
from lineage.sqlite_store import SQLiteStore
from lineage.subject import Subject, Use

SEED = 20240702
EXAMPLES = 60
ONE = dt.timedelta(days=1)
FAR = dt.date(2035, 1, 1)
State = dict[Pair, frozenset[str]]
Days = dict[dt.date, list[State]]


def sort_out(controller: str, raw: dict[str, Any]) -> tuple[list[dict[str, Any]], list[list[Happening]]]:
    """Leave out the steps on which the words say nothing; give the rest, and what happened to each data subject."""
    began: dict[str, str] = {}
    steps, lives, fresh = [], [[], []], False
    asked = False
    for step in raw["steps"]:
        fields = {k: v for k, v in step.items() if k not in ("at", "event", "request", "as", "via")}
        if "request" in step:
            if not lives[0]:
                continue
            asked = step["request"] == "erasure"
            lives[0].append(Happening(step["at"], f"request:{step['request']}", fields=fields))
            steps.append(step)
            continue
        type_ = step["event"]
        sort = next((s for s in MATTERS if s in step and s in catalog()[type_].get("refs", ())), "")
        matter = f"{sort}:{step[sort]}" if sort else ""
        life = 0
        if asked:
            old = began.get(matter) == "old"
            if not old and type_ not in ACTS and began.get(matter, fresh) != "new" and not (fresh and not matter):
                continue
            if (old and type_ in ACTS) or (matter.startswith("account") and old) or (not old and type_.startswith("cookie")):
                continue
            life = 0 if old else 1
            fresh = fresh or life == 1
        began.setdefault(matter, "old" if life == 0 else "new") if matter else None
        lives[life].append(Happening(step["at"], type_, matter, sort, fields))
        steps.append(step)
    return steps, [life for life in lives if life]


def expected(
    controller: str, settings_: dict[str, Any], life: list[Happening], days: set[dt.date], *, later: bool
) -> tuple[Person, dict[dt.date, State]]:
    """Work out the states of one data subject on its interesting days, and add those to `days`."""
    x = Person(policy(controller), settings_, erased_before=later)
    found: dict[dt.date, State] = {}
    left = list(life)
    wanted = set(days) | {h.day for h in life}
    while wanted:
        day = min(wanted)
        wanted.discard(day)
        by_words.begin(x, day)
        while left and left[0].day == day:
            by_words.happen(x, left.pop(0))
        found[day] = by_words.states(x, day)
        news = any(h.day == day for h in life)
        wanted |= {d for e in (by_words.ends(x) if news else ()) for d in (e, e + ONE) if day < d < FAR}
    return x, found


def engine(controller: str, raw: dict[str, Any], steps: list[dict[str, Any]], days: list[dt.date]) -> tuple[Days, Rehearsal]:
    """Play the scenario; give the states of the data subjects that the person has been, the first one first."""
    rows = [{"at": d, "target": "any", "categories": ["any"], "outcome": "held", "because": ["any"]} for d in days]
    value = scenario({"id": "S-0", "controllers": [controller], "settings": {controller: raw["settings"]},
                      "steps": steps, "expect": rows})  # fmt: skip
    seen: Days = {}

    def look(r: Rehearsal, row: Row, day: dt.date) -> None:
        seen[day] = [state(s) for _, s in r.lives(controller, row.person)][::-1]

    rehearsal = Rehearsal(value, SQLiteStore.open(":memory:"))
    rehearsal.run(look)
    return seen, rehearsal


def state(s: Subject) -> State:
    rows: dict[Pair, list[tuple[bool, bool]]] = {}
    for i in s.items.values():
        if i.use is not Use.ENDING:
            rows.setdefault((i.target, i.category), []).append((i.use is Use.KEPT, s.policy.activities[i.activity].legal))
    return {
        pair: frozenset(
            [*(["held"] if any(not k for k, _ in xs) else []), *(["retained"] if all(k or law for k, law in xs) else [])]
        )
        for pair, xs in rows.items()
    }


def differences(controller: str, raw: dict[str, Any]) -> Iterator[str]:
    steps, lives = sort_out(controller, raw)
    days: set[dt.date] = {d for s in steps for d in (s["at"], s["at"] + ONE)} | {FAR - ONE}
    told = [expected(controller, raw["settings"], life, days, later=n > 0) for n, life in enumerate(lives)]
    if len(lives) > 1:
        days = {day for _, words in told for day in words}
        told = [expected(controller, raw["settings"], life, days, later=n > 0) for n, life in enumerate(lives)]
    days = {day for _, words in told for day in words}
    seen, rehearsal = engine(controller, raw, steps, sorted(days))
    for number, (x, words) in enumerate(told):
        for day in sorted(days):
            if day < lives[number][0].day:
                continue
            mine = seen[day][number] if number < len(seen[day]) else {}
            for pair in sorted({*mine, *words[day]}):
                if pair in x.doubtful or pair in x.blurred.get(day, ()):
                    continue
                if mine.get(pair, frozenset()) != words[day].get(pair, frozenset()):
                    yield f"{day} life {number}: {pair[0]} {pair[1]}: engine {sorted(mine.get(pair, ()))}, words {sorted(words[day].get(pair, ()))}"
        yield from wrongly_told(x, words, rehearsal)


def wrongly_told(x: Person, words: dict[dt.date, State], r: Rehearsal) -> Iterator[str]:
    systems = {s["name"] for s in x.policy["systems"]}
    silent = {r["name"] for r in x.policy["recipients"] if r["role"] in ("authority", "source", "uncontrolled")}
    for day, pairs in x.told.items():
        told = {
            (d.target, c)
            for d in r.played.deliveries
            if d.day == day and d.kind in ("erase", "expire_cookie")
            for c in d.categories
        }
        for target, category in sorted(pairs - x.doubtful):
            if target not in silent and (target, category) not in told:
                yield f"{day}: {target} is not told to erase {category}"
        for target, category in sorted(told & set(words[day]) - x.doubtful - x.ran_out.get(day, set())):
            if target in systems:
                yield f"{day}: {target} is told to erase {category}, which it still holds"


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_what_is_held_is_what_the_words_of_the_policy_say(controller: str) -> None:
    @seed(SEED)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(scenarios(controller))
    def check(raw: dict[str, Any]) -> None:
        found = list(differences(controller, raw))
        note(f"seed {SEED}\n" + "\n".join(str(s) for s in sort_out(controller, raw)[0]) + f"\n{raw['settings']}")
        assert not found, "\n".join(found[:12])

    check()
