"""The picture of a lineage: whole in one file, without values, with every holding behind its box."""

import json
import re

from shop import Shop, at

from lineage import policy_file
from streams import planning, views
from streams.picture import Held, draw


def picture_of(*held: Held) -> str:
    return draw(policy_file.load("pompdelux"), held, "2024-10-06", ("email", "customer_number"))


def held(target: str = "order_system", activity: str = "purchase_and_return", category: str = "name", **more: object) -> Held:
    rest = {"since": "2024-10-01", "until": None, "use": "ordinary", "why": ("P-ACT-1",), **more}
    return Held(target, activity, category, **rest)  # type: ignore[arg-type]


def test_it_needs_nothing_from_elsewhere() -> None:
    text = picture_of(held())
    assert not re.search(r"https?:|src=|@import|url\(", text)
    assert "$" not in text


def test_a_recipient_hangs_on_the_systems_that_hold_data_for_the_same_activity() -> None:
    text = picture_of(held(), held("support_inbox", "answering_questions"), held("shipping_agent"))
    lines = re.findall(r'data-from="(\w*)" data-to="(\w+)"', text)
    assert sorted(lines) == [("", "order_system"), ("", "support_inbox"), ("order_system", "shipping_agent")]


def test_a_recipient_whose_systems_hold_nothing_hangs_on_the_person() -> None:
    assert re.findall(r'data-from="(\w*)" data-to="(\w+)"', picture_of(held("shipping_agent"))) == [("", "shipping_agent")]


def test_every_holding_is_behind_its_box_with_dates_and_reasons() -> None:
    text = picture_of(held(until="2029-12-31", use="kept"), held(category="address"))
    found = re.search(r"const rows = (.*), svg", text)
    assert found
    rows = json.loads(found[1])["order_system"]
    assert rows[0] == ["name", "purchase and return", "2024-10-01", "2029-12-31", "kept", "P-ACT-1"]
    assert len(rows) == 2


def test_a_line_has_the_colour_of_what_is_freest_behind_it() -> None:
    assert 'class="line kept"' in picture_of(held(use="kept"), held(category="address", use="ending"))
    assert 'class="line ordinary"' in picture_of(held(use="kept"), held(category="address"))


def test_names_cannot_break_out_of_the_page() -> None:
    text = picture_of(held(target='x"><script>alert(1)</script>', why=("</script><b>",)))
    assert "<script>alert" not in text
    assert "</script><b>" not in text


def test_an_empty_lineage_says_so() -> None:
    assert "Nothing is held" in picture_of()


def test_the_lineage_of_a_person_shows_each_target_once_for_activity_and_category() -> None:
    shop = Shop()
    shop.take(
        shop.event("order.placed", "2024-10-01", order="P-1", lines=1, data={"name": "N", "email": "e"}),
        shop.event("order.placed", "2024-10-03", order="P-2", lines=1, data={"name": "N", "email": "e"}),
        now="2024-10-04",
    )
    found = views.lineage_of(shop.pipeline, "pompdelux", ("email", "buyer@example.org"), at("2024-10-04"))
    keys = [(h.target, h.activity, h.category) for h in found.holdings]
    assert len(keys) == len(set(keys))
    assert ("order_system", "purchase_and_return", "name") in keys
    assert {h.since.isoformat() for h in found.holdings} == {"2024-10-01"}
    assert set(found.identifiers) == {"email", "customer_number"}


def test_a_dry_run_says_what_a_request_then_does_and_writes_nothing() -> None:
    shop = Shop()
    shop.take(
        shop.event("order.placed", "2024-10-01", order="P-1", lines=1, data={"name": "N", "email": "e"}),
        shop.event("order.paid", "2024-10-01T10:00", order="P-1"),
        shop.event("order.delivered", "2024-10-02", order="P-1"),
        now="2024-10-04",
    )
    before = shop.store.digest(), shop.store.counts()
    found = planning.plan(shop.pipeline, "pompdelux", ("email", "buyer@example.org"), "erasure", at("2024-12-01"))
    assert (shop.store.digest(), shop.store.counts()) == before
    foreseen = {(d.target, c) for d in found.decisions if d.decision == "erase" for c in d.categories}
    case = shop.request("erasure", "2024-12-01")
    done = {(c.target, category) for c in shop.commands("2024-12-02") for category in json.loads(c.body)["reasons"]}
    assert foreseen == done
    kept = {(d.target, c, str(d.until)) for d in found.decisions if d.decision == "retain" for c in d.categories}
    row = shop.store.case(case)
    assert row is not None
    assert kept == {(t["target"], t["category"], t["until"]) for t in json.loads(row.body)["targets"] if t["outcome"] == "retained"}
    assert ("order_system", "name", "2029-12-31") in kept


def test_a_breach_touches_those_whose_data_the_recipient_held_in_that_time() -> None:
    shop = Shop()
    for n, day in enumerate(("2024-03-01", "2024-06-01")):
        data = {"name": "N", "address": "A"}
        shop.take(
            shop.event("order.placed", day, f"buyer{n}", order=f"P-{n}", lines=1, data=data),
            shop.event("order.shipped", day, f"buyer{n}", order=f"P-{n}", lines=1, data=data),
            now="2024-06-02",
        )
    early = views.impact(shop.pipeline, "pompdelux", "shipping_agent", 0, at("2024-04-01"), reveal=True)
    assert [a.known_by["email"] for a in early] == ["buyer0@example.org"]
    assert early[0].categories == ("address", "name")
    both = views.impact(shop.pipeline, "pompdelux", "shipping_agent", 0, at("2024-07-01"))
    assert [a.known_by for a in both] == [{}, {}]
