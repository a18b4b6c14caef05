"""Where two readings of a policy are possible, these are the ones taken; each stands as a scenario beside the policies, too."""

from __future__ import annotations

from shop import Shop, at

from lineage.guards import Question
from lineage.subject import Subject

BUYER = ("email", "buyer@example.org")
MAIL = {"name": "Ann", "email": "buyer@example.org"}


def state(shop: Shop, when: str, who: str = "buyer") -> Subject:
    controller = shop.controllers[0]
    key = shop.pipeline.current(controller, "email", f"{who}@example.org")
    return shop.pipeline.look((key,), controller, at(when))


def held(shop: Shop, when: str, target: str, who: str = "buyer") -> set[str]:
    return {i.category for i in state(shop, when, who).live() if i.target == target}


def asked(shop: Shop, when: str, activity: str, topic: str, channel: str = "email") -> bool:
    question = Question("message", activity=activity, channel=channel, topic=topic)
    return shop.pipeline.ask(shop.controllers[0], BUYER, question, at(when)).allowed


def signed_up(shop: Shop, when: str, who: str = "buyer") -> None:
    data = {"email": f"{who}@example.org", **({"name": "Ann"} if shop.controllers[0] != "pompdelux" else {"subscription": "yes"})}
    shop.take(shop.event("newsletter.subscribed", when, who, channel="email", express=True, data=data), now=when)


def test_the_books_get_an_order_from_before_the_erasure_whole_however_late_and_in_whatever_order() -> None:
    for types in (("order.placed", "order.paid"), ("order.paid", "order.placed")):
        shop = Shop("webco", settings={"webco": {"jurisdiction": "DK"}})
        shop.pipeline._forgets = False
        signed_up(shop, "2024-01-15")
        shop.request("erasure", "2024-03-01")
        shop.acknowledge_all("2024-03-01T01:00")
        carried = {"order.placed": {**MAIL, "address": "1 Mill Road", "order_content": "advice"}, "order.paid": MAIL}
        for type_ in types:
            shop.take(shop.event(type_, "2024-02-20", order="1", data=carried[type_]), now="2024-03-10")
        assert held(shop, "2024-03-11", "microsoft_365") == {"name", "billing_and_delivery_address", "purchased_services"}
        assert all(i.kept for i in state(shop, "2024-03-11").live())


def test_an_order_that_nobody_paid_is_nothing_for_the_books() -> None:
    shop = Shop()
    shop.pipeline._forgets = False
    signed_up(shop, "2024-01-15")
    shop.request("erasure", "2024-03-01")
    shop.acknowledge_all("2024-03-01T01:00")
    shop.take(shop.event("order.placed", "2024-02-20", order="1", data={**MAIL, "address": "1 Mill Road"}), now="2024-03-10")
    assert not list(state(shop, "2024-03-11").live())


def test_only_who_unsubscribes_is_put_on_the_readable_list() -> None:
    for right, listed in (("withdrawal", {"suppression_list"}), ("objection", set())):
        shop = Shop("valeur")
        signed_up(shop, "2024-03-01")
        shop.request(right, "2024-03-02", scope=("direct_marketing",))
        s = state(shop, "2024-03-03")
        assert {d.target for d in s.do_not_use if d.target} == listed
        assert any(d.scope == "direct_marketing" for d in s.do_not_use)
        assert not any("suppression_list" in d.reasons for d in s.do_not_use)
        assert not asked(shop, "2024-03-03", "commercial_updates", "offer")


def test_a_report_brings_nothing_back_that_an_erasure_of_a_part_has_ended() -> None:
    shop = Shop("valeur")
    signed_up(shop, "2024-03-01")
    shop.request("erasure", "2024-03-02", of=("name",))
    shop.acknowledge_all("2024-03-02T01:00")
    shop.take(shop.event("newsletter.opened", "2024-03-03", issue="I-1", data=MAIL), now="2024-03-03")
    assert held(shop, "2024-03-04", "marketing_store") == {"email"}
    signed_up(shop, "2024-03-05")
    shop.take(shop.event("newsletter.opened", "2024-03-06", issue="I-2", data=MAIL), now="2024-03-06")
    assert held(shop, "2024-03-07", "marketing_store") == {"email", "name"}


def test_what_an_erasure_of_a_part_waits_for_gets_no_more_than_its_hold_needs() -> None:
    shop = Shop()
    data = {**MAIL, "address": "1 Mill Road", "phone": "86787871"}
    shop.take(shop.event("order.placed", "2024-03-01", order="1", data=data), now="2024-03-01")
    shop.request("erasure", "2024-03-02", of=("phone",))
    shop.take(shop.event("order.shipped", "2024-03-03", order="1", data=data), now="2024-03-03")
    phones = [i for i in state(shop, "2024-03-04").live() if i.category == "phone"]
    assert {i.target for i in phones} >= {"order_system", "shipping_agent"}
    assert all(i.kept and i.activity == "purchase_and_return" for i in phones)


def test_an_objection_to_direct_marketing_stops_advertising_in_every_guise_until_the_person_signs_up_again() -> None:
    shop = Shop("webco")
    signed_up(shop, "2024-03-01")
    order = {**MAIL, "address": "1 Mill Road"}
    shop.take(shop.event("order.placed", "2024-03-01T01:00", order="1", data=order), now="2024-03-01T01:00")
    assert asked(shop, "2024-03-02", "communication_and_surveys", "offer")
    shop.request("objection", "2024-03-03", scope=("direct_marketing",))
    assert not asked(shop, "2024-03-04", "communication_and_surveys", "offer")
    assert asked(shop, "2024-03-04", "communication_and_surveys", "order_status")
    assert asked(shop, "2024-03-04", "communication_and_surveys", "survey")
    signed_up(shop, "2024-03-05")
    assert asked(shop, "2024-03-06", "communication_and_surveys", "offer")


def test_leaving_a_channel_that_nobody_uses_ends_nothing_else() -> None:
    shop = Shop("valeur")
    shop.take(shop.event("order.placed", "2024-03-01", order="1", data=MAIL), now="2024-03-01")
    shop.take(shop.event("newsletter.unsubscribed", "2024-03-02", channel="sms"), now="2024-03-02")
    assert asked(shop, "2024-03-03", "commercial_updates", "similar")
    assert not asked(shop, "2024-03-03", "commercial_updates", "similar", "sms")
    shop.take(shop.event("newsletter.unsubscribed", "2024-03-04", channel="email"), now="2024-03-04")
    assert not asked(shop, "2024-03-05", "commercial_updates", "similar")


def test_a_transaction_is_complete_when_it_is_said_to_be() -> None:
    shop = Shop("valeur")
    shop.take(
        shop.event("order.placed", "2024-03-01", order="1", data=MAIL), shop.event("order.paid", "2024-03-01T01:00", order="1"),
        shop.event("order.delivered", "2024-03-02", order="1"), now="2024-03-02",
    )  # fmt: skip
    case = shop.request("erasure", "2024-03-03")
    shop.acknowledge_all("2024-03-04")
    assert shop.store.case(case).state == "open"
    shop.take(shop.event("order.completed", "2024-03-05", order="1"), now="2024-03-05")
    shop.pipeline.tick(at("2024-03-06"))
    shop.acknowledge_all("2024-03-06T01:00")
    assert shop.store.case(case).state == "closed"


def test_two_who_share_a_browser_lose_only_their_own() -> None:
    shop = Shop()
    for who in ("ann", "bo"):
        signed_up(shop, "2024-03-01", who)
        shop.take(shop.event("newsletter.clicked", "2024-03-02", who, issue="I-1", cookie="K-1"), now="2024-03-02")
    shop.take(shop.event("cookie.page_viewed", "2024-03-03", None, cookie="K-1", data={"viewed_items": "x"}), now="2024-03-03")
    both = [held(shop, "2024-03-03T12:00", "website_profile", who) for who in ("ann", "bo")]
    assert both[0] == both[1] != set()
    shop.request("erasure", "2024-03-04", "ann")
    shop.acknowledge_all("2024-03-04T01:00")
    assert held(shop, "2024-03-05", "website_profile", "ann") == set()
    assert held(shop, "2024-03-05", "website_profile", "bo") == both[1]
    shop.take(shop.event("cookie.page_viewed", "2024-03-06", None, cookie="K-1", data={"viewed_items": "x"}), now="2024-03-06")
    assert held(shop, "2024-03-07", "website_profile", "bo") == both[1]
    assert held(shop, "2024-03-07", "website_profile", "ann") == set()
