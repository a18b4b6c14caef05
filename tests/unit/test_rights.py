"""What each right does: to holdings, consents, do-not-use entries and restrictions, with which reasons."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from person import SKELETON, activity, day, policy, recipient, second

from lineage.ending import acknowledge, issue
from lineage.fold import pending_because, settle
from lineage.opting_out import channels_of, end_activity, object_to, opt_out, suppress, withdraw_channel
from lineage.policy import Policy
from lineage.requests import decide, request
from lineage.restricting import correct, lay
from lineage.rights import Request, answer_day, marketing_of, right_ids, via_ids
from lineage.subject import Case, DoNotUse, Grant, Item, Matter, Quarantine, Restriction, Subject, Use

NOW = second("2024-06-10")
ACTIVITIES = [
    activity("selling", recipients=["carrier"], retention=["K-1"]),
    activity("books", basis="legal_obligation", retention=["K-2"]),
    activity("improving", basis="legitimate_interest", categories=["name", "message"]),
    activity(
        "news", basis="consent", marketing="direct", categories=["email", "phone", "name"], events=["newsletter"], systems=["desk"]
    ),
    activity("profiles", basis="consent", marketing="profiling", categories=["message"], systems=["desk"]),
    activity(
        "offers_postal",
        basis="legitimate_interest",
        marketing="direct",
        channels={"post": ["address"]},
        categories=["address"],
        systems=["desk"],
    ),
    activity("polls", basis="consent", categories=["email"], systems=["desk"]),
]
RIGHTS = [
    {"id": "A-1", "right": "access"}, {"id": "A-2", "right": "erasure"}, {"id": "A-3", "right": "rectification"},
    {"id": "W-1", "right": "withdrawal", "scope": ["direct_marketing"], "ends": ["news", "profiles"]},
    {"id": "W-2", "right": "withdrawal", "scope": ["direct_marketing"], "channel": "sms"},
    {"id": "W-3", "right": "withdrawal", "scope": ["polls"], "ends": ["polls"]},
    {"id": "O-1", "right": "objection", "scope": ["direct_marketing"], "ends": ["news", "profiles", "offers_postal"]},
    {"id": "O-2", "right": "objection", "scope": ["legitimate_interest"]},
    {"id": "C-1", "right": "consent", "activities": ["news"]},
]  # fmt: skip
CHANNELS = [
    {"id": "T-MAIL", "kind": "email", "serves": ["access", "erasure"]}, {"id": "T-FORM", "kind": "support_form", "serves": ["complaint"]},
    {"id": "T-LINK", "kind": "email_footer"}, {"id": "T-CHECK", "kind": "identity_check"}, {"id": "T-MATCH", "kind": "email_match"},
    {"id": "T-SAYS", "kind": "request_content"},
]  # fmt: skip
SYSTEMS = [*SKELETON["systems"], {"id": "Y-COOKIE", "name": "device", "erasable": False}]
PARTIES = [recipient("carrier"), recipient("mailer"), recipient("bank", "independent"), recipient("police", "authority"),
           recipient("broker", "source"), recipient("network", "uncontrolled")]  # fmt: skip
HELD = (("shop", "selling", "name"), ("carrier", "selling", "name"), ("shop", "books", "name"), ("shop", "improving", "message"),
        ("desk", "news", "email"), ("desk", "news", "phone"), ("desk", "profiles", "message"), ("desk", "offers_postal", "address"))  # fmt: skip
KEEP_SALE = {"id": "H-1", "kind": "purpose", "blocks": ["erasure"], "while": {"transaction": True},
             "last": {"parameter": "bookkeeping"}, "scope": {"activities": ["books"]}}  # fmt: skip


def made(settings: Any = None, **more: Any) -> Policy:
    rows: dict[str, Any] = {
        "activities": ACTIVITIES,
        "rights": RIGHTS,
        "channels": CHANNELS,
        "systems": SYSTEMS,
        "recipients": PARTIES,
    }
    rule = {"id": "K-1", "activities": "all", "anchor": ["order.delivered"], "duration": "P9Y"}
    books = {"id": "K-2", "activities": ["books"], "parameter": "bookkeeping"}
    return policy(settings, **{**rows, "retention": [rule, books], **more})


def subject(*held: tuple[str, str, str], settings: Any = None, **more: Any) -> Subject:
    s = Subject(made(settings, **more), "p")
    s.now = NOW
    for target, name, category in held or HELD:
        item = Item(target, name, category, "order:1", NOW - 9, NOW - 9, cites={"E-1"})
        s.items[item.key] = item
    return s


def grants(s: Subject, *given: Grant) -> Subject:
    s.grants = list(given) or [Grant(a, 1) for a in ("news", "profiles", "polls")]
    return s


def ask(s: Subject, right: str, **more: Any) -> Case:
    return request(s, Request("case-1", NOW + 60, right, **more))


def left(s: Subject) -> set[tuple[str, str]]:
    return {(i.activity, i.category) for i in s.live()}


def told(s: Subject, kind: str = "erase") -> set[tuple[str, str, tuple[str, ...]]]:
    return {(c.target, c.activity, tuple(sorted(c.why))) for c in s.commands.values() if c.kind == kind}


def entries(s: Subject) -> list[tuple[Any, ...]]:
    return [(d.channel, d.activity, d.scope, d.target) for d in s.do_not_use]


def notes(s: Subject, about: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(n.kind, n.reasons) for n in s.notes if n.about == about]


# -- reasons -----------------------------------------------------------------------------------------------------------


def test_a_right_is_cited_by_the_policys_rules_or_by_its_article() -> None:
    s = subject()
    assert right_ids(s, "access") == ("A-1",)
    assert right_ids(s, "portability") == ("gdpr:20",)
    assert right_ids(s, "withdrawal", "polls") == ("W-3",)
    assert right_ids(s, "withdrawal") == ("W-1", "W-2", "W-3")
    assert right_ids(s, "objection", "selling") == ("gdpr:21",)
    assert right_ids(s, "access", "selling") == ("A-1",), "a rule without a scope is for all"


@pytest.mark.parametrize(
    ("right", "article"),
    [("access", 15), ("rectification", 16), ("erasure", 17), ("restriction", 18), ("portability", 20), ("objection", 21),
     ("withdrawal", 7), ("complaint", 77), ("hiding", 18)],
)  # fmt: skip
def test_where_a_policy_says_nothing_the_article_is_the_reason(right: str, article: int) -> None:
    assert right_ids(subject(rights=[]), right) == (f"gdpr:{article}",)
    s = subject(rights=[], silent_rights="S-1", cited_with={"S-2": ["right:any"], "S-3": [f"right:{right}"]})
    assert right_ids(s, right) == ("S-1", f"gdpr:{article}", "S-2", "S-3")


def test_what_rides_along_with_any_right_does_so_only_where_the_policy_speaks_of_its_silence() -> None:
    along = {"S-2": ["right:any"], "S-3": ["right:access"]}
    assert right_ids(subject(cited_with=along), "access") == ("A-1", "S-3")
    assert right_ids(subject(cited_with=along, silent_rights="S-1"), "access") == ("A-1", "S-2", "S-3")


def test_a_channel_is_cited_with_those_that_serve_the_right_and_with_what_a_request_must_hold() -> None:
    s = subject(cited_with={"V-1": ["via:email"], "V-2": ["via:any"]})
    assert via_ids(s, "email", "complaint") == ("T-MAIL", "V-1", "V-2", "T-FORM", "T-MATCH", "T-SAYS")
    assert via_ids(s, "letter", "erasure") == ("V-2", "T-MAIL", "T-MATCH", "T-SAYS")


@pytest.mark.parametrize(
    ("via", "kind"),
    [("form", "support_form"), ("form", "phone_or_form"), ("social", "social_media"), ("profile", "account"), ("profile", "online_profile"),
     ("link", "newsletter_link"), ("link", "email_footer"), ("link", "newsletter_unsubscribe"), ("phone", "phone")],
)  # fmt: skip
def test_a_way_in_goes_by_the_policys_names_of_it(via: str, kind: str) -> None:
    s = subject(channels=[{"id": "T-1", "kind": kind}, {"id": "T-2", "kind": "other"}])
    assert via_ids(s, via, "access") == ("T-1",)


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_opens_a_case_that_says_what_was_asked() -> None:
    s = subject()
    case = ask(s, "access", via="email", scope=("news",), of=("email",), correct=("name",), remove=("phone",))
    assert s.cases == {"case-1": case}
    assert (case.right, case.at, case.via, case.reasons) == ("access", NOW + 60, "email", ("A-1",))
    assert (case.scope, case.of, case.correct, case.remove) == (("news",), ("email",), ("name",), ("phone",))
    assert s.now == NOW + 60
    along = ("A-1", "T-MAIL", "T-MATCH", "T-SAYS")
    assert notes(s, "request:access") == [("logged", along)]
    assert notes(s, "access")[-1] == ("informed", (*along, "param:answer_deadline"))


def test_the_scope_decides_the_rules_of_an_objection_and_of_a_withdrawal_alone() -> None:
    assert ask(subject(), "withdrawal", scope=("polls",)).reasons == ("W-3",)
    assert ask(subject(), "objection", scope=("direct_marketing",)).reasons == ("O-1",)
    assert ask(subject(rights=[{"id": "A-9", "right": "erasure", "scope": ["x"]}]), "erasure", scope=("news",)).reasons == ("A-9",)


def test_a_scope_that_no_rule_speaks_of_is_under_the_rules_that_end_it_and_the_article() -> None:
    s = subject()
    assert right_ids(s, "withdrawal", "news") == ("W-1", "gdpr:7")
    assert right_ids(s, "withdrawal", "selling") == ("gdpr:7",)
    assert right_ids(s, "withdrawal", "polls") == ("W-3",)


def test_nothing_is_done_before_the_identity_is_proven() -> None:
    s = subject()
    case = ask(s, "erasure", via="email", proven=False)
    assert case.waits == ("T-CHECK", "T-MATCH", "T-MAIL", "T-SAYS")
    assert notes(s, "identity") == [("informed", case.waits)]
    assert s.erased_at is None
    decide(s, NOW + 90, "identity_proven", "case-1")
    assert case.waits == ()
    assert s.erased_at == NOW + 90
    assert ask(subject(channels=[]), "access", proven=False).waits == ("gdpr:12",)


# -- erasure -----------------------------------------------------------------------------------------------------------


def sold(s: Subject) -> Subject:
    s.matters["order:1"] = Matter("order", "order:1", [(NOW - 9, "order.placed", {}), (NOW - 9, "order.paid", {})])
    s.changed()
    return s


def test_an_erasure_ends_all_but_what_a_hold_keeps() -> None:
    s = grants(sold(subject(holds=[KEEP_SALE])))
    s.uses["sale"] = 1
    s.quarantine.append(Quarantine(1, "newsletter.subscribed", None, ()))
    case = ask(s, "erasure", via="email")
    assert left(s) == {("books", "name")}
    (kept,) = s.live()
    assert (kept.use, kept.why[:2]) == (Use.KEPT, ("H-1", "param:bookkeeping"))
    assert notes(s, "retained") == [("logged", kept.why)]
    assert told(s) == {
        ("carrier", "selling", ("name",)),
        ("desk", "", ("address", "email", "message", "phone")),
        ("shop", "", ("message",)),
    }
    assert (s.grants, s.uses, s.quarantine) == ([], {}, [])
    assert (s.erased_at, s.erasure) == (NOW + 60, case.id)
    assert s.commands[next(iter(s.commands))].case == "case-1"
    assert s.soft_closed == ("A-2", "T-MAIL", "T-MATCH", "T-SAYS")
    carrier = next(c for c in s.commands.values() if c.target == "carrier")
    assert carrier.why["name"] == ("A-2", "T-MAIL", "T-MATCH", "T-SAYS", "T-selling", "R-carrier", "E-1")


def test_an_erasure_leaves_one_hash_that_keeps_all_marketing_out() -> None:
    s = subject(suppression=[{"id": "X-1", "keeps": "hash"}, {"id": "X-2", "keeps": "list"}])
    s.do_not_use = [DoNotUse((), 1, channel="sms"), DoNotUse((), 1, target="list"), DoNotUse((), 1, target="list", hidden=True)]
    ask(s, "erasure", via="email")
    assert entries(s) == [(None, None, None, "list"), (None, None, "direct_marketing", None)]
    last = s.do_not_use[-1]
    assert (last.reasons[:2], last.since, last.case) == (("X-1", "A-2"), NOW + 60, "case-1")
    request(s, Request("case-2", NOW + 90, "erasure"))
    assert len(s.do_not_use) == 2, "once is enough"
    assert s.erasure == "case-2"


def test_what_a_person_has_still_to_decide_about_waits_and_other_restrictions_go_with_the_erasure() -> None:
    s = subject()
    s.restrictions = [Restriction("case-7", "asked", ("Q-7",), 1, frozenset({"news"})),
                      Restriction("case-8", "accuracy", ("Q-8",), 1, None, frozenset({"email"}), waits=True)]  # fmt: skip
    ask(s, "erasure")
    assert [(i.activity, i.category, i.use, i.why) for i in s.live()] == [("news", "email", Use.KEPT, ("Q-8",))]
    assert [r.case for r in s.restrictions] == ["case-8"]


def test_an_erasure_after_a_restriction_cites_the_rule_on_unlawful_processing() -> None:
    rows = [{"id": "Q-1", "ground": "unlawful"}]
    plain = subject(restriction=rows)
    ask(plain, "erasure")
    assert not any("Q-1" in r for c in plain.commands.values() for r in c.why.values())
    s = subject(restriction=rows)
    s.cases["case-0"] = Case("case-0", "restriction", 1, "", ())
    ask(s, "erasure")
    assert all("Q-1" in r for c in s.commands.values() for r in c.why.values())


def test_the_person_is_told_who_holds_data_out_of_the_controllers_hands() -> None:
    guards = [{"id": "G-DEV", "on": "device"}, {"id": "G-3P", "on": "third_party_cookie"}]
    s = subject(guards=guards)
    s.sources, s.uncontrolled, s.devices = {"broker"}, {"network", "unknown"}, {"device:1": 1}
    ask(s, "erasure")
    assert notes(s, "outside our control") == [
        ("informed", ("R-broker",)), ("informed", ("R-network",)), ("informed", ()), ("informed", ("R-broker", "R-network", "G-DEV", "G-3P")),
    ]  # fmt: skip
    assert notes(s, "uncontrolled recipient: no command") == [("logged", ("G-3P",))]
    assert {n.target for n in s.notes if n.about == "outside our control"} == {"broker", "network", "unknown", ""}
    plain = subject(guards=guards)
    ask(plain, "erasure")
    assert notes(plain, "outside our control") == [("informed", ())]
    assert notes(plain, "uncontrolled recipient: no command") == []


def test_an_erasure_in_part_ends_what_it_names_and_leaves_the_rest_and_the_person() -> None:
    s = grants(subject())
    case = ask(s, "erasure", scope=("direct_marketing",), via="email")
    assert left(s) == {("selling", "name"), ("books", "name"), ("improving", "message")}
    assert s.erased_at is None
    assert [g.activity for g in s.grants] == ["polls"]
    assert set(s.objected) == {"news", "profiles", "offers_postal"}
    assert s.objected["news"] == ("A-2", "T-MAIL", "T-MATCH", "T-SAYS")
    assert entries(s) == [(None, None, "direct_marketing", None)]
    assert {d.case for d in s.do_not_use} == {case.id}
    s = grants(subject())
    ask(s, "erasure", scope=("selling",))
    assert ("selling", "name") not in left(s)
    assert len(left(s)) == 6
    assert (s.objected, s.do_not_use, len(s.grants)) == ({}, [], 3)
    s = grants(subject())
    ask(s, "erasure", scope=("news",))
    assert entries(s) == [(None, "news", "news", None)]
    ends = [{"id": "O-1", "right": "objection", "scope": ["direct_marketing"], "ends": ["news", "polls"]}]
    rows = [{"id": "X-1", "keeps": "hash", "after": ["erasure"]}, {"id": "X-2", "keeps": "hash", "after": ["withdrawal"]}]
    s = grants(subject(rights=ends, suppression=rows))
    ask(s, "erasure", scope=("direct_marketing",))
    assert set(s.objected) == {"news"}
    assert entries(s) == [(None, None, "direct_marketing", None)], "one of what ends is marketing"
    assert s.do_not_use[0].reasons[:2] == ("X-1", "gdpr:17")
    assert "X-2" not in s.do_not_use[0].reasons


def test_an_erasure_of_categories_ends_these_and_no_other_consent() -> None:
    s = grants(subject())
    ask(s, "erasure", of=("name", "message"))
    assert left(s) == {(a, c) for _, a, c in HELD if c not in ("name", "message")}
    assert (len(s.grants), s.objected, s.do_not_use) == (3, {}, [])


def test_to_erase_an_address_is_to_stop_its_channel_and_the_last_one_ends_the_consent() -> None:
    s = grants(subject())
    ask(s, "erasure", of=("email",), scope=("direct_marketing",))
    assert left(s) == {(a, c) for _, a, c in HELD if c != "email"}
    assert (len(s.grants), s.objected) == (3, {})
    assert entries(s) == [("email", None, None, None)]
    s = grants(subject(), Grant("news", 1, channel="email"), Grant("news", 1, channel="sms"))
    ask(s, "erasure", of=("email",))
    assert [g.channel for g in s.grants] == ["sms"]
    assert ("news", "phone") in left(s)
    s = grants(subject(*HELD, ("desk", "news", "name")))
    ask(s, "erasure", of=("email", "phone"))
    assert not any(a == "news" for a, _ in left(s)), "nothing is left that the news could be sent to"
    assert [g.activity for g in s.grants] == ["profiles", "polls"]
    assert entries(s) == [(c, None, None, None) for c in ("email", "phone", "sms")]
    assert s.soft_closed[0] == "A-2"


def test_to_erase_the_record_of_a_consent_is_to_end_it_and_no_other() -> None:
    rows = [
        activity(
            "news", basis="consent", marketing="direct", categories=["email", "wish"], events=["newsletter"], systems=["desk"]
        ),
        activity("alerts", basis="consent", marketing="direct", categories=["phone"], events=["newsletter"], systems=["desk"]),
    ]
    wish = {"id": "wish", "term": "subscription", "provenance": "provided"}
    held = (("desk", "news", "email"), ("desk", "news", "wish"), ("desk", "alerts", "phone"))
    suppression = [{"id": "X-1", "keeps": "hash", "after": ["erasure"]}, {"id": "X-2", "keeps": "hash", "after": ["objection"]}]
    more = {"activities": rows, "categories": [*SKELETON["categories"], wish], "rights": RIGHTS[:3], "suppression": suppression}
    s = grants(subject(*held, **more), Grant("news", 1), Grant("alerts", 1))
    ask(s, "erasure", of=("wish",))
    assert (left(s), [g.activity for g in s.grants]) == ({("alerts", "phone")}, ["alerts"])
    assert entries(s) == [(None, "news", "news", None)]
    assert s.do_not_use[0].reasons[:2] == ("X-1", "A-2")
    assert "X-2" not in s.do_not_use[0].reasons
    assert s.soft_closed == s.do_not_use[0].reasons[1:], "a purchase opens no news either"


def test_to_erase_the_last_address_ends_no_consent_to_what_goes_another_way() -> None:
    rows = [
        activity("news", basis="consent", marketing="direct", categories=["email", "name"], events=["newsletter"], systems=["desk"])
    ]
    held = (("desk", "news", "email"), ("desk", "news", "name"))
    for other in (Grant("news", 1, channel="push"), Grant("news", 1, kinds=frozenset({"cookie"}))):
        s = grants(subject(*held, activities=rows, rights=RIGHTS[:3]), Grant("news", 1), other)
        ask(s, "erasure", of=("email",))
        assert s.grants == [other]
        s = grants(subject(*held, activities=rows, rights=RIGHTS[:3]), other)
        ask(s, "erasure", of=("email",))
        assert (left(s), s.grants) == ({("news", "name")}, [other])


def test_to_erase_the_last_address_of_what_rests_on_more_than_consent_ends_the_consent_alone() -> None:
    rows = [activity("news", marketing="direct", categories=["email", "name"], events=["newsletter"], systems=["desk"])]
    rows[0]["basis"] = [{"kind": "consent"}, {"kind": "legitimate_interest"}]
    held = (("desk", "news", "email"), ("desk", "news", "name"))
    s = grants(subject(*held, activities=rows, rights=RIGHTS[:3]), Grant("news", 1))
    ask(s, "erasure", of=("email",))
    assert (left(s), s.grants) == ({("news", "name")}, [])
    assert entries(s) == [("email", None, None, None)]


def test_an_erasure_waits_for_the_answers_about_what_it_names_and_for_no_others() -> None:
    s = subject(("desk", "news", "email"), ("desk", "news", "phone"))
    ask(s, "rectification", remove=("email",))
    (before,) = s.commands.values()
    for number, (of, awaited) in enumerate(((("email",), {before.id}), (("phone",), set()), ((), {before.id}))):
        case = request(s, Request(f"case-{number + 2}", NOW + 70 + number, "erasure", of=of))
        assert {c.id for c in s.commands.values() if case.waits_for(c) and c.case == "case-1"} == awaited


def test_to_erase_a_postal_address_is_to_stop_post_that_rests_on_no_consent() -> None:
    s = subject(suppression=[{"id": "X-1", "keeps": "hash", "after": ["erasure"]}])
    ask(s, "erasure", of=("address",))
    assert entries(s) == [("post", None, None, None)]
    assert s.do_not_use[0].reasons[:2] == ("X-1", "A-2")


def test_to_erase_an_address_of_one_activity_stops_no_channel_of_another() -> None:
    s = grants(subject(*HELD, ("shop", "selling", "email")))
    ask(s, "erasure", of=("email", "phone"), scope=("selling",))
    assert left(s) == {(a, c) for _, a, c in HELD}
    assert (len(s.grants), s.do_not_use) == (3, [])


def test_an_erasure_in_part_waits_for_a_hold_and_for_a_decision() -> None:
    s = sold(subject(holds=[KEEP_SALE]))
    s.restrictions = [Restriction("case-8", "accuracy", ("Q-8",), 1, frozenset({"selling"}), waits=True),
                      Restriction("case-9", "asked", ("Q-9",), 1, frozenset({"news"}))]  # fmt: skip
    ask(s, "erasure", of=("name", "email"))
    waiting = {(i.target, i.activity): (i.asked, i.why[0]) for i in s.live() if i.use is Use.KEPT}
    assert waiting == {
        ("shop", "selling"): ("case-1", "Q-8"),
        ("carrier", "selling"): ("case-1", "Q-8"),
        ("shop", "books"): ("case-1", "H-1"),
    }
    assert ("news", "email") not in left(s)
    (command,) = s.commands.values()
    assert (command.case, command.why["email"]) == ("case-1", ("A-2", "T-MAIL", "T-MATCH", "T-SAYS", "T-news", "Y-DESK", "E-1"))


# -- marketing ---------------------------------------------------------------------------------------------------------


def test_a_scope_means_an_activity_or_all_that_the_policy_calls_direct_marketing() -> None:
    s = subject()
    assert [a.name for a in marketing_of(s, "polls")] == ["polls"]
    assert marketing_of(s, "unknown") == []
    assert [a.name for a in marketing_of(s, "direct_marketing")] == ["news", "profiles", "offers_postal"]
    named = subject(rights=[{"id": "O-1", "right": "objection", "scope": ["direct_marketing"], "ends": ["news"]},
                            {"id": "W-1", "right": "withdrawal", "scope": ["direct_marketing"], "ends": ["polls"]},
                            {"id": "O-2", "right": "objection", "scope": ["other"], "ends": ["polls"]}])  # fmt: skip
    assert [a.name for a in marketing_of(named, "direct_marketing")] == ["news"]
    silent = subject(rights=[], activities=[*ACTIVITIES, activity("surveys", marketing="survey")])
    assert [a.name for a in marketing_of(silent, "direct_marketing")] == ["news", "profiles", "offers_postal"]


def test_a_refusal_is_written_as_a_do_not_use_entry_with_the_rules_on_it() -> None:
    rows = [{"id": "X-1", "keeps": "hash"}, {"id": "X-2", "keeps": "scope", "activity": "polls"}, {"id": "X-3", "keeps": "tag"}]
    s = subject(suppression=rows)
    suppress(s, ("W-1",), "case-1", channel="sms", activity="news", scope="news")
    suppress(s, ("W-1",), "case-1", activity="polls")
    first, second_ = s.do_not_use
    assert (first.reasons, first.since, first.channel, first.activity, first.scope, first.case) == (
        ("X-1", "W-1"),
        NOW,
        "sms",
        "news",
        "news",
        "case-1",
    )
    assert second_.reasons == ("X-1", "X-2", "W-1")


def test_a_policy_with_a_list_puts_the_address_on_it_for_its_time() -> None:
    row = {
        "id": "X-1",
        "keeps": "list",
        "system": "desk",
        "category": "email",
        "channel": "email",
        "duration": "P3M",
        "cites": ["X-2"],
    }
    for channel, listed in ((None, True), ("email", True), ("sms", False)):
        s = subject(suppression=[{"id": "X-0", "keeps": "list"}, {"id": "X-9", "keeps": "tag", "system": "desk"}, row])
        suppress(s, ("W-1",), "case-1", channel=channel)
        assert len(s.do_not_use) == 1 + listed
    s = subject(suppression=[row])
    suppress(s, ("W-1",), "case-1")
    entry = s.do_not_use[1]
    assert (entry.reasons, entry.channel, entry.target, entry.categories) == (
        ("X-1", "X-2", "Y-DESK", "W-1"),
        "email",
        "desk",
        ("email",),
    )
    assert (entry.until, entry.since, entry.case) == (day("2024-09-10"), NOW, "case-1")
    for act, entries in (("unsubscription", 2), ("objection", 1), ("erasure", 1), ("withdrawal", 1)):
        s = subject(suppression=[{**row, "after": ["unsubscription"]}])
        suppress(s, ("W-1",), "case-1", act=act)
        assert len(s.do_not_use) == entries
        assert s.do_not_use[0].reasons == (("X-1", "W-1") if entries == 2 else ("W-1",))
    s = subject(suppression=[{**row, "duration": None}])
    suppress(s, ("W-1",), "case-1")
    assert len(s.do_not_use) == 1
    s = subject(suppression=[{k: v for k, v in row.items() if k != "category"}])
    suppress(s, ("W-1",), "case-1")
    assert s.do_not_use[1].categories == ("",)


def test_an_activity_ends_whole_or_but_for_some_categories_and_devices_part_from_what_it_did() -> None:
    links = [{"id": "L-1", "device": "cookie", "since": "then"}, {"id": "L-2", "takes_up": ["name"]}]
    rows = [activity("news", basis="consent", marketing="direct", categories=["email", "phone"], events=["newsletter", "cookie"],
                     systems=["desk"], retention=["K-1"]), activity("selling", events=["cookie"])]  # fmt: skip
    held = (("desk", "news", "email"), ("desk", "news", "phone"), ("shop", "selling", "name"))
    s = subject(*held, activities=rows, links=links)
    s.devices["device:1"] = 1
    end_activity(s, s.policy.activities["news"], ("W-1",), "case-1", keep=["email"])
    assert left(s) == {("news", "email"), ("selling", "name")}
    assert s.devices
    end_activity(s, s.policy.activities["selling"], ("W-1",), "case-1")
    assert s.devices, "it rests on no consent"
    end_activity(s, s.policy.activities["news"], ("W-1",), "case-1")
    assert s.devices == {}
    command = next(c for c in s.commands.values() if c.target == "desk")
    assert (command.case, command.why["email"]) == ("case-1", ("W-1", "K-1", "T-news", "Y-DESK", "E-1"))


@pytest.mark.parametrize(
    "link",
    [
        {"device": "cookie", "since": "each"},
        {"device": "cookie", "since": "then", "accepted": True},
        {"device": "app"},
        {"unjoined": True},
    ],
)
def test_devices_that_were_joined_otherwise_stay_joined(link: dict[str, Any]) -> None:
    rows = [activity("news", basis="consent", marketing="direct", events=["newsletter", "cookie"])]
    s = subject(("shop", "news", "name"), activities=rows, links=[{"id": "L-1", **link}])
    s.devices["device:1"] = 1
    end_activity(s, s.policy.activities["news"], (), "")
    assert s.devices


def test_the_channels_of_an_activity_are_its_own_or_those_of_its_contact_details() -> None:
    s = subject(activities=[*ACTIVITIES, activity("calls", channels={"phone": ["phone"]})])
    acts = s.policy.activities
    assert channels_of(s, acts["calls"]) == {"phone": ("phone",)}
    assert channels_of(s, acts["news"]) == {"email": ("email",), "sms": ("phone",), "phone": ("phone",)}
    assert channels_of(s, acts["offers_postal"]) == {"post": ("address",)}
    addressed = subject(activities=[activity("calls", categories=["address"])])
    assert channels_of(addressed, addressed.policy.activities["calls"]) == {}, "an address alone does not make it go by post"
    assert channels_of(s, acts["selling"]) == {"email": ("email",)}


# -- unsubscribing -----------------------------------------------------------------------------------------------------


def test_to_stop_one_channel_ends_what_only_it_needs() -> None:
    s = grants(subject(), Grant("news", 1, channel="email"), Grant("news", 1, channel="sms"), Grant("profiles", 1))
    withdraw_channel(s, "sms", "email", "case-1")
    assert ("news", "phone") not in left(s)
    assert {("news", "email"), ("profiles", "message")} <= left(s)
    assert [(g.activity, g.channel) for g in s.grants] == [("news", "email"), ("profiles", None)]
    assert entries(s) == [("sms", None, None, None)]
    assert s.do_not_use[0].case == "case-1"
    assert s.soft_closed == s.do_not_use[0].reasons == ("W-2", "W-1", "T-MAIL", "T-MATCH", "T-SAYS")
    assert notes(s, "unsubscribed") == [("informed", (*s.soft_closed, "param:answer_deadline")), ("logged", s.soft_closed)]
    assert told(s) == {("desk", "", ("phone",))}


def test_to_stop_the_last_channel_ends_all_that_the_consent_carried() -> None:
    s = grants(subject(), Grant("news", 1, channel="email"), Grant("profiles", 1), Grant("polls", 1))
    withdraw_channel(s, "email", "link")
    assert left(s) == {("selling", "name"), ("books", "name"), ("improving", "message"), ("offers_postal", "address")}
    assert [g.activity for g in s.grants] == ["polls"]
    assert entries(s) == [("email", None, None, None)]
    assert "T-LINK" in s.do_not_use[0].reasons


def test_to_stop_what_goes_by_an_interest_alone_is_to_object_to_it() -> None:
    s = grants(subject(), Grant("news", 1, channel="email"), Grant("profiles", 1))
    before = left(s)
    withdraw_channel(s, "post", "email")
    assert before - left(s) == {("offers_postal", "address")}
    assert list(s.objected) == ["offers_postal"]
    assert s.soft_closed == (), "messages by other ways were not meant"
    assert entries(s) == [("post", None, None, None)]


@pytest.mark.parametrize("right", ["withdrawal", "objection"])
def test_the_profile_for_a_direct_marketing_ends_with_the_last_of_it(right: str) -> None:
    more = activity("letters", basis="consent", marketing="direct", categories=["name"], systems=["desk"])
    s = grants(
        subject(activities=[*ACTIVITIES, more]), Grant("news", 1), Grant("letters", 1), Grant("profiles", 1), Grant("polls", 1)
    )
    ask(s, right, scope=("letters",))
    assert ("profiles", "message") in left(s)
    ask(s, right, scope=("news",))
    assert {a for a, _ in left(s)}.isdisjoint({"news", "profiles"})
    assert [g.activity for g in s.grants] == ["polls"]


def test_the_profile_stays_where_what_ends_is_no_direct_marketing_on_consent() -> None:
    for right, scope, rights in (
        ("withdrawal", "polls", [r for r in RIGHTS if r["id"] != "W-3"]),
        ("objection", "offers_postal", RIGHTS),
    ):
        s = grants(subject(rights=rights), Grant("profiles", 1), Grant("polls", 1))
        ask(s, right, scope=(scope,))
        assert ("profiles", "message") in left(s)


def test_to_stop_a_channel_is_to_stop_it_for_all_that_goes_by_it_on_whatever_ground() -> None:
    letters = activity("letters", basis="consent", marketing="direct", categories=["email"], systems=["shop"])
    nudges = activity("nudges", basis="legitimate_interest", marketing="direct", categories=["email"], systems=["shop"])
    held = (*HELD, ("shop", "letters", "email"), ("shop", "nudges", "email"))
    s = grants(
        subject(*held, activities=[*ACTIVITIES, letters, nudges]), Grant("news", 1), Grant("letters", 1), Grant("profiles", 1)
    )
    withdraw_channel(s, "email", "")
    assert {(a, c) for a, c in left(s) if c == "email"} == set()
    assert ("news", "phone") in left(s), "that goes by text messages still"
    assert list(s.objected) == ["nudges"]
    assert s.soft_closed == s.do_not_use[0].reasons
    s = grants(subject(*held, activities=[*ACTIVITIES, letters, nudges]), Grant("letters", 1), Grant("profiles", 1))
    withdraw_channel(s, "email", "")
    assert ("profiles", "message") not in left(s), "no direct marketing is left that it is for"


def test_what_goes_with_one_channel_does_not_go_with_another() -> None:
    rights = [RIGHTS[3], {**RIGHTS[4], "ends": ["polls"]}]
    held = (*HELD, ("desk", "polls", "name"))
    s = grants(subject(*held, rights=rights), Grant("news", 1, channel="email"), Grant("profiles", 1), Grant("polls", 1))
    withdraw_channel(s, "email", "")
    assert ("polls", "name") in left(s)
    assert [g.activity for g in s.grants] == ["polls"]


def test_a_withdrawal_of_what_goes_by_an_interest_is_an_objection_to_it() -> None:
    s = grants(subject())
    ask(s, "withdrawal", scope=("offers_postal",))
    assert list(s.objected) == ["offers_postal"]
    assert ("profiles", "message") in left(s), "no consent has gone with it"


def test_a_consent_to_all_channels_leaves_the_others_but_those_that_were_stopped() -> None:
    s = grants(subject(), Grant("news", 1))
    withdraw_channel(s, "email", "")
    assert ("news", "email") not in left(s)
    assert ("news", "phone") in left(s), "text messages and calls go on"
    assert [g.activity for g in s.grants] == ["news"]
    withdraw_channel(s, "sms", "")
    assert ("news", "phone") in left(s)
    withdraw_channel(s, "phone", "")
    assert ("news", "phone") not in left(s)
    assert s.grants == []


def test_a_consent_by_a_purchase_or_for_some_events_only_leaves_no_other_channel() -> None:
    for given in (Grant("news", 1, soft=True), Grant("news", 1, kinds=frozenset({"cookie"})), Grant("polls", 1)):
        s = grants(subject(), given)
        withdraw_channel(s, "email", "")
        assert not any(a == "news" for a, _ in left(s))


def test_push_messages_stop_alone() -> None:
    rows = [activity("news", basis="consent", marketing="direct", channels={"push": ["phone"], "email": ["email"]}, systems=["desk"],
                     categories=["email", "phone"]), *(a for a in ACTIVITIES if a["name"] == "profiles")]  # fmt: skip
    s = grants(
        subject(*(h for h in HELD if h[1] in ("news", "profiles")), activities=rows),
        Grant("news", 1, channel="push"),
        Grant("profiles", 1),
    )
    s.soft_closed = ("before",)
    withdraw_channel(s, "push", "profile")
    assert left(s) == {("profiles", "message")}
    assert s.soft_closed == ("before",)
    assert [g.activity for g in s.grants] == ["profiles"]


def test_a_channel_that_takes_another_activity_with_it_does_so() -> None:
    rights = [{"id": "W-1", "right": "withdrawal", "scope": ["direct_marketing"], "channel_ends": {"email": ["profiles"]}}]
    s = grants(subject(rights=rights), Grant("news", 1), Grant("profiles", 1))
    withdraw_channel(s, "email", "")
    assert ("profiles", "message") not in left(s)
    assert [g.activity for g in s.grants] == ["news"]
    s = grants(subject(rights=rights), Grant("news", 1), Grant("profiles", 1))
    withdraw_channel(s, "sms", "")
    assert ("profiles", "message") in left(s)


def test_where_no_rule_speaks_of_unsubscribing_the_article_does() -> None:
    s = subject(rights=[], silent_rights="S-1")
    withdraw_channel(s, "email", "")
    assert s.do_not_use[0].reasons == ("S-1", "gdpr:7")
    s = subject(rights=[])
    withdraw_channel(s, "email", "")
    assert s.do_not_use[0].reasons == ("gdpr:7",)
    tag = [{"id": "O-9", "right": "objection", "effect": "tag"}]
    s = subject(rights=tag, silent_rights="S-1")
    withdraw_channel(s, "email", "")
    assert s.do_not_use[0].reasons == ("O-9", "T-MATCH", "T-SAYS")


# -- marks instead of deletion -----------------------------------------------------------------------------------------

TAGGING: dict[str, Any] = {
    "suppression": [{"id": "X-0", "keeps": "hash"}, {"id": "X-1", "keeps": "tag", "tag": "name", "activity": "news", "operator": "mailer", "cites": ["X-2"]}],
    "rights": [{"id": "O-9", "right": "objection", "scope": ["news", "direct_marketing"], "effect": "tag", "activity": "news"}],
}  # fmt: skip
CONTACT = (("desk", "news", "email"), ("mailer", "news", "email"), ("mailer", "news", "phone"), ("shop", "selling", "name"))


def test_where_a_policy_marks_instead_of_erasing_the_contact_stays_with_a_mark() -> None:
    s = subject(*CONTACT, **TAGGING)
    opt_out(s, ("O-9",), "case-1", commanded=True)
    reasons = ("X-1", "X-2", "O-9")
    marked = {(i.target, i.category) for i in s.live() if "opt_out" in i.tags}
    assert marked == {("desk", "email"), ("mailer", "email"), ("mailer", "phone"), ("desk", "name")}
    assert all(set(reasons) <= i.cites for i in s.live() if "opt_out" in i.tags)
    mark = s.items["desk", "news", "name", ""]
    assert (mark.first, mark.last) == (NOW, NOW)
    assert entries(s) == [(None, "news", None, None)]
    assert (s.do_not_use[0].reasons, s.do_not_use[0].since, s.do_not_use[0].case) == (reasons, NOW, "case-1")
    (command,) = s.commands.values()
    assert (command.kind, command.target, command.case) == ("stop", "mailer", "case-1")
    assert command.why == {"email": (*reasons, "R-mailer"), "phone": (*reasons, "R-mailer")}
    assert notes(s, "opted out") == [("informed", reasons), ("logged", reasons)]
    assert {n.case for n in s.notes if n.about == "opted out"} == {"case-1"}


def test_a_mark_set_again_is_the_same_mark() -> None:
    s = subject(*CONTACT, **TAGGING)
    opt_out(s, (), "", commanded=True)
    s.now += 60
    opt_out(s, ("O-9",), "", commanded=True)
    mark = s.items["desk", "news", "name", ""]
    assert (mark.first, mark.last) == (NOW, NOW + 60)


def test_a_mark_that_is_set_while_the_old_one_is_on_its_way_out_stays() -> None:
    s = subject(*CONTACT, **TAGGING)
    opt_out(s, (), "", commanded=True)
    ask(s, "erasure", of=("name",), scope=("news",))
    (command,) = [c for c in s.commands.values() if c.kind == "erase"]
    assert command.target == "desk"
    s.now += 60
    opt_out(s, ("O-9",), "", commanded=True)
    acknowledge(s, command, "erased")
    mark = s.items["desk", "news", "name", ""]
    assert (mark.live, mark.first, mark.tags) == (True, NOW + 120, {"opt_out"})


@pytest.mark.parametrize("right", ["withdrawal", "objection"])
def test_who_was_erased_is_marked_nowhere(right: str) -> None:
    s = subject(*CONTACT, **TAGGING)
    ask(s, "erasure")
    request(s, Request("case-2", NOW + 90, right, scope=("news",)))
    assert not list(s.live())
    assert (None, "news", None, None) in entries(s)


def test_the_partner_is_not_told_what_it_told_us_or_of_what_it_does_not_hold() -> None:
    s = subject(*CONTACT, **TAGGING)
    opt_out(s, (), "", commanded=False)
    assert s.commands == {}
    s = subject(("desk", "news", "email"), **TAGGING)
    opt_out(s, (), "", commanded=True)
    assert s.commands == {}
    rows = [{"id": "X-1", "keeps": "tag", "activity": "news", "tag": "message"}, {"id": "X-3", "keeps": "tag"}]
    s = subject(*CONTACT, **{**TAGGING, "suppression": rows})
    opt_out(s, (), "", commanded=True)
    assert s.commands == {}
    assert len(s.items) == len(CONTACT), "the activity has no such category"
    assert len(s.do_not_use) == 1


@pytest.mark.parametrize(("via", "told_of"), [("link", False), ("email", True)])
def test_unsubscribing_sets_the_mark_and_the_link_is_the_partners_own(via: str, told_of: Any) -> None:
    s = subject(*CONTACT, **TAGGING)
    withdraw_channel(s, "email", via, "case-1")
    assert bool(s.commands) is told_of
    assert entries(s) == [(None, "news", None, None)]
    assert "O-9" in s.do_not_use[0].reasons
    assert s.do_not_use[0].case == "case-1"


@pytest.mark.parametrize("right", ["withdrawal", "objection"])
def test_a_request_to_stop_sets_the_mark_too(right: str) -> None:
    s = subject(*CONTACT, **TAGGING)
    ask(s, right, scope=("news",), via="email")
    assert told(s, "stop") == {("mailer", "", ("email", "phone"))}
    assert s.do_not_use[0].reasons == ("X-1", "X-2", "O-9", "T-MAIL", "T-MATCH", "T-SAYS")
    assert s.do_not_use[0].case == "case-1"
    assert ("news", "email") in left(s)


def test_an_objection_that_the_policy_answers_by_a_list_only_suppresses() -> None:
    rights = [{"id": "O-3", "right": "objection", "scope": ["polls"], "effect": "suppress", "activity": "polls"}]
    s = subject(rights=rights)
    ask(s, "objection", scope=("polls",))
    assert entries(s) == [(None, "polls", "polls", None)]
    assert (s.do_not_use[0].reasons, s.do_not_use[0].case) == (("O-3",), "case-1")
    assert s.commands == {}


# -- withdrawal and objection ------------------------------------------------------------------------------------------


def test_a_withdrawal_takes_every_consent_of_its_rule_back() -> None:
    s = grants(subject())
    ask(s, "withdrawal", via="email")
    assert [g.activity for g in s.grants] == ["polls"]
    assert left(s) == {("selling", "name"), ("books", "name"), ("improving", "message"), ("offers_postal", "address")}
    assert entries(s) == [(None, None, "direct_marketing", None)]
    assert (s.do_not_use[0].reasons, s.do_not_use[0].case) == (("W-1", "W-2"), "case-1")
    assert s.soft_closed == ("W-1", "W-2")
    assert s.objected == {}


def test_a_withdrawal_of_what_the_policy_counts_as_all_marketing_is_written_as_that() -> None:
    rights = [{"id": "W-1", "right": "withdrawal", "scope": ["direct_marketing", "news"], "ends": ["news", "profiles"]}]
    for scope, entry in (
        ("news", (None, None, "direct_marketing", None)),
        ("offers_postal", (None, "offers_postal", "offers_postal", None)),
    ):
        s = grants(subject(rights=rights))
        ask(s, "withdrawal", scope=(scope,))
        assert entries(s) == [entry]
    for other in ({"channel": "sms"}, {"right": "objection"}):
        s = grants(subject(rights=[{**rights[0], **other}]))
        ask(s, "withdrawal", scope=("news",))
        assert entries(s) == [(None, "news", "news", None)], "a rule on text messages, or on objections, is about these"
    s = grants(subject(rights=rights))
    ask(s, "erasure", scope=("news",))
    assert entries(s) == [(None, "news", "news", None)], "an erasure is of what it names"


def test_a_withdrawal_of_another_consent_keeps_its_activity_closed() -> None:
    s = grants(subject())
    ask(s, "withdrawal", scope=("polls",))
    assert [g.activity for g in s.grants] == ["news", "profiles"]
    assert s.objected == {"polls": ("W-3",)}
    assert entries(s) == [(None, "polls", "polls", None)]
    assert s.soft_closed == ()
    s = grants(subject())
    ask(s, "withdrawal", scope=("profiles",))
    assert [g.activity for g in s.grants] == ["news", "polls"]
    assert s.objected == {}
    assert entries(s) == [(None, "profiles", "profiles", None)]


def test_what_is_asked_for_in_person_may_end_more() -> None:
    rights = [
        {
            "id": "W-1",
            "right": "withdrawal",
            "scope": ["direct_marketing"],
            "ends": ["news"],
            "asked_ends": ["news", "offers_postal"],
        }
    ]
    s = grants(subject(rights=rights))
    ask(s, "withdrawal")
    assert {a for a, _ in left(s)} == {"selling", "books", "improving", "profiles"}


def test_a_withdrawal_for_one_channel_stops_that_channel() -> None:
    s = grants(subject(), Grant("news", 1))
    ask(s, "withdrawal", channel="sms", via="email")
    assert entries(s) == [("sms", None, None, None)]
    assert (s.do_not_use[0].case, "T-MAIL" in s.do_not_use[0].reasons) == ("case-1", True)


def test_an_objection_to_direct_marketing_ends_it_on_every_ground() -> None:
    s = grants(subject())
    ask(s, "objection", via="email")
    assert left(s) == {("selling", "name"), ("books", "name"), ("improving", "message")}
    assert [g.activity for g in s.grants] == ["polls"]
    assert s.objected == {a: ("O-1", "gdpr:21", f"T-{a}") for a in ("news", "profiles", "offers_postal")}
    assert entries(s) == [(None, None, "direct_marketing", None)]
    assert (s.do_not_use[0].reasons, s.do_not_use[0].case) == (("O-1", "gdpr:21"), "case-1")
    assert s.soft_closed == ("O-1", "gdpr:21")
    command = next(c for c in s.commands.values() if c.target == "desk")
    assert command.case == "case-1"
    assert command.why["email"] == ("O-1", "gdpr:21", "T-MAIL", "T-MATCH", "T-SAYS", "T-news", "Y-DESK", "E-1")


@pytest.mark.parametrize(("name", "channel"), [("offers_postal", "post"), ("profiles", None)])
def test_an_objection_to_one_marketing_activity_ends_that_one(name: str, channel: str | None) -> None:
    s = grants(subject())
    ask(s, "objection", scope=(name,))
    assert {a for _, a, _ in HELD} - {a for a, _ in left(s)} == {name}
    assert entries(s) == [(channel, name, name, None)]
    assert s.do_not_use[0].case == "case-1"
    assert list(s.objected) == [name]
    assert bool(s.soft_closed) is (name == "offers_postal")


def test_an_objection_that_an_event_brings_has_no_case() -> None:
    s = subject()
    object_to(s, s.policy.activities["offers_postal"], "email")
    assert entries(s) == [("post", "offers_postal", "offers_postal", None)]
    assert "T-MAIL" in next(iter(s.commands.values())).why["address"]
    assert {c.case for c in s.commands.values()} == {""}


def test_an_objection_where_the_policy_is_silent_rests_on_the_article() -> None:
    s = subject(rights=[], silent_rights="S-1")
    ask(s, "objection")
    assert s.do_not_use[0].reasons == ("S-1", "gdpr:21")
    s = subject(rights=[])
    ask(s, "objection")
    assert s.do_not_use[0].reasons == ("gdpr:21",)


@pytest.mark.parametrize("scope", ["direct_marketing", "offers_postal", "polls"])
def test_an_objection_is_kept_by_the_rules_for_objections(scope: str) -> None:
    rows = [
        {"id": "X-1", "keeps": "hash", "after": ["objection"]},
        {"id": "X-2", "keeps": "hash", "after": ["withdrawal", "erasure"]},
    ]
    suppresses = {"id": "O-3", "right": "objection", "scope": ["polls"], "effect": "suppress", "activity": "polls"}
    s = subject(suppression=rows, rights=[*RIGHTS, suppresses])
    ask(s, "objection", scope=(scope,))
    (entry,) = s.do_not_use
    assert (entry.scope, entry.reasons[0]) == (scope, "X-1")
    assert "X-2" not in entry.reasons


def test_an_objection_to_a_legitimate_interest_is_weighed_by_a_person() -> None:
    s = subject(restriction=[{"id": "Q-1", "ground": "objection"}])
    case = ask(s, "objection", scope=("improving", "profiles"), via="email")
    assert case.acts == ["improving"]
    assert case.waits == ("Q-1", "O-2", "gdpr:21", "gdpr:18", "T-improving")
    assert case.reasons[0] == "O-2"
    (cover,) = s.restrictions
    assert (cover.case, cover.ground, cover.since, cover.waits) == ("case-1", "objection", NOW + 60, True)
    assert (cover.activities, cover.categories, cover.reasons) == (frozenset({"improving"}), None, case.waits)
    assert told(s, "restrict") == {("shop", "", ("message",))}
    assert ("profiles", "message") not in left(s)


def test_an_objection_to_what_nothing_is_held_for_is_answered_by_the_rule_on_it() -> None:
    s = subject(("shop", "selling", "name"))
    case = ask(s, "objection", scope=("improving",))
    assert notes(s, "objection")[-1][1][:2] == case.reasons == ("O-2", "gdpr:21")


def test_an_objection_to_what_rests_on_an_interest_beside_a_contract_is_weighed() -> None:
    mixed = activity("shaping", categories=["name"])
    mixed["basis"] = [{"kind": "contract"}, {"kind": "legitimate_interest"}]
    case = ask(subject(activities=[*ACTIVITIES, mixed]), "objection", scope=("shaping",))
    assert (case.acts, case.declined) == (["shaping"], ())


def test_an_objection_that_names_categories_is_about_the_interests_that_use_them() -> None:
    grounded = activity("watching", categories=["name", "phone"], basis="contract")
    grounded["basis"] = [{"kind": "legitimate_interest", "categories": ["phone"]}, {"kind": "contract"}]
    s = subject(activities=[*ACTIVITIES, grounded])
    case = ask(s, "objection", of=("phone", "message"))
    assert case.acts == ["improving", "watching"]
    assert s.restrictions[0].categories == frozenset({"phone", "message"})
    assert ask(subject(activities=[*ACTIVITIES, grounded]), "objection", of=("name",)).acts == ["improving"]


@pytest.mark.parametrize("name", ["selling", "books"])
def test_an_objection_does_not_reach_a_contract_or_a_legal_duty(name: str) -> None:
    s = subject()
    case = ask(s, "objection", scope=(name,))
    assert case.declined == ("O-2", "gdpr:21", f"T-{name}")
    assert (case.waits, s.restrictions, s.commands) == ((), [], {})
    assert notes(s, "declined") == [("informed", case.declined), ("logged", case.declined)]
    silent = subject(rights=[], silent_rights="S-1")
    assert ask(silent, "objection", scope=(name,)).declined == ("S-1", "gdpr:21", f"T-{name}")
    other = [{"id": "Q-2", "right": "restriction", "scope": ["legitimate_interest"]}]
    assert ask(subject(rights=other), "objection", scope=(name,)).declined == ("gdpr:21", f"T-{name}")


def test_of_an_objection_to_several_activities_what_can_be_weighed_is() -> None:
    s = subject()
    case = ask(s, "objection", scope=("selling", "improving"))
    assert (case.acts, case.declined) == (["improving"], ())
    assert notes(s, "declined")[0] == ("informed", ("O-2", "gdpr:21", "T-selling"))


def test_an_objection_to_categories_that_no_interest_uses_is_declined() -> None:
    s = subject()
    case = ask(s, "objection", of=("email",))
    assert (case.declined, s.restrictions) == (("O-2", "gdpr:21"), [])
    unstated = activity("showing", categories=["email"])
    unstated["basis"] = []
    assert ask(subject(activities=[*ACTIVITIES, unstated]), "objection", of=("email",)).acts == ["showing"]
    assert ask(subject(activities=[*ACTIVITIES, unstated]), "objection", of=("phone",)).declined == ("O-2", "gdpr:21")
    assert ask(subject(activities=[*ACTIVITIES, unstated]), "objection", scope=("showing",)).acts == ["showing"]


def balanced(**more: Any) -> tuple[Subject, Case]:
    s = subject(**more)
    case = ask(s, "objection", scope=("improving",))
    return s, case


def test_an_objection_that_prevails_ends_the_activity_for_good() -> None:
    s, case = balanced()
    waits = case.waits
    decide(s, NOW + 90, "no_overriding_ground", case.id)
    assert case.waits == ()
    assert s.restrictions == []
    assert ("improving", "message") not in left(s)
    assert set(waits) <= set(s.objected["improving"])
    assert notes(s, "decided:no_overriding_ground")[0] == ("logged", waits)
    assert notes(s, "decided:no_overriding_ground")[1][0] == "informed"
    assert {c.case for c in s.commands.values()} == {case.id}
    assert s.now == NOW + 90


def test_an_objection_to_categories_that_prevails_does_not_close_the_activity() -> None:
    s = subject()
    case = ask(s, "objection", of=("message",))
    decide(s, NOW + 90, "no_overriding_ground", case.id)
    assert s.objected == {}
    assert ("improving", "message") not in left(s)


def test_an_objection_that_does_not_prevail_lets_the_activity_go_on() -> None:
    s, case = balanced()
    decide(s, NOW + 90, "overriding_ground", case.id)
    assert set(case.declined) >= {"O-2", "gdpr:21"}
    assert ("improving", "message") in left(s)
    assert set(case.declined) <= s.items["shop", "improving", "message", "order:1"].cites
    assert told(s, "resume") == {("shop", "", ("message",))}
    assert s.objected == {}


# -- restriction, rectification, hiding --------------------------------------------------------------------------------


def test_a_restriction_lies_over_what_it_names_and_is_told_where_it_can_be() -> None:
    s = subject(
        *HELD,
        ("police", "selling", "name"),
        ("broker", "selling", "name"),
        ("network", "selling", "name"),
        ("device", "selling", "name"),
    )
    case = ask(s, "restriction", scope=("selling", "direct_marketing"), of=("name", "email"), via="email")
    (cover,) = s.restrictions
    assert (cover.activities, cover.categories) == (
        frozenset({"selling", "news", "profiles", "offers_postal"}),
        frozenset({"name", "email"}),
    )
    assert (cover.case, cover.ground, cover.waits, case.waits) == ("case-1", "asked", False, ())
    assert cover.reasons == ("gdpr:18", "T-MAIL", "T-MATCH", "T-SAYS")
    assert told(s, "restrict") == {("shop", "", ("name",)), ("carrier", "", ("name",)), ("desk", "", ("email",))}
    command = next(c for c in s.commands.values() if c.target == "carrier")
    assert command.why["name"] == (*cover.reasons, "T-selling", "R-carrier", "E-1")


def test_a_restriction_without_a_scope_is_of_everything() -> None:
    s = subject(silent_rights="S-1")
    ask(s, "restriction")
    assert (s.restrictions[0].activities, s.restrictions[0].categories) == (None, None)
    assert s.restrictions[0].reasons[:2] == ("S-1", "gdpr:18")


@pytest.mark.parametrize(
    ("ground", "rule", "waits"),
    [("accuracy", "Q-ACC", True), ("objection", "Q-ASKED", True), ("unlawful", "Q-ASKED", False), (None, "Q-ASKED", False)],
)
def test_the_ground_of_a_restriction_decides_its_rule_and_whether_a_person_must_decide(
    ground: str | None, rule: str, waits: Any
) -> None:
    s = subject(restriction=[{"id": "Q-ACC", "ground": "accuracy"}, {"id": "Q-ASKED", "ground": "asked"}])
    case = ask(s, "restriction", ground=ground)
    assert s.restrictions[0].reasons[0] == rule
    assert "gdpr:18" not in s.restrictions[0].reasons
    assert (s.restrictions[0].waits, bool(case.waits)) == (waits, waits)
    assert s.restrictions[0].ground == (ground or "asked")


def test_a_restriction_that_is_lifted_lets_what_it_hid_be_seen_again() -> None:
    s = subject()
    case = ask(s, "hiding", of=("email",), via="profile")
    s.do_not_use += [DoNotUse((), 1, hidden=True, case="other"), DoNotUse((), 1, case="case-1")]
    s.restrictions = [Restriction("other", "asked", (), 1)]
    decide(s, NOW + 90, "restriction_lifted", case.id)
    assert [(d.hidden, d.case) for d in s.do_not_use] == [(True, "other"), (False, "case-1")]
    assert [r.case for r in s.restrictions] == ["other"]
    assert s.commands == {}
    s = subject()
    case = ask(s, "restriction", of=("email",))
    decide(s, NOW + 90, "restriction_lifted", case.id)
    assert s.restrictions == []
    assert told(s, "resume") == {("desk", "", ("email",))}
    assert case.declined == ()


def test_hidden_data_are_written_as_such() -> None:
    s = subject()
    ask(s, "hiding", of=("email",), via="email")
    (entry,) = s.do_not_use
    assert (entry.categories, entry.hidden, entry.since, entry.case) == (("email",), True, NOW + 60, "case-1")
    assert entry.reasons == ("gdpr:18", "T-MAIL", "T-MATCH", "T-SAYS")


def test_what_the_law_asks_for_and_is_none_of_the_books_is_corrected_too() -> None:
    notices = activity("notices", basis="legal_obligation", categories=["email"], retention=["K-1"])
    s = subject(("shop", "notices", "email"), activities=[*ACTIVITIES, notices])
    ask(s, "rectification", correct=("email",), via="email")
    assert [(c.target, c.category, c.activity) for c in s.changes] == [("shop", "email", "notices")]
    assert not notes(s, "booked documents are not rewritten")


def test_only_what_the_law_alone_asks_for_and_keeps_for_the_books_is_not_rewritten() -> None:
    for basis, retention, rewritten in (("legal_obligation", ["K-2", "K-1"], False), ("legal_obligation", ["K-1"], True),
                                        ("legal_obligation", [], True), ("contract", ["K-2"], True)):  # fmt: skip
        rows = [activity("ledger", basis=basis, categories=["email"], retention=retention)]
        s = subject(("shop", "ledger", "email"), activities=rows)
        ask(s, "rectification", correct=("email",))
        assert bool(told(s, "correct")) is rewritten
        assert bool(notes(s, "booked documents are not rewritten")) is not rewritten


def test_an_unproven_rectification_waits_for_the_proof_and_no_day_carries_it_out() -> None:
    s = subject()
    case = ask(s, "rectification", correct=("name",), via="email", proven=False)
    settle(s)
    s.now += 9 * 86_400
    settle(s)
    assert not told(s, "correct")
    assert pending_because(s, case.id)
    decide(s, s.now, "identity_proven", case.id)
    assert told(s, "correct") == {("shop", "", ("name",)), ("carrier", "", ("name",))}


def test_a_rectification_that_was_proven_is_carried_out_once_nothing_blocks_it_any_longer() -> None:
    block = {**KEEP_SALE, "blocks": ["rectification"], "scope": {"activities": ["selling"]}, "last": {}, "while": {"opened_by": ["order.placed"]},
             "closed_by": [{"all": ["order.delivered"]}]}  # fmt: skip
    s = sold(subject(holds=[block]))
    case = ask(s, "rectification", correct=("name",), via="email", proven=False)
    decide(s, s.now + 1, "identity_proven", case.id)
    settle(s)
    assert case.waits[0] == "H-1"
    assert not told(s, "correct")
    s.matters["order:1"].events.append((s.now, "order.delivered", {}))
    s.now += 2 * 86_400
    s.changed()
    settle(s)
    assert told(s, "correct") == {("shop", "", ("name",)), ("carrier", "", ("name",))}
    assert case.waits == ()


def test_what_was_corrected_before_may_be_used_again_after_a_decision_too() -> None:
    s = subject(("shop", "selling", "name"), ("shop", "books", "name"))
    ask(s, "rectification", correct=("name",))
    del s.items["shop", "selling", "name", "order:1"]
    case = request(s, Request("case-2", NOW + 70, "rectification", correct=("name",), contested=True))
    decide(s, NOW + 90, "inaccurate", case.id)
    assert told(s, "resume") == {("shop", "", ("name",))}, "nothing but the books is left there"


def test_what_ended_in_the_second_of_a_decision_was_not_corrected() -> None:
    s = subject(("desk", "news", "email"), ("desk", "books", "email"))
    case = ask(s, "rectification", correct=("email",), contested=True)
    request(s, Request("case-2", NOW + 90, "withdrawal"))
    decide(s, NOW + 90, "inaccurate", case.id)
    assert left(s) == {("books", "email")}
    assert told(s, "resume") == {("desk", "", ("email",))}


def test_what_a_decision_removes_is_not_to_be_used_again() -> None:
    s = subject(("desk", "news", "email"), ("desk", "news", "phone"))
    case = ask(s, "restriction", ground="accuracy", remove=("email",))
    decide(s, NOW + 90, "inaccurate", case.id)
    assert told(s) == {("desk", "", ("email",))}
    assert told(s, "resume") == {("desk", "", ("phone",))}


def test_what_a_decision_leaves_uncorrected_may_be_used_again() -> None:
    s = subject(("shop", "selling", "name"), ("carrier", "books", "name"))
    case = ask(s, "rectification", correct=("name",), via="email", contested=True)
    assert told(s, "restrict") == {("shop", "", ("name",)), ("carrier", "", ("name",))}
    decide(s, s.now + 1, "inaccurate", case.id)
    assert told(s, "correct") == {("shop", "", ("name",))}
    assert told(s, "resume") == {("carrier", "", ("name",))}


def test_wrong_data_are_corrected_and_irrelevant_data_removed_but_not_in_the_books() -> None:
    s = subject()
    case = ask(s, "rectification", correct=("name",), remove=("email",), via="email")
    assert told(s, "correct") == {("shop", "", ("name",)), ("carrier", "", ("name",))}
    assert told(s) == {("desk", "", ("email",))}
    corrected = [(c.target, c.category, c.activity) for c in s.changes if c.kind == "corrected"]
    assert corrected == [("shop", "name", "selling"), ("carrier", "name", "selling")]
    assert s.changes[0].reasons == ("A-3", "T-MAIL", "T-MATCH", "T-SAYS", "T-selling", "Y-SHOP", "E-1")
    assert notes(s, "booked documents are not rewritten") == [("informed", ("T-books", "K-2"))]
    assert {c.case for c in s.commands.values()} == {"case-1"}
    assert case.waits == ()
    before = len(s.commands), len(s.changes)
    correct(s, case)
    assert (len(s.commands), len(s.changes)) == before, "what has been corrected is not corrected again"


def test_a_rectification_of_what_is_not_held_or_booked_says_nothing() -> None:
    s = subject(("desk", "news", "email"))
    ask(s, "rectification", correct=("name",))
    assert s.commands == {}
    assert notes(s, "booked documents are not rewritten") == []


def test_what_a_hold_keeps_from_being_rewritten_waits() -> None:
    held = {**KEEP_SALE, "blocks": ["rectification"], "scope": {"activities": ["selling"]}}
    s = sold(subject(holds=[held]))
    case = ask(s, "rectification", correct=("name", "email"))
    assert told(s, "correct") == {("desk", "", ("email",))}
    assert case.waits[:2] == ("H-1", "param:bookkeeping")
    assert len(case.acts) == 1
    s = subject()
    s.claims = [("claim:1", "", frozenset(), 1)]
    case = ask(s, "rectification", correct=("name",))
    assert case.waits == ()
    assert told(s, "correct"), "a claim does not keep wrong data wrong"


def test_contested_data_rest_until_a_person_has_decided() -> None:
    s = subject(restriction=[{"id": "Q-ACC", "ground": "accuracy"}])
    case = ask(s, "rectification", correct=("email",), contested=True)
    assert case.waits == ("Q-ACC",)
    (cover,) = s.restrictions
    assert (cover.case, cover.ground, cover.activities, cover.categories, cover.waits) == (
        "case-1",
        "accuracy",
        None,
        frozenset({"email"}),
        True,
    )
    assert told(s, "restrict") == {("desk", "", ("email",))}
    decide(s, NOW + 90, "inaccurate", case.id)
    assert told(s, "correct") == {("desk", "", ("email",))}
    assert s.restrictions == []
    assert case.declined == ()


def test_contested_data_that_are_accurate_stay_and_rest_no_longer() -> None:
    s = subject(silent_rights="S-1")
    case = ask(s, "rectification", correct=("email",), contested=True)
    assert case.waits == ("S-1", "gdpr:18")
    decide(s, NOW + 90, "accurate", case.id)
    assert case.declined == ("A-3", "S-1", "gdpr:18")
    assert told(s, "resume") == {("desk", "", ("email",))}
    assert told(s, "correct") == set()
    assert ask(subject(), "rectification", correct=("email",), contested=True).waits == ("gdpr:18",)


def test_contested_without_saying_what_is_wrong_only_removes() -> None:
    s = subject()
    ask(s, "rectification", remove=("email",), contested=True)
    assert s.restrictions == []
    assert told(s) == {("desk", "", ("email",))}


def test_an_answer_that_takes_longer_is_said_and_changes_nothing_else() -> None:
    s, case = balanced()
    waits = case.waits
    decide(s, NOW + 90, "extended", case.id)
    assert case.extended
    assert case.waits == waits
    assert len(s.restrictions) == 1
    (note,) = notes(s, "the answer takes longer")
    assert (note[0], note[1][0], note[1][-1]) == ("informed", "O-2", "param:answer_deadline")
    assert set(waits) <= set(note[1])


def test_a_cover_says_to_each_target_what_rests_there() -> None:
    s = subject()
    lay(s, Restriction("case-9", "asked", ("Q-9",), NOW, frozenset({"news"})))
    assert told(s, "restrict") == {("desk", "", ("email", "phone"))}


# -- access, portability, complaint ------------------------------------------------------------------------------------


def test_an_answer_names_what_is_held_where_and_who_got_it() -> None:
    s = subject(*HELD, ("mailer", "news", "email"), ("device", "selling", "phone"), cited_with={"D-1": ["access:recipients"]})
    s.items["desk", "news", "email", "order:1"].source = "broker"
    case = ask(s, "access")
    assert case.answer == {
        "name": {"shop"},
        "message": {"shop", "desk"},
        "email": {"desk", "broker"},
        "phone": {"desk", "device"},
        "address": {"desk"},
    }
    assert told(s, "export") == {("shop", "", ("message", "name")), ("desk", "", ("address", "email", "message", "phone"))}
    assert notes(s, "recipient") == [("informed", ("R-carrier", "D-1")), ("informed", ("R-mailer", "D-1"))]
    assert {c.case for c in s.commands.values()} == {"case-1"}
    assert all(r == case.reasons for c in s.commands.values() for r in c.why.values())
    assert s.last_copy == {"access": NOW + 60}


def test_an_answer_names_whence_the_data_came_and_who_has_them_on_their_own() -> None:
    s = subject()
    s.sources, s.uncontrolled = {"broker"}, {"network"}
    ask(s, "access")
    assert notes(s, "source") == [("informed", ("A-1", "R-broker"))]
    assert notes(s, "outside our control") == [("informed", ("A-1", "R-network"))]
    assert {n.target: n.case for n in s.notes if n.about in ("source", "outside our control")} == {
        "broker": "case-1",
        "network": "case-1",
    }


def test_a_report_to_an_authority_is_not_named_unless_it_was_named_before() -> None:
    guards = [{"id": "G-AML", "on": "aml_report"}, {"id": "G-2", "on": "read"}]
    s = subject(("police", "selling", "name"), ("carrier", "selling", "name"), guards=guards)
    s.items["police", "selling", "name", "order:1"].tags.add("reported")
    case = ask(s, "access")
    assert case.unnamed == {"police": ("G-AML",)}
    assert [n.target for n in s.notes if n.about == "recipient"] == ["carrier"]
    s.items["police", "selling", "name", "order:1"].tags.add("named")
    case = request(s, Request("case-2", NOW + 90, "access"))
    assert case.unnamed == {}
    assert [n.target for n in s.notes if n.about == "recipient" and n.case == "case-2"] == ["carrier", "police"]


def test_a_second_copy_within_the_limit_is_declined_with_the_day_of_the_next() -> None:
    rights = [{"id": "A-0", "right": "erasure", "limit": "P9Y"}, {"id": "A-1", "right": "access", "limit": "P6M"}]
    s = subject(rights=rights)
    assert ask(s, "access").declined == ()
    for when, declined in (("2024-12-09", ("A-1",)), ("2024-12-10", ())):
        case = request(s, Request(f"case-{when}", second(when), "access"))
        assert case.declined == declined
        assert case.body.get("next_free") == ("2024-12-10" if declined else None)
    assert notes(s, "next free copy: 2024-12-10") == [("informed", ("A-1",)), ("warned", ("A-1",)), ("logged", ("A-1",))]
    assert s.last_copy["access"] == second("2024-12-10")
    s = subject()
    assert not ask(s, "access").declined
    assert not request(s, Request("case-2", NOW + 90, "access")).declined, "without a limit as often as wanted"


def test_what_a_guard_omits_is_not_handed_out() -> None:
    s = subject(guards=[{"id": "G-X", "on": "export", "omits": ["email"]}, {"id": "G-Y", "on": "read", "omits": ["phone"]}])
    case = ask(s, "access")
    assert case.omitted == {"email": ("G-X", "A-1")}
    assert "email" not in case.answer
    assert "phone" in case.answer


def test_what_may_be_taken_along_was_provided_on_consent_or_contract() -> None:
    rows = [*ACTIVITIES[:5], activity("mixed", basis="contract", categories=["phone", "address"])]
    rows[-1]["basis"] = [{"kind": "contract"}, {"kind": "legitimate_interest", "categories": ["phone"]}]
    categories = [
        {"id": t, "term": t, "provenance": "derived" if t == "address" else "provided"}
        for t in ("name", "email", "phone", "address", "message")
    ]
    s = subject(
        ("shop", "selling", "name"), ("shop", "books", "name"), ("desk", "news", "email"), ("shop", "mixed", "phone"),
        ("shop", "selling", "address"), ("shop", "improving", "message"), ("shop", "", "unknown"), activities=rows, categories=categories,
    )  # fmt: skip
    case = ask(s, "portability")
    assert case.answer == {"name": {"shop"}, "email": {"desk"}}
    assert case.omitted == {
        "phone": ("gdpr:20", "T-mixed"), "address": ("gdpr:20",), "message": ("gdpr:20", "T-improving"), "unknown": ("gdpr:20",),
    }  # fmt: skip
    assert told(s, "export") == {("shop", "", ("name",)), ("desk", "", ("email",))}


@pytest.mark.parametrize(("kind", "taken"), [("legal_obligation", {"email"}), ("purpose", {"email", "name"})])
def test_what_is_kept_for_a_statute_alone_is_not_taken_along(kind: str, taken: set[str]) -> None:
    keep = {**KEEP_SALE, "kind": kind, "scope": {"activities": ["selling"]}}
    rights = [*RIGHTS, {"id": "P-1", "right": "portability"}]
    s = sold(subject(("shop", "selling", "name"), ("desk", "news", "email"), holds=[keep], rights=rights))
    before = request(s, Request("case-0", NOW + 50, "portability"))
    assert set(before.answer) == {"name", "email"}
    ask(s, "erasure", of=("name",))
    case = request(s, Request("case-2", NOW + 90, "portability"))
    assert set(case.answer) == taken
    if "name" not in taken:
        assert case.omitted == {"name": ("P-1", "H-1", "param:bookkeeping", "T-selling", "K-1", "E-1", "gdpr:20")}


def test_what_one_activity_may_hand_out_is_not_omitted_because_of_another() -> None:
    for held in (
        (("shop", "books", "name"), ("shop", "selling", "name")),
        (("shop", "selling", "name"), ("shop", "books", "name")),
    ):
        case = ask(subject(*held), "portability")
        assert (case.answer, case.omitted) == ({"name": {"shop"}}, {})


def test_a_complaint_names_the_channels_that_take_it_and_the_authority() -> None:
    s = subject()
    case = ask(s, "complaint", via="email")
    assert case.reasons == ("gdpr:77", "T-FORM")
    assert notes(s, "complaint")[:2] == [("logged", ("T-FORM", "gdpr:77")), ("informed", ("T-FORM", "gdpr:77"))]
    assert {n.case for n in s.notes} == {"case-1"}


# -- the day of the answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "extended", "settings", "answer"),
    [
        ("2024-06-10", False, {}, "2024-07-10"),
        ("2024-01-31", False, {}, "2024-02-29"),
        ("2024-06-13", False, {}, "2024-07-15"),
        ("2024-06-10", True, {}, "2024-09-10"),
        ("2024-06-10", False, {"first_day_counts": True}, "2024-07-09"),
        ("2024-06-10", False, {"first_day_counts": "yes"}, "2024-07-10"),
        ("2024-11-25", False, {}, "2024-12-27"),
    ],
)
def test_an_answer_is_due_a_month_after_the_request_on_a_working_day(
    received: str, extended: Any, settings: Any, answer: str
) -> None:
    case = Case("case-1", "access", second(received), "", (), extended=extended)
    assert answer_day(subject(settings=settings), case) == dt.date.fromisoformat(answer)


def test_an_answer_cannot_take_longer_where_no_extension_is_known() -> None:
    plain = subject(settings={"statutory": {"answer_deadline": {"duration": "P1M"}}})
    case = Case("case-1", "access", second("2024-06-10"), "", (), extended=True)
    assert answer_day(plain, case) == day("2024-07-10")


def test_a_command_of_another_case_says_nothing_of_this_one() -> None:
    s = subject()
    issue(s, "erase", "shop", {"name": ("W-1",)}, "other")
    ask(s, "access", via="email")
    assert "W-1" not in notes(s, "access")[-1][1]


# -- and what is easily confused ---------------------------------------------------------------------------------------


def test_the_person_is_told_the_rules_on_the_channel_and_what_was_done() -> None:
    s = subject(restriction=[{"id": "Q-1", "ground": "objection"}])
    case = ask(s, "complaint", via="phone")
    assert notes(s, "complaint")[-1] == ("informed", (*case.reasons, "T-MATCH", "T-SAYS", "param:answer_deadline"))
    s = subject(guards=[{"id": "G-3P", "on": "third_party_cookie"}])
    s.uncontrolled = {"network"}
    ask(s, "erasure")
    assert "G-3P" in notes(s, "erasure")[-1][1], "what was logged of the case is told"
    assert "R-network" not in notes(s, "erasure")[-1][1], "what the person knows already is not"


def test_rules_with_and_without_a_scope_stand_side_by_side() -> None:
    rights = [{"id": "O-1", "right": "objection", "scope": ["news"]}, {"id": "O-2", "right": "objection"}]
    s = subject(rights=rights)
    assert right_ids(s, "objection", "polls") == ("gdpr:21",)
    assert right_ids(s, "objection", "news") == ("O-1",)


def test_hidden_entries_and_guards_on_other_things_have_no_part_in_an_erasure() -> None:
    s = subject(guards=[{"id": "G-DEV", "on": "device"}, {"id": "G-READ", "on": "read"}])
    s.devices = {"device:1": 1}
    s.do_not_use = [DoNotUse((), 1, target="list"), DoNotUse((), 1, target="store", hidden=True)]
    ask(s, "erasure")
    assert notes(s, "outside our control") == [("informed", ("G-DEV",))]
    assert [d.target for d in s.do_not_use] == ["list", None]


def test_a_rule_that_names_a_system_but_keeps_no_list_lists_nothing() -> None:
    rows = [{"id": "X-1", "keeps": "hash", "system": "desk", "category": "email", "duration": "P3M"}]
    s = subject(suppression=rows)
    suppress(s, ("W-1",), "case-1")
    assert len(s.do_not_use) == 1


def test_links_that_join_no_device_part_none() -> None:
    rows = [activity("news", basis="consent", marketing="direct", events=["newsletter"])]
    s = subject(
        ("shop", "news", "name"), activities=rows, links=[{"id": "L-1", "takes_up": ["name"]}, {"id": "L-2", "device": "cookie"}]
    )
    s.devices["device:1"] = 1
    end_activity(s, s.policy.activities["news"], (), "")
    assert s.devices


def test_a_channel_whose_contact_the_policy_does_not_know_is_none() -> None:
    s = subject(activities=[activity("selling", categories=["email", "phone"])], categories=[{"id": "email", "term": "email", "provenance": "provided"},
                {"id": "phone", "term": "phone", "provenance": "provided"}])  # fmt: skip
    assert set(channels_of(s, s.policy.activities["selling"])) == {"email", "sms", "phone"}


def test_a_token_for_push_messages_is_a_channel_of_its_own() -> None:
    categories = [
        {"id": "token", "term": "push_token", "provenance": "provided"},
        {"id": "home", "term": "address", "provenance": "provided"},
    ]
    s = subject(activities=[activity("selling", categories=["token", "home"])], categories=categories)
    assert channels_of(s, s.policy.activities["selling"]) == {"push": ("token",)}


def test_a_channel_that_no_marketing_uses_ends_nothing() -> None:
    s = grants(subject(), Grant("profiles", 1))
    before = left(s)
    withdraw_channel(s, "fax", "")
    assert left(s) == before
    assert [g.activity for g in s.grants] == ["profiles"]
    assert entries(s) == [("fax", None, None, None)]
    assert s.soft_closed == (), "a purchase may still open news by mail"


def test_a_channel_that_was_agreed_to_counts_whether_or_not_its_address_is_held() -> None:
    rows = [activity("news", basis="consent", marketing="direct", categories=["email"], events=["newsletter"], systems=["desk"])]
    held, by_text = ("desk", "news", "email"), Grant("news", 1, channel="sms")
    s = grants(subject(held, activities=rows, rights=[]), by_text, Grant("news", 1, channel="email"))
    withdraw_channel(s, "sms", "")
    assert (left(s), [g.channel for g in s.grants]) == ({("news", "email")}, ["email"])
    s = grants(subject(held, activities=rows, rights=[]), by_text)
    withdraw_channel(s, "sms", "")
    assert (left(s), s.grants) == (set(), [])


def test_of_two_channels_that_were_agreed_to_one_by_one_the_other_goes_on() -> None:
    s = grants(subject(), Grant("news", 1, channel="email"), Grant("news", 2, channel="phone"), Grant("news", 3, channel="post"))
    withdraw_channel(s, "sms", "")
    assert ("news", "phone") in left(s), "calls need the number as well"
    assert [g.channel for g in s.grants] == ["email", "phone", "post"]


def test_an_old_stop_of_another_sort_stops_no_channel() -> None:
    s = grants(subject(), Grant("news", 1))
    s.do_not_use = [DoNotUse((), 1, scope="direct_marketing")]
    withdraw_channel(s, "sms", "")
    assert {("news", "email"), ("news", "phone")} <= left(s)


def test_other_rules_with_the_effect_of_a_mark_say_nothing_of_a_withdrawal() -> None:
    rights = [*TAGGING["rights"], {"id": "C-9", "right": "complaint", "scope": ["news"], "effect": "tag"}]
    s = subject(*CONTACT, **{**TAGGING, "rights": rights})
    withdraw_channel(s, "email", "link")
    assert "C-9" not in s.do_not_use[0].reasons
    s = subject(*CONTACT, **{**TAGGING, "rights": rights})
    ask(s, "withdrawal", scope=("news",))
    assert "C-9" not in s.do_not_use[0].reasons
    s = subject(*CONTACT, **{**TAGGING, "rights": rights})
    ask(s, "objection", scope=("news",))
    assert "C-9" not in s.do_not_use[0].reasons
    s = subject(*CONTACT, **{**TAGGING, "rights": rights})
    ask(s, "withdrawal", scope=("selling", "news"))
    assert ("selling", "name") not in left(s), "the mark is for its own scope"
    s = subject(*CONTACT, **{**TAGGING, "rights": rights})
    ask(s, "withdrawal", scope=("news", "selling"))
    assert ("selling", "name") not in left(s)
    s = subject(*CONTACT, **{**TAGGING, "rights": rights})
    ask(s, "objection", scope=("improving", "news"))
    assert s.restrictions[0].activities == frozenset({"improving"})


def test_a_rule_on_withdrawal_goes_before_the_mark_and_one_for_a_channel_does_not() -> None:
    rights = [*TAGGING["rights"], {"id": "W-9", "right": "withdrawal", "scope": ["news"], "ends": ["news"]}]
    s = subject(*CONTACT, **{**TAGGING, "rights": rights})
    ask(s, "withdrawal", scope=("news",))
    assert ("news", "email") not in left(s)
    s = subject(*CONTACT, **{**TAGGING, "rights": [*TAGGING["rights"], {**rights[1], "channel": "sms"}]})
    ask(s, "withdrawal", scope=("news",))
    assert ("news", "email") in left(s)


def test_an_objection_to_an_activity_may_name_categories_too() -> None:
    s = subject()
    case = ask(s, "objection", scope=("improving",), of=("email",))
    assert case.acts == ["improving"]
    assert s.restrictions[0].categories is None


def test_an_objection_is_weighed_under_the_rules_on_objections_to_it() -> None:
    rights = [{"id": "O-5", "right": "objection", "scope": ["improving"]}, {"id": "A-5", "right": "access", "scope": ["improving"]},
              {"id": "O-6", "right": "objection", "scope": ["selling"]}]  # fmt: skip
    case = ask(subject(rights=rights), "objection", scope=("improving",))
    assert case.waits == ("O-5", "gdpr:21", "gdpr:18", "T-improving")
    assert case.reasons == ("O-5",)
    case = ask(subject(rights=[{"id": "O-9", "right": "objection"}, *rights]), "objection", of=("message",))
    assert case.reasons[0] == "O-5"
    assert "O-9" in case.reasons


def test_an_objection_to_one_marketing_activity_cites_its_own_rule_and_the_general_one() -> None:
    rights = [{"id": "O-1", "right": "objection", "scope": ["direct_marketing"], "ends": ["news", "profiles"]},
              {"id": "O-7", "right": "objection", "scope": ["profiles"]}]  # fmt: skip
    s = subject(rights=rights)
    ask(s, "objection", scope=("profiles",))
    assert s.objected["profiles"] == ("O-1", "O-7", "gdpr:21", "T-profiles")
    s = subject(rights=rights)
    ask(s, "objection")
    assert s.objected["profiles"] == ("O-1", "O-7", "gdpr:21", "T-profiles")


def test_a_target_that_cannot_be_told_hides_no_other() -> None:
    s = subject(("police", "selling", "name"), ("device", "selling", "name"), ("shop", "selling", "name"))
    lay(s, Restriction("case-9", "asked", ("Q-9",), NOW))
    assert told(s, "restrict") == {("shop", "", ("name",))}


def test_what_rests_on_no_activity_can_be_corrected_and_removal_says_why() -> None:
    s = subject(("carrier", "", "name"), ("desk", "news", "email"))
    ask(s, "rectification", correct=("name",), remove=("email",), via="email")
    assert told(s, "correct") == {("carrier", "", ("name",))}
    command = next(c for c in s.commands.values() if c.kind == "erase")
    assert command.why["email"] == ("A-3", "T-MAIL", "T-MATCH", "T-SAYS", "T-news", "Y-DESK", "E-1")


def test_the_limit_on_copies_is_that_of_the_right_to_them() -> None:
    s = subject(rights=[{"id": "A-0", "right": "access"}, {"id": "A-1", "right": "access", "limit": "P6M"}])
    ask(s, "access")
    assert request(s, Request("case-2", NOW + 90, "access")).declined == ("A-1",)


def test_a_system_that_is_a_recipient_too_is_part_of_the_answer() -> None:
    s = subject(("desk", "news", "email"), ("gone", "news", "phone"), recipients=[*PARTIES, recipient("desk")])
    assert ask(s, "access").answer == {"email": {"desk"}, "phone": {"gone"}}


def test_portability_rests_on_the_policys_rule_and_on_the_ground_of_each_category() -> None:
    rows = [
        activity("mixed", categories=["phone", "email"]),
        activity("both", categories=["address"]),
        activity("other", categories=["name"]),
    ]
    rows[0]["basis"] = [{"kind": "contract"}, {"kind": "legitimate_interest", "categories": ["phone"]}]
    rows[1]["basis"] = [{"kind": "legitimate_interest"}, {"kind": "consent"}]
    rows[2]["basis"] = [{"kind": "legitimate_interest"}, {"kind": "contract", "categories": ["phone"]}]
    held = (("shop", "mixed", "email"), ("shop", "mixed", "phone"), ("shop", "both", "address"), ("shop", "other", "name"), ("shop", "", "message"),
            ("shop", "", "unknown"))  # fmt: skip
    s = subject(*held, activities=rows, rights=[{"id": "P-1", "right": "portability"}])
    case = ask(s, "portability")
    assert set(case.answer) == {"email", "address"}
    assert case.omitted == {
        "phone": ("P-1", "T-mixed", "gdpr:20"), "name": ("P-1", "T-other", "gdpr:20"), "message": ("P-1", "gdpr:20"),
        "unknown": ("P-1", "gdpr:20"),
    }  # fmt: skip


def test_a_decision_cites_what_it_decides_about() -> None:
    s = subject()
    case = ask(s, "access", proven=False)
    decide(s, NOW + 70, "extended", case.id)
    (note,) = notes(s, "the answer takes longer")
    assert "T-CHECK" in note[1], "the identity is still to be proven"
    s = subject(restriction=[{"id": "Q-1", "ground": "asked"}])
    case = ask(s, "restriction", of=("email",))
    decide(s, NOW + 90, "restriction_lifted", case.id)
    logged, informed = notes(s, "decided:restriction_lifted")
    assert logged == ("logged", case.reasons)
    assert "Q-1" in informed[1]


def test_what_goes_after_an_objection_goes_for_its_reasons() -> None:
    s, case = balanced()
    decide(s, NOW + 90, "no_overriding_ground", case.id)
    command = next(c for c in s.commands.values() if c.kind == "erase")
    assert command.why["message"][:3] == ("O-2", "gdpr:21", "gdpr:18")


SERVED = [
    ("erasure", {}, "erasure"), ("erasure", {"of": ("email",)}, "erasure"), ("restriction", {}, "restriction"), ("hiding", {"of": ("email",)}, "suppress"),
    ("rectification", {"correct": ("email",)}, "rectification"), ("objection", {}, "object"), ("withdrawal", {"channel": "sms"}, "unsubscribe"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "more", "served"), SERVED)
def test_what_is_done_cites_the_channel_that_serves_the_right(right: str, more: dict[str, Any], served: str) -> None:
    s = subject(
        channels=[{"id": "T-DESK", "kind": "desk", "serves": [served]}, {"id": "T-ELSE", "kind": "desk", "serves": ["other"]}]
    )
    ask(s, right, via="letter", **more)
    cited = {i for c in s.commands.values() for r in c.why.values() for i in r} | {i for d in s.do_not_use for i in d.reasons}
    assert "T-DESK" in cited
    assert "T-ELSE" not in cited


@pytest.mark.parametrize("right", ["withdrawal", "objection"])
def test_a_mark_cites_the_channel_that_serves_it(right: str) -> None:
    channels = [{"id": "T-DESK", "kind": "desk", "serves": ["communications_opt_out"]}]
    s = subject(*CONTACT, channels=channels, **TAGGING)
    ask(s, right, scope=("news",), via="letter")
    assert "T-DESK" in s.do_not_use[0].reasons


def test_a_policy_that_keeps_a_hash_marks_nobody() -> None:
    s = grants(subject(suppression=[{"id": "X-0", "keeps": "hash"}]), Grant("news", 1, channel="email"))
    withdraw_channel(s, "email", "")
    assert ("news", "email") not in left(s)
    assert entries(s) == [("email", None, None, None)]


def test_only_the_rules_on_marks_mark() -> None:
    rows = [*TAGGING["suppression"], {"id": "X-9", "keeps": "scope", "activity": "polls"}]
    s = subject(*CONTACT, **{**TAGGING, "suppression": rows})
    opt_out(s, (), "", commanded=True)
    assert entries(s) == [(None, "news", None, None)]


def test_an_unsubscription_is_kept_by_the_rules_for_it() -> None:
    rows = [{"id": "X-1", "keeps": "hash", "after": ["unsubscription"]}, {"id": "X-2", "keeps": "hash", "after": ["withdrawal"]}]
    s = grants(subject(suppression=rows), Grant("news", 1))
    withdraw_channel(s, "email", "")
    assert s.do_not_use[0].reasons[0] == "X-1"
    assert "X-2" not in s.do_not_use[0].reasons


def test_the_rule_of_one_channel_says_nothing_of_another() -> None:
    s = grants(subject(), Grant("news", 1))
    withdraw_channel(s, "email", "")
    assert "W-2" not in s.do_not_use[0].reasons


def test_an_objection_without_the_effect_of_a_mark_marks_nobody_who_withdraws() -> None:
    s = grants(subject(rights=[{"id": "O-1", "right": "objection", "scope": ["news"]}]))
    ask(s, "withdrawal", scope=("news",))
    assert ("news", "email") not in left(s)
