"""Where data of an event land, by type: what the policies of the shops say, and never less than what the fold holds."""

from __future__ import annotations

from contextlib import closing

import pytest
from shop import ORDER, Shop

from lineage import policy_file
from lineage.facts import ShapeBody
from lineage.landing import Landing, landings, landings_of
from lineage.store import Shape

WEBCO = policy_file.load("webco")


def of(type_: str, *terms: str, **fields: object) -> dict[str, Landing]:
    return {x.purpose: x for x in landings(WEBCO, type_, ShapeBody(terms, tuple(fields.items()), "", ""))}


def names(landing: Landing) -> tuple[list[str], list[str]]:
    return [h.name for h in landing.systems], [h.name for h in landing.recipients]


def test_an_order_lands_where_an_order_feeds_and_not_where_a_form_would() -> None:
    customer = of("order.placed", "name", "email", "order_content")["payment_and_customer_relationship"]
    assert customer.categories == ("name", "email", "purchased_services")
    assert customer.legal_basis == ("contract",)
    assert names(customer) == (["microsoft_365"], ["microsoft"])
    assert customer.edges == 2


def test_who_waits_for_an_event_gets_what_was_gathered_until_then() -> None:
    assert "shipping" not in of("order.paid")
    [carrier] = of("order.shipped")["shipping"].recipients
    assert carrier.name == "transport_company"
    assert carrier.role == "independent"
    assert carrier.categories == ("name", "billing_and_delivery_address", "email", "mobile")
    assert of("order.placed", "name", "address")["shipping"].recipients == ()


def test_what_a_recipient_does_not_receive_does_not_reach_it() -> None:
    assert of("order.placed", "national_id")["verify_identity"].recipients[0].categories == ("social_security_number",)
    newsletter = of("newsletter.subscribed", "email", "phone")["newsletter"]
    assert [(h.name, h.categories) for h in newsletter.recipients] == [("newsletter_partner", ("email",))]


def test_a_system_that_another_party_runs_is_held_in_with_its_role_and_holds_what_it_receives() -> None:
    form = of("form.submitted", "form_data", "name", "company_name")["payment_and_customer_relationship"]
    assert [(h.name, h.role) for h in form.systems] == [("wix", "processor"), ("microsoft_365", "")]
    assert "company_name" not in form.systems[0].categories
    assert [h.name for h in form.recipients] == ["microsoft"]


def test_what_arises_from_an_event_lands_with_it() -> None:
    assert of("newsletter.unsubscribed")["newsletter"].categories == ("newsletter_opt_out_tag",)


def test_an_event_that_no_activity_lists_lands_nowhere() -> None:
    assert of("person.died") == {}
    assert landings_of(None, Shape(1, "nobody", "order.placed", "{}")) == ()


@pytest.mark.parametrize("controller", ["apof", "pompdelux", "valeur", "webco"])
def test_no_holding_of_an_order_is_missing(controller: str) -> None:
    with closing((shop := Shop(controller)).store):
        shop.take(shop.event("order.placed", "2024-03-04T10:00", order="o1", lines=1, payment="card", data=ORDER),
                  shop.event("order.paid", "2024-03-04T10:05", order="o1"),
                  shop.event("order.shipped", "2024-03-05T10:00", order="o1", lines=1), now="2024-03-06")  # fmt: skip
        policy = shop.pipeline.policies[controller]
        found = {
            (holder.name, x.purpose, category)
            for shape in shop.store.shapes()
            for x in landings_of(policy, shape)
            for holder in (*x.systems, *x.recipients)
            for category in holder.categories
        }
        held = shop.items("2024-03-06")
        assert held
        assert held <= found


def test_what_was_concluded_copied_or_disclosed_lands_where_the_event_says() -> None:
    name = policy_file.load("webco").categories["name"].term
    terms = (name,)
    assert of("data.derived", activity="no_such", categories=terms) == {}
    derived = of("data.derived", activity="risk_and_fraud", categories=terms)
    assert {x: names(landing) for x, landing in derived.items()} == {"risk_and_fraud": (["microsoft_365"], ["microsoft"])}
    copied = of("data.copied", **{"from": "wix", "to": "microsoft_365"}, categories=terms)
    assert copied["risk_and_fraud"].categories == ("name",)
    assert {names(landing)[0][0] for landing in copied.values()} == {"microsoft_365"}
    disclosed = of("data.disclosed", to="acquirer_or_seller", categories=terms)
    assert {(h.name, h.categories) for landing in disclosed.values() for h in landing.recipients} == {
        ("acquirer_or_seller", ("name",))
    }
