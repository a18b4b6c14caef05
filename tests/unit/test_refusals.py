"""A refusal of news is obeyed whatever comes after it, until the person takes it back; other refusals are other matters."""

from __future__ import annotations

from typing import Any

import pytest
from person import Person

from lineage.expectations import check
from lineage.rehearsal import Rehearsal
from lineage.scenario import scenario
from lineage.sqlite_store import SQLiteStore

DK = {"jurisdiction": "DK"}
NEWS = "email subscription"


def imported(p: Person, when: str, into: str, terms: str = "email") -> set[str]:
    """Import something; give the activities that have taken it."""
    before = {(i.activity, i.target, i.last) for i in p.s.live()}
    p.event("data.imported", when, terms=terms, into=into)
    return {i.activity for i in p.s.live() if i.target == into and (i.activity, i.target, i.last) not in before}


def mailed(p: Person, activity: str, channel: str = "email", topic: str = "newsletter") -> bool:
    return p.ask("message", activity=activity, channel=channel, topic=topic).allowed


def entries(p: Person) -> list[tuple[Any, ...]]:
    return [(d.channel, d.activity, d.scope) for d in p.s.do_not_use if not d.target]


def problems(controller: str, steps: list[dict[str, Any]], *rows: dict[str, Any]) -> list[str | None]:
    raw = {"id": "S-1", "controllers": [controller], "steps": steps, "expect": list(rows)}
    return [r.found for r in Rehearsal(scenario(raw), SQLiteStore.open(":memory:")).run(check) if not r.passed]


# -- imports -----------------------------------------------------------------------------------------------------------


def test_an_import_brings_nobody_who_left_the_news_into_what_was_never_agreed_to() -> None:
    p = Person("pompdelux").event("newsletter.subscribed", "2024-03-01", terms=NEWS, channel="email")
    assert imported(p, "2024-03-02", "newsletter_system") == {"marketing", "surveys"}
    p = Person("pompdelux").event("newsletter.subscribed", "2024-03-01", terms=NEWS, channel="email")
    p.event("newsletter.unsubscribed", "2024-03-02", terms="", channel="email")
    assert imported(p, "2024-03-03", "newsletter_system") == set()
    p.event("survey.answered", "2024-03-04", terms="email survey_answers")
    assert imported(p, "2024-03-05", "newsletter_system") == {"surveys"}


def test_an_import_of_contacts_rests_on_a_sign_up_or_a_consent_and_a_refusal_of_something_else_does_not_stop_it() -> None:
    p = Person("webco", DK)
    assert imported(p, "2024-03-01", "newsletter_system", "name email") == set()
    p.event("consent.given", "2024-03-02", terms="", activity="newsletter")
    assert imported(p, "2024-03-03", "newsletter_system", "name email") == {"newsletter"}
    p.request("objection", "2024-03-04", scope=("communication_and_surveys",))
    assert imported(p, "2024-03-05", "newsletter_system", "name email") == {"newsletter"}
    p.event("newsletter.unsubscribed", "2024-03-06", terms="", channel="email", via="link")
    assert imported(p, "2024-03-07", "newsletter_system", "name email") == set()


# -- what lifts a refusal ----------------------------------------------------------------------------------------------


def test_a_sign_up_for_news_lifts_no_refusal_of_anything_else() -> None:
    for type_, more in (("newsletter.subscribed", {"channel": "email"}), ("consent.given", {"activity": "newsletter"})):
        p = Person("webco", DK).event("order.placed", "2024-03-01", "order:1")
        p.request("objection", "2024-03-02", scope=("communication_and_surveys",))
        p.event(type_, "2024-03-03", terms="name email" if type_.startswith("news") else "", **more)
        assert not mailed(p, "communication_and_surveys", topic="survey")
        p.event("consent.given", "2024-03-04", terms="", activity="communication_and_surveys")
        assert mailed(p, "communication_and_surveys", topic="survey")
        assert entries(p) == []


def test_a_refusal_of_surveys_outlives_a_sign_up_for_news_and_ends_with_an_answer() -> None:
    p = Person("pompdelux").event("survey.answered", "2024-03-01", terms="email survey_answers")
    p.event("consent.withdrawn", "2024-03-02", terms="", activity="surveys")
    p.event("newsletter.subscribed", "2024-03-03", terms=NEWS, channel="email")
    assert entries(p) == [(None, "surveys", "surveys")]
    p.event("survey.answered", "2024-03-04", terms="email survey_answers")
    assert entries(p) == []
    assert mailed(p, "surveys", topic="survey")


def test_a_sign_up_that_is_no_consent_lifts_nothing() -> None:
    p = Person("pompdelux").event("newsletter.unsubscribed", "2024-03-01", terms="", channel="email")
    p.event("newsletter.subscribed", "2024-03-02", terms=NEWS, channel="email", express=False)
    assert entries(p) == [("email", None, None)]


@pytest.mark.parametrize(
    ("scope", "again", "terms", "more"),
    [
        ("newsletter", "newsletter.subscribed", "name email", {"channel": "email"}),
        ("newsletter", "consent.given", "", {"activity": "newsletter"}),
        ("communication_and_surveys", "survey.answered", "email survey_answers", {}),
        ("social_media_improvement", "social.liked", "public_content", {"network": "Facebook"}),
    ],
)
def test_after_an_erasure_of_one_activity_the_persons_own_act_brings_it_back(scope: str, again: str, terms: str, more: Any) -> None:
    p = Person("webco", DK)
    p.event(again, "2024-03-01", terms=terms, **more)
    p.request("erasure", "2024-03-02", scope=(scope,))
    p.answer("2024-03-02T13:00")
    assert not any(a == scope for _, a, _ in p.held())
    if scope == "communication_and_surveys":
        p.event("order.placed", "2024-03-03", "order:1")
        assert not any(a == scope for _, a, _ in p.held()), "an order is no answer to a survey"
    p.event(again, "2024-03-04", terms=terms, **more)
    if again == "consent.given":
        p.event("newsletter.sent", "2024-03-05", terms="name email")
    assert any(a == scope for _, a, _ in p.held())
    assert scope.startswith("social") or mailed(p, scope, topic="survey")
    assert entries(p) == []


# -- an objection at the checkout --------------------------------------------------------------------------------------


def test_an_objection_at_the_checkout_ends_the_news_that_were_agreed_to() -> None:
    for controller, name in (
        ("littlesteps", "electronic_marketing"),
        ("pompdelux", "marketing"),
        ("apof", "direct_marketing_digital"),
    ):
        p = Person(controller).event("newsletter.subscribed", "2024-03-01", terms=NEWS, channel="email")
        assert mailed(p, name)
        order = "name email phone address payment_information order_content"
        p.event("order.placed", "2024-03-02", "order:1", terms=order, objects_to_marketing=True)
        assert not any(a == name for _, a, _ in p.held())
        assert not mailed(p, name)
        assert (None, None, "direct_marketing") in entries(p)
        p.event("newsletter.subscribed", "2024-03-03", terms=NEWS, channel="email")
        assert mailed(p, name)


def test_where_a_policy_marks_who_wants_no_news_an_objection_at_the_checkout_is_marked() -> None:
    p = Person("webco", DK).event("newsletter.subscribed", "2024-03-01", channel="email")
    p.event("order.placed", "2024-03-02", "order:1", objects_to_marketing=True)
    assert "opt_out" in p.item("newsletter_system", "newsletter", "email").tags
    assert set(p.commands("stop")) == {"newsletter_partner"}
    assert p.commands() == {}
    assert not mailed(p, "newsletter")
    p.event("newsletter.subscribed", "2024-03-03", channel="email")
    assert mailed(p, "newsletter")


def test_an_objection_when_buying_ends_what_the_purchase_opened_and_no_sign_up() -> None:
    p = Person("valeur").event("newsletter.subscribed", "2024-03-01", channel="email")
    p.event("order.placed", "2024-03-02", "order:1", objects_to_marketing=True)
    assert mailed(p, "commercial_updates")


# -- the same refusal, however it came about ---------------------------------------------------------------------------


def test_a_refusal_covers_its_channels_and_its_scope_however_it_came_about() -> None:
    signed = {"at": "2024-03-01", "event": "newsletter.subscribed", "channel": "email", "express": True}
    ways: list[tuple[str, str, dict[str, Any]]] = [
        ("pompdelux", "newsletter_system", {"request": "erasure", "via": "form", "scope": "marketing"}),
        ("pompdelux", "newsletter_system", {"request": "erasure", "via": "form", "scope": "direct_marketing"}),
        ("pompdelux", "newsletter_system", {"request": "objection", "via": "form"}),
        ("pompdelux", "newsletter_system", {"request": "withdrawal", "via": "form", "scope": "marketing"}),
        ("pompdelux", "newsletter_system", {"event": "consent.withdrawn", "activity": "marketing"}),
        ("littlesteps", "marketing_store", {"request": "withdrawal", "via": "phone", "scope": "electronic_marketing"}),
        ("littlesteps", "marketing_store", {"event": "consent.withdrawn", "activity": "electronic_marketing"}),
        ("webco", "newsletter_system", {"request": "erasure", "via": "email", "scope": "newsletter"}),
        ("webco", "newsletter_system", {"request": "objection", "via": "email", "scope": "newsletter"}),
    ]
    scopes = {"pompdelux": "marketing", "littlesteps": "electronic_marketing", "webco": "newsletter"}
    ids = ["P-AMB-4", "L-CON-2", "W-AMB-4", "W-SUP-1"]
    for controller, target, act in ways:
        row = {"at": "2024-03-02", "target": target, "outcome": "suppressed", "because": ids}
        found = problems(
            controller, [signed, {"at": "2024-03-02", **act}], {**row, "channel": "email"}, {**row, "scope": scopes[controller]},
        )  # fmt: skip
        assert found == [], (controller, act)
        assert len(problems(controller, [signed, {"at": "2024-03-02", **act}], {**row, "scope": "account"})) == 1


def test_a_withdrawal_of_digital_news_leaves_post_alone() -> None:
    order = "name email phone address payment_information order_content"
    for request in (True, False):
        p = Person("apof").event("newsletter.subscribed", "2024-03-01", terms=NEWS, channel="email")
        p.event("order.placed", "2024-03-01", "order:1", terms=order)
        if request:
            p.request("withdrawal", "2024-03-02", scope=("direct_marketing_digital",))
        else:
            p.event("consent.withdrawn", "2024-03-02", terms="", activity="direct_marketing_digital")
        assert not mailed(p, "direct_marketing_digital")
        assert mailed(p, "direct_marketing_postal", "post", "offer")


LATE_SIGN_UP = {
    "at": "2024-03-05", "event": "newsletter.subscribed", "channel": "email", "express": True, "occurred": "2024-03-01", "as": "x",
}  # fmt: skip


def test_what_had_ended_before_it_came_is_blocked_by_what_ended_it() -> None:
    left = {"at": "2024-03-03", "event": "newsletter.unsubscribed", "channel": "email", "via": "link"}
    row = {"at": "2024-03-05", "step": "x", "target": "newsletter_system", "categories": ["email"]}
    blocked = {**row, "outcome": "blocked", "because": ["P-AMB-4", "P-CON-2"]}
    allowed = {**row, "outcome": "allowed", "because": ["P-ACT-9"]}
    assert problems("pompdelux", [left, LATE_SIGN_UP], blocked) == []
    assert len(problems("pompdelux", [left, LATE_SIGN_UP], allowed)) == 1
    assert problems("pompdelux", [LATE_SIGN_UP], allowed) == []
    after = {**left, "at": "2024-03-06"}
    assert problems("pompdelux", [LATE_SIGN_UP, after], {**allowed, "at": "2024-03-07"}) == [], "it was let in, and ended later"


def test_a_sign_up_for_news_is_one_for_the_analysis_for_them_and_leaving_ends_both() -> None:
    p = Person("valeur").event("newsletter.subscribed", "2024-03-01", channel="email")
    p.event("order.placed", "2024-03-02", "order:1", terms="name email order_content")
    assert ("crm", "automated_preference_prediction", "previous_purchases") in p.held()
    assert "participation" not in {g.activity for g in p.s.grants}
    p.event("newsletter.unsubscribed", "2024-03-03", terms="", channel="email", via="link")
    assert not any(a == "automated_preference_prediction" for _, a, _ in p.held())
    p = Person("valeur").event("newsletter.subscribed", "2024-03-01", channel="email", express=False)
    assert p.s.grants == []


def test_what_another_activity_holds_does_not_make_a_late_sign_up_count() -> None:
    order = {"at": "2024-03-03", "event": "order.placed", "order": "1", "objects_to_marketing": True}
    row = {"at": "2024-03-05", "step": "x", "target": "online_or_data_service_provider", "categories": ["email"]}
    held = {"at": "2024-03-05", "target": "online_or_data_service_provider", "categories": ["email"], "activity": "order_messages"}
    blocked = {**row, "outcome": "blocked", "because": ["gdpr:21"]}
    assert problems("pompdelux", [order, LATE_SIGN_UP], blocked, {**held, "outcome": "held", "because": ["P-ACT-4"]}) == []
