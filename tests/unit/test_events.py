"""An event comes in: refused, set aside or taken, and what it says of the person and of a matter."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from person import Person, activity, policy, recipient, second

from lineage.fold import Event, apply
from lineage.subject import Note

ORDERED = ("order.placed", "2024-03-02", "order:1")
KEPT = {("shop", "selling", "name"), ("shop", "selling", "email")}


def person(*guards: dict[str, Any], **rows: Any) -> Person:
    return Person(policy(**{"activities": [activity("selling")], "guards": list(guards), **rows}))


def told(p: Person) -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {(v.outcome, v.target, v.category, v.reasons) for found in p.s.verdicts.values() for v in found}


def written(p: Person) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(n.kind, n.about, n.reasons) for n in p.s.notes if isinstance(n, Note)]


# -- events that the policy does not know -----------------------------------------------------------------------------

STRANGE = [{"id": "G-K", "on": "unknown_kind", "kind": "cookie"}, {"id": "G-U", "on": "undeclared"},
           {"id": "G-S", "on": "sale", "kind": "cookie"}]  # fmt: skip


@pytest.mark.parametrize(
    ("guards", "type_", "why", "warned"),
    [
        ([], "cookie.page_viewed", ("gdpr:5",), ()), (STRANGE, "cookie.page_viewed", ("G-K",), ("G-K",)),
        (STRANGE, "survey.answered", ("G-U", "gdpr:5"), ()),
        ([{"id": "G-A", "on": "unknown_kind"}], "survey.answered", ("G-A",), ("G-A",)),
    ],
)  # fmt: skip
def test_an_event_of_a_kind_that_the_policy_does_not_know_is_set_aside(guards: Any, type_: str, why: Any, warned: Any) -> None:
    p = person(*guards).event(type_, "2024-03-01")
    assert told(p) == {("quarantined", "", c, why) for c in ("name", "email")}
    assert written(p) == [("warned", f"unknown kind of event: {type_}", warned)]
    assert not p.s.times, "it is as if it had not happened"
    assert told(person(*guards).event(type_, "2024-03-01", terms="")) == {("quarantined", "", "", why)}


# -- events that are refused -------------------------------------------------------------------------------------------


def test_what_came_by_an_insecure_way_is_refused_where_the_policy_says_so() -> None:
    insecure = {"id": "G-I", "on": "insecure", "cites": ["S-1"]}
    p = person(insecure).event(*ORDERED, secure=False)
    assert told(p) == {("refused", "", "", ("G-I", "S-1"))}
    assert written(p) == [("logged", "refused", ("G-I", "S-1"))]
    assert not p.held()
    assert not p.s.matters
    for fields in ({}, {"secure": True}):
        assert person(insecure).event(*ORDERED, **fields).held() == KEPT
    assert person({**insecure, "on": "sale"}).event(*ORDERED, secure=False).held() == KEPT


def test_an_event_without_a_mandatory_field_is_refused_where_the_policy_says_so() -> None:
    rows = [{"id": c, "term": c, "provenance": "provided", "required": c == "name"} for c in ("name", "email", "phone", "message")]
    guard = {"id": "G-Q", "on": "required", "event": "order.placed", "cites": ["E-1"]}
    p = person(guard, categories=rows).event(*ORDERED, terms="email")
    assert told(p) == {("refused", "", "", ("G-Q", "E-1"))}
    assert written(p) == [("logged", "refused: a mandatory field is missing", ("G-Q", "E-1"))]
    assert not p.held()
    assert person(guard, categories=rows).event(*ORDERED, terms="name").held() == {("shop", "selling", "name")}
    assert person(guard, categories=rows).event("order.paid", "2024-03-02", "order:1", terms="email").held()
    assert person({**guard, "on": "sale"}, categories=rows).event(*ORDERED, terms="email").held()


# -- children ----------------------------------------------------------------------------------------------------------

REFUSING = {"id": "G-C", "on": "child", "age": 16, "refuses": ["order.placed"], "cites": ["C-2"]}


def test_a_child_whose_age_is_learnt_loses_its_order_and_may_place_none_until_it_is_old_enough() -> None:
    p = person(REFUSING).event("order.placed", "2024-03-01", "order:1")
    assert p.held() == KEPT
    p.event("person.age_learnt", "2024-03-02", terms="", born="2010-03-01")
    assert not p.held()
    assert ("logged", "child: person.age_learnt", ("G-C", "C-2")) in written(p)
    p.answer("2024-03-03").event("order.placed", "2024-03-04", "order:2")
    assert not p.held()
    assert ("refused", "", "", ("G-C", "C-2")) in told(p)
    assert written(p)[-1] == ("logged", "refused", ("G-C", "C-2"))
    p.event("person.age_learnt", "2024-03-05", terms="", born="2010-03-01")
    assert len(p.notes("child: person.age_learnt")) == 1, "it is known"
    p.event("support.opened", "2024-03-06", "support:1", "email")
    assert len(p.notes("refused")) == 1, "only orders are refused"
    p.event("order.placed", "2026-03-02", "order:3")
    assert p.held() == KEPT


@pytest.mark.parametrize(("age", "child"), [(0, True), (15, True), (16, False), (40, False)])
def test_who_is_below_the_age_that_the_policy_names_is_a_child(age: int, child: Any) -> None:
    p = person(REFUSING).event("person.age_learnt", "2024-03-01", terms="", age=age)
    assert p.s.age == (age, second("2024-03-01"))
    assert bool(p.notes("child: person.age_learnt")) is child
    p.event(*ORDERED)
    assert bool(p.held()) is not child


def test_an_infant_is_a_child_where_the_policy_names_the_first_birthday() -> None:
    p = person({**REFUSING, "age": 1}).event("person.age_learnt", "2024-03-01", terms="", age=0)
    assert p.s.underage == ("G-C", "C-2")


def test_a_child_is_refused_what_the_rule_on_children_refuses_and_nothing_else() -> None:
    p = person({**REFUSING, "refuses": ["support.opened"]}, {"id": "G-S", "on": "sale", "refuses": ["order.placed"]})
    p.event("person.age_learnt", "2024-03-01", terms="", age=12)
    assert p.event(*ORDERED).held() == KEPT


def test_an_age_that_nobody_named_and_a_policy_without_an_age_make_no_child() -> None:
    p = person(REFUSING).event("person.age_learnt", "2024-03-01", terms="").event("order.placed", "2024-03-02", "order:1", age=12)
    assert p.s.age is None
    assert p.held() == KEPT
    p = person().event("person.age_learnt", "2024-03-01", terms="", age=12).event(*ORDERED)
    assert p.held() == KEPT
    assert not p.s.underage


def test_a_rule_that_is_about_something_else_takes_nobody_for_a_child() -> None:
    p = person({**REFUSING, "on": "sale"}, activities=[activity("selling")]).event(
        "person.age_learnt", "2024-03-01", terms="", age=12
    )
    assert p.event(*ORDERED).held() == KEPT


def test_what_waits_for_a_parent_comes_in_once_the_parent_has_agreed_to_its_activity() -> None:
    p = person({"id": "G-C", "on": "child", "age": 16, "marketing": "never"},
               activities=[activity("selling"), activity("helping", events=["support"], categories=["email", "message"])])  # fmt: skip
    p.event("person.age_learnt", "2024-03-01", terms="", age=12).event(*ORDERED)
    p.event("support.opened", "2024-03-03", "support:1", "email message")
    assert not p.held()
    assert [q.type for q in p.s.quarantine] == ["order.placed", "support.opened"]
    p.event("consent.given", "2024-03-04", terms="", activity="selling")
    assert not p.held(), "the child itself cannot"
    p.event("consent.given", "2024-03-05", terms="", activity="selling", by="parent")
    assert p.held() == KEPT
    assert [q.type for q in p.s.quarantine] == ["support.opened"]
    p.event("consent.given", "2024-03-06", terms="", activity="helping", by="parent")
    assert {i[1] for i in p.held()} == {"selling", "helping"}
    assert not p.s.quarantine


def test_no_parent_lets_a_sign_up_for_marketing_in() -> None:
    rows = [activity("news", basis="consent", marketing="direct", categories=["email"], events=["newsletter"])]
    p = person({"id": "G-C", "on": "child", "age": 16, "marketing": "never"}, activities=rows)
    p.event("person.age_learnt", "2024-03-01", terms="", age=12).event("newsletter.subscribed", "2024-03-02", terms="email")
    p.event("consent.given", "2024-03-03", terms="", activity="news", by="parent")
    assert [q.type for q in p.s.quarantine] == ["newsletter.subscribed"]
    assert not p.held()


# -- what an event says of the person ----------------------------------------------------------------------------------


def test_a_death_is_known_from_the_event_that_tells_it_only() -> None:
    p = person().event(*ORDERED)
    assert p.s.died is None
    assert p.event("person.died", "2024-03-03", terms="").s.died == second("2024-03-03")


def test_a_day_of_birth_is_kept_until_another_is_told() -> None:
    p = person().event("person.age_learnt", "2024-03-01", terms="", born="1980-05-06").event(*ORDERED)
    assert p.s.born == dt.date(1980, 5, 6)


NETWORKS = [recipient("facebook_ireland", "source", names=["facebook"]), recipient("social_networks", "source"),
            recipient("broker", "source"), recipient("social_agency", names=["facebook"])]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "fields", "sources"),
    [
        ("account.created", {"network": "facebook"}, {"facebook_ireland"}), ("account.created", {"network": "other"}, {"social_networks"}),
        ("account.created", {}, set()), ("social.liked", {}, {"social_networks"}), ("account.created", {"origin": "a friend"}, {"a friend"}),
    ],
)  # fmt: skip
def test_the_source_of_what_a_network_tells_is_remembered(type_: str, fields: dict[str, str], sources: set[str]) -> None:
    kinds = [{"id": "E-ACCOUNT", "kind": "account", "carries": ["name"]}, {"id": "E-SOCIAL", "kind": "social", "carries": ["name"]}]
    p = person(events=kinds, recipients=NETWORKS).event(type_, "2024-03-01", terms="name", **fields)
    assert p.s.sources == sources


def test_that_there_was_an_account_is_remembered() -> None:
    p = person().event("account.changed", "2024-03-01", "account:1", "name")
    assert p.s.had_account is False
    assert p.event("account.created", "2024-03-02", "account:1", "name").s.had_account is True


# -- what an event says of a matter ------------------------------------------------------------------------------------


def test_an_event_belongs_to_its_matter_and_names_another_that_is_no_device() -> None:
    p = person().event("order.placed", "2024-03-01", "order:1", about="account:1").event(*ORDERED, about="device:1")
    assert {(m.kind, ref, len(m.events), m.late) for ref, m in p.s.matters.items()} == {
        ("order", "order:1", 2, False), ("account", "account:1", 0, False)
    }  # fmt: skip
    p.event("account.created", "2024-03-03", "", "name")
    assert set(p.s.matters) == {"order:1", "account:1"}


def test_what_is_told_later_counts_from_when_it_happened() -> None:
    p = person().event("order.paid", "2024-03-02", "order:1")
    early, now = second("2024-03-01"), second("2024-03-05")
    apply(p.s, Event(now, "order.placed", ("name",), (), "order:1", occurred=early))
    assert p.s.times["order.placed"] == [early]
    assert [(at, type_) for at, type_, _ in p.s.matters["order:1"].events] == [
        (early, "order.placed"), (second("2024-03-02"), "order.paid")
    ]  # fmt: skip


@pytest.mark.parametrize(("occurred", "late"), [("2024-03-01", True), ("2024-03-02", True), ("2024-03-03", False)])
def test_a_matter_from_before_an_erasure_that_is_told_after_it_is_late(occurred: str, late: Any) -> None:
    p = person().event("order.placed", "2024-02-01", "order:1")
    p.request("erasure", "2024-03-02")
    apply(p.s, Event(second("2024-03-05"), "order.placed", ("name",), (), "order:2", occurred=second(occurred)))
    assert p.s.matters["order:2"].late is late
    assert p.s.matters["order:1"].late is False


def test_a_clock_runs_from_what_is_told_of_a_matter_later() -> None:
    clock = {"R-1": {"selling": {"anchor": "order.placed", "duration": "P10D"}}}
    rows = [{"id": "R-1", "activities": ["selling"], "needs_setting": True}]
    p = Person(policy(clock, activities=[activity("selling", retention=["R-1"])], retention=rows))
    p.event("order.placed", "2024-03-01", "order:1").event("order.placed", "2024-03-05", "order:1")
    assert p.on("2024-03-12").held() == KEPT
    assert not p.on("2024-03-16").held()


# -- what has handlers of its own --------------------------------------------------------------------------------------


def test_a_breach_a_claim_and_an_order_to_keep_are_noted_and_bring_no_data() -> None:
    p = person().event(*ORDERED)
    p.event("breach.reported", "2024-03-03", terms="", by="shop").event("claim.opened", "2024-03-04", "claim:1", "", "order:1")
    p.event("preservation.ordered", "2024-03-05", terms="", until="2025-01-01")
    assert [n.about for n in p.s.notes if n.about in ("breach", "claim.opened", "preservation.ordered")] == [
        "breach", "claim.opened", "preservation.ordered"
    ]  # fmt: skip
    assert p.s.orders_to_keep[0][0] == dt.date(2025, 1, 1)
    assert p.held() == KEPT
