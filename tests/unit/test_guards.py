"""May a message go, may data be disclosed, sold, read or used: the answers, and the rules that give them."""

from __future__ import annotations

from typing import Any

import pytest
from person import Person, activity, policy, recipient

from lineage.guards import Question, ask, reported, secret
from lineage.stopping import barred, covered, usable
from lineage.subject import Case, Change, DoNotUse, Grant, Item, Restriction, Subject, Use

ACTIVITIES = [
    activity("selling", recipients=["carrier"]),
    activity("news", basis="consent", marketing="direct", categories=["email", "phone"], events=["newsletter"], systems=["desk"]),
    activity("offers", basis="legitimate_interest", marketing="direct", categories=["address"]),
    activity("helping", basis="legitimate_interest", categories=["email", "message"], unsolicited_needs=["C-1"]),
]
RIGHTS = [
    {"id": "C-1", "right": "consent", "activities": ["news"]},
    {"id": "W-1", "right": "withdrawal", "scope": ["news"], "ends": ["news"]},
    {"id": "PU-1", "right": "purpose"},
    {"id": "N-1", "right": "notice", "activities": ["selling"]},
]
PARTIES = [recipient("carrier", receives=["name", "email"]), recipient("bank", "independent"), recipient("police", "authority"),
           recipient("sister", "affiliate")]  # fmt: skip


def subject(*held: tuple[str, str, str], settings: Any = None, **more: Any) -> Subject:
    rows: dict[str, Any] = {"activities": ACTIVITIES, "rights": RIGHTS, "recipients": PARTIES}
    s = Subject(policy(settings, **{**rows, **more}), "p")
    s.now = 1_700_000_000
    for target, name, category in held or (
        ("shop", "selling", "name"),
        ("shop", "selling", "email"),
        ("shop", "offers", "address"),
    ):
        item = Item(target, name, category, "", 1, 1)
        s.items[item.key] = item
    return s


def answer(s: Subject, gate: str, **more: Any) -> tuple[bool, tuple[str, ...]]:
    found = ask(s, Question(gate, **more))
    return found.allowed, found.reasons


def agreed(s: Subject, **more: Any) -> Subject:
    s.grants.append(Grant("news", 1, **more))
    return s


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_for_no_activity_may_not_go() -> None:
    assert answer(subject(), "message") == (False, ("PU-1", "gdpr:5"))
    assert answer(subject(), "message", activity="unknown") == (False, ("PU-1", "gdpr:5"))


def test_a_message_on_a_contract_may_go_with_its_notice() -> None:
    assert answer(subject(), "message", activity="selling", channel="email") == (True, ("N-1", "T-selling"))


@pytest.mark.parametrize("topic", ["similar", "unrelated", "newsletter", "offer", "survey", "survey invitation", "new_service"])
def test_marketing_may_not_ride_along_with_a_message_on_a_contract(topic: str) -> None:
    direct = ("C-1", "W-1", "T-news", "T-offers")
    assert answer(subject(), "message", activity="selling", topic=topic) == (False, ("T-selling", "gdpr:5", *direct))
    assert answer(subject(), "message", activity="helping", topic=topic) == (False, ("C-1", "T-helping"))


def test_an_advertisement_that_rides_along_is_refused_by_an_objection_first() -> None:
    s = subject()
    s.cases["case-1"] = Case("case-1", "objection", 5, "", ("O-1",))
    for name in ("selling", "helping"):
        assert answer(s, "message", activity=name, topic="offer")[1][:2] == ("O-1", "gdpr:21")


def test_a_message_goes_only_over_a_channel_that_the_activity_has_contact_details_for() -> None:
    assert answer(subject(), "message", activity="selling", channel="sms") == (False, ("T-selling", "gdpr:5"))
    assert answer(subject(), "message", activity="offers", channel="email") == (False, ("T-offers", "gdpr:5"))
    assert answer(subject(), "message", activity="offers", channel="post")[0]
    assert answer(agreed(subject()), "message", activity="news", channel="push") == (False, ("T-news", "C-1", "W-1", "gdpr:5"))
    assert answer(agreed(subject(), channel="push"), "message", activity="news", channel="push")[0], "it was signed up for"


def test_contact_details_without_a_channel_of_their_own_serve_any() -> None:
    rows = [{"id": "contact", "term": "complaint_contact", "provenance": "provided"}]
    s = Subject(policy(categories=rows, events=[], activities=[activity("settling", categories=["contact"])]), "p")
    s.now = 1_700_000_000
    assert answer(s, "message", activity="settling", channel="email")[0]
    assert answer(s, "message", activity="settling", channel="phone")[0]


def test_the_news_of_a_changed_policy_name_the_rule_that_asks_for_them() -> None:
    s = subject(guards=[{"id": "G-N", "on": "purpose_change"}, {"id": "G-S", "on": "sale"}])
    for topic in ("policy_change", "policy change"):
        assert answer(s, "message", activity="selling", channel="email", topic=topic) == (True, ("N-1", "G-N", "T-selling"))
    assert "G-N" not in answer(s, "message", activity="selling", channel="email", topic="order_status")[1]


def test_news_need_a_consent_for_the_channel() -> None:
    ids = ("C-1", "W-1", "T-news")
    assert answer(subject(), "message", activity="news", channel="email") == (False, ids)
    assert answer(agreed(subject()), "message", activity="news", channel="email") == (True, ids)
    sms = agreed(subject(), channel="sms")
    assert answer(sms, "message", activity="news", channel="sms")[0]
    assert not answer(sms, "message", activity="news", channel="email")[0]
    assert not answer(agreed(subject(), kinds=frozenset({"cookie"})), "message", activity="news", channel="email")[0]


def test_a_purchase_opens_news_of_the_like_and_no_other() -> None:
    s = agreed(subject(soft_opt_in="S-1"), soft=True)
    assert answer(s, "message", activity="news", channel="email", topic="similar") == (True, ("S-1", "C-1", "W-1", "T-news"))
    assert answer(s, "message", activity="news", channel="email", topic="unrelated") == (False, ("S-1", "T-news"))
    s = agreed(subject(), soft=True)
    assert not answer(s, "message", activity="news", channel="email", topic="similar")[0], "where the policy has no such rule"
    s = subject(soft_opt_in="S-1")
    s.soft_closed = ("W-9",)
    assert answer(s, "message", activity="news", topic="similar") == (False, ("S-1", "W-9", "C-1", "W-1", "T-news"))


def test_marketing_on_an_interest_needs_something_to_go_by() -> None:
    assert answer(subject(), "message", activity="offers") == (True, ("T-offers",))
    assert answer(subject(("shop", "selling", "name")), "message", activity="offers") == (False, ("T-offers",))


def test_a_message_to_an_erased_person_goes_only_for_what_is_kept() -> None:
    s = subject(("shop", "selling", "name"))
    s.erased_at, s.erasure = 1, "case-1"
    s.cases["case-1"] = Case("case-1", "erasure", 1, "", ("A-2",))
    assert answer(s, "message", activity="selling")[0]
    del s.items["shop", "selling", "name", ""]
    assert answer(s, "message", activity="selling") == (False, ("A-2", "T-selling"))


def stopped(**entry: Any) -> Subject:
    s = agreed(subject(suppression=[{"id": "X-1", "keeps": "hash", "reader": "desk"}, {"id": "X-2", "keeps": "hash"}]))
    s.do_not_use = [DoNotUse(("D-1",), 5, **entry)]
    return s


@pytest.mark.parametrize(
    ("entry", "channel", "allowed"),
    [
        ({"scope": "direct_marketing"}, "email", False), ({"scope": "other"}, "email", True), ({"channel": "email"}, "email", False),
        ({"channel": "email"}, "sms", True), ({"activity": "news"}, "email", False), ({"activity": "offers"}, "email", True),
        ({"activity": "news", "channel": "post"}, "email", True),
        ({"scope": "direct_marketing", "target": "desk"}, "email", True),
    ],
)  # fmt: skip
def test_a_do_not_use_entry_stops_what_it_is_about(entry: dict[str, Any], channel: str, allowed: Any) -> None:
    found = answer(stopped(**entry), "message", activity="news", channel=channel)
    assert found[0] is allowed
    if not allowed:
        assert found[1] == ("D-1", "X-1", "W-1", "C-1", "T-news")


@pytest.mark.parametrize(("categories", "news", "use"), [((), False, False), (("email",), False, False), (("phone",), True, True)])
def test_what_is_hidden_reaches_nobody_and_is_used_by_nobody(categories: Any, news: Any, use: Any) -> None:
    s = stopped(hidden=True, categories=categories)
    assert answer(s, "message", activity="news", channel="email")[0] is news
    assert answer(s, "use", activity="news", categories=("email",))[0] is use


def test_a_later_consent_goes_before_an_entry_but_not_before_a_stopped_channel() -> None:
    for entry, allowed in (({"scope": "direct_marketing"}, True), ({"activity": "news"}, True), ({"channel": "email"}, False)):
        s = stopped(**entry)
        s.grants = [Grant("news", 6)]
        assert answer(s, "message", activity="news", channel="email")[0] is allowed


def test_an_entry_on_marketing_stops_no_message_on_a_contract() -> None:
    s = subject()
    s.do_not_use = [DoNotUse(("D-1",), 5, scope="direct_marketing"), DoNotUse(("D-1",), 5, channel="email")]
    assert answer(s, "message", activity="selling", channel="email")[0]


def test_an_objection_and_a_restriction_stop_a_message() -> None:
    s = subject()
    s.objected["offers"] = ("O-1",)
    assert answer(s, "message", activity="offers") == (False, ("O-1", "T-offers"))
    s = subject()
    s.restrictions = [Restriction("case-1", "asked", ("Q-1",), 1, None, frozenset({"email"}))]
    assert answer(s, "message", activity="selling", channel="email") == (False, ("Q-1", "T-selling"))
    s.restrictions = [Restriction("case-1", "asked", ("Q-1",), 1, None, frozenset({"phone"}))]
    assert answer(s, "message", activity="selling", channel="email")[0]


def test_what_a_question_leaves_open_is_not_taken_for_something() -> None:
    rows = [activity("something", recipients=["something"])]
    s = Subject(policy({"something": True}, activities=rows, rights=RIGHTS, recipients=[recipient("something"), PARTIES[2]],
                       systems=[{"id": "Y-SHOP", "name": "shop"}, {"id": "Y-ANY", "name": "something"}],
                       guards=[{"id": "G-1", "on": "aml_report", "instruments": ["laundering"]}]), "p")  # fmt: skip
    assert answer(s, "message") == (False, ("PU-1", "gdpr:5"))
    assert answer(s, "use") == (False, ("PU-1", "gdpr:5"))
    assert answer(s, "disclosure", categories=("name",)) == (False, ("gdpr:6",))
    assert answer(s, "read", target="shop", categories=("name",)) == (False, ("PU-1", "Y-SHOP", "gdpr:5"))
    assert answer(s, "read", reader="something", categories=("name",)) == (False, ("PU-1", "gdpr:5", "T-something"))
    assert secret(s, "police", ground="law", instrument=None) == ()


def test_a_controller_without_a_name_is_not_whoever_is_not_named() -> None:
    s = subject(controller={"jurisdiction": "DK"})
    assert answer(s, "disclosure", categories=("name",)) == (False, ("gdpr:6",))
    assert answer(s, "disclosure", to="corner_shop", categories=("name",)) == (True, ("gdpr:4",))


OFFER = {"activity": "selling", "topic": "offer"}


@pytest.mark.parametrize(
    ("case", "times", "against"),
    [
        ({}, {}, True), ({"right": "erasure"}, {}, False), ({"waits": ("ID-1",)}, {}, False),
        ({"scope": ("direct_marketing",)}, {}, True), ({"scope": ("offers",)}, {}, False), ({"of": ("email",)}, {}, False),
        ({"scope": ("direct_marketing",), "of": ("email",)}, {}, False),
        ({}, {"newsletter.subscribed": [6]}, False), ({}, {"consent.given": [6]}, False),
        ({}, {"newsletter.subscribed": [5], "consent.given": [5]}, True), ({}, {"consent.given": [1, 6]}, False),
        ({}, {"newsletter.subscribed": [1], "consent.given": [6]}, False), ({}, {"order.placed": [6]}, True),
    ],
)  # fmt: skip
def test_an_objection_to_all_marketing_counts_until_a_later_sign_up(case: dict[str, Any], times: Any, against: Any) -> None:
    s = subject()
    s.times = times
    s.cases["case-1"] = Case("case-1", **{"right": "objection", "at": 5, "via": "", "reasons": ("O-1",), **case})
    assert answer(s, "message", **OFFER)[1][:2] == (("O-1", "gdpr:21") if against else ("T-selling", "gdpr:5"))


def test_a_survey_is_no_advertisement_that_an_objection_to_marketing_is_about() -> None:
    s = subject()
    s.cases["case-1"] = Case("case-1", "objection", 5, "", ("O-1",))
    for topic in ("survey", "survey invitation"):
        found = answer(s, "message", activity="selling", topic=topic)
        assert found == (False, ("T-selling", "gdpr:5", "C-1", "W-1", "T-news", "T-offers"))


def test_an_objection_to_marketing_keeps_advertisements_out_of_what_reaches_out_for_something_else() -> None:
    rows = [*ACTIVITIES, activity("polling", basis="legitimate_interest", marketing="outreach", categories=["email"])]
    s = subject(("desk", "polling", "email"), ("shop", "offers", "address"), activities=rows)
    asked = {"activity": "polling", "channel": "email"}
    assert answer(s, "message", topic="offer", **asked) == (True, ("T-polling",))
    s.cases["case-1"] = Case("case-1", "objection", 5, "", ("O-1",))
    assert answer(s, "message", topic="offer", **asked) == (False, ("O-1", "gdpr:21", "T-polling"))
    assert answer(s, "message", topic="survey", **asked) == (True, ("T-polling",))
    assert answer(s, "message", activity="offers", topic="offer")[0], "what the objection has stopped is told elsewhere"


def test_what_is_hidden_may_still_be_used_to_write_about_a_contract() -> None:
    s = subject()
    s.do_not_use = [DoNotUse(("D-1",), 1, hidden=True)]
    assert answer(s, "message", activity="selling", channel="email") == (True, ("N-1", "T-selling"))


def test_a_message_names_only_the_rules_that_it_depends_on() -> None:
    rights = [*RIGHTS, {"id": "W-2", "right": "withdrawal", "ends": ["offers"]}, {"id": "W-3", "right": "withdrawal"},
              {"id": "A-1", "right": "access", "activities": ["selling"]}]  # fmt: skip
    s = agreed(subject(rights=rights, links=[{"id": "L-1"}, {"id": "L-2"}], cited_with={"L-1": ["T-other"]}))
    assert answer(s, "message", activity="offers", channel="email") == (False, ("T-offers", "gdpr:5"))
    assert answer(s, "message", activity="selling", channel="email") == (True, ("N-1", "T-selling"))
    found = answer(s, "message", activity="news", channel="email")
    assert found == (True, ("C-1", "W-1", "T-news", "L-1", "W-2", "W-3"))


def test_a_survey_names_the_rule_that_the_policy_has_for_it() -> None:
    s = agreed(subject(cited_with={"SV-1": ["topic:survey"]}))
    for topic, named in (("survey", True), ("survey invitation", True), ("newsletter", False), (None, False)):
        for name in ("news", "offers"):
            found = answer(s, "message", activity=name, topic=topic)
            assert found[0]
            assert ("SV-1" in found[1]) is named


def erased(s: Subject, name: str, category: str, at: int = 5) -> Subject:
    s.changes.append(Change(at, "erased", "shop", category, name, ("E-1",)))
    return s


def test_a_message_does_not_go_to_an_address_that_was_erased_though_other_data_are_left() -> None:
    s = erased(subject(("shop", "selling", "name")), "selling", "email")
    assert answer(s, "message", activity="selling", channel="email") == (False, ("E-1", "T-selling"))
    assert answer(s, "message", activity="selling")[0]


def test_a_message_goes_as_long_as_one_way_is_left() -> None:
    names = {"name": "name", "email": "email", "contact": "complaint_contact"}
    rows = [{"id": c, "term": term, "provenance": "provided"} for c, term in names.items()]
    more: dict[str, Any] = {
        "categories": rows, "events": [], "rights": [], "activities": [activity("selling", categories=["email", "contact"])]
    }  # fmt: skip
    s = erased(subject(("shop", "selling", "contact"), **more), "selling", "email")
    assert answer(s, "message", activity="selling", channel="email") == (True, ("T-selling",))
    s = erased(erased(subject(("shop", "selling", "name"), **more), "selling", "email"), "selling", "contact")
    assert answer(s, "message", activity="selling", channel="email") == (False, ("E-1", "T-selling"))


@pytest.mark.parametrize(("agreed_at", "found"), [(None, (False, ("C-1", "W-1", "T-news"))), (1, (False, ("E-1", "T-news"))),
                                                  (6, (True, ("C-1", "W-1", "T-news")))])  # fmt: skip
def test_news_do_not_go_to_an_address_erased_since_the_consent(agreed_at: int | None, found: Any) -> None:
    s = erased(subject(), "news", "email")
    s.grants = [Grant("offers", 7), *([Grant("news", agreed_at)] if agreed_at else [])]
    assert answer(s, "message", activity="news", channel="email") == found


def test_a_purchase_rule_that_nothing_was_done_under_opens_and_closes_nothing() -> None:
    s = agreed(subject(soft_opt_in="S-1"), channel="sms")
    assert answer(s, "message", activity="news", channel="email", topic="similar") == (False, ("C-1", "W-1", "T-news"))
    s = subject()
    s.soft_closed = ("W-9",)
    assert answer(s, "message", activity="news") == (False, ("W-9", "C-1", "W-1", "T-news"))


def test_a_message_on_what_is_kept_names_what_keeps_it() -> None:
    p = sold()
    assert p.ask("message", activity="books", channel="email").reasons == ("T-books",)
    p.request("erasure", "2024-04-01")
    found = p.ask("message", activity="books", channel="email")
    assert found.allowed
    assert found.reasons[:2] == ("T-books", "H-1")


# -- restrictions ------------------------------------------------------------------------------------------------------


def test_a_use_is_covered_by_a_restriction_of_the_activity_or_of_all_that_it_uses() -> None:
    s = subject()
    selling = s.policy.activities["selling"]
    for cover, named, whole in (
        (Restriction("", "asked", ("Q-1",), 1, frozenset({"selling"})), True, True),
        (Restriction("", "asked", ("Q-1",), 1, frozenset({"news"})), False, False),
        (Restriction("", "asked", ("Q-1",), 1, None, frozenset({"name"})), True, False),
        (Restriction("", "asked", ("Q-1",), 1, None, frozenset({"name", "email"})), True, True),
        (Restriction("", "asked", ("Q-1",), 1, None, frozenset({"phone"})), False, False),
    ):
        s.restrictions = [cover]
        assert covered(s, selling, ("name",)) == (("Q-1", "T-selling") if named else None)
        assert covered(s, selling, ()) == (("Q-1", "T-selling") if whole else None)


def test_what_is_barred_is_restricted_for_every_use() -> None:
    s = subject()
    s.restrictions = [
        Restriction("", "asked", ("Q-1",), 1, frozenset({"selling"})),
        Restriction("", "asked", ("Q-2",), 1, None, frozenset({"name"})),
    ]
    assert barred(s, ("name", "phone")) == ("Q-2",)
    assert barred(s, ("phone",)) is None
    s.restrictions = [Restriction("", "asked", ("Q-3",), 1)]
    assert barred(s, ()) == ("Q-3",)


# -- use ---------------------------------------------------------------------------------------------------------------


def test_data_may_be_used_for_an_activity_that_lists_them() -> None:
    assert answer(subject(), "use", activity="selling", categories=("name",)) == (True, ("T-selling",))
    assert answer(subject(), "use", purpose="selling", categories=("name",))[0]
    assert answer(subject(), "use", activity="selling", categories=("phone",)) == (False, ("T-selling", "PU-1", "gdpr:5"))
    guards = [
        {"id": "G-1", "on": "disclosure", "to": "unlisted"},
        {"id": "G-2", "on": "disclosure", "to": "carrier"},
        {"id": "G-3", "on": "read", "to": "unlisted"},
    ]
    assert answer(subject(guards=guards), "use", purpose="training") == (False, ("PU-1", "G-1", "gdpr:5"))


def test_a_use_on_consent_needs_one() -> None:
    s = subject()
    s.soft_closed = ("W-9",)
    assert answer(s, "use", activity="news", categories=("email",)) == (False, ("C-1", "W-1", "T-news", "W-9"))
    assert answer(agreed(subject()), "use", activity="news", categories=("email",)) == (True, ("C-1", "W-1", "T-news"))


def test_a_use_that_was_objected_to_or_is_stopped_is_none() -> None:
    s = subject()
    s.objected["selling"] = ("O-1",)
    assert answer(s, "use", activity="selling", categories=("name",)) == (False, ("O-1", "T-selling"))
    assert not answer(stopped(activity="news"), "use", activity="news", categories=("email",))[0]
    s = subject()
    s.restrictions = [Restriction("", "asked", ("Q-1",), 1)]
    assert answer(s, "use", activity="selling", categories=("name",)) == (False, ("Q-1", "T-selling"))


def test_after_an_erasure_only_what_is_kept_may_be_used_and_for_the_hold_only() -> None:
    rows = [activity("selling"), activity("books", basis="legal_obligation")]
    hold = {"id": "H-1", "kind": "legal_obligation", "blocks": ["erasure"], "while": {"transaction": True},
            "last": {"parameter": "bookkeeping"}, "scope": {"activities": ["books"]}}  # fmt: skip
    p = Person(policy(activities=rows, holds=[hold]))
    p.event("order.placed", "2024-03-01", "order:1").event("order.paid", "2024-03-01", "order:1")
    assert {i.activity for i in usable(p.s, p.s.policy.activities["books"])} == {"books"}
    p.request("erasure", "2024-04-01")
    assert p.held(Use.KEPT) == {("shop", "books", "name"), ("shop", "books", "email")}
    assert p.ask("use", activity="books", categories=("name",)).allowed
    assert not p.ask("use", activity="selling", categories=("name",)).allowed
    assert p.ask("use", activity="selling", categories=("name",)).reasons == ("gdpr:17", "T-selling")


def test_a_use_names_only_the_rules_that_it_depends_on_and_the_requests_that_decided_it() -> None:
    s = subject(rights=[*RIGHTS, {"id": "W-2", "right": "withdrawal", "ends": ["offers"]}])
    assert answer(s, "use", activity="offers", categories=("address",)) == (True, ("T-offers",))
    s.cases["case-1"] = Case("case-1", "objection", 5, "", ("Q-1",), acts=["offers"])
    s.cases["case-2"] = Case("case-2", "access", 6, "", ("Q-2",))
    assert answer(s, "use", activity="offers", categories=("address",)) == (True, ("T-offers", "Q-1"))


def test_data_without_a_consent_may_be_used_only_as_far_as_they_are_kept() -> None:
    hold = {"id": "H-1", "kind": "policy", "blocks": ["erasure"], "while": {"opened_by": ["order.placed"]},
            "closed_by": [{"all": ["order.shipped"]}], "scope": {"activities": ["fitting"], "categories": ["name"]}}  # fmt: skip
    p = Person(policy(activities=[activity("fitting", basis="consent")], holds=[hold]))
    p.event("consent.given", "2024-03-01", terms="", activity="fitting").event("order.placed", "2024-03-02", "order:1")
    p.request("erasure", "2024-03-03")
    assert p.held(Use.KEPT) == {("shop", "fitting", "name")}
    found = p.ask("use", activity="fitting", categories=("name",))
    assert found.allowed
    assert found.reasons[0] == "H-1"
    assert "T-fitting" in found.reasons
    for categories in (("email",), ("name", "email")):
        assert p.ask("use", activity="fitting", categories=categories).reasons[0] == "T-fitting"
        assert not p.ask("use", activity="fitting", categories=categories).allowed
    assert not answer(subject(("desk", "news", "email")), "use", activity="news", categories=("email",))[0], "it is kept by nothing"
    assert not answer(subject(), "use", activity="news")[0]


CLOCK = {"R-1": {"selling": {"anchor": "order.placed", "duration": "P10D"}}}


def sold(**more: Any) -> Person:
    rows = [activity("selling", recipients=["carrier"], retention=["R-1"]), activity("books", basis="legal_obligation")]
    hold = {"id": "H-1", "kind": "legal_obligation", "blocks": ["erasure"], "while": {"transaction": True},
            "last": {"parameter": "bookkeeping"}, "scope": {"activities": ["books"]}}  # fmt: skip
    clock = {"id": "R-1", "activities": ["selling"], "needs_setting": True}
    p = Person(policy(CLOCK, **{"activities": rows, "holds": [hold], "retention": [clock], "recipients": PARTIES, **more}))
    return p.event("order.placed", "2024-03-01", "order:1").event("order.paid", "2024-03-01", "order:1")


def test_what_a_clock_has_erased_is_used_no_more_and_what_the_books_keep_is_for_them() -> None:
    p = sold().on("2024-03-11")
    gates: list[tuple[str, dict[str, Any]]] = [
        ("use", {"activity": "selling", "categories": ("name",)}),
        ("message", {"activity": "selling", "channel": "email"}),
        ("message", {"activity": "selling"}),
        ("read", {"reader": "selling", "target": "shop", "categories": ("name",)}),
        ("disclosure", {"to": "carrier", "categories": ("name",)}),
    ]
    assert all(p.ask(gate, **more).allowed for gate, more in gates)
    p.on("2024-03-12").answer("2024-03-12")
    for gate, more in gates:
        found = p.ask(gate, **more)
        assert not found.allowed, gate
        assert {"R-1", "T-selling"} & set(found.reasons), gate
    assert p.ask("use", activity="selling").reasons[0] == "R-1"
    assert p.ask("use", activity="books", categories=("name",)).allowed
    assert p.ask("read", reader="books", target="shop", categories=("name", "email")).allowed
    p.event("order.placed", "2024-04-01", "order:2")
    assert all(p.ask(gate, **more).allowed for gate, more in gates), "a new order brings them again"


def test_what_is_on_its_way_out_is_used_no_more() -> None:
    p = sold().on("2024-03-12")
    assert p.held(Use.ORDINARY) == {("shop", "books", "name"), ("shop", "books", "email")}
    assert not p.ask("use", activity="selling", categories=("email",)).allowed


def test_a_fresh_consent_opens_what_an_earlier_one_had_closed() -> None:
    p = Person(policy(activities=ACTIVITIES, rights=RIGHTS, recipients=PARTIES))
    p.event("newsletter.subscribed", "2024-03-01", terms="email", channel="email").event("newsletter.unsubscribed", "2024-03-02")
    p.answer("2024-03-02")
    assert not p.ask("use", activity="news", categories=("email",)).allowed
    p.event("consent.given", "2024-03-03", terms="", activity="news")
    assert p.ask("use", activity="news", categories=("email",)).allowed


# -- reading -----------------------------------------------------------------------------------------------------------

READ = [{"id": "G-R", "on": "read"}, {"id": "G-S", "on": "sale"}]


def test_a_reader_sees_what_its_activity_holds_there() -> None:
    s = subject(guards=READ)
    assert answer(s, "read", target="shop", reader="selling", categories=("name",)) == (True, ("G-R", "T-selling"))
    found = answer(s, "read", target="shop", reader="news", categories=("name",))
    assert found == (False, ("G-R", "PU-1", "Y-SHOP", "gdpr:5", "T-selling", "T-news"))
    assert answer(s, "read", target="shop", reader="thief", categories=("name",)) == (
        False,
        ("G-R", "PU-1", "Y-SHOP", "gdpr:5", "T-selling"),
    )
    assert answer(s, "read", target="carrier", reader="selling", categories=("name",))[0]
    assert not answer(s, "read", target="shop", reader="offers", categories=("name",))[0], "the name is there for another activity"
    found = answer(s, "read", target="shop", reader="offers", categories=("address", "name"))
    assert found == (False, ("G-R", "T-offers", "T-selling")), "all of them must be its own"
    assert not answer(s, "read", target="shop", reader="offers", categories=("address", "phone"))[0]


def test_a_reader_of_what_is_erased_everywhere_is_turned_away() -> None:
    """That nobody else holds it either is no leave to look: it may lie there still, with a system that has not answered."""
    p = Person(policy(activities=[activity("selling"), activity("helping", events=["support"])], guards=READ))
    p.event("order.placed", "2024-03-01", "order:1", terms="name")
    asked = {"target": "shop", "categories": ("name",)}
    assert p.ask("read", reader="selling", **asked).allowed
    assert p.ask("read", reader="selling", target="shop", categories=("email",)).allowed, "what it never had, it may look for"
    case = p.request("erasure", "2024-03-02")
    p.answer("2024-03-03")
    found = p.ask("read", reader="selling", **asked)
    assert not found.allowed
    assert found.reasons == ("G-R", *case.reasons, "T-selling")


def test_a_list_of_do_not_use_is_for_its_reader_only() -> None:
    rows = [{"id": "X-1", "keeps": "list", "system": "desk"}, {"id": "X-2", "keeps": "list", "reader": "mailer"}]
    s = subject(suppression=rows)
    assert answer(s, "read", target="desk", reader="mailer") == (True, ("X-2", "X-1"))
    assert answer(s, "read", target="desk", reader="news") == (False, ("X-2", "X-1"))
    rows[0]["keeps"] = "tag"
    assert answer(subject(suppression=rows), "read", target="desk", reader="news")[0]


def test_hidden_and_restricted_data_are_not_read() -> None:
    s = subject(guards=READ)
    s.do_not_use = [DoNotUse(("D-1",), 1, hidden=True, categories=("name",)), DoNotUse(("D-2",), 1)]
    assert answer(s, "read", target="shop", reader="selling", categories=("name", "email")) == (False, ("D-1", "G-R"))
    assert answer(s, "read", target="shop", reader="selling", categories=("email",))[0]
    s.do_not_use = [DoNotUse(("D-1",), 1, hidden=True)]
    assert not answer(s, "read", target="shop", reader="selling", categories=("email",))[0]
    s = subject(guards=READ)
    s.restrictions = [Restriction("", "asked", ("Q-1",), 1, None, frozenset({"name"}))]
    assert answer(s, "read", target="shop", reader="selling", categories=("name",)) == (False, ("Q-1", "T-selling", "G-R"))


def test_a_list_of_do_not_use_may_have_several_readers() -> None:
    rows = [{"id": f"X-{n}", "keeps": "list", "system": "desk", "reader": r} for n, r in enumerate(("mailer", "caller"))]
    for reader in ("mailer", "caller"):
        assert answer(subject(suppression=rows), "read", target="desk", reader=reader)[0]
    assert not answer(subject(suppression=rows), "read", target="desk", reader="news")[0]


def test_what_an_activity_of_an_older_policy_has_left_is_read_by_no_other() -> None:
    s = subject(("shop", "bygone", "name"), ("shop", "selling", "email"), guards=READ)
    assert answer(s, "read", target="shop", reader="selling", categories=("name",)) == (False, ("G-R", "T-selling"))
    found = answer(s, "read", target="shop", reader="news", categories=("name",))
    assert found == (False, ("G-R", "PU-1", "Y-SHOP", "gdpr:5", "T-news"))


def test_what_a_reader_has_elsewhere_is_not_what_it_has_there() -> None:
    s = subject(("carrier", "selling", "name"), ("shop", "offers", "name"), ("shop", "selling", "email"), guards=READ)
    asked = {"reader": "selling", "categories": ("name",)}
    assert answer(s, "read", target="shop", **asked) == (False, ("G-R", "T-selling", "T-offers"))
    assert answer(s, "read", target="carrier", **asked) == (True, ("G-R", "T-selling"))


def test_a_reader_without_a_purpose_is_told_of_what_is_hidden() -> None:
    s = subject(guards=READ)
    s.do_not_use = [DoNotUse(("D-1",), 1, hidden=True)]
    found = answer(s, "read", target="shop", reader="thief", categories=("name",))
    assert found == (False, ("G-R", "PU-1", "Y-SHOP", "gdpr:5", "D-1", "T-selling"))


def test_reading_what_is_kept_names_what_keeps_it() -> None:
    books = {
        "kind": "legal_obligation",
        "blocks": ["erasure"],
        "while": {"transaction": True},
        "last": {"parameter": "bookkeeping"},
    }
    holds = [
        {"id": "H-1", **books, "scope": {"activities": ["books"]}},
        {"id": "H-2", **books, "scope": {"activities": ["books"], "categories": ["email"]}},
    ]
    p = sold(holds=holds, guards=READ)
    case = p.request("erasure", "2024-03-02")
    p.answer("2024-03-02")
    asked = {"target": "shop", "categories": ("name",)}
    found = p.ask("read", reader="books", **asked)
    assert found.allowed
    assert found.reasons[:3] == ("G-R", "T-books", "H-1")
    assert "H-2" not in found.reasons, "it keeps the e-mail address"
    assert "H-2" in p.ask("read", reader="books", target="shop", categories=("email",)).reasons
    found = p.ask("read", reader="selling", **asked)
    assert not found.allowed
    assert {"H-1", *case.reasons, "T-selling", "T-books"} <= set(found.reasons)
    found = p.ask("read", reader="thief", **asked)
    assert not found.allowed
    assert {"H-1", "T-books"} <= set(found.reasons)


# -- sale and disclosure -----------------------------------------------------------------------------------------------


def test_data_are_sold_with_a_permission_for_that_buyer_only() -> None:
    never, may = ([{"id": "G-1", "on": "sale", "allowed": a}] for a in ("never", "with_permission"))
    assert answer(subject(), "sale", to="b", categories=("name",)) == (False, ("gdpr:6",))
    for guards, uses, allowed in (
        (never, ["sale"], False),
        (may, [], False),
        (may, ["sale"], True),
        (may, ["sale:b"], True),
        (may, ["sale:c"], False),
    ):
        s = subject(guards=guards)
        s.uses = dict.fromkeys(uses, 1)
        assert answer(s, "sale", to="b", categories=("name",)) == (allowed, ("G-1",))
    s = subject(guards=may)
    s.uses = {"sale": 1}
    assert not answer(s, "sale", to="b", categories=("name", "phone"))[0], "what is not held cannot be sold"
    s.items.turn(s.items["shop", "selling", "name", ""], Use.KEPT)
    assert not answer(s, "sale", to="b", categories=("name",))[0]
    s.restrictions = [Restriction("", "asked", ("Q-1",), 1)]
    assert answer(s, "sale", to="b", categories=("email",)) == (False, ("G-1", "Q-1"))


def test_all_that_is_held_may_be_sold_where_one_rule_lets_it() -> None:
    guards = [{"id": "G-1", "on": "sale", "allowed": "with_permission"}, {"id": "G-2", "on": "sale"}, {"id": "G-R", "on": "read"}]
    s = subject(guards=guards)
    s.uses = {"sale": 1}
    assert answer(s, "sale", to="b", categories=("name", "email", "address")) == (True, ("G-1", "G-2"))
    assert not answer(s, "sale", to="b", categories=("name", "email", "address", "phone"))[0]


DISCLOSE = [
    {"id": "G-OWN", "on": "disclosure", "to": "controller"}, {"id": "G-UN", "on": "disclosure", "to": "unlisted", "cites": ["U-1"]},
    {"id": "G-AUTH", "on": "disclosure", "to": "authority", "grounds": ["law", "consent"]}, {"id": "G-VET", "on": "disclosure", "needs": "vetted"},
    {"id": "G-TRF", "on": "transfer", "needs": "safeguard", "cites": ["T-1"]}, {"id": "G-SALE", "on": "sale"},
]  # fmt: skip


def test_data_stay_within_the_controller_and_go_to_nobody_unlisted() -> None:
    s = subject(guards=DISCLOSE)
    for to in ("corner_shop", "Corner Shop"):
        assert answer(s, "disclosure", to=to, categories=("name",)) == (True, ("G-OWN", "gdpr:4"))
    closed = ("G-SALE", "G-UN", "U-1")
    assert answer(s, "disclosure", to="stranger", categories=("name",)) == (False, (*closed, "gdpr:6"))
    for purpose in ("third_party marketing", "own_purposes"):
        assert answer(s, "disclosure", to="carrier", categories=("name",), purpose=purpose) == (
            False,
            (*closed, "R-carrier", "gdpr:6"),
        )


def test_a_recipient_gets_what_it_may_receive() -> None:
    s = subject(guards=DISCLOSE)
    assert answer(s, "disclosure", to="carrier", categories=("name",)) == (
        True,
        ("G-VET", "R-carrier", "T-selling", "G-TRF", "T-1"),
    )
    assert answer(s, "disclosure", to="carrier", categories=("phone",)) == (False, ("G-VET", "R-carrier", "T-selling"))
    assert answer(s, "disclosure", to="carrier", categories=("name",), vetted=False) == (False, ("G-VET", "R-carrier"))
    assert answer(s, "disclosure", to="carrier", categories=("name",), vetted=True)[0]


def test_a_recipient_serves_only_the_purpose_that_it_is_named_with() -> None:
    s = subject(guards=DISCLOSE)
    assert answer(s, "disclosure", to="carrier", categories=("name",), purpose="selling")[0]
    assert answer(s, "disclosure", to="carrier", categories=("email",), purpose="helping") == (
        False,
        ("G-VET", "R-carrier", "PU-1", "gdpr:5", "T-helping"),
    )
    assert answer(s, "disclosure", to="carrier", categories=("name",), purpose="credit scoring") == (
        False,
        ("G-VET", "R-carrier", "PU-1", "gdpr:5"),
    )
    assert answer(s, "disclosure", to="police", categories=("name",), purpose="an investigation", ground="law")[0]
    assert answer(s, "disclosure", to="bank", categories=("name",), purpose="an investigation", ground="law")[0]
    assert not answer(s, "disclosure", to="carrier", categories=("name",), purpose="an investigation", ground="law")[0]
    assert answer(s, "disclosure", to="sister", categories=("name",), purpose="selling")[0]
    assert not answer(s, "disclosure", to="sister", categories=("name",), purpose="credit scoring")[0]


def mailed(**more: Any) -> Person:
    rows = [
        *ACTIVITIES[:1],
        {**ACTIVITIES[1], "recipients": ["mailer"]},
        {**ACTIVITIES[2], "recipients": ["mailer"], "events": ["order"]},
    ]
    rights = [
        *RIGHTS,
        {"id": "O-1", "right": "objection", "scope": ["direct_marketing"], "absolute": True, "ends": ["news", "offers"]},
    ]
    return Person(policy(activities=rows, rights=rights, recipients=[*PARTIES, recipient("mailer")], **more))


def test_nothing_is_passed_on_that_needs_a_consent_and_has_none() -> None:
    p = mailed().event("order.placed", "2024-03-01", "order:1", "name email address")
    assert p.ask("disclosure", to="mailer", categories=("email",)).reasons == ("C-1", "W-1", "T-news", "R-mailer")
    p.event("newsletter.subscribed", "2024-03-02", terms="email", channel="email")
    assert p.ask("disclosure", to="mailer", categories=("email",)).allowed
    assert not p.ask("disclosure", to="mailer", categories=("phone",)).allowed, "the consent is to e-mail"
    p.event("newsletter.unsubscribed", "2024-03-03", channel="email")
    found = p.ask("disclosure", to="mailer", categories=("email",))
    assert not found.allowed
    assert "W-1" in found.reasons


def test_nothing_is_passed_on_against_an_objection_and_no_report_of_it_makes_an_edge() -> None:
    p = mailed().event("order.placed", "2024-03-01", "order:1", "name email address")
    assert p.ask("disclosure", to="mailer", categories=("address",)).allowed
    p.request("objection", "2024-03-02", scope=("direct_marketing",))
    found = p.ask("disclosure", to="mailer", categories=("address",))
    assert (found.allowed, found.reasons[0]) == (False, "O-1")
    p.event("data.disclosed", "2024-03-03", terms="address", to="mailer")
    assert not [i for i in p.held() if i[0] == "mailer"]


def test_what_is_passed_on_is_noted_for_the_activities_that_may() -> None:
    p = mailed().event("data.disclosed", "2024-03-01", terms="address", to="mailer")
    assert p.held() == {("mailer", "offers", "address")}


def test_what_is_kept_for_a_hold_goes_to_whom_the_hold_needs_and_to_nobody_else() -> None:
    rows = [activity("selling", recipients=["carrier"]), activity("checking", recipients=["bank"]),
            activity("books", basis="legal_obligation")]  # fmt: skip
    holds = [
        {"id": "H-1", "kind": "policy", "blocks": ["erasure"], "while": {"opened_by": ["order.placed"]},
         "closed_by": [{"all": ["order.shipped"]}], "scope": {"activities": ["selling"], "systems": ["shop"]}},
        {"id": "H-2", "kind": "purpose", "blocks": ["erasure"], "while": {"opened_by": ["order.placed"]},
         "closed_by": [{"all": ["order.delivered"]}], "scope": {"recipients": ["carrier"]}},
        {"id": "H-3", "kind": "legal_obligation", "blocks": ["erasure"], "while": {"transaction": True},
         "last": {"parameter": "bookkeeping"}, "scope": {"activities": ["books"]}},
    ]  # fmt: skip
    p = Person(policy(activities=rows, holds=holds, recipients=PARTIES, guards=DISCLOSE))
    p.event("order.placed", "2024-03-01", "order:1").event("order.paid", "2024-03-01", "order:1")
    p.request("erasure", "2024-03-02")
    assert p.ask("disclosure", to="carrier", categories=("name",)).allowed
    found = p.ask("disclosure", to="bank", categories=("name",))
    assert (found.allowed, found.reasons[0]) == (False, "gdpr:17")
    assert not p.ask("disclosure", to="sister", categories=("phone",)).allowed
    p.event("order.shipped", "2024-03-03", "order:1")
    assert p.ask("disclosure", to="carrier", categories=("name",)).allowed, "it has them until the parcel has arrived"
    p.event("order.delivered", "2024-03-04", "order:1").on("2024-03-05").answer("2024-03-05")
    for to in ("carrier", "bank", "sister"):
        assert not p.ask("disclosure", to=to, categories=("name",)).allowed
    assert p.ask("disclosure", to="police", categories=("name",), ground="law").allowed


@pytest.mark.parametrize(("ground", "uses", "allowed"), [("law", (), True), ("curiosity", (), False), (None, (), False), ("consent", (), False),
                                                         ("consent", ("disclosure",), True), ("consent", ("disclosure:police",), True),
                                                         ("consent", ("disclosure:bank",), False)])  # fmt: skip
def test_an_authority_needs_a_ground(ground: str | None, uses: tuple[str, ...], allowed: Any) -> None:
    s = subject(guards=DISCLOSE)
    s.uses = dict.fromkeys(uses, 1)
    found = answer(s, "disclosure", to="police", categories=("name",), ground=ground)
    assert found[0] is allowed
    assert found[1][0] == "G-AUTH"


@pytest.mark.parametrize(("country", "safeguard", "to", "allowed"), [("US", None, "carrier", False), ("US", "clauses", "carrier", True),
                                                                     ("DE", None, "carrier", True), ("US", None, "police", True)])  # fmt: skip
def test_a_transfer_out_of_the_area_needs_a_safeguard(country: str, safeguard: str | None, to: str, allowed: Any) -> None:
    found = answer(
        subject(guards=DISCLOSE), "disclosure", to=to, categories=("name",), country=country, safeguard=safeguard, ground="law"
    )
    assert found[0] is allowed
    if not allowed:
        assert found[1] == ("G-TRF", "T-1", "R-carrier")
    silent = answer(subject(), "disclosure", to="carrier", categories=("name",), country="US")
    assert silent == (False, ("gdpr:44", "R-carrier"))


def test_a_transfer_that_the_policy_reports_is_not_refused_where_the_recipient_is_said_to_lie() -> None:
    guards = [{"id": "G-W", "on": "transfer", "to": "mailer", "warns": True}]
    s = subject(guards=guards, recipients=[*PARTIES, recipient("mailer", location="US")])
    assert answer(s, "disclosure", to="mailer", categories=("name",), country="US") == (True, ("R-mailer", "G-W"))
    assert not answer(s, "disclosure", to="mailer", categories=("name",), country="CN")[0]
    assert not answer(s, "disclosure", to="carrier", categories=("name",), country="US")[0]
    p = Person(policy(activities=[activity("selling", recipients=["mailer"])], guards=guards,
                      recipients=[recipient("mailer", location="US")]))  # fmt: skip
    p.event("data.disclosed", "2024-03-01", terms="name", to="mailer", country="US")
    assert "outside_eea" in p.item("mailer", "selling", "name").tags
    assert [n.reasons for n in p.notes("transfer without a safeguard")] == [("G-W",)]


def test_a_restriction_bars_a_disclosure_unless_the_law_asks_for_it() -> None:
    s = subject()
    s.restrictions = [Restriction("", "asked", ("Q-1",), 1, None, frozenset({"name"}))]
    assert answer(s, "disclosure", to="bank", categories=("name",)) == (False, ("Q-1", "R-bank"))
    assert answer(s, "disclosure", to="police", categories=("name",), ground="law")[0]


def test_a_report_of_suspicion_to_an_authority_is_kept_from_the_person() -> None:
    guards = [{"id": "G-1", "on": "aml_report", "instruments": ["laundering", "terror"], "setting": "obliged"},
              {"id": "G-2", "on": "disclosure", "to": "police", "instruments": ["laundering"]}]  # fmt: skip
    s = subject(guards=guards)
    assert secret(s, "police", ground="law", instrument="Money Laundering Act") == ("G-1",)
    assert secret(s, "police", ground="law", instrument="Tax Act") == ()
    assert secret(s, "police", ground="safety", instrument="Money Laundering Act") == ()
    assert secret(s, "bank", ground="law", instrument="Money Laundering Act") == ()
    assert secret(s, "nobody", ground="law", instrument="Money Laundering Act") == ()
    assert secret(s, "police", ground="law", instrument=None) == ()
    assert secret(subject(guards=guards, settings={"obliged": True}), "police", ground="law", instrument=None) == ("G-1",)
    assert secret(subject(guards=guards, settings={"obliged": True}), "police", ground="law", instrument="Tax Act") == ()


def test_a_rule_on_disclosure_asks_for_what_it_needs_and_is_named_with_what_it_cites() -> None:
    guards = [{"id": "G-1", "on": "disclosure", "to": "processor", "needs": "agreement", "cites": ["A-1"]}]
    s = subject(guards=guards)
    for agreement in (True, None):
        found = answer(s, "disclosure", to="carrier", categories=("name",), agreement=agreement)
        assert found == (True, ("G-1", "A-1", "R-carrier", "T-selling"))
    assert answer(s, "disclosure", to="carrier", categories=("name",), agreement=False) == (False, ("G-1", "A-1", "R-carrier"))
    assert answer(s, "disclosure", to="bank", categories=("name",), agreement=False)[0], "the rule is for processors"


def test_all_that_a_recipient_may_receive_may_go_to_it() -> None:
    assert answer(subject(), "disclosure", to="carrier", categories=("name", "email"))[0]
    assert not answer(subject(), "disclosure", to="carrier", categories=("name", "email", "phone"))[0]


def test_a_ground_is_asked_of_authorities_and_of_those_that_act_for_themselves_only() -> None:
    guards = [{"id": "G-0", "on": "disclosure"}, {"id": "G-1", "on": "disclosure", "grounds": ["law"], "cites": ["L-1"]}]
    s = subject(guards=guards)
    for to, allowed in (("carrier", True), ("sister", True), ("police", False), ("bank", False)):
        found = answer(s, "disclosure", to=to, categories=("name",))
        assert found[0] is allowed
        assert allowed or found[1] == ("G-1", "L-1", f"R-{to}")
    s.uses = {"disclosure": 1}
    assert not answer(s, "disclosure", to="police", categories=("name",))[0], "the rule lets no consent open it"


def test_a_ground_that_a_rule_accepts_opens_a_purpose_that_no_activity_has() -> None:
    guards = [{"id": "G-1", "on": "disclosure", "to": "independent", "grounds": ["claim"]}, {"id": "G-2", "on": "disclosure"}]
    asked: dict[str, Any] = {"to": "bank", "categories": ("name",), "purpose": "collecting a debt", "ground": "claim"}
    assert answer(subject(guards=guards), "disclosure", **asked)[0]
    assert answer(subject(), "disclosure", **asked) == (False, ("R-bank", "PU-1", "gdpr:5"))


@pytest.mark.parametrize(("ground", "allowed"), [("law", True), (None, True), ("safety", True), ("consent", False)])
def test_an_authority_gets_data_for_an_end_of_its_own_unless_it_is_by_consent(ground: str | None, allowed: Any) -> None:
    found = answer(subject(), "disclosure", to="police", categories=("name",), purpose="an investigation", ground=ground)
    assert found[0] is allowed


def test_a_transfer_is_reported_by_the_rule_for_that_recipient_and_country_only() -> None:
    guards = [{"id": "G-W", "on": "transfer", "to": "mailer", "warns": True}, {"id": "G-T", "on": "transfer", "to": "mailer"},
              {"id": "G-D", "on": "disclosure", "to": "mailer", "warns": True}]  # fmt: skip
    s = subject(guards=guards, recipients=[*PARTIES, recipient("mailer")])
    mailer = s.policy.recipients["mailer"]
    assert [g.id for g in reported(s, mailer, "US")] == ["G-W"]
    assert reported(s, mailer, "DE") == []
    assert reported(s, mailer, None) == []
    assert reported(s, s.policy.recipients["carrier"], "US") == []


def test_a_transfer_that_is_refused_names_the_rules_on_transfers_only() -> None:
    warns, other = {"id": "G-W", "on": "transfer", "to": "mailer", "warns": True}, {"id": "G-S", "on": "sale", "needs": "safeguard"}
    needs = {"id": "G-TRF", "on": "transfer", "needs": "safeguard", "cites": ["T-1"]}
    asked: dict[str, Any] = {"to": "carrier", "categories": ("name",), "country": "US"}
    assert answer(subject(guards=[warns, other]), "disclosure", **asked) == (False, ("gdpr:44", "G-W", "R-carrier"))
    assert answer(subject(guards=[warns, other, needs]), "disclosure", **asked) == (False, ("G-TRF", "T-1", "R-carrier"))


SPLIT = [activity("checking", categories=["name"], recipients=["bank", "police", "sister"]),
         activity("paying", categories=["email"], recipients=["bank"])]  # fmt: skip


@pytest.mark.parametrize(("to", "ground", "allowed"), [("bank", None, False), ("bank", "law", True), ("bank", "claim", True),
                                                       ("police", None, True), ("sister", None, True)])  # fmt: skip
def test_who_is_named_with_an_activity_gets_its_categories_and_more_only_on_a_ground(to: str, ground: Any, allowed: Any) -> None:
    rows = [SPLIT[0], activity("selling", categories=["email"])]
    s = subject(("shop", "checking", "name"), ("shop", "selling", "email"), activities=rows, rights=[])
    for categories in (("email",), ("name", "email")):
        found = answer(s, "disclosure", to=to, categories=categories, ground=ground)
        assert found[0] is allowed
        assert allowed or found[1] == ("R-bank", "T-checking")
    assert answer(s, "disclosure", to=to, categories=("name",), ground=ground) == (True, (f"R-{to}", "T-checking"))


def test_a_disclosure_names_the_activities_that_it_serves() -> None:
    s = subject(("shop", "checking", "name"), ("shop", "paying", "email"), activities=SPLIT, rights=[])
    for ground in (None, "law"):
        assert answer(s, "disclosure", to="bank", categories=("name",), ground=ground) == (True, ("R-bank", "T-checking"))
    assert answer(s, "disclosure", to="bank", categories=("name", "email")) == (True, ("R-bank", "T-checking", "T-paying"))
    assert answer(s, "disclosure", to="bank", categories=("email",), purpose="checking") == (False, ("R-bank", "T-checking"))
    assert answer(s, "disclosure", to="bank", categories=("name",), purpose="checking") == (True, ("R-bank", "T-checking"))


TWICE = [activity("selling", recipients=["carrier"]), activity("insuring", recipients=["carrier"], categories=["name"])]


def test_a_disclosure_goes_as_long_as_one_activity_lets_it_and_names_that_one() -> None:
    s = subject(("shop", "selling", "name"), ("shop", "insuring", "name"), activities=TWICE, rights=[])
    s.objected["selling"] = ("O-1",)
    assert answer(s, "disclosure", to="carrier", categories=("name",)) == (True, ("R-carrier", "T-insuring"))
    assert answer(s, "disclosure", to="carrier", categories=("name",), purpose="selling") == (False, ("O-1", "R-carrier"))
    s.objected["insuring"] = ("O-2",)
    assert answer(s, "disclosure", to="carrier", categories=("name",)) == (False, ("O-1", "O-2", "R-carrier"))


def test_an_activity_that_never_had_a_category_does_not_open_what_the_one_that_has_it_closes() -> None:
    s = subject(("shop", "selling", "name"), activities=TWICE, rights=[])
    s.objected["selling"] = ("O-1",)
    assert answer(s, "disclosure", to="carrier", categories=("name",)) == (False, ("O-1", "R-carrier"))
    del s.items["shop", "selling", "name", ""]
    assert answer(s, "disclosure", to="carrier", categories=("name",)) == (True, ("R-carrier", "T-insuring")), "none has had it"


def test_a_purpose_opens_only_the_categories_that_it_lists() -> None:
    rows = [activity("selling"), activity("renting", categories=["address"])]
    s = subject(("shop", "selling", "name"), ("shop", "renting", "address"), activities=rows, rights=[])
    s.objected["renting"] = ("O-1",)
    assert answer(s, "disclosure", to="sister", categories=("name",), purpose="selling")[0]
    assert answer(s, "disclosure", to="sister", categories=("address",), purpose="selling") == (False, ("O-1", "R-sister"))


def test_what_only_a_duty_lists_goes_to_an_affiliate_for_that_duty_alone() -> None:
    rows = [activity("books", basis="legal_obligation")]
    s = subject(("shop", "books", "name"), activities=rows, rights=[])
    assert answer(s, "disclosure", to="sister", categories=("name",)) == (True, ("R-sister",))
    s.restrictions = [Restriction("", "asked", ("Q-1",), 1, frozenset({"books"}))]
    assert answer(s, "disclosure", to="sister", categories=("name",)) == (False, ("Q-1", "T-books", "R-sister"))


def test_what_no_activity_lists_is_closed_by_an_erasure_only() -> None:
    s = subject(activities=[activity("selling")], rights=[])
    assert answer(s, "disclosure", to="sister", categories=("phone",)) == (True, ("R-sister",))
    s.erased_at, s.erasure = 1, "case-1"
    s.cases["case-1"] = Case("case-1", "erasure", 1, "", ("A-2",))
    assert answer(s, "disclosure", to="sister", categories=("phone",)) == (False, ("A-2", "R-sister"))


# -- children ----------------------------------------------------------------------------------------------------------


def test_a_childs_data_are_not_used_without_a_parent() -> None:
    guards = [{"id": "G-C", "on": "child", "age": 16, "exempt": ["helping"], "cites": ["C-2"]}]
    s = subject(guards=guards)
    assert answer(s, "use", activity="selling", categories=("name",)) == (True, ("T-selling",))
    s.age = (12, s.now)
    assert answer(s, "use", activity="selling", categories=("name",)) == (False, ("G-C", "C-2", "T-selling"))
    assert answer(s, "use", activity="helping", categories=("email",))[0]
    s.grants = [Grant("selling", 1, parent=True), Grant("news", 1, parent=True)]
    assert answer(s, "use", activity="selling", categories=("name",)) == (True, ("T-selling", "G-C", "C-2"))
    assert not answer(s, "message", activity="news", channel="email")[0], "marketing to a child is none that a parent can agree to"
    s.grants = [Grant("selling", 1)]
    assert not answer(s, "use", activity="selling", categories=("name",))[0]
    s.underage = ("U-1",)
    assert answer(s, "use", activity="helping", categories=("email",)) == (False, ("U-1", "T-helping"))
