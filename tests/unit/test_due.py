"""What is remembered between two events spares work and changes nothing: last days, holds and warnings are those worked out afresh."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
import yaml
from person import Person, activity, day, policy

import schemas
from lineage import policy_file
from lineage.clocks import last_day
from lineage.deadlines import Days, Latest
from lineage.due import due_warnings, first_end, next_warning, overdue
from lineage.fold import next_due
from lineage.keeping import keepings
from lineage.kinds import default_categories
from lineage.subject import Use

EXAMPLE = yaml.safe_load((policy_file.POLICIES / "settings.example.yaml").read_text("utf-8"))
FIRST = dt.date(2021, 1, 4)
TYPES = [t for t in schemas.registry().types if t.partition(".")[0] in ("order", "support", "account", "debt", "competition", "prize",
         "service", "survey", "relationship", "form", "credit", "incident", "person", "newsletter")]  # fmt: skip


def sold(matter: str, when: str, p: Person) -> Person:
    return p.event("order.placed", when, matter)


def shopper(*rules: dict[str, Any], settings: dict[str, Any] | None = None, **more: Any) -> Person:
    return Person(
        policy(settings, activities=[activity("selling", retention=[r["id"] for r in rules])], retention=list(rules), **more)
    )


def rule(id_: str = "K-1", **more: Any) -> dict[str, Any]:
    return {"id": id_, "activities": ["selling"], "anchor": ["order.delivered"], "duration": "P1Y", **more}


def known(p: Person) -> tuple[object, ...]:
    """Give what is remembered of the days of a person."""
    s = p.s
    return (
        next_due(s), first_end(s), overdue(s, s.today), next_warning(s, s.today), [last_day(s, i) for i in s.items.values()],
        [list(keepings(s, b, s.today)) for b in ("erasure", "retention", "rectification")],
        len(s.items), len(s.commands), len(s.notes), s.warned, s.items.kept, [i.use for i in s.items.values()],
    )  # fmt: skip


def told(p: Person, chance: random.Random, n: int) -> None:
    when = (FIRST + dt.timedelta(days=9 * n + chance.randint(0, 8))).isoformat()
    type_ = chance.choice(TYPES)
    refs = [f"{r}:{chance.randint(1, 3)}" for r in schemas.registry().types[type_].refs]
    terms = [p.s.policy.categories[c].term for c in default_categories(p.s.policy, type_)]
    fields = {"payment": "invoice"} if type_ == "order.placed" else {}
    p.event(type_, when, *refs[:1], terms=" ".join(terms), about=refs[1] if len(refs) > 1 else "", **fields)


@pytest.mark.parametrize("controller", ["apof", "littlesteps", "pompdelux", "valeur", "webco"])
@pytest.mark.parametrize("seed", range(2))
def test_what_is_remembered_is_what_is_worked_out_afresh(controller: str, seed: int) -> None:
    remembering, forgetful = (Person(controller, EXAMPLE.get(controller)) for _ in range(2))
    for n in range(60):
        for p in (remembering, forgetful):
            told(p, random.Random(100 * seed + n), n)
            if n == 45 + seed:
                p.request("erasure", (FIRST + dt.timedelta(days=9 * n + 9)).isoformat())
            if n == 50:
                p.answer((FIRST + dt.timedelta(days=9 * n + 9)).isoformat())
        forgetful.s.changed()
        assert known(remembering) == known(forgetful), n


def test_the_earliest_of_many_days_follows_every_change() -> None:
    days = Days()
    assert days.first() is None
    days.put(("a", "1"), day("2024-03-01"))
    days.put(("a", "2"), day("2024-02-01"))
    assert days.first() == (day("2024-02-01"), ("a", "2"))
    days.put(("a", "2"), day("2024-04-01"))
    assert days.first() == (day("2024-03-01"), ("a", "1"))
    days.put(("a", "1"), None)
    assert days.first() == (day("2024-04-01"), ("a", "2"))
    days.put(("a", "2"), None)
    assert days.first() is None


def test_the_latest_of_many_days_follows_every_change() -> None:
    latest = Latest()
    assert latest.latest is None
    latest.put("1", day("2024-03-01"))
    latest.put("2", day("2024-02-01"))
    assert latest.latest == day("2024-03-01")
    latest.put("1", day("2024-01-01"))
    assert latest.latest == day("2024-02-01")
    latest.put("2", None)
    assert latest.latest == day("2024-01-01")
    latest.put("1", None)
    assert latest.latest is None


def test_what_is_past_its_last_day_is_told_with_the_next_end_of_the_others() -> None:
    p = sold("order:1", "2024-01-10", shopper(rule())).event("order.delivered", "2024-01-12", "order:1", terms="")
    sold("order:2", "2024-02-10", p).event("order.delivered", "2024-02-12", "order:2", terms="")
    items, after = overdue(p.s, day("2025-01-12"))
    assert (items, after) == ([], day("2025-01-12"))
    items, after = overdue(p.s, day("2025-01-13"))
    assert ([i.category for i in items], {i.matter for i in items}, after) == (["email", "name"], {"order:1"}, day("2025-02-12"))
    assert overdue(p.s, day("2025-01-13")) == (items, after), "asking changes nothing"
    p.s.items.turn(items[0], Use.KEPT)
    assert overdue(p.s, day("2025-01-13")) == (items[1:], after)


def test_what_counts_whatever_it_is_about_puts_off_the_end_of_every_matter() -> None:
    p = shopper(rule(anchor=["account.logged_in"]))
    sold("order:1", "2024-01-10", p)
    assert first_end(p.s) is None
    p.event("account.logged_in", "2024-01-11", terms="")
    assert first_end(p.s) == day("2025-01-11")
    p.event("account.logged_in", "2024-02-11", terms="")
    assert first_end(p.s) == day("2025-02-11")


def test_a_warning_is_given_once_for_each_matter_and_only_while_it_is_due() -> None:
    late = rule(warns={"setting": "ahead", "while": {"opened_by": ["order.placed"], "closed_by": ["order.completed"]}})
    p = shopper(late, settings={"ahead": "P7D"})
    for n in (1, 2):
        sold(f"order:{n}", f"2024-0{n}-10", p).event("order.delivered", f"2024-0{n}-12", f"order:{n}", terms="")
    assert next_warning(p.s, day("2024-03-01")) == day("2025-01-05")
    assert due_warnings(p.s, day("2025-01-04")) == []
    assert [w.about for w in due_warnings(p.s, day("2025-01-05"))] == [("K-1", "order:1")]
    assert due_warnings(p.s, day("2025-01-06")) == []
    assert next_warning(p.s, day("2025-01-06")) == day("2025-02-05")
    p.event("order.completed", "2025-01-02", "order:2", terms="")
    assert next_warning(p.s, day("2025-01-06")) is None
