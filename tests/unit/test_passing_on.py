"""What a report of data concluded, copied, disclosed or imported makes of them: who holds them then, and by which rules."""

from __future__ import annotations

from typing import Any

import pytest
from person import SKELETON, Person, activity, policy, recipient

from lineage.passing_on import kept_out
from lineage.subject import DoNotUse, Grant, Use

SYSTEMS = [*SKELETON["systems"], {"id": "Y-LIST", "name": "list"}]
EVENTS = [*SKELETON["events"], {"id": "E-BROKER", "kind": "broker_import", "carries": ["name"]}]
CARD = {"id": "card", "term": "card_data", "provenance": "provided", "collected_by": "bank"}
NEWS = activity("news", basis="consent", marketing="direct", events=["newsletter"], systems=["desk"])
OFFERS = activity("offers", basis="legitimate_interest", marketing="direct", systems=["desk"])
SURVEYS = activity("surveys", basis="consent", marketing="outreach", events=["survey"], systems=["desk"])
VISITS = activity("visits", basis="legitimate_interest", marketing="outreach", systems=["desk"])


def person(*activities: dict[str, Any], **more: Any) -> Person:
    rows: dict[str, Any] = {"activities": list(activities) or [activity("selling")], "systems": SYSTEMS, "events": EVENTS}
    return Person(policy(**{**rows, **more}))


def ordered(p: Person, **more: Any) -> Person:
    return p.event("order.placed", "2024-03-01", "order:1", **more)


def told(p: Person, what: str, terms: str = "name", **fields: Any) -> Person:
    return p.event(f"data.{what}", "2024-03-05", terms=terms, **fields)


def copied(p: Person, terms: str = "name", source: str = "shop", to: str = "desk") -> Person:
    return told(p, "copied", terms, to=to, **{"from": source})


def outcomes(p: Person, what: str) -> set[tuple[str, str, str]]:
    return {(v.outcome, v.target, v.category) for (_, t), found in p.s.verdicts.items() if t == f"data.{what}" for v in found}


def reasons(p: Person, what: str, outcome: str, category: str | None = None) -> tuple[str, ...]:
    """Give the reasons of such a verdict; all that are such have the same."""
    found = [v for (_, t), all_ in p.s.verdicts.items() if t == f"data.{what}" for v in all_ if v.outcome == outcome]
    (one,) = {v.reasons for v in found if category in (None, v.category)}
    return one


def log(p: Person) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(n.kind, n.about, n.target, n.reasons) for n in p.s.notes]


# -- what is concluded -------------------------------------------------------------------------------------------------


def test_a_conclusion_for_what_no_activity_is_there_for_is_blocked_by_the_rules_on_purposes() -> None:
    rights = [{"id": "PU-1", "right": "purpose"}, {"id": "N-1", "right": "notice"}, {"id": "PU-2", "right": "purpose"}]
    for fields in ({"activity": "guessing"}, {}):
        p = told(person(rights=rights), "derived", **fields)
        assert p.held() == set()
        assert outcomes(p, "derived") == {("blocked", "", "")}
        assert reasons(p, "derived", "blocked") == ("PU-1", "PU-2", "gdpr:5")


def test_a_conclusion_lies_in_the_systems_of_its_activity_and_goes_to_its_recipients() -> None:
    parties = [recipient("carrier", receives=["name"]), recipient("bank")]
    row = activity("selling", systems=["shop", "desk"], recipients=["carrier"], in_systems={"desk": ["email"]})
    p = told(person(row, recipients=parties), "derived", "name email phone", activity="selling")
    assert p.held() == {(t, "selling", c) for t, c in (("shop", "name"), ("shop", "email"), ("desk", "email"), ("carrier", "name"))}
    taken = (("shop", "name"), ("shop", "email"), ("desk", "email"), ("carrier", "name"))
    assert outcomes(p, "derived") == {("quarantined", "", "phone")} | {("allowed", t, c) for t, c in taken}
    assert reasons(p, "derived", "allowed", "email") == ("T-selling",)
    assert reasons(p, "derived", "quarantined") == ("gdpr:5", "T-selling")
    assert p.item("shop", "selling", "name").cites == {"T-selling"}
    assert p.item("carrier", "selling", "name").cites == {"T-selling", "R-carrier"}


def test_a_conclusion_needs_what_the_activity_needs() -> None:
    row = {**NEWS, "systems": ["desk", "list"]}
    p = told(person(row), "derived", "name phone", activity="news")
    assert p.held() == set()
    assert outcomes(p, "derived") == {("quarantined", "", "phone")} | {("blocked", t, "name") for t in ("desk", "list")}
    assert reasons(p, "derived", "blocked") == ("T-news",)


def test_a_conclusion_waits_for_a_device_where_the_data_would() -> None:
    rule = {"id": "L-1", "takes_up": ["name"], "activity": "selling", "systems": ["desk"], "needs": "device"}
    p = person(activity("selling", systems=["shop", "desk"]), links=[rule])
    told(p, "derived", "name email", activity="selling")
    assert {(t, c) for t, _, c in p.held()} == {("shop", "name"), ("shop", "email"), ("desk", "email")}
    assert reasons(p, "derived", "blocked") == ("L-1",)
    p.s.devices["device:1"] = 1
    told(p, "derived", activity="selling")
    assert ("desk", "selling", "name") in p.held()


def test_a_party_is_told_of_a_conclusion_as_soon_as_it_is_the_persons_somewhere() -> None:
    rule = {"id": "L-1", "takes_up": ["name"], "activity": "selling", "systems": ["desk"], "needs": "device"}
    for systems, told_of in (["desk"], False), (["shop", "desk"], True), ([], True):
        row = activity("selling", systems=systems, recipients=["carrier"])
        p = told(person(row, links=[rule], recipients=[recipient("carrier")]), "derived", activity="selling")
        assert (("carrier", "selling", "name") in p.held()) is told_of


def test_a_conclusion_that_an_activity_takes_only_of_some_is_not_taken_of_others() -> None:
    row = activity("selling", conditional={"if": "has_account", "categories": ["email"]})
    p = told(person(row), "derived", "name email", activity="selling")
    assert p.held() == {("shop", "selling", "name")}


# -- what is copied ----------------------------------------------------------------------------------------------------


def test_a_copy_of_what_is_kept_for_a_claim_is_kept_for_it_too() -> None:
    hold = {"id": "H-1", "kind": "legal_claim", "blocks": ["erasure", "retention"], "while": {"opened_by": ["claim.opened"]},
            "closed_by": [{"all": ["claim.closed"]}], "scope": {"activities": ["selling"]}}  # fmt: skip
    clock = {"id": "K-1", "activities": ["selling"], "anchor": "collected", "duration": "P2M"}
    p = ordered(person(activity("selling", retention=["K-1"]), retention=[clock], holds=[hold]))
    p.event("claim.opened", "2024-03-02", "claim:1", about="order:1", terms="").on("2024-05-10")
    p.event("data.copied", "2024-05-11", terms="name", to="desk", **{"from": "shop"})
    original, copy = p.item("shop", "selling", "name"), p.item("desk", "selling", "name")
    assert original.use is Use.KEPT
    assert (copy.use, copy.claimed) == (original.use, original.claimed)
    assert copy.why[:2] == original.why[:2] == ("H-1", "gdpr:17")


def test_a_copy_has_the_source_and_the_marks_of_the_data_and_not_those_of_their_place() -> None:
    p = ordered(person(activity("selling")))
    item = p.item("shop", "selling", "name")
    item.source = "broker"
    item.tags.update(("derived", "outside_eea"))
    copy = copied(p).item("desk", "selling", "name")
    assert (copy.source, copy.tags) == ("broker", {"derived"})


def test_a_copy_of_what_nobody_told_of_is_not_for_what_has_it_elsewhere() -> None:
    rows = activity("asking", systems=["desk"], in_systems={"desk": ["email"]}), activity("helping", systems=["desk"])
    assert copied(person(*rows)).held() == {("desk", "helping", "name")}


def test_a_copy_rests_on_what_the_original_does_and_on_where_it_lies() -> None:
    links = [{"id": "L-1"}, {"id": "L-2"}]
    rows = activity("selling", categories=["name"]), activity("helping", categories=["email"]), activity("asking", systems=["list"])
    p = ordered(person(*rows, links=links, cited_with={"L-1": ["gdpr:99"], "M-1": ["gdpr:99"]}))
    copied(p)
    assert {i for i in p.held() if i[0] == "desk"} == {("desk", "selling", "name")}
    assert p.item("desk", "selling", "name").cites == {"L-1", "Y-DESK", "E-ORDER", "T-selling"}
    assert p.item("desk", "selling", "name").matter == "order:1"
    assert outcomes(p, "copied") == set()


def test_what_another_party_alone_may_hold_is_not_copied_and_stops_no_other_category() -> None:
    guards = [{"id": "G-E", "on": "held_elsewhere", "cites": ["R-bank"]}]
    p = person(activity("selling", categories=["card", "name"]), categories=[*SKELETON["categories"], CARD], guards=guards)
    copied(ordered(p, terms="card_data name"), "card_data name")
    assert {i for i in p.held() if i[0] == "desk"} == {("desk", "selling", "name")}
    assert outcomes(p, "copied") == {("blocked", "desk", "card")}
    assert reasons(p, "copied", "blocked") == ("G-E", "R-bank")


def test_who_collects_a_category_itself_may_get_a_copy_of_it() -> None:
    p = person(activity("selling", categories=["card"]), categories=[*SKELETON["categories"], CARD], recipients=[recipient("bank")])
    copied(ordered(p, terms="card_data"), "card_data", to="bank")
    assert p.item("bank", "selling", "card").cites == {"R-bank", "E-ORDER", "T-selling"}
    assert outcomes(p, "copied") == set()


def test_a_copy_of_what_nobody_told_of_is_there_for_what_the_place_is_there_for() -> None:
    helping = activity("helping", systems=["desk"], categories=["name"])
    rows = helping, activity("asking", systems=["desk"], categories=["email"]), activity("selling")
    p = copied(person(*rows, links=[{"id": "L-1"}], cited_with={"L-1": ["gdpr:99"]}))
    assert p.held() == {("desk", "helping", "name")}
    assert p.item("desk", "helping", "name").cites == {"L-1", "Y-DESK", "T-helping"}


def test_a_copy_of_what_another_system_holds_is_none_of_that() -> None:
    p = ordered(person(activity("selling", systems=["list"]), activity("helping", systems=["desk"], events=["support"])))
    copied(p)
    assert {i for i in p.held() if i[0] == "desk"} == {("desk", "helping", "name")}


def test_a_copy_in_a_place_for_marketing_alone_is_there_for_that_and_needs_what_that_needs() -> None:
    p = person(activity("selling"), NEWS, {**OFFERS, "events": []}, links=[{"id": "L-1"}], cited_with={"L-1": ["gdpr:99"]})
    copied(ordered(p))
    assert {i for i in p.held() if i[0] == "desk"} == {("desk", "offers", "name")}
    assert p.item("desk", "offers", "name").cites == {"L-1", "Y-DESK", "T-offers"}
    assert outcomes(p, "copied") == {("blocked", "desk", "name")}
    assert reasons(p, "copied", "blocked") == ("T-news", "L-1", "Y-DESK")


def test_where_a_place_is_not_for_marketing_alone_a_copy_is_for_what_the_original_is() -> None:
    p = ordered(person(activity("selling"), OFFERS, activity("helping", systems=["desk"], events=["support"])))
    copied(p, "email name")
    assert {i for i in p.held() if i[1] != "offers" and i[0] == "desk"} == {("desk", "selling", c) for c in ("email", "name")}


def test_marketing_that_holds_the_original_holds_the_copy_as_it_does_the_original() -> None:
    p = ordered(person({**OFFERS, "systems": ["shop", "desk"], "feeds": {"order": ["shop"]}}))
    copied(p, "name")
    assert p.item("desk", "offers", "name").cites == {"Y-DESK", "E-ORDER", "T-offers"}
    assert p.item("desk", "offers", "name").matter == "order:1"


# -- what is disclosed -------------------------------------------------------------------------------------------------

PARTIES = [recipient("carrier"), recipient("police", "authority"), recipient("insurer", receives=["name"])]


def parties(*activities: dict[str, Any], **more: Any) -> Person:
    return person(*(activities or [activity("selling", recipients=["carrier", "police"])]), recipients=PARTIES, **more)


def test_what_a_party_got_is_held_by_it_and_noted_in_the_log() -> None:
    p = told(parties(), "disclosed", to="carrier", matter="order:1")
    assert p.held() == {("carrier", "selling", "name")}
    item = p.item("carrier", "selling", "name")
    assert (item.matter, item.tags, item.cites) == ("", {"disclosed", "named"}, {"R-carrier", "T-selling"})
    assert outcomes(p, "disclosed") == {("allowed", "carrier", "name")}
    assert reasons(p, "disclosed", "allowed") == ("R-carrier", "T-selling")
    assert log(p) == [("logged", "disclosed", "carrier", ("R-carrier", "T-selling"))]


def test_what_a_party_may_not_have_makes_no_edge_and_each_category_is_judged_by_itself() -> None:
    p = told(parties(), "disclosed", "email name", to="insurer")
    assert p.held() == {("insurer", "", "name")}
    assert outcomes(p, "disclosed") == {("blocked", "insurer", "email"), ("allowed", "insurer", "name")}
    assert log(p) == [
        ("logged", "disclosure blocked", "insurer", ("R-insurer",)),
        ("logged", "disclosed", "insurer", ("R-insurer",)),
    ]


def test_a_stranger_abroad_may_have_nothing() -> None:
    p = told(parties(), "disclosed", to="stranger", country="US")
    assert p.held() == set()
    assert log(p) == [("logged", "disclosure blocked", "stranger", ("gdpr:6",))]


@pytest.mark.parametrize(("ground", "may"), [(None, False), ("law", False), ("agreement", True), ("claim", True)])
def test_a_report_shows_the_agreement_that_the_rule_on_this_very_recipient_needs(ground: str | None, may: Any) -> None:
    rule = {"id": "G-1", "on": "disclosure", "to": "carrier", "needs": "agreement", "grounds": ["claim"]}
    p = told(parties(guards=[rule]), "disclosed", to="carrier", ground=ground)
    assert p.held() == ({("carrier", "selling", "name")} if may else set())


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "disclosure", "needs": "agreement"},
        {"on": "disclosure", "to": "police", "needs": "agreement"},
        {"on": "transfer", "to": "carrier", "needs": "agreement"},
        {"on": "disclosure", "to": "carrier", "needs": "vetted"},
    ],
)
def test_no_other_rule_asks_a_report_for_an_agreement(rule: dict[str, Any]) -> None:
    p = parties(guards=[{"id": "G-1", **rule}, {"id": "G-2", "on": "disclosure", "to": "carrier", "needs": "vetted"}])
    assert told(p, "disclosed", to="carrier").held() == {("carrier", "selling", "name")}


def test_a_report_to_an_authority_that_would_warn_the_person_is_marked() -> None:
    guards = [{"id": "G-1", "on": "aml_report", "instruments": ["laundering"]}]
    p = told(parties(guards=guards), "disclosed", to="police", ground="law", legal_instrument="Money Laundering Act")
    assert p.item("police", "selling", "name").tags == {"disclosed", "reported"}
    assert p.item("police", "selling", "name").cites == {"R-police", "T-selling", "G-1"}
    for more in ({"legal_instrument": "Criminal Code"}, {}):
        p = told(parties(guards=guards), "disclosed", to="police", ground="law", **more)
        assert p.item("police", "selling", "name").tags == {"disclosed", "named"}
        assert p.item("police", "selling", "name").cites == {"R-police", "T-selling"}


def test_a_disclosure_is_for_the_activities_that_name_the_party_and_may_pass_the_category_on() -> None:
    rows = activity("selling", recipients=["carrier"]), activity("helping", recipients=["carrier"]), activity("asking")
    p = parties(*rows)
    p.s.objected["helping"] = ("O-1",)
    assert told(p, "disclosed", to="carrier").held() == {("carrier", "selling", "name")}


def test_what_the_law_asks_for_is_noted_for_those_that_list_it_or_else_for_all_that_name_the_party() -> None:
    rows = (
        activity("selling", categories=["name"], recipients=["police"]),
        {**OFFERS, "categories": ["email"], "recipients": ["police"]},
    )
    p = parties(*rows, activity("asking"))
    p.s.objected["offers"] = ("O-1",)
    assert told(p, "disclosed", "email", to="police", ground="law").held() == {("police", "offers", "email")}
    told(p, "disclosed", "message", to="police", ground="law")
    assert {i for i in p.held() if i[2] == "message"} == {("police", "selling", "message"), ("police", "offers", "message")}


TRANSFER = [{"id": "G-T", "on": "transfer", "cites": ["C-T"]}, {"id": "G-S", "on": "sale", "cites": ["C-S"]}]


@pytest.mark.parametrize(("country", "abroad"), [("US", True), ("SE", False), (None, False)])
def test_what_leaves_the_economic_area_is_marked(country: str | None, abroad: Any) -> None:
    p = told(parties(guards=TRANSFER), "disclosed", to="carrier", country=country, safeguard="clauses")
    assert p.item("carrier", "selling", "name").tags == {"disclosed", "named", *(["outside_eea"] if abroad else [])}
    assert p.notes("transfer without a safeguard") == []
    assert told(parties(guards=TRANSFER), "disclosed", to="carrier", country="US").held() == set(), "no safeguard"


def test_what_the_controller_takes_abroad_itself_rests_on_the_rules_on_transfers() -> None:
    p = told(parties(guards=TRANSFER), "disclosed", to="corner_shop", country="US")
    assert p.item("corner_shop", "", "name").cites == {"gdpr:4", "G-T", "C-T"}
    p = told(parties(guards=TRANSFER), "disclosed", to="corner_shop", country="SE")
    assert p.item("corner_shop", "", "name").cites == {"gdpr:4"}


def test_a_transfer_that_the_policy_reports_rather_than_refuses_leaves_a_warning() -> None:
    guards = [{"id": "G-W", "on": "transfer", "warns": True, "to": "carrier"}, *TRANSFER]
    p = told(parties(guards=guards), "disclosed", to="carrier", country="US")
    assert p.held() == {("carrier", "selling", "name")}
    assert [x for x in log(p) if x[0] != "logged"] == [("warned", "transfer without a safeguard", "carrier", ("G-W",))]


# -- what is imported --------------------------------------------------------------------------------------------------

PROOF = {"id": "G-P", "on": "import", "needs": "proof", "cites": ["C-P"]}
SIGN_UP = {"id": "G-N", "on": "import", "needs": "sign_up", "cites": ["C-N"]}
CONSENT = {"id": "G-C", "on": "import", "needs": "consent", "cites": ["C-C"]}
TAG = {"id": "G-I", "on": "import", "cites": ["C-I"]}
READ = {"id": "G-R", "on": "read", "needs": "consent", "cites": ["C-R"]}


def imported(p: Person, terms: str = "name", into: str = "desk", **fields: Any) -> Person:
    return told(p, "imported", terms, into=into, **fields)


def test_an_import_is_held_for_the_activities_that_list_such_a_delivery() -> None:
    rows = (
        activity("enriching", systems=["desk"], events=["broker_import"]),
        activity("helping", systems=["desk"]),
        activity("selling"),
    )
    p = imported(person(*rows, guards=[TAG, READ], recipients=[recipient("broker", "source")]), origin="broker")
    assert p.held() == {("desk", "enriching", "name")}
    item = p.item("desk", "enriching", "name")
    assert (item.source, item.cites) == ("broker", {"G-I", "C-I", "T-enriching", "E-BROKER", "R-broker"})
    assert outcomes(p, "imported") == {("allowed", "desk", "name")}
    assert reasons(p, "imported", "allowed") == ("G-I", "C-I", "T-enriching", "E-BROKER", "R-broker")
    assert log(p) == []


def test_an_import_that_no_activity_waits_for_is_held_for_all_at_the_place() -> None:
    p = imported(person(activity("helping", systems=["desk"]), activity("asking", systems=["desk"]), activity("selling")))
    assert p.held() == {("desk", "helping", "name"), ("desk", "asking", "name")}
    assert p.item("desk", "helping", "name").source is None
    assert p.item("desk", "helping", "name").cites == {"T-helping", "E-BROKER"}


def test_what_nothing_at_the_place_lists_is_blocked_and_the_rest_comes_in() -> None:
    rows = activity("helping", systems=["desk"]), activity("asking", systems=["desk"]), OFFERS, activity("selling")
    p = imported(person(*rows, guards=[TAG, READ]), "message name")
    assert outcomes(p, "imported") == {("blocked", "desk", "message"), ("allowed", "desk", "name")}
    assert reasons(p, "imported", "blocked") == ("G-I", "C-I", "T-helping", "T-asking", "T-offers")
    assert log(p) == [("logged", "import blocked", "desk", reasons(p, "imported", "blocked"))]


def test_an_import_lies_only_where_its_activity_has_a_place_for_it() -> None:
    for more in ({"in_systems": {"desk": ["email"]}}, {}):
        row = activity("helping", systems=["desk"], **more)
        parties = [] if more else [recipient("desk", receives=["email"])]
        p = imported(person(row, recipients=parties), "name email")
        assert p.held() == {("desk", "helping", "email")}
        assert outcomes(p, "imported") == {("blocked", "desk", "name"), ("allowed", "desk", "email")}


@pytest.mark.parametrize(("more", "outcome"), [({}, "blocked"), ({"otherwise": "quarantined"}, "quarantined")])
@pytest.mark.parametrize("proof", [False, None])
def test_an_import_without_the_proof_that_it_needs_is_kept_out(more: dict[str, str], outcome: str, proof: Any) -> None:
    rows = activity("helping", systems=["desk"])
    p = imported(person(rows, guards=[TAG, {**PROOF, **more}]), "name phone", proof=proof)
    assert p.held() == set()
    assert outcomes(p, "imported") == {(outcome, "desk", "name"), (outcome, "desk", "phone")}
    assert reasons(p, "imported", outcome) == ("G-P", "C-P")
    assert log(p) == [("logged", f"import {outcome}", "desk", ("G-P", "C-P"))]
    assert imported(person(rows, guards=[{**PROOF, **more}]), proof=True).held() == {("desk", "helping", "name")}


def test_an_import_for_news_counts_only_for_who_signed_up() -> None:
    other = {**OFFERS, "id": "T-other", "name": "other"}
    p = imported(person(OFFERS, other, guards=[SIGN_UP]))
    assert p.held() == set()
    assert reasons(p, "imported", "blocked") == ("G-N", "C-N")
    p = person(OFFERS, other, guards=[SIGN_UP])
    p.s.grants = [Grant("selling", 1)]
    assert imported(p).held() == set(), "a consent to something else is no sign-up"
    p.s.grants = [Grant("other", 1)]
    assert imported(p).held() == {("desk", "offers", "name"), ("desk", "other", "name")}
    p = person(OFFERS, guards=[SIGN_UP]).event("newsletter.subscribed", "2024-03-01", terms="email", channel="email")
    assert imported(p).held() == {("desk", "offers", "name")}


def test_what_is_not_for_news_needs_no_sign_up() -> None:
    for row in (activity("helping", systems=["desk"]), VISITS):
        assert imported(person(row, guards=[SIGN_UP])).held() == {("desk", row["name"], "name")}
    assert imported(person(OFFERS, guards=[{**SIGN_UP, "on": "read"}])).held(), "nor is it a rule on imports"


def test_an_import_for_news_counts_no_longer_for_who_refused_some_of_them() -> None:
    p = person(OFFERS, {**OFFERS, "id": "T-other", "name": "other"}, VISITS, guards=[SIGN_UP])
    p.s.grants = [Grant("offers", 1)]
    p.s.do_not_use = [DoNotUse(("D-0",), 1, activity="visits")]
    assert ("desk", "offers", "name") in imported(p).held()
    p.s.do_not_use.append(DoNotUse(("D-1",), 1, activity="other"))
    imported(p, "phone")
    assert reasons(p, "imported", "blocked", "phone") == ("D-1", "G-N", "C-N")


def test_an_import_for_which_a_consent_is_needed_is_blocked_where_nothing_may_take_it() -> None:
    suppression = [{"id": "X-1", "keeps": "hash", "reader": "desk"}, {"id": "X-2", "keeps": "hash"}]
    p = person(NEWS, VISITS, guards=[TAG, CONSENT, READ], suppression=suppression)
    p.s.objected = {"visits": ("O-1",), "elsewhere": ("O-2",)}
    p.s.do_not_use = [DoNotUse(("H-1",), 1, hidden=True), DoNotUse(("D-1",), 1, scope="direct_marketing")]
    imported(p, "name phone")
    assert p.held() == set()
    assert outcomes(p, "imported") == {("blocked", "desk", "name"), ("blocked", "desk", "phone")}
    assert reasons(p, "imported", "blocked") == ("D-1", "O-1", "X-1", "G-I", "C-I", "G-C", "C-C")
    assert log(p) == [("logged", "import blocked", "desk", ("D-1", "O-1", "X-1", "G-I", "C-I", "G-C", "C-C"))]


def test_an_import_goes_where_no_consent_is_needed_and_where_there_is_one() -> None:
    assert imported(person(NEWS, VISITS, guards=[CONSENT])).held() == {("desk", "visits", "name")}
    p = person(NEWS, guards=[CONSENT])
    p.s.grants = [Grant("news", 1)]
    assert imported(p).held() == {("desk", "news", "name")}
    p.s.objected["news"] = ("O-1",)
    imported(p, "email")
    assert ("blocked", "desk", "email") in outcomes(p, "imported"), "an objection is stronger"


def test_without_a_rule_that_asks_for_it_an_import_needs_no_consent() -> None:
    for guards in ([TAG], [], [READ], [SIGN_UP]):
        p = person(NEWS, SURVEYS, guards=guards).event("newsletter.subscribed", "2024-03-01", terms="", channel="email")
        p.s.grants = []
        assert imported(p).held() == {("desk", "news", "name"), ("desk", "surveys", "name")}


def test_an_import_into_a_place_that_is_there_for_nothing_is_blocked_as_such() -> None:
    p = imported(person(guards=[TAG, CONSENT]))
    assert p.held() == set()
    assert reasons(p, "imported", "blocked") == ("G-I", "C-I", "G-C", "C-C")
    assert log(p) == [("logged", "import blocked", "desk", ("G-I", "C-I", "G-C", "C-C"))]


def test_an_import_is_not_for_what_the_person_objects_to() -> None:
    p = person(activity("helping", systems=["desk"]), activity("asking", systems=["desk"]))
    p.s.objected["asking"] = ("O-1",)
    assert imported(p).held() == {("desk", "helping", "name")}
    alone = person(activity("asking", systems=["desk"]))
    alone.s.objected["asking"] = ("O-1",)
    assert reasons(imported(alone), "imported", "blocked") == ("O-1", "T-asking")


def test_what_an_entry_keeps_out_is_blocked_by_it() -> None:
    p = person(OFFERS, guards=[TAG, READ])
    p.s.do_not_use = [DoNotUse(("D-1",), 1, scope="direct_marketing")]
    imported(p)
    assert p.held() == set()
    assert reasons(p, "imported", "blocked") == ("D-1", "G-I", "C-I", "T-offers")


# -- what keeps an import out of marketing -----------------------------------------------------------------------------


def stopping(row: dict[str, Any], *entries: DoNotUse, agreed: str = "", at: int = 0, category: str = "name") -> tuple[str, ...]:
    """Say which entries keep an import of a category out of an activity, beside others for news, surveys and visits."""
    rows = {r["name"]: r for r in (NEWS, OFFERS, SURVEYS, VISITS, activity("selling"), row)}
    p = person(*rows.values())
    p.s.do_not_use = list(entries)
    p.s.grants = [Grant(agreed, at)] if agreed else []
    return kept_out(p.s, p.s.policy.activities[row["name"]], category)


ALL = DoNotUse(("D-ALL",), 1, scope="direct_marketing")
EMAIL = DoNotUse(("D-EMAIL",), 1, channel="email")


def test_nothing_keeps_an_import_out_of_what_is_no_marketing_or_what_nobody_refused() -> None:
    assert stopping(activity("selling"), ALL, EMAIL) == ()
    assert stopping(OFFERS) == ()


@pytest.mark.parametrize("row", [NEWS, OFFERS, SURVEYS, VISITS])
def test_a_refusal_of_all_marketing_or_of_an_activity_keeps_imports_out_until_a_fresh_consent(row: dict[str, Any]) -> None:
    name = row["name"]
    for entry in (ALL, DoNotUse(("D-1",), 1, activity=name)):
        assert stopping(row, entry, agreed=name) == entry.reasons, "what was agreed to before says nothing"
        assert stopping(row, entry, agreed=name, at=1) == ()
    assert stopping(row, DoNotUse(("D-1",), 1, scope="other")) == ()


def test_a_refused_channel_keeps_out_the_address_of_the_channel_and_without_a_consent_the_rest() -> None:
    for row in (NEWS, OFFERS):
        assert stopping(row, EMAIL) == ("D-EMAIL",)
        assert stopping(row, EMAIL, agreed="surveys") == ("D-EMAIL",)
        assert stopping(row, EMAIL, agreed=row["name"]) == ()
        assert stopping(row, EMAIL, agreed=row["name"], category="email") == ("D-EMAIL",)
        assert stopping(row, EMAIL, agreed=row["name"], category="phone") == ()
        assert stopping(row, DoNotUse(("D-1",), 1, channel="sms"), agreed=row["name"], category="phone") == ("D-1",)


def test_who_refuses_news_is_not_brought_into_what_was_never_agreed_to() -> None:
    for entry in (EMAIL, DoNotUse(("D-EMAIL",), 1, activity="news")):
        assert stopping(SURVEYS, entry) == ("D-EMAIL",)
        assert stopping(SURVEYS, entry, agreed="surveys", category="email") == ()
        assert stopping(VISITS, entry) == (), "it needs no consent"


def test_a_refusal_of_surveys_keeps_nobody_out_of_anything_else() -> None:
    entry = DoNotUse(("D-1",), 1, activity="surveys")
    other = {**SURVEYS, "id": "T-tips", "name": "tips"}
    for row in (NEWS, OFFERS, VISITS, other):
        assert stopping(row, entry) == ()
    assert stopping(VISITS, DoNotUse(("D-1",), 1, channel="email", activity="visits")) == (), "of one channel is not of it"


def test_the_first_entry_that_is_against_it_counts_however_many_come_before() -> None:
    assert stopping(OFFERS, DoNotUse(("D-1",), 1, activity="surveys"), EMAIL, ALL) == ("D-EMAIL",)


def test_what_is_hidden_or_kept_on_a_list_elsewhere_keeps_no_import_out() -> None:
    for row in (OFFERS, SURVEYS):
        assert stopping(row, DoNotUse(("D-1",), 1, hidden=True, scope="direct_marketing")) == ()
        assert stopping(row, DoNotUse(("D-1",), 1, target="list", channel="email", scope="direct_marketing")) == ()


# -- what nobody knows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["copied", "disclosed", "imported", "derived"])
def test_data_of_a_kind_that_the_policy_does_not_know_are_set_aside_and_warned_of(what: str) -> None:
    fields = {"copied": {"from": "shop", "to": "desk"}, "disclosed": {"to": "bank", "ground": "law"}, "imported": {"into": "desk"},
              "derived": {"activity": "selling"}}[what]  # fmt: skip
    p = person(activity("selling", systems=["shop", "desk"]), recipients=[recipient("bank", "independent")])
    told(p, what, "name shoe_size", **fields)
    assert ("quarantined", "", "") in outcomes(p, what)
    assert {(n.kind, n.about) for n in p.s.notes} >= {("warned", "undeclared data")}
    assert any(c == "name" for _, _, c in p.held()), "the rest of it goes on"
    told(q := person(activity("selling", systems=["shop", "desk"])), what, "name", **fields)
    assert not any(o == "quarantined" for o, _, _ in outcomes(q, what))
