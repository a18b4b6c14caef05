"""May a message go, may data be disclosed, sold, read or used: the answers, and the rules that give them."""

from __future__ import annotations

from typing import Any

import pytest
from person import Person, activity, policy, recipient

from lineage.guards import Question, ask, secret
from lineage.stopping import barred, covered, usable
from lineage.subject import Case, DoNotUse, Grant, Item, Restriction, Subject, Use

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
    s = subject(guards=[{"id": "G-N", "on": "purpose_change"}])
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
    guards = [{"id": "G-1", "on": "aml_report", "instruments": ["laundering"], "setting": "obliged"}, {"id": "G-2", "on": "read"}]
    s = subject(guards=guards)
    assert secret(s, "police", ground="law", instrument="Money Laundering Act") == ("G-1",)
    assert secret(s, "police", ground="law", instrument="Tax Act") == ()
    assert secret(s, "police", ground="safety", instrument="Money Laundering Act") == ()
    assert secret(s, "bank", ground="law", instrument="Money Laundering Act") == ()
    assert secret(s, "nobody", ground="law", instrument="Money Laundering Act") == ()
    assert secret(s, "police", ground="law", instrument=None) == ()
    assert secret(subject(guards=guards, settings={"obliged": True}), "police", ground="law", instrument=None) == ("G-1",)
    assert secret(subject(guards=guards, settings={"obliged": True}), "police", ground="law", instrument="Tax Act") == ()


# -- children ----------------------------------------------------------------------------------------------------------


def test_a_childs_data_are_not_used_without_a_parent() -> None:
    guards = [{"id": "G-C", "on": "child", "age": 16, "exempt": ["helping"], "cites": ["C-2"]}]
    s = subject(guards=guards)
    assert answer(s, "use", activity="selling", categories=("name",))[0]
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
