"""A plan tells of each item what would become of it, why in words, and on which day what remains will go."""

from __future__ import annotations

import datetime as dt

import pytest
import yaml
from shop import Shop, at

import schemas
from lineage import policy_file
from lineage.errors import BadCall
from lineage.kinds import default_categories
from lineage.subject import Use
from streams import planning
from streams.planning import Plan

CONTROLLERS = ("apof", "littlesteps", "pompdelux", "valeur", "webco")
SETTINGS = yaml.safe_load((policy_file.POLICIES / "settings.example.yaml").read_text("utf-8"))
BUYER = ("email", "buyer@example.org")
HISTORY = [
    ("account.created", "2024-08-05", {"account": "a1"}),
    ("order.placed", "2024-09-01", {"order": "900"}),
    ("order.paid", "2024-09-02", {"order": "900"}),
    ("order.shipped", "2024-09-02", {"order": "900"}),
    ("order.delivered", "2024-09-04", {"order": "900"}),
    ("order.completed", "2024-09-20", {"order": "900"}),
    ("newsletter.subscribed", "2026-08-01", {"channel": "email", "express": True}),
    ("support.opened", "2026-08-05", {"matter": "m1"}),
    ("order.placed", "2026-09-01", {"order": "1001"}),
    ("order.paid", "2026-09-01T12:00", {"order": "1001"}),
]


def shop_of(controller: str) -> Shop:
    shop = Shop(controller, settings=SETTINGS)
    policy = shop.pipeline.policies[controller]
    values = []
    for type_, when, fields in HISTORY:
        terms = [policy.categories[c].term for c in default_categories(policy, type_, fields.get("channel"))]
        data = {t: f"some {t}" for t in terms if t in schemas.registry().types[type_].data}
        values.append(shop.event(type_, when, **fields, **({"data": data} if data else {})))
    shop.take(*values, now="2026-09-01T13:00")
    return shop


def planned(shop: Shop, right: str, when: str = "2026-09-03", **more: object) -> Plan:
    return planning.plan(shop.pipeline, shop.controllers[0], BUYER, right, at(when), **more)


@pytest.mark.parametrize("controller", CONTROLLERS)
@pytest.mark.parametrize("when", ["2026-09-03", "2031-06-01"])
def test_every_category_of_every_system_stands_in_a_plan_of_erasure_exactly_once(controller: str, when: str) -> None:
    shop = shop_of(controller)
    key = shop.pipeline.current(controller, *BUYER)
    s = shop.pipeline.look((key,), controller, at(when))
    known = {(i.target, i.category) for i in s.live() if i.target in s.policy.systems}
    found = planned(shop, "erasure", when)
    rows = [
        (d.target, c) for d in found.decisions if d.target in s.policy.systems and d.decision != "suppress" for c in d.categories
    ]
    assert sorted(rows) == sorted(known)
    told = {d.target for d in found.decisions}
    assert {i.target for i in s.items.values() if i.use is not Use.ENDING} <= told | {"law_fraud_dispute_recipients"}


@pytest.mark.parametrize("controller", CONTROLLERS)
@pytest.mark.parametrize("right", ["erasure", "withdrawal", "objection", "restriction", "hiding"])
def test_what_remains_has_its_reason_in_words_and_its_day_if_one_is_known(controller: str, right: str) -> None:
    found = planned(shop_of(controller), right)
    remaining = [d for d in found.decisions if d.decision in ("retain", "stay")]
    assert remaining
    for d in remaining:
        assert d.goes == (d.until + dt.timedelta(days=1) if d.until else None)
        assert d.because
        assert (d.goes.isoformat() if d.goes else "no day is known yet") in d.words
        assert ": ;" not in d.words
        assert "  " not in d.words
    assert {(day, name) for day, names in found.going for name in names}
    assert [day for day, _ in found.going if day] == sorted({d.goes for d in remaining if d.goes})
    assert (found.going[-1][0] is None) == any(d.goes is None for d in remaining)


def decision(found: Plan, target: str, category: str) -> planning.Decided:
    (row,) = [d for d in found.decisions if d.target == target and category in d.categories]
    return row


def test_an_open_order_is_said_to_be_under_way_and_the_law_to_end_on_its_day() -> None:
    found = planned(shop_of("pompdelux"), "erasure")
    assert (
        decision(found, "customer_database", "email").words
        == "customer database keeps address, email, identity verification, name, payment information, phone and purchase, "
        "and for nothing else than this: an order is under way until “order delivered” and 14 days more have passed (right of "
        "withdrawal) with nothing open again, or “order refunded”, or all of it is cancelled; no day is known yet"
    )
    later = planned(shop_of("littlesteps"), "erasure")
    books = decision(later, "webshop_orders", "delivery_address")
    assert (books.decision, books.goes) == ("retain", dt.date(2032, 1, 1))
    assert "the law asks for it, 5 years from the end of the financial year, through 2031-12-31 (Danish Bookkeeping" in books.words
    assert later.going == ((dt.date(2032, 1, 1), ("webshop orders: delivery address, name and purchase history",)),)


def test_the_latest_of_several_holds_says_the_day() -> None:
    shop = shop_of("webco")
    shop.take(
        shop.event("order.shipped", "2026-09-03", order="1001"), shop.event("order.delivered", "2026-09-05", order="1001"),
        shop.event("order.completed", "2026-09-06", order="1001"), now="2026-09-06",
    )  # fmt: skip
    found = planned(shop, "erasure", "2026-09-10")
    assert decision(found, "microsoft_365", "email").goes == dt.date(2028, 9, 6)
    assert decision(found, "microsoft_365", "name").goes == dt.date(2032, 1, 1)


def test_a_withdrawal_leaves_the_rest_under_the_clocks_of_its_purposes() -> None:
    shop = Shop("valeur")
    data = {"name": "Ann", "email": "buyer@example.org", "address": "1 Mill Road", "phone": "+4586787871", "order_content": "x"}
    shop.take(
        shop.event("order.placed", "2026-01-01", order="1", data={k: v for k, v in data.items() if k != "order_content"}),
        shop.event("order.paid", "2026-01-01T01:00", order="1", data={"name": "Ann"}),
        shop.event("order.delivered", "2026-01-05", order="1"), shop.event("order.completed", "2026-01-20", order="1"),
        now="2026-01-21",
    )  # fmt: skip
    found = planned(shop, "withdrawal", "2026-02-01")
    row = decision(found, "order_system", "phone")
    assert (row.decision, row.goes) == ("stay", dt.date(2030, 1, 6))
    assert "for agreement, 2 years (legal warranty) and 2 years after order.delivered" in row.words
    entry = next(d for d in found.decisions if d.decision == "suppress" and d.target == "suppression_list")
    assert entry.goes == dt.date(2026, 5, 2)


def test_what_only_looks_leaves_nothing_to_go() -> None:
    shop = shop_of("apof")
    found = planned(shop, "access")
    assert not found.going
    assert {d.decision for d in found.decisions} <= {"export", "answer", "leave out"}


@pytest.mark.parametrize(("more", "says"), [({"scope": ("marketting",)}, "no activity"), ({"of": ("emial",)}, "no category")])
def test_a_name_that_the_policy_lacks_is_refused(more: dict[str, object], says: str) -> None:
    with pytest.raises(BadCall, match=says):
        planned(shop_of("apof"), "erasure", **more)
