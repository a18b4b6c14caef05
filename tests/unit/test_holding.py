"""Whom an event's data reach: the systems and recipients of the activities that list it, and what stands in the way."""

from __future__ import annotations

from typing import Any

import pytest
from person import SKELETON, Person, activity, policy, recipient

from lineage.fold import Event
from lineage.holding import carried, consent_ids, consented, lets_in, renewed, systems_of
from lineage.kinds import happening
from lineage.subject import DoNotUse, Grant, Subject, Use

SYSTEMS = [*SKELETON["systems"], {"id": "Y-COOKIE", "name": "device", "erasable": False}]
NEWS = activity("news", basis="consent", marketing="direct", categories=["email"], events=["newsletter"], systems=["desk"])


def person(*activities: dict[str, Any], **more: Any) -> Person:
    return Person(policy(activities=list(activities) or [activity("selling")], systems=SYSTEMS, **more))


def ordered(p: Person, when: str = "2024-03-01", **more: Any) -> Person:
    return p.event("order.placed", when, more.pop("matter", "order:1"), **more)


def verdicts(p: Person, type_: str = "order.placed") -> set[tuple[str, str, str]]:
    return {(v.outcome, v.target, v.category) for (_, t), found in p.s.verdicts.items() if t == type_ for v in found}


def reasons(p: Person, outcome: str) -> tuple[str, ...]:
    return next(v.reasons for found in p.s.verdicts.values() for v in found if v.outcome == outcome)


def test_an_event_fills_the_systems_of_the_activities_that_list_it() -> None:
    p = ordered(person(activity("selling", systems=["shop", "desk"]), activity("helping", events=["support"])))
    assert p.held() == {(t, "selling", c) for t in ("shop", "desk") for c in ("name", "email")}
    assert verdicts(p) == {("allowed", t, c) for t in ("shop", "desk") for c in ("name", "email")}
    assert reasons(p, "allowed") == ("T-selling", "E-ORDER")


def test_an_activity_takes_no_more_than_it_lists_and_the_event_carries() -> None:
    p = ordered(person(activity("selling", categories=["name", "phone"])), terms="name")
    assert p.held() == {("shop", "selling", "name")}


def test_the_same_data_again_are_the_same_item_with_a_later_last_day() -> None:
    p = ordered(ordered(person()), "2024-03-09")
    first = p.item("shop", "selling", "name")
    assert [p.s.policy.zone.day(x).isoformat() for x in (first.first, first.last)] == ["2024-03-01", "2024-03-09"]
    ordered(p, "2024-04-01", matter="order:2")
    assert len(p.s.items) == 4, "another order is another item"


def test_what_was_on_its_way_out_and_comes_again_is_new() -> None:
    p = ordered(person())
    p.request("erasure", "2024-03-05", of=("name",))
    assert p.item("shop", "selling", "name").use is Use.ENDING
    ordered(p, "2024-03-09")
    again = p.item("shop", "selling", "name")
    assert (again.use, p.s.policy.zone.day(again.first).isoformat()) == (Use.ORDINARY, "2024-03-09")


def test_what_no_activity_lists_is_set_aside() -> None:
    guards = [{"id": "G-U", "on": "undeclared"}, {"id": "G-R", "on": "read"}]
    p = ordered(person(guards=guards), terms="name phone")
    assert verdicts(p) == {("allowed", "shop", "name"), ("quarantined", "", "phone")}
    assert reasons(p, "quarantined") == ("G-U", "T-selling")
    p = ordered(person(guards=guards), terms="name age")
    assert ("quarantined", "", "") in verdicts(p), "a term that the policy does not know"
    assert [(n.kind, n.reasons) for n in p.notes("undeclared data")] == [("warned", ("G-U", "T-selling"))]


def test_what_another_party_alone_may_hold_is_blocked() -> None:
    categories = [*SKELETON["categories"], {"id": "card", "term": "card_data", "provenance": "provided", "collected_by": "bank"}]
    guards = [{"id": "G-E", "on": "held_elsewhere", "cites": ["R-bank"]}]
    p = ordered(person(categories=categories, guards=guards), terms="name card_data")
    assert ("blocked", "", "card") in verdicts(p)
    assert reasons(p, "blocked") == ("G-E", "E-ORDER", "R-bank")


def test_what_arises_from_an_event_is_taken_without_being_carried() -> None:
    categories = [
        *SKELETON["categories"],
        {"id": "history", "term": "order_history", "provenance": "observed", "arises_from": ["order.placed"]},
    ]
    p = ordered(person(activity("selling", categories=["name", "history"]), categories=categories), terms="name")
    assert p.held() == {("shop", "selling", "name"), ("shop", "selling", "history")}
    p = person(activity("selling", categories=["name", "history"]), categories=categories).event(
        "order.paid", "2024-03-01", "order:1", terms="name"
    )
    assert p.held() == {("shop", "selling", "name")}


def test_some_categories_are_taken_only_of_whoever_has_an_account() -> None:
    row = activity("selling", conditional={"if": "has_account", "categories": ["email"]})
    assert ordered(person(row)).held() == {("shop", "selling", "name")}
    member = person(row).event("account.created", "2024-01-01", "account:1")
    assert ordered(member).held() == {("shop", "selling", "name"), ("shop", "selling", "email")}


def test_a_kind_of_event_may_feed_some_of_the_systems() -> None:
    row = activity("selling", systems=["shop", "desk"], events=["order", "support"], feeds={"support": ["desk"]})
    p = person(row).event("support.opened", "2024-03-01", "matter:1", terms="name")
    assert p.held() == {("desk", "selling", "name")}
    selling = p.s.policy.activities["selling"]
    assert systems_of(selling, "support") == ("desk",)
    assert systems_of(selling, "order") == ("shop", "desk")


def test_a_system_may_take_some_categories_of_an_activity() -> None:
    p = ordered(person(activity("selling", systems=["shop", "desk"], in_systems={"desk": ["email"]})))
    assert {(t, c) for t, _, c in p.held()} == {("shop", "name"), ("shop", "email"), ("desk", "email")}


def test_recipients_get_what_they_may_when_something_is_carried() -> None:
    parties = [
        recipient("carrier", receives=["name"]),
        recipient("source", "source"),
        recipient("network", "uncontrolled"),
        recipient("desk"),
    ]
    row = activity("selling", recipients=["carrier", "source", "network", "desk"])
    p = ordered(person(row, recipients=parties))
    assert {(t, c) for t, _, c in p.held() if t != "shop"} == {("carrier", "name")}
    assert ("allowed", "carrier", "name") in verdicts(p)
    assert {"E-ORDER", "T-selling", "R-carrier"} <= p.item("carrier", "selling", "name").cites


def test_a_recipient_that_is_reached_later_gets_what_the_order_has_brought_by_then() -> None:
    row, parties = activity("selling", recipients=["carrier"]), [recipient("carrier", reached_by=["order.shipped"])]
    p = ordered(ordered(person(row, recipients=parties)), matter="order:2", terms="email")
    assert not any(t == "carrier" for t, _, _ in p.held())
    p.event("order.shipped", "2024-03-03", "order:1", terms="")
    assert {(i.target, i.category, i.matter) for i in p.s.live() if i.target == "carrier"} == {
        ("carrier", c, "order:1") for c in ("name", "email")
    }


def test_a_system_that_is_a_recipient_lets_in_what_the_recipient_may_have() -> None:
    s = Subject(policy(recipients=[recipient("desk", receives=["name"], reached_by=["order.shipped"]), recipient("shop")]))
    assert lets_in(s, "desk", "name", "order.shipped")
    assert not lets_in(s, "desk", "email", "order.shipped")
    assert not lets_in(s, "desk", "name", "order.placed")
    assert lets_in(s, "shop", "email", "order.placed")
    assert lets_in(s, "nobody", "email", "order.placed")


@pytest.mark.parametrize(("kinds", "base", "derived", "covered"), [(None, "newsletter", False, True), ({"cookie"}, "newsletter", False, False),
                                                                   ({"cookie"}, "cookie", False, True), ({"cookie"}, "cookie", True, False),
                                                                   ({"cookie", "derived"}, "newsletter", True, True)])  # fmt: skip
def test_a_consent_covers_the_kinds_of_events_that_it_was_given_for(kinds: Any, base: str, derived: Any, covered: Any) -> None:
    s = Subject(policy(activities=[NEWS, activity("selling")]))
    s.grants = [Grant("news", 1, kinds=frozenset(kinds) if kinds else None)]
    assert consented(s, s.policy.activities["news"], base, derived=derived) is covered
    assert not consented(s, s.policy.activities["selling"], base, derived=derived)


def test_only_a_whole_consent_given_since_renews_what_an_entry_stopped() -> None:
    s = Subject(policy(activities=[NEWS]))
    entry = DoNotUse((), 5)
    for given, renews in ((Grant("news", 5), True), (Grant("news", 4), False), (Grant("other", 6), False), (Grant("news", 6, soft=True), False),
                          (Grant("news", 6, kinds=frozenset({"cookie"})), False)):  # fmt: skip
        s.grants = [given]
        assert renewed(s, s.policy.activities["news"], entry) is renews


def test_the_rules_on_a_consent_are_those_that_ask_for_it_and_those_that_take_it_back() -> None:
    rights = [{"id": "C-1", "right": "consent", "activities": "consent"}, {"id": "C-2", "right": "consent", "activities": ["other"]},
              {"id": "C-3", "right": "consent", "activities": ["news"]}, {"id": "W-1", "right": "withdrawal", "ends": ["news"]},
              {"id": "W-2", "right": "withdrawal", "asked_ends": ["news"]}, {"id": "O-1", "right": "objection", "ends": ["news"]}]  # fmt: skip
    s = Subject(policy(activities=[NEWS], rights=rights))
    assert consent_ids(s, s.policy.activities["news"]) == ("C-1", "C-3", "W-1", "W-2", "T-news")


def test_without_a_consent_news_are_blocked_and_with_one_they_are_held() -> None:
    p = person(NEWS, rights=[{"id": "C-1", "right": "consent", "activities": ["news"]}])
    p.event("newsletter.sent", "2024-03-01", terms="email")
    assert verdicts(p, "newsletter.sent") == {("blocked", "desk", "email")}
    assert reasons(p, "blocked") == ("C-1", "T-news")
    p.event("newsletter.subscribed", "2024-03-02", terms="email", channel="email")
    assert p.held() == {("desk", "news", "email")}


def test_an_objection_or_an_entry_against_marketing_blocks_until_a_new_consent() -> None:
    row = activity("offers", basis="legitimate_interest", marketing="direct")
    p = person(row)
    p.s.objected["offers"] = ("O-1",)
    assert reasons(ordered(p), "blocked") == ("O-1", "T-offers")
    p = person(row, activity("serving", marketing="outreach", systems=["desk"]))
    p.s.do_not_use = [DoNotUse(("D-1",), 1, scope="direct_marketing")]
    assert {t for t, _, _ in ordered(p).held()} == {"desk"}
    assert reasons(p, "blocked") == ("D-1", "T-offers")
    p = person(row)
    p.s.do_not_use = [DoNotUse(("D-1",), 1, scope="direct_marketing")]
    p.s.grants = [Grant("offers", 2)]
    assert ordered(p).held()
    p = person(row)
    p.s.do_not_use = [DoNotUse(("D-1",), 1, scope="other")]
    assert ordered(p).held()


def test_what_an_activity_takes_is_what_it_lists_and_the_event_has() -> None:
    p = person(activity("selling", categories=["name", "phone"]))
    e = happening(p.s, Event(1, "order.placed", ("name", "email"), ()))
    assert carried(p.s, e, p.s.policy.activities["selling"]) == {"name"}


def test_items_are_marked_with_what_is_peculiar_to_them() -> None:
    categories = [*SKELETON["categories"], {"id": "news", "term": "subscription", "provenance": "provided", "declared": False}]
    parties = [recipient("abroad", location="US"), recipient("near", location="DE")]
    row = activity("selling", categories=["name", "news"], flags=["profiling"], recipients=["abroad", "near"])
    p = ordered(
        person(row, categories=categories, recipients=parties, cited_with={"M-1": ["undeclared"]}), terms="name subscription"
    )
    assert p.item("shop", "selling", "name").tags == {"profiling"}
    assert p.item("shop", "selling", "news").tags == {"profiling", "undeclared", "consent_proof"}
    assert "M-1" in p.item("shop", "selling", "news").cites
    assert p.item("abroad", "selling", "name").tags == {"profiling", "outside_eea"}
    assert p.item("near", "selling", "name").tags == {"profiling"}


LINKS = [
    {"id": "L-1", "device": "cookie", "joined_by": ["newsletter.clicked"], "since": "then"},
    {"id": "L-2", "takes_up": ["name"], "activity": "profiles", "systems": ["desk"], "needs": "device"},
    {"id": "L-3", "unjoined": True},
]


def test_what_waits_for_a_device_is_kept_out_of_a_system_until_one_is_joined() -> None:
    row = activity("profiles", systems=["shop", "desk"])
    p = ordered(person(row, links=LINKS))
    assert {(t, c) for t, _, c in p.held()} == {("shop", "name"), ("shop", "email"), ("desk", "email")}
    assert ("blocked", "desk", "name") in verdicts(p)
    assert reasons(p, "blocked") == ("L-2", "L-3")
    p.s.devices["device:1"] = 1
    ordered(p, "2024-03-02")
    assert ("desk", "profiles", "name") in p.held()
    assert {"L-1", "L-2"} <= p.item("desk", "profiles", "name").cites


def test_what_only_one_event_brings_into_a_system_comes_with_no_other() -> None:
    rule = {"id": "L-4", "only_at": ["order.paid"], "activity": "profiles", "systems": ["desk"], "needs": "device"}
    p = ordered(person(activity("profiles", systems=["desk"]), links=[rule]))
    p.event("order.paid", "2024-03-02", "order:1")
    assert p.held() == set()
    p.s.devices["device:1"] = 1
    ordered(p, "2024-03-03")
    assert p.held() == set()
    p.event("order.paid", "2024-03-04", "order:1")
    assert {t for t, _, _ in p.held()} == {"desk"}
