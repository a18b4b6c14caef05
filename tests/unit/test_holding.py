"""Whom an event's data reach: the systems and recipients of the activities that list it, and what stands in the way."""

from __future__ import annotations

from typing import Any

import pytest
from person import SKELETON, Person, activity, day, policy, recipient

from lineage.due import first_end
from lineage.fold import Event
from lineage.holding import carried, consent_ids, consented, feed, may_lie, renewed, systems_of, tags_of
from lineage.keeping import kept_now
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


def reasons(p: Person, outcome: str, target: str | None = None) -> tuple[str, ...]:
    found = [v for found in p.s.verdicts.values() for v in found if v.outcome == outcome]
    return next(v.reasons for v in found if target in (None, v.target))


def days(p: Person, *where: str) -> tuple[str, str]:
    """Give the first and the last day on which an item was collected."""
    item, zone = p.item(*where), p.s.policy.zone
    return zone.day(item.first).isoformat(), zone.day(item.last).isoformat()


def concluded(p: Person, when: str, *terms: str, by: str = "selling") -> Person:
    return p.event("data.derived", when, terms="", activity=by, categories=terms)


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
    guards = [{"id": "G-R", "on": "read", "cites": ["R-all"]}, {"id": "G-E", "on": "held_elsewhere", "cites": ["R-bank"]}]
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
    p = ordered(person(activity("selling", systems=["desk"], in_systems={"desk": ["name"]})))
    assert p.held() == {("desk", "selling", "name")}


def test_recipients_get_what_they_may_when_something_is_carried() -> None:
    parties = [
        recipient("carrier", receives=["name"]),
        recipient("source", "source"),
        recipient("network", "uncontrolled"),
        recipient("desk"),
    ]
    row = activity("selling", recipients=["source", "network", "desk", "carrier"])
    p = ordered(person(row, recipients=parties))
    assert {(t, c) for t, _, c in p.held() if t != "shop"} == {("carrier", "name")}
    assert ("allowed", "carrier", "name") in verdicts(p)
    assert reasons(p, "allowed", "carrier") == ("T-selling", "R-carrier", "E-ORDER")
    assert {"E-ORDER", "T-selling", "R-carrier"} <= p.item("carrier", "selling", "name").cites


def test_a_recipient_that_is_reached_later_gets_what_the_order_has_brought_by_then() -> None:
    row = activity("selling", recipients=["carrier", "bank"])
    parties = [recipient("carrier", reached_by=["order.shipped"]), recipient("bank", receives=["name"])]
    p = ordered(ordered(person(row, recipients=parties)), matter="order:2", terms="email")
    assert {t for t, _, _ in p.held()} == {"shop", "bank"}
    p.event("order.shipped", "2024-03-03", "order:1", terms="")
    assert {(i.target, i.category, i.matter) for i in p.s.live() if i.target == "carrier"} == {
        ("carrier", c, "order:1") for c in ("name", "email")
    }


def test_a_system_that_is_a_recipient_too_holds_what_the_recipient_may_have() -> None:
    desk, shop = recipient("desk", receives=["name"], reached_by=["order.shipped"]), recipient("shop")
    s = Subject(policy(activities=[activity("selling", in_systems={"shop": ["email"]})], recipients=[desk, shop]))
    selling = s.policy.activities["selling"]
    assert may_lie(s.policy, selling, "desk", "name", "order.shipped")
    assert not may_lie(s.policy, selling, "desk", "email", "order.shipped")
    assert not may_lie(s.policy, selling, "desk", "name", "order.placed")
    assert may_lie(s.policy, selling, "shop", "email", "order.placed")
    assert not may_lie(s.policy, selling, "shop", "name", "order.placed"), "the activity keeps it elsewhere"
    assert may_lie(s.policy, selling, "nobody", "email", "order.placed")


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
              {"id": "W-2", "right": "withdrawal", "asked_ends": ["news"]}, {"id": "O-1", "right": "objection", "ends": ["news"]},
              {"id": "P-1", "right": "purpose", "activities": ["news"]}, {"id": "P-2", "right": "purpose", "activities": "consent"},
              {"id": "W-3", "right": "withdrawal", "ends": ["other"]}]  # fmt: skip
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
    parties = [recipient("abroad", location="US"), recipient("near", location="DE"), recipient("somewhere")]
    row = activity("selling", categories=["name", "news"], flags=["profiling"], recipients=["abroad", "near", "somewhere"])
    p = ordered(
        person(row, categories=categories, recipients=parties, cited_with={"M-1": ["undeclared"]}), terms="name subscription"
    )
    assert p.item("shop", "selling", "name").tags == {"profiling"}
    assert p.item("shop", "selling", "news").tags == {"profiling", "undeclared", "consent_proof"}
    assert "M-1" in p.item("shop", "selling", "news").cites
    assert p.item("abroad", "selling", "name").tags == {"profiling", "outside_eea"}
    assert p.item("near", "selling", "name").tags == p.item("somewhere", "selling", "name").tags == {"profiling"}
    assert p.item("near", "selling", "news").cites == {"E-ORDER", "T-selling", "R-near", "M-1"}


LINKS: list[dict[str, Any]] = [
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


def test_what_waits_for_no_device_comes_with_its_event_whether_or_not_one_is_joined() -> None:
    rule = {"id": "L-5", "only_at": ["order.paid"], "activity": "profiles", "systems": ["desk"]}
    p = ordered(person(activity("profiles", systems=["desk"]), links=[rule]))
    assert p.held() == set()
    p.event("order.paid", "2024-03-02", "order:1", terms="name")
    assert p.held() == {("desk", "profiles", "name")}


def test_what_nothing_but_a_device_brings_stays_out_while_none_is_joined() -> None:
    categories = [*SKELETON["categories"], {"id": "ip", "term": "ip_address", "provenance": "observed"}]
    events = [*SKELETON["events"], {"id": "E-COOKIE", "kind": "cookie", "carries": ["ip"]}]
    row = activity("selling", categories=["name", "ip"], events=["order", "cookie"])
    p = ordered(person(row, categories=categories, events=events, links=LINKS), terms="name ip_address")
    assert verdicts(p) == {("allowed", "shop", "name"), ("blocked", "shop", "ip")}
    assert reasons(p, "blocked") == ("L-3",), "the rule on what is not joined, not the first there is"
    assert p.held() == {("shop", "selling", "name")}
    p.s.devices["device:1"] = 1
    assert ("shop", "selling", "ip") in ordered(p, "2024-03-02", terms="name ip_address").held()


def test_what_a_device_brings_rests_on_every_rule_that_joins_one_and_on_what_the_first_cites() -> None:
    events = [*SKELETON["events"], {"id": "E-COOKIE", "kind": "cookie", "carries": ["name"]}]
    links = [{**LINKS[0], "cites": ["C-1"]}, {"id": "L-6", "device": "cookie", "joined_by": ["order.placed"]}, LINKS[2]]
    p = person(activity("visits", events=["cookie"]), activity("selling"), events=events, links=links)
    p.s.devices["device:1"] = 1
    p.event("cookie.page_viewed", "2024-03-01", "cookie:1", terms="name")
    assert p.item("shop", "visits", "name").cites == {"E-COOKIE", "L-1", "C-1", "L-6", "T-visits"}
    assert reasons(p, "allowed") == ("T-visits", "E-COOKIE", "L-1", "C-1", "L-6")
    assert ordered(p, "2024-03-02").item("shop", "selling", "name").cites == {"E-ORDER", "T-selling"}, "no device brought it"


def test_in_a_linked_system_an_item_rests_on_the_links_of_its_own_activity_there_and_on_no_other() -> None:
    others = [
        {"id": "L-7", "takes_up": ["phone"], "activity": "selling", "systems": ["desk"]},
        {"id": "L-8", "takes_up": ["phone"], "activity": "profiles", "systems": ["shop"]},
        {"id": "L-9", "only_at": ["order.paid"], "activity": "selling", "systems": ["desk"]},
    ]
    p = person(activity("profiles", systems=["shop", "desk"]), activity("selling"), links=[*LINKS, *others])
    p.s.devices["device:1"] = 1
    ordered(p, terms="name")
    assert p.item("desk", "profiles", "name").cites == {"E-ORDER", "L-1", "L-2", "T-profiles"}
    assert p.item("shop", "profiles", "name").cites == {"E-ORDER", "L-1", "L-8", "T-profiles"}
    assert p.item("shop", "selling", "name").cites == {"E-ORDER", "T-selling"}
    assert reasons(p, "allowed", "desk") == ("T-profiles", "E-ORDER", "L-1")


def test_a_system_that_is_a_recipient_too_is_fed_with_what_it_may_have_and_no_more() -> None:
    p = ordered(person(activity("selling", systems=["desk", "shop"]), recipients=[recipient("desk", receives=["name"])]))
    assert p.held() == {("desk", "selling", "name"), ("shop", "selling", "name"), ("shop", "selling", "email")}
    assert verdicts(p) == {("allowed", "desk", "name"), ("allowed", "shop", "name"), ("allowed", "shop", "email")}


def test_a_recipient_gets_nothing_of_what_is_on_its_way_out() -> None:
    row, parties = activity("selling", recipients=["carrier"]), [recipient("carrier", reached_by=["order.exchange_requested"])]
    p = ordered(person(row, recipients=parties))
    p.request("erasure", "2024-03-02", of=("name",))
    p.event("order.exchange_requested", "2024-03-03", "order:1", terms="")
    assert {(t, c) for t, _, c in p.held()} == {("shop", "email"), ("carrier", "email")}


def test_what_another_party_collects_is_not_blocked_where_an_activity_takes_it() -> None:
    categories = [*SKELETON["categories"], {"id": "card", "term": "card_data", "provenance": "provided", "collected_by": "bank"}]
    p = ordered(person(activity("selling", categories=["name", "card"]), categories=categories), terms="name card_data")
    assert verdicts(p) == {("allowed", "shop", "name"), ("allowed", "shop", "card")}


def test_what_is_undeclared_is_set_aside_by_what_the_policy_cites_with_it_or_else_by_the_law_alone() -> None:
    assert reasons(ordered(person(), terms="phone"), "quarantined") == ("gdpr:5", "T-selling")
    p = ordered(person(cited_with={"M-1": ["undeclared"]}), terms="phone")
    assert reasons(p, "quarantined") == ("M-1", "gdpr:5", "T-selling")


def test_without_a_consent_the_rules_on_a_soft_opt_in_and_on_what_closed_it_are_named_too() -> None:
    row = {**NEWS, "basis": [{"kind": "consent"}, {"kind": "soft_opt_in"}]}
    p = person(row, soft_opt_in="S-1").event("newsletter.sent", "2024-03-01", terms="email")
    assert reasons(p, "blocked") == ("T-news", "S-1")
    p = person(row, soft_opt_in="S-1")
    p.s.soft_closed = ("S-2",)
    p.event("newsletter.sent", "2024-03-01", terms="email")
    assert reasons(p, "blocked") == ("T-news", "S-1", "S-2")


def test_what_is_concluded_goes_where_an_event_with_the_same_data_would_go() -> None:
    """A system that is a recipient too, a source and one that is bound to another event get no conclusion either."""
    parties = [
        recipient("desk", receives=["name"], reached_by=["order.shipped"]),
        recipient("broker", role="source"),
        recipient("mailer"),
        recipient("carrier", reached_by=["order.shipped"]),
        recipient("analyst", reached_by=["data.derived"]),
    ]
    row = activity("selling", systems=["shop", "desk"], recipients=[r["name"] for r in parties if r["name"] != "desk"])
    p = concluded(person(row, recipients=parties), "2024-03-01", "name")
    assert p.held() == {(t, "selling", "name") for t in ("shop", "mailer", "analyst")}


@pytest.mark.parametrize(("kinds", "may"), [({"cookie", "derived"}, True), ({"cookie"}, False)])
def test_what_is_concluded_needs_a_consent_that_covers_conclusions(kinds: set[str], may: Any) -> None:
    p = person(activity("visits", basis="consent"))
    p.s.grants = [Grant("visits", 1, kinds=frozenset(kinds))]
    concluded(p, "2024-03-01", "name", by="visits")
    assert verdicts(p, "data.derived") == {("allowed" if may else "blocked", "shop", "name")}
    assert p.held() == ({("shop", "visits", "name")} if may else set())


def test_only_a_sign_up_with_its_proof_brings_a_proof_of_the_consent() -> None:
    rights = [{"id": "H-1", "right": "handed_over"}, {"id": "P-1", "right": "purpose"}]
    first = person({**NEWS, "recipients": ["mailer"]}, recipients=[recipient("mailer")], rights=rights)
    first.event("newsletter.subscribed", "2024-03-01", terms="email", channel="email")
    for target, own in (("desk", set()), ("mailer", {"R-mailer"})):
        assert first.item(target, "news", "email").tags == set()
        assert first.item(target, "news", "email").cites == {"E-NEWS", "T-news", *own}
    other = Person(first.s.policy).event("newsletter.subscribed", "2024-03-01", terms="email", channel="email", proof=True)
    for target, own in (("desk", set()), ("mailer", {"R-mailer"})):
        assert other.item(target, "news", "email").tags == {"consent_proof"}
        assert other.item(target, "news", "email").cites == {"E-NEWS", "T-news", "H-1", *own}
    third = Person(first.s.policy).event("data.imported", "2024-03-01", terms="email", into="desk", proof=True)
    assert third.item("desk", "news", "email").tags == set(), "what is imported is no sign-up"


def test_what_is_concluded_is_marked_and_so_is_what_is_a_conclusion_by_its_nature() -> None:
    categories = [
        *SKELETON["categories"],
        {"id": "taste", "term": "interaction", "provenance": "derived"},
        {"id": "gap", "term": "language", "provenance": "provided", "declared": False},
    ]
    row = activity("selling", categories=["name", "email", "taste", "gap"])
    p = ordered(person(row, categories=categories, cited_with={"M-1": ["undeclared"]}), terms="email interaction")
    concluded(p, "2024-03-02", "name", "language")
    tags = {i.category: i.tags for i in p.s.live()}
    assert tags == {"email": set(), "taste": {"derived"}, "name": {"derived"}, "gap": {"derived", "undeclared"}}
    assert p.item("shop", "selling", "name").cites == {"T-selling"}
    assert p.item("shop", "selling", "gap").cites == {"T-selling", "M-1"}


def test_what_goes_to_a_party_that_no_activity_names_has_no_marks_of_an_activity() -> None:
    rows = activity("selling", flags=["profiling"]), activity("helping", systems=["desk"])
    p = ordered(person(*rows, recipients=[recipient("insurer")]))
    p.event("data.disclosed", "2024-03-02", terms="", to="insurer", categories=("name",))
    assert p.item("insurer", "", "name").tags == {"disclosed", "named"}
    assert p.item("shop", "selling", "name").tags == {"profiling"}
    assert p.item("desk", "helping", "name").tags == set()
    e = happening(p.s, Event(1, "order.placed", (), ()))
    assert tags_of(p.s, e, "nobody", "nothing", "no category") == ((), ()), "nor has what the policy does not know at all"


def test_the_same_conclusion_again_is_the_same_item_until_it_was_on_its_way_out() -> None:
    p = concluded(concluded(person(), "2024-03-01", "name"), "2024-03-09", "name")
    assert days(p, "shop", "selling", "name") == ("2024-03-01", "2024-03-09")
    p.request("erasure", "2024-03-10", of=("name",))
    assert p.item("shop", "selling", "name").use is Use.ENDING
    concluded(p, "2024-03-12", "name")
    assert p.item("shop", "selling", "name").use is Use.ORDINARY
    assert days(p, "shop", "selling", "name") == ("2024-03-12", "2024-03-12")


def test_a_copy_is_of_the_matter_that_the_original_is_of() -> None:
    p = ordered(person(activity("selling"), activity("helping", events=["support"], systems=["desk"])))
    p.event("data.copied", "2024-03-02", terms="", to="desk", categories=("name",), **{"from": "shop"})
    assert {(i.target, i.matter) for i in p.s.live() if i.category == "name"} == {("shop", "order:1"), ("desk", "order:1")}


def test_what_is_told_late_was_held_before_and_what_comes_twice_in_a_second_moves_nothing() -> None:
    p = ordered(ordered(ordered(person()), "2024-03-09"), "2024-03-09")
    assert days(p, "shop", "selling", "name") == ("2024-03-01", "2024-03-09")
    view = happening(p.s, Event(p.s.now - 20 * 86_400, "order.placed", ("name",), (), "order:1"))
    feed(p.s, view)
    assert days(p, "shop", "selling", "name") == ("2024-02-18", "2024-03-09")


KEPT_SIX_MONTHS = {"id": "K-1", "activities": ["selling"], "anchor": "collected", "duration": "P6M"}


def test_what_comes_again_gets_a_new_last_day_where_the_clock_runs_from_the_last_time() -> None:
    row = activity("selling", retention=["K-1"])
    p = ordered(person(row, retention=[KEPT_SIX_MONTHS]))
    assert first_end(p.s) == day("2024-09-01")
    assert first_end(ordered(p, "2024-03-09").s) == day("2024-09-09")
    p = concluded(person(row, retention=[KEPT_SIX_MONTHS]), "2024-03-01", "name")
    assert first_end(p.s) == day("2024-09-01")
    assert first_end(concluded(p, "2024-03-09", "name").s) == day("2024-09-09")


def test_what_is_kept_and_comes_again_is_kept_for_what_it_then_rests_on() -> None:
    hold = {"id": "H-1", "kind": "legal_claim", "blocks": ["erasure"], "while": {"opened_by": ["order.placed"]},
            "closed_by": [{"all": ["order.delivered"]}], "scope": {"activities": ["selling"]}}  # fmt: skip
    p = ordered(person(activity("selling", events=["order", "support"]), holds=[hold]))
    p.request("erasure", "2024-03-02")
    assert {r for _, keeping in kept_now(p.s) if keeping for r in keeping.reasons} == {"H-1", "T-selling", "E-ORDER"}
    feed(p.s, happening(p.s, Event(p.s.now, "support.opened", ("name", "email"), (), "order:1")))
    assert all(keeping and "E-SUPPORT" in keeping.reasons for _, keeping in kept_now(p.s))
