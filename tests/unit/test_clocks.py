"""Until when: when a matter is closed, what is one for the books, which holds keep what, when a retention ends."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from person import Person, activity, day, policy, recipient, second

from lineage.calendar import Duration
from lineage.clocks import clock_end, last_day, retention_end
from lineage.closings import FOREVER, closed_on, is_transaction, never_booked, parameter_end
from lineage.due import first_end
from lineage.fold import Event, apply
from lineage.keeping import Keeping, covers, keeping_now, keeping_of, keepings
from lineage.policy import Clock, Closing, Hold
from lineage.reading import matter_kind
from lineage.subject import Item, Matter, Subject, Use

SELLING = activity("selling")
TODAY = day("2024-06-10")


def matter(*events: tuple[str, str] | tuple[str, str, dict[str, object]], kind: str = "order") -> Matter:
    return Matter(kind, f"{kind}:1", [(second(e[1]), e[0], e[2] if len(e) > 2 else {}) for e in events])


def subject(*holds: dict[str, Any], matters: tuple[Matter, ...] = (), **more: Any) -> Subject:
    rows = {"activities": [SELLING], **more}
    s = Subject(policy(rows.pop("settings", None), holds=list(holds), **rows))
    s.now = second("2024-06-10")
    s.matters = {f"{m.kind}:{n}": m for n, m in enumerate(matters)}
    s.changed()
    return s


def hold(id_: str = "H-1", **more: Any) -> dict[str, Any]:
    row = {"id": id_, "kind": "purpose", "blocks": ["erasure"], "while": {"opened_by": ["order.placed"]}}
    return {**row, "closed_by": [{"all": ["order.delivered"]}], "scope": {"activities": ["selling"]}, **more}


def item(target: str = "shop", activity: str = "selling", category: str = "name", **more: Any) -> Item:
    return Item(target, activity, category, more.pop("matter", "order:0"), 1, 1, **more)


OPEN = matter(("order.placed", "2024-06-01"))


# -- when a matter is closed -------------------------------------------------------------------------------------------

PLACED = ("order.placed", "2024-03-01")
RETURN = Closing(
    all=("order.delivered",), plus="param:right_of_withdrawal", none_open=(("order.returned",), ("order.refunded",))
)  # fmt: skip
BOTH = Closing(all=("order.delivered", "order.paid"))


@pytest.mark.parametrize(
    ("events", "closings", "expected"),
    [
        ((), (BOTH,), None),
        ((("order.paid", "2024-03-02"),), (BOTH,), None),
        ((PLACED,), (), FOREVER),
        ((PLACED, ("order.paid", "2024-03-02")), (BOTH,), FOREVER),
        ((PLACED, ("order.paid", "2024-03-02"), ("order.delivered", "2024-03-05")), (BOTH,), day("2024-03-05")),
        ((PLACED, ("order.delivered", "2024-03-02"), ("order.paid", "2024-03-05")), (BOTH,), day("2024-03-05")),
        ((PLACED, ("order.delivered", "2024-03-02"), ("order.delivered", "2024-03-08")),
         (Closing(all=("order.delivered",)),), day("2024-03-02")),
        ((PLACED, ("order.delivered", "2024-03-01")), (Closing(all=("order.delivered",)),), day("2024-03-01")),
        ((PLACED, ("order.refunded", "2024-03-09"), ("order.delivered", "2024-03-04")),
         (Closing(all=("order.delivered",)), Closing(all=("order.refunded",))), day("2024-03-04")),
    ],
    ids=["nothing happened", "never opened", "no way to close", "one of two", "the later of two", "in any order", "the first of its kind",
         "in the same second", "the earliest of several ways"],
)  # fmt: skip
def test_a_matter_is_closed_on_the_day_on_which_all_of_one_way_has_happened(events: Any, closings: Any, expected: Any) -> None:
    assert closed_on(subject(), matter(*events), ("order.placed",), closings) == expected


def test_what_closed_a_matter_before_it_was_opened_again_does_not_close_it() -> None:
    events = [("support.opened", "2024-03-01"), ("support.closed", "2024-03-03"), ("support.reopened", "2024-03-05")]
    opened, closings = ("support.opened", "support.reopened"), (Closing(all=("support.closed",)),)
    assert closed_on(subject(), matter(*events), opened, closings) == FOREVER
    assert closed_on(subject(), matter(*events, ("support.closed", "2024-03-09")), opened, closings) == day("2024-03-09")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], day("2024-03-19")),
        ([("order.returned", "2024-03-06")], FOREVER),
        ([("order.returned", "2024-03-06"), ("order.refunded", "2024-03-12")], day("2024-03-19")),
        ([("order.returned", "2024-03-06"), ("order.refunded", "2024-03-06")], day("2024-03-19")),
        ([("order.returned", "2024-03-06"), ("order.refunded", "2024-03-25")], day("2024-03-25")),
        ([("order.returned", "2024-03-06"), ("order.refunded", "2024-03-25"), ("order.refunded", "2024-03-28")], day("2024-03-25")),
        ([("order.returned", "2024-03-06"), ("order.refunded", "2024-03-08"), ("order.returned", "2024-03-10")], FOREVER),
        ([("order.refunded", "2024-03-04"), ("order.returned", "2024-03-06"), ("order.refunded", "2024-03-22")], day("2024-03-22")),
    ],
)
def test_a_return_keeps_an_order_open_past_the_window_until_it_is_settled(events: Any, expected: dt.date) -> None:
    told = [PLACED, ("order.delivered", "2024-03-05"), *events]
    assert closed_on(subject(), matter(*told), ("order.placed",), (RETURN,)) == expected


@pytest.mark.parametrize("parameter", ["param:no_such", "param:bookkeeping"])
def test_a_window_whose_length_is_not_known_never_closes(parameter: str) -> None:
    order = matter(PLACED, ("order.delivered", "2024-03-05"))
    assert closed_on(subject(), order, ("order.placed",), (Closing(all=("order.delivered",), plus=parameter),)) == FOREVER


@pytest.mark.parametrize(
    ("lines", "events", "kind", "expected"),
    [
        (2, [("order.shipped", "2024-03-03", {"lines": 1})], "shipped", FOREVER),
        (
            2,
            [("order.shipped", "2024-03-03", {"lines": 1}), ("order.shipped", "2024-03-07", {"lines": 1})],
            "shipped",
            day("2024-03-07"),
        ),
        (
            2,
            [("order.shipped", "2024-03-03", {"lines": 1}), ("order.cancelled", "2024-03-07", {"lines": 1})],
            "shipped",
            day("2024-03-07"),
        ),
        (
            2,
            [("order.cancelled", "2024-03-03", {"lines": 1}), ("order.shipped", "2024-03-07", {"lines": 1})],
            "shipped",
            day("2024-03-07"),
        ),
        (2, [("order.shipped", "2024-03-03", {"lines": 2})], "cancelled", FOREVER),
        (1, [("order.cancelled", "2024-03-03", {})], "cancelled", day("2024-03-03")),
        (0, [], "shipped", day("2024-03-01")),
    ],
)
def test_an_order_is_settled_when_no_line_is_left(lines: int, events: Any, kind: str, expected: dt.date) -> None:
    order = matter(("order.placed", "2024-03-01", {"lines": lines}), *events)
    assert closed_on(subject(), order, ("order.placed",), (Closing(lines=kind),)) == expected


def test_lines_of_an_order_that_was_never_placed_are_not_settled() -> None:
    order = matter(("order.paid", "2024-03-01"), ("order.shipped", "2024-03-02"))
    assert closed_on(subject(), order, ("order.paid",), (Closing(lines="shipped"),)) == FOREVER


@pytest.mark.parametrize(
    ("events", "shipped_counts", "expected"),
    [
        ([("order.placed", "2024-03-01", {"payment": "card"})], True, False),
        ([("order.placed", "2024-03-01", {"payment": "invoice"})], False, True),
        ([("order.placed", "2024-03-01", {"payment": "account"})], False, True),
        ([("order.changed", "2024-03-01", {"payment": "account"})], False, False),
        ([("order.placed", "2024-03-01", {"payment": "card"}), ("order.paid", "2024-03-02")], False, True),
        ([("order.placed", "2024-03-01", {"payment": "card"}), ("order.shipped", "2024-03-02")], True, True),
        ([("order.placed", "2024-03-01", {"payment": "card"}), ("order.shipped", "2024-03-02")], False, False),
        ([("order.placed", "2024-03-01", {"payment": "invoice"}), ("order.cancelled", "2024-03-02")], True, False),
        ([("order.placed", "2024-03-01", {"payment": "invoice", "lines": 2}), ("order.cancelled", "2024-03-02", {"lines": 1})], True, True),
        ([("order.placed", "2024-03-01", {"payment": "invoice", "lines": 2}), ("order.shipped", "2024-03-02", {"lines": 1}),
          ("order.cancelled", "2024-03-03", {"lines": 1})], False, True),
        ([("order.placed", "2024-03-01", {"payment": "invoice", "lines": 0})], False, True),
    ],
)  # fmt: skip
def test_an_order_is_for_the_books_once_money_is_owed_or_goods_have_left(events: Any, shipped_counts: Any, expected: Any) -> None:
    assert is_transaction(matter(*events), shipped_counts=shipped_counts) is expected


# -- what a statute says -----------------------------------------------------------------------------------------------


def test_the_books_close_five_years_after_the_year_in_which_the_matter_began() -> None:
    order = matter(("order.placed", "2023-12-31"), ("order.paid", "2024-01-02"))
    assert parameter_end(subject(), "bookkeeping", order) == day("2028-12-31")


def test_a_warranty_runs_from_the_last_delivery_and_not_at_all_before_one() -> None:
    delivered = matter(PLACED, ("order.delivered", "2024-03-05"), ("order.delivered", "2024-03-09"))
    assert parameter_end(subject(), "legal_warranty", delivered) == day("2026-03-09")
    assert parameter_end(subject(), "legal_warranty", matter(PLACED)) is None


def test_a_parameter_that_nobody_knows_or_a_matter_without_events_has_no_end() -> None:
    assert parameter_end(subject(), "no_such", matter(PLACED)) is None
    assert parameter_end(subject(), "bookkeeping", Matter("order", "order:1")) is None


def test_a_relationship_that_ended_before_the_matter_began_does_not_end_it() -> None:
    s = subject()
    s.times["relationship.ended"] = [second("2024-02-01")]
    assert parameter_end(s, "aml", matter(PLACED)) is None
    s.times["relationship.ended"] += [second("2024-03-01")]
    assert parameter_end(s, "aml", matter(PLACED)) == day("2029-03-01")
    s.times["relationship.ended"] += [second("2024-04-01"), second("2024-03-20")]
    assert parameter_end(s, "aml", matter(PLACED)) == day("2029-04-01")


# -- which holds are there ---------------------------------------------------------------------------------------------


def ends(s: Subject, blocks: str = "erasure") -> dict[str, dt.date | None]:
    return {k.hold.id: k.until for k in keepings(s, blocks, TODAY)}


def test_a_hold_keeps_while_one_matter_is_open_and_its_end_is_not_known_until_then() -> None:
    closed = matter(PLACED, ("order.delivered", "2024-06-20"))
    assert ends(subject(hold(), matters=(OPEN, closed))) == {"H-1": None}
    assert ends(subject(hold(), matters=(closed,))) == {"H-1": day("2024-06-20")}
    assert ends(subject(hold(), matters=())) == {}


def test_the_latest_end_counts_and_the_last_day_is_still_held() -> None:
    first, last = (matter(PLACED, ("order.delivered", d)) for d in ("2024-06-10", "2024-06-12"))
    over = matter(PLACED, ("order.delivered", "2024-06-09"))
    assert ends(subject(hold(), matters=(first, over))) == {"H-1": day("2024-06-10")}
    assert ends(subject(hold(), matters=(last, first, over))) == {"H-1": day("2024-06-12")}
    assert ends(subject(hold(), matters=(over,))) == {}


def test_only_the_holds_that_block_what_is_asked_for_count() -> None:
    other = hold("H-0", blocks=["retention"])
    s = subject(other, hold(blocks=["rectification", "erasure"]), matters=(OPEN,))
    assert ends(s) == {"H-1": None}
    assert ends(s, "rectification") == {"H-1": None}
    assert ends(s, "retention") == {"H-0": None}


def test_a_hold_that_needs_a_setting_is_there_only_where_it_is_set() -> None:
    gated = hold("H-0", needs_setting="obliged_entity")
    for settings, found in (({}, ["H-1"]), ({"obliged_entity": False}, ["H-1"]), ({"obliged_entity": True}, ["H-0", "H-1"])):
        assert list(ends(subject(gated, hold(), matters=(OPEN,), settings=settings))) == found


def test_a_hold_may_ask_for_a_state_of_the_person_or_for_its_absence() -> None:
    dead = hold("H-DEAD", **{"while": {"opened_by": ["order.placed"], "if": "deceased"}})
    alive = hold("H-ALIVE", **{"while": {"opened_by": ["order.placed"], "unless": "deceased"}})
    s = subject(dead, alive, hold(), matters=(OPEN,))
    assert list(ends(s)) == ["H-ALIVE", "H-1"]
    s.died = 1
    s.changed()
    assert list(ends(s)) == ["H-DEAD", "H-1"]


def test_what_the_books_ask_for_lasts_by_the_order_that_is_a_transaction() -> None:
    books = hold(**{"while": {"transaction": True}}, last={"parameter": "bookkeeping"}, closed_by=None)
    paid, unpaid = matter(PLACED, ("order.paid", "2024-03-02")), matter(("order.placed", "2025-03-01"))
    assert ends(subject(books, matters=(paid, unpaid))) == {"H-1": day("2029-12-31")}
    shipped = matter(PLACED, ("order.shipped", "2024-03-02"))
    assert ends(subject(books, matters=(shipped,))) == {"H-1": day("2029-12-31")}
    paid_only = {**books, "while": {"transaction": "paid"}}
    assert ends(subject(paid_only, matters=(shipped,))) == {}
    assert ends(subject(books, matters=(unpaid,))) == {}
    asked = matter(("order.paid", "2024-03-02"), kind="matter")
    assert ends(subject(books, matters=(asked,))) == {}, "only an order is one for the books"


def test_a_statute_whose_anchor_has_not_come_keeps_without_an_end() -> None:
    warranty = hold(last={"parameter": "legal_warranty"}, closed_by=None)
    assert ends(subject(warranty, matters=(OPEN,))) == {"H-1": None}
    assert ends(subject(warranty, matters=(matter(("order.paid", "2024-03-02")),))) == {}


def test_a_hold_with_a_duration_runs_from_the_last_opening() -> None:
    sold = hold(**{"while": {"opened_by": ["debt.sold"]}}, last={"duration": "P3M"}, closed_by=None)
    debt = matter(("debt.opened", "2024-03-01"), ("debt.sold", "2024-03-20"), ("debt.sold", "2024-04-02"), kind="debt")
    assert ends(subject(sold, matters=(debt,))) == {"H-1": day("2024-07-02")}


def test_a_recipient_with_an_end_of_its_own_is_held_by_that_end() -> None:
    carrier = hold(recipients={"carrier": {"closed_by": [{"all": ["order.shipped"]}]}},
                   closed_by=[{"all": ["order.delivered"]}])  # fmt: skip
    parties = [recipient("carrier")]
    (both,) = keepings(subject(carrier, matters=(OPEN,), recipients=parties), "erasure", TODAY)
    assert (both.active, both.until, both.recipients_until) == (True, None, {"carrier": None})
    shipped = matter(PLACED, ("order.shipped", "2024-06-01"))
    (one,) = keepings(subject(carrier, matters=(shipped,), recipients=parties), "erasure", TODAY)
    assert (one.active, one.recipients_until) == (True, {})
    over = matter(PLACED, ("order.delivered", "2024-06-01"), ("order.shipped", "2024-06-20"))
    (own,) = keepings(subject(carrier, matters=(over,), recipients=parties), "erasure", TODAY)
    assert (own.active, own.until, own.recipients_until) == (False, TODAY, {"carrier": day("2024-06-20")})
    for shipped, held_there in (("2024-06-10", {"carrier": TODAY}), ("2024-06-09", {})):
        still = matter(PLACED, ("order.shipped", shipped))
        (one,) = keepings(subject(carrier, matters=(still,), recipients=parties), "erasure", TODAY)
        assert one.recipients_until == held_there


def test_holds_are_looked_up_once_for_each_day_and_each_thing_blocked() -> None:
    s = subject(hold(), hold("H-2", blocks=["retention"]), matters=(matter(PLACED, ("order.delivered", "2024-06-12")),))
    assert keepings(s, "erasure", TODAY) is keepings(s, "erasure", TODAY)
    assert list(ends(s)) == ["H-1"]
    assert list(ends(s, "retention")) == ["H-2"]
    assert keepings(s, "erasure", day("2024-06-13")) == []


# -- what a hold covers ------------------------------------------------------------------------------------------------


def keeping(s: Subject) -> Keeping:
    (found,) = keepings(s, "erasure", TODAY)
    return found


def held(row: dict[str, Any], *items: Item, **more: Any) -> list[bool]:
    s = subject(row, matters=(OPEN,), **more)
    return [covers(s, keeping(s), i) for i in items]


PARTIES = [recipient("carrier"), recipient("printer"), recipient("host", operates="shop")]


def test_a_hold_on_activities_covers_them_at_systems_and_recipients() -> None:
    mine = [item(), item("desk"), item("carrier"), item(activity="other")]
    assert held(hold(), *mine, recipients=PARTIES) == [True, True, True, False]


def test_a_hold_in_named_systems_covers_recipients_all_the_same() -> None:
    row = hold(scope={"activities": ["selling"], "systems": ["desk"]})
    assert held(row, item(), item("desk"), item("carrier"), item("host"), recipients=PARTIES) == [False, True, True, False]


def test_a_hold_on_categories_of_activities_leaves_recipients_alone_unless_a_statute_asks() -> None:
    row = hold(scope={"activities": ["selling"], "categories": ["name"]})
    probes = [item(), item(category="email"), item("carrier"), item("carrier", category="email")]
    assert held(row, *probes, recipients=PARTIES) == [True, False, True, True]
    assert held({**row, "kind": "legal_obligation"}, *probes, recipients=PARTIES) == [True, False, True, False]


def test_a_hold_on_categories_alone_covers_them_in_systems_only() -> None:
    row = hold(scope={"categories": ["name"]})
    probes = [item(), item(category="email"), item("carrier"), item("host"), item(activity="other")]
    assert held(row, *probes, recipients=PARTIES) == [True, False, False, True, True]
    row = hold(scope={"categories": ["name"], "systems": ["desk"]})
    assert held(row, item(), item("desk"), recipients=PARTIES) == [False, True]


def test_a_hold_that_names_neither_activities_nor_categories_covers_nothing() -> None:
    assert held(hold(scope={}), item(), item("carrier"), recipients=PARTIES) == [False, False]


def test_a_hold_on_recipients_covers_what_they_have_and_nothing_else() -> None:
    row = hold(scope={"recipients": ["carrier"]})
    assert held(row, item("carrier"), item("carrier", activity="other"), item("printer"), item(), recipients=PARTIES) == [
        True, True, False, False,
    ]  # fmt: skip


def test_marketing_is_never_kept_but_at_a_recipient_that_a_hold_names() -> None:
    news = activity("news", marketing="direct")
    row = hold(scope={"activities": ["news"]})
    assert held(row, item(activity="news"), activities=[SELLING, news]) == [False]
    row = hold(scope={"recipients": ["carrier"]})
    assert held(row, item("carrier", activity="news"), activities=[SELLING, news], recipients=PARTIES) == [True]


def test_a_hold_on_a_legal_basis_covers_the_activities_that_rest_on_it() -> None:
    legal = activity("books", basis="legal_obligation")
    row = hold(scope={"activities": "legal_obligation"})
    probes = [item(activity="books"), item(), item(activity="unknown")]
    assert held(row, *probes, activities=[SELLING, legal]) == [True, False, False]


def test_a_recipient_with_an_end_of_its_own_is_covered_for_the_activities_of_the_hold_while_that_runs() -> None:
    row = hold(recipients={"carrier": {"closed_by": [{"all": ["order.shipped"]}]}})
    probes = [item("carrier"), item("carrier", activity="other"), item("printer")]
    assert held(row, *probes, recipients=PARTIES) == [True, False, True]
    shipped = matter(PLACED, ("order.shipped", "2024-06-01"))
    s = subject(row, matters=(shipped,), recipients=PARTIES)
    assert [covers(s, keeping(s), i) for i in (*probes, item())] == [False, False, True, True]
    over = matter(PLACED, ("order.delivered", "2024-06-01"))
    s = subject(row, matters=(over,), recipients=PARTIES)
    assert [covers(s, keeping(s), i) for i in (*probes, item())] == [True, False, False, False]


# -- what keeps an item ------------------------------------------------------------------------------------------------


def kept(s: Subject, probe: Item | None = None) -> Any:
    return keeping_of(s, probe or item(), keepings(s, "erasure", TODAY), TODAY)


def test_the_latest_hold_says_until_when_and_all_of_them_say_why() -> None:
    early, late = (
        matter((f"{k}.opened", "2024-06-01"), (f"{k}.closed", d), kind=k)
        for k, d in (("support", "2024-06-20"), ("incident", "2024-06-12"))
    )
    holds = [
        hold(f"H-{k}", **{"while": {"opened_by": [f"{k}.opened"]}}, closed_by=[{"all": [f"{k}.closed"]}], cites=[f"C-{k}"])
        for k in ("support", "incident")
    ]
    found = kept(subject(*holds, matters=(early, late)))
    assert found.until == day("2024-06-20")
    assert found.reasons == ("H-support", "C-support", "H-incident", "C-incident", "T-selling")
    assert (found.statutory, found.claim) == (False, False)


def test_an_end_that_is_not_known_is_later_than_any_other() -> None:
    sold = hold("H-2", **{"while": {"opened_by": ["debt.sold"]}}, last={"duration": "P3M"}, closed_by=None)
    debt = matter(("debt.sold", "2024-06-02"), kind="debt")
    assert kept(subject(hold(), sold, matters=(OPEN, debt))).until is None
    assert kept(subject(sold, hold(), matters=(debt,))).until == day("2024-09-02")


def test_what_keeps_is_statutory_only_if_every_hold_is() -> None:
    books = hold("H-B", kind="legal_obligation", **{"while": {"transaction": True}}, last={"parameter": "bookkeeping"})
    paid = matter(("order.placed", "2024-06-01"), ("order.paid", "2024-06-01"))
    alone = kept(subject(books, matters=(paid,)))
    assert alone.statutory
    assert alone.reasons == ("H-B", "param:bookkeeping", "T-selling")
    assert not kept(subject(books, hold(), matters=(paid,))).statutory
    assert not kept(subject(hold(), books, matters=(paid,))).statutory


def test_nothing_keeps_what_no_hold_covers() -> None:
    assert kept(subject(hold(), matters=(OPEN,)), item(activity="other")) is None
    assert kept(subject()) is None


def test_the_reasons_name_the_retention_the_recipient_and_what_the_item_rests_on() -> None:
    rule = {"id": "K-1", "activities": ["selling"], "anchor": ["order.delivered"], "duration": "P1Y"}
    s = subject(hold(), matters=(OPEN,), activities=[activity("selling", retention=["K-1"])], retention=[rule], recipients=PARTIES)
    assert kept(s, item("carrier", cites={"E-2", "E-1"})).reasons == ("H-1", "T-selling", "K-1", "R-carrier", "E-1", "E-2")
    scope = hold(scope={"recipients": ["carrier"]})
    assert kept(subject(scope, matters=(OPEN,), recipients=PARTIES), item("carrier", activity="")).reasons == ("H-1", "R-carrier")


def test_a_recipients_own_end_takes_the_place_of_the_holds() -> None:
    row = hold(recipients={"carrier": {"closed_by": [{"all": ["order.shipped"]}]}})
    order = matter(PLACED, ("order.delivered", "2024-06-30"), ("order.shipped", "2024-06-15"))
    s = subject(row, matters=(order,), recipients=PARTIES)
    assert [kept(s, item(t)).until for t in ("carrier", "shop")] == [day("2024-06-15"), day("2024-06-30")]


def test_what_the_person_wanted_gone_is_kept_by_other_holds_than_what_has_outlived_its_time() -> None:
    s = subject(hold("H-E"), hold("H-R", blocks=["retention"]), matters=(OPEN,))
    assert keeping_now(s, item(), {}, TODAY).reasons[0] == "H-R"
    assert keeping_now(s, item(asked="case-1"), {}, TODAY).reasons[0] == "H-E"
    s.erased_at = 0
    assert keeping_now(s, item(), {}, TODAY).reasons[0] == "H-E"


def placed_twice(*, known_before: bool) -> Person:
    p = Person(policy(activities=[SELLING], holds=[hold()]))
    p.event("order.placed", "2024-03-01", "order:1")
    if known_before:
        p.event("order.placed", "2024-03-02", "order:2")
    p.request("erasure", "2024-03-03")
    if not known_before:
        apply(p.s, Event(second("2024-03-04"), "order.placed", ("name",), (), "order:2", occurred=second("2024-03-02")))
    return p.event("order.delivered", "2024-03-05", "order:1", terms="").on("2024-03-07")


def test_an_order_that_is_told_of_after_the_erasure_opens_no_hold_of_the_controllers_own() -> None:
    assert {i.matter for i in placed_twice(known_before=True).s.live()} == {"order:1", "order:2"}
    assert not list(placed_twice(known_before=False).s.live())


@pytest.mark.parametrize("kind", ["legal_obligation", "purpose"])
def test_an_order_that_is_told_of_after_the_erasure_is_kept_where_a_statute_asks_for_it(kind: str) -> None:
    row = {**books(True), "kind": kind, "scope": {"activities": ["ledger"]}}
    p = Person(policy(activities=[SELLING, activity("ledger", basis="legal_obligation")], holds=[row]))
    p.event("account.created", "2024-03-01", "account:1", terms="name")
    p.request("erasure", "2024-03-03")
    owed = (("payment", "invoice"),)
    apply(p.s, Event(second("2024-03-04"), "order.placed", ("name",), owed, "order:2", occurred=second("2024-03-02")))
    assert p.held(Use.KEPT) == ({("shop", "ledger", "name")} if kind == "legal_obligation" else set())


def test_a_report_of_an_order_that_nobody_knows_leaves_what_is_kept_as_it_is() -> None:
    p = Person(policy(activities=[SELLING], holds=[hold(), hold("H-2", **{"while": {"transaction": True}})]))
    p.event("order.placed", "2024-03-01", "order:1")
    p.request("erasure", "2024-03-03")
    before = p.held()
    p.event("order.shipped", "2024-03-04", "order:9", terms="name").on("2024-03-05")
    assert p.held(Use.KEPT) == before != set()
    assert "order:9" not in p.s.matters


def test_the_holds_that_keep_several_items_are_asked_for_once() -> None:
    s = subject(hold("H-R", blocks=["retention"]), matters=(OPEN,))
    known: dict[str, list[Keeping]] = {}
    assert keeping_now(s, item(), known, TODAY)
    assert [k.hold.id for k in known["retention"]] == ["H-R"]
    known["retention"] = []
    assert keeping_now(s, item(), known, TODAY) is None


# -- claims and orders of a court --------------------------------------------------------------------------------------


def claimed(about: str = "", categories: str = "", closed: str | None = None, **more: Any) -> Subject:
    s = subject(recipients=PARTIES, **more)
    s.claims = [("claim:1", about, frozenset(categories.split()), 1)]
    if closed:
        s.closed_claims["claim:1"] = second(closed)
    return s


def test_a_claim_keeps_what_it_needs_at_the_controller_without_an_end() -> None:
    found = kept(claimed())
    assert (found.until, found.statutory, found.claim) == (None, False, True)
    assert found.reasons == ("gdpr:17", "T-selling")
    assert kept(claimed(), item("host")).claim, "whoever operates the system has it for the controller"
    assert kept(claimed(), item("carrier")) is None


def test_a_claim_about_a_matter_or_categories_keeps_these_only() -> None:
    assert kept(claimed("order:0"))
    assert kept(claimed("order:7")) is None
    assert kept(claimed(categories="name phone"))
    assert kept(claimed(categories="email")) is None
    assert kept(claimed("order:7", "name")) is None


def test_a_claim_about_one_order_keeps_no_other_that_is_like_it() -> None:
    p = Person(policy(activities=[SELLING]))
    p.event("order.placed", "2024-03-01", "order:1").event("order.placed", "2024-03-02", "order:2")
    p.event("claim.opened", "2024-03-03", "claim:1", terms="", about="order:1")
    p.request("erasure", "2024-03-04")
    assert {(i.matter, i.category) for i in p.s.live()} == {("order:1", "name"), ("order:1", "email")}
    p.event("claim.closed", "2024-04-01", "claim:1", terms="", about="order:1").on("2024-04-02")
    assert p.held() == set()


def test_a_claim_that_is_settled_lets_go_what_another_does_not_need() -> None:
    p = Person(policy(activities=[SELLING]))
    for n in (1, 2):
        p.event("order.placed", f"2024-03-0{n}", f"order:{n}")
        p.event("claim.opened", "2024-03-03", f"claim:{n}", terms="", about=f"order:{n}")
    p.request("erasure", "2024-03-04")
    p.event("claim.closed", "2024-04-01", "claim:1", terms="", about="order:1").on("2024-04-02")
    assert {i.matter for i in p.s.live()} == {"order:2"}


def test_a_claim_keeps_through_the_day_on_which_it_is_closed() -> None:
    assert kept(claimed(closed="2024-06-10")).until == TODAY
    assert kept(claimed(closed="2024-06-09")) is None
    s = claimed(closed="2024-06-09")
    s.claims.append(("claim:2", "", frozenset(), 2))
    assert kept(s).until is None, "another is still open"


def test_a_claim_makes_what_a_statute_keeps_wait_for_a_person() -> None:
    books = hold("H-B", kind="legal_obligation", **{"while": {"transaction": True}}, last={"parameter": "bookkeeping"})
    s = subject(books, matters=(matter(("order.placed", "2024-06-01"), ("order.paid", "2024-06-01")),))
    s.claims = [("claim:1", "", frozenset(), 1)]
    found = kept(s)
    assert (found.statutory, found.claim, found.until) == (False, True, None)
    assert found.reasons[:3] == ("H-B", "param:bookkeeping", "gdpr:17")


def test_the_policys_own_rule_on_claims_comes_before_the_article() -> None:
    assert kept(claimed(restriction=[{"id": "Q-1", "ground": "claim"}], claim_cites=["Q-2"])).reasons[:2] == ("Q-1", "gdpr:17")
    assert kept(claimed(claim_cites=["Q-2"])).reasons[:2] == ("Q-2", "gdpr:17")


def ordered(until: str | None = None, activities: str = "", systems: str = "", categories: str = "", **more: Any) -> Subject:
    s = subject(recipients=PARTIES, **more)
    s.orders_to_keep = [(day(until) if until else None, *(tuple(x.split()) for x in (activities, systems, categories)))]
    return s


@pytest.mark.parametrize("named", [{}, {"activities": "selling"}, {"systems": "shop desk"}, {"categories": "name"}])
def test_a_courts_order_keeps_what_it_names(named: Any) -> None:
    found = kept(ordered(**named))
    assert (found.until, found.statutory, found.claim) == (None, False, True)
    assert found.reasons == ("gdpr:17", "T-selling")


@pytest.mark.parametrize("named", [{"activities": "other"}, {"systems": "desk"}, {"categories": "email"}])
def test_a_courts_order_keeps_nothing_that_it_does_not_name(named: Any) -> None:
    assert kept(ordered(**named)) is None
    s = ordered(**named)
    s.orders_to_keep.append((None, (), (), ()))
    assert kept(s), "another order does"


def test_a_courts_order_reaches_recipients_where_it_names_activities_alone() -> None:
    carrier = item("carrier")
    assert kept(ordered(activities="selling"), carrier)
    for named in ({}, {"systems": "shop"}, {"categories": "name"}, {"activities": "other"}, {"activities": "selling", "categories": "name"},
                  {"activities": "selling", "systems": "shop"}):  # fmt: skip
        assert kept(ordered(**named), carrier) is None
    s = ordered()
    s.orders_to_keep.append((None, ("selling",), (), ()))
    assert kept(s, carrier), "another order does"


def test_a_courts_order_on_a_system_keeps_what_lies_there_with_whoever_operates_it() -> None:
    assert kept(ordered(systems="shop"), item("host")).claim
    assert kept(ordered(systems="desk"), item("host")) is None
    parties = [recipient("host", operates="shop")]
    p = Person(policy(activities=[activity("selling", recipients=["host"])], recipients=parties))
    p.event("order.placed", "2024-03-01", "order:1")
    p.event("preservation.ordered", "2024-03-02", terms="", systems=("shop",))
    p.request("erasure", "2024-03-03")
    assert p.commands() == {}, "whoever operates the system would erase in it"


def test_a_courts_order_keeps_through_its_last_day() -> None:
    assert kept(ordered("2024-06-10")).until == TODAY
    assert kept(ordered("2024-06-09")) is None
    s = ordered("2024-06-09")
    s.orders_to_keep.append((day("2024-06-11"), (), (), ()))
    assert kept(s).until == day("2024-06-11")


def test_a_courts_order_cites_the_guard_on_authorities() -> None:
    guards = [{"id": "G-1", "on": "disclosure", "to": "unlisted"}, {"id": "G-2", "on": "disclosure", "to": "authority"},
              {"id": "G-3", "on": "transfer", "to": "authority"}]  # fmt: skip
    assert kept(ordered(guards=guards)).reasons == ("G-2", "gdpr:17", "T-selling")


# -- retention ---------------------------------------------------------------------------------------------------------


def rule(id_: str = "K-1", **more: Any) -> dict[str, Any]:
    row = {"id": id_, "activities": ["selling"]}
    return {**row, "anchor": ["order.delivered"], "duration": "P1Y", **more}


def shopper(*rules: dict[str, Any], settings: Any = None, **more: Any) -> Person:
    rows = {"activities": [activity("selling", retention=[r["id"] for r in rules if r["activities"] == ["selling"]], **more)]}
    return Person(policy(settings, retention=list(rules), **rows))


def bought(p: Person, delivered: str | None = "2024-03-05", number: str = "order:1") -> Person:
    p.event("order.placed", "2024-03-01", number)
    return p.event("order.delivered", delivered, number, terms="") if delivered else p


def last(p: Person, target: str = "shop", number: str | None = None) -> dt.date | None:
    return last_day(p.s, p.item(target, "selling", "name", number))


def test_a_retention_runs_from_the_last_of_its_anchors() -> None:
    p = bought(shopper(rule()))
    assert last(p) == day("2025-03-05")
    p.event("order.delivered", "2024-03-09", "order:1", terms="")
    assert last(p) == day("2025-03-09")
    assert last(bought(shopper(rule()), None)) is None


def test_each_matter_has_its_own_retention() -> None:
    p = bought(bought(shopper(rule())), "2024-04-01", "order:2")
    assert [last(p, number=n) for n in ("order:1", "order:2")] == [day("2025-03-05"), day("2025-04-01")]


def test_the_latest_of_several_rules_counts_and_one_without_an_end_leaves_all_without() -> None:
    early, late = rule(), rule("K-2", duration="P2Y")
    assert last(bought(shopper(early, late))) == last(bought(shopper(late, early))) == day("2026-03-05")
    open_ = rule("K-3", anchor=["order.refunded"])
    assert last(bought(shopper(early, open_))) is None
    assert last(bought(shopper(open_, early))) is None


def test_the_reasons_of_a_last_day_are_its_rules_its_activity_and_what_the_item_rests_on() -> None:
    p = bought(shopper(rule(), {"id": "K-B", "activities": ["selling"], "parameter": "bookkeeping"}))
    end, ids = retention_end(p.s, p.item("shop", "selling", "name"))
    assert end == day("2029-12-31")
    assert ids == ("K-1", "K-B", "param:bookkeeping", "T-selling", "E-ORDER")
    assert retention_end(p.s, item(activity="unknown")) == (None, ())
    assert last_day(p.s, item(activity="unknown")) is None


def test_a_rule_for_some_systems_of_an_activity_is_none_for_the_others() -> None:
    both = {"systems": ["shop", "desk"]}
    p = bought(shopper(rule(systems={"selling": ["desk"]}), rule("K-2", duration="P2Y", systems={"selling": ["shop"]}), **both))
    assert (last(p, "desk"), last(p, "shop")) == (day("2025-03-05"), day("2026-03-05"))
    assert retention_end(p.s, p.item("shop", "selling", "name"))[1][:1] == ("K-2",)


def test_what_is_kept_since_it_was_collected_runs_from_the_last_time() -> None:
    p = shopper(rule(anchor="collected", duration="P6M"))
    p.event("order.placed", "2024-03-01", "order:1").event("order.paid", "2024-03-20", "order:1")
    assert last(p) == day("2024-09-20")


def test_a_rule_that_a_setting_fills_has_no_end_without_it() -> None:
    open_ = rule(needs_setting=True)
    assert last(bought(shopper(open_))) is None
    filled = {"K-1": {"selling": {"anchor": "order.delivered", "duration": "P3M"}}}
    assert last(bought(shopper(open_, settings=filled))) == day("2024-06-05")
    other = {"K-1": {"other": {"anchor": "order.delivered", "duration": "P3M"}}}
    assert last(bought(shopper(open_, settings=other))) is None
    assert last(bought(shopper(rule(), settings=filled))) == day("2025-03-05"), "a rule with a clock of its own needs none"


def test_a_statutory_rule_has_no_end_for_what_belongs_to_no_matter() -> None:
    statute = {"id": "K-B", "activities": ["selling"], "parameter": "bookkeeping"}
    assert last(shopper(statute).event("order.placed", "2024-03-01")) is None
    collected = rule(anchor="collected", duration="P6M")
    assert last(shopper(collected).event("order.placed", "2024-03-01")) == day("2024-09-01")
    assert last(shopper(collected, statute).event("order.placed", "2024-03-01")) is None


def test_a_rule_about_another_kind_of_matter_has_no_say() -> None:
    support = rule("K-2", anchor=["support.closed"], duration="P5Y")
    assert last(bought(shopper(rule(), support))) == day("2025-03-05")
    assert last(bought(shopper(support))) is None
    person = rule("K-2", anchor=["support.closed", "person.died"])
    assert last(bought(shopper(rule(), person))) is None, "an anchor about no kind of matter may still come"
    filled = {"K-2": {"selling": {"anchor": "support.closed", "duration": "P5Y"}}}
    assert last(bought(shopper(rule(), rule("K-2", needs_setting=True), settings=filled))) is None


def test_a_rule_about_another_kind_of_matter_has_a_say_once_such_a_matter_has_ended() -> None:
    p = bought(shopper(rule(anchor=["support.closed"], duration="P5Y"))).event("support.closed", "2024-05-01", "matter:1")
    assert last(p) == day("2029-05-01")


def test_a_rule_that_waits_for_a_setting_leaves_the_others_without_an_end() -> None:
    assert last(bought(shopper(rule(), rule("K-2", needs_setting=True)))) is None


def test_a_rule_about_orders_has_no_say_for_what_belongs_to_no_order() -> None:
    p = shopper(rule(), rule("K-2", anchor="collected", duration="P6M"), events=["account"])
    assert last(p.event("account.changed", "2024-03-01")) == day("2024-09-01")


def test_a_rule_on_accounts_has_a_say_only_for_what_happened_under_one() -> None:
    account = rule("K-A", anchor=["account.terminated"], duration="P0D")
    guest = bought(shopper(rule(), account))
    assert last(guest) == day("2025-03-05")
    member = bought(shopper(rule(), account).event("account.created", "2024-01-01", "account:1"))
    assert last(member) is None
    member.event("account.terminated", "2026-01-01", "account:1")
    assert last(member) == day("2026-01-01")
    later = rule("K-A", anchor=["account.terminated"], duration="P9Y")
    before = shopper(rule(), later).event("account.created", "2024-01-01", "account:1")
    before.event("account.terminated", "2024-02-01", "account:1")
    assert last(bought(before)) == day("2025-03-05"), "an account that had ended before is none of its"
    named = shopper(later).event("account.created", "2024-01-01", "account:1")
    bought(named.event("account.terminated", "2024-02-01", "account:1")).s.matters["order:1"].events.clear()
    named.s.changed()
    assert last(named) == day("2033-02-01"), "of a matter that is known by name only nobody can tell when it began"
    same = shopper(rule(), later).event("account.created", "2024-01-01", "account:1")
    same.event("account.terminated", "2024-03-01", "account:1")
    assert last(bought(same)) == day("2033-03-01"), "it ended in the second in which the order began"
    none = shopper(rule("K-2", anchor="collected", duration="P1M"), later, events=["account"])
    none.event("account.created", "2024-01-01", "account:1").event("account.terminated", "2024-02-01", "account:1")
    assert last(none.event("account.changed", "2024-03-01"), number="") == day("2033-02-01"), (
        "what is of no matter is the account's"
    )


def test_a_rule_with_an_exception_gives_way_to_another_while_it_holds() -> None:
    general = {"id": "K-0", "activities": "all", "anchor": ["order.delivered"], "duration": "P5Y"}
    rows = [rule(unless={"if": "has_account", "then": "K-0"}), general]
    assert last(bought(shopper(*rows))) == day("2025-03-05")
    member = bought(shopper(*rows).event("account.created", "2024-01-01", "account:1"))
    assert last(member) == day("2029-03-05")
    assert retention_end(member.s, member.item("shop", "selling", "name"))[1][:2] == ("K-0", "K-1")
    member.event("account.terminated", "2024-04-01", "account:1")
    assert last(member) == day("2029-03-05"), "it ended after the order"
    rows[0] = rule(unless={"if": "deceased", "then": "K-0"})
    p = bought(shopper(*rows))
    assert last(p) == day("2025-03-05")
    assert last(p.event("person.died", "2024-04-01")) == day("2029-03-05")


def test_without_an_account_a_guests_data_may_go_with_what_another_activity_says() -> None:
    settings = {
        "K-9": {
            "paying": {"anchor": "order.delivered", "duration": "P1M"},
            "buying": {"anchor": "order.delivered", "duration": "P2M"},
        }
    }
    rows = [
        rule(anchor=["account.terminated"], duration="P0D", guest_as="buying"),
        {"id": "K-9", "activities": "all", "needs_setting": True},
    ]
    assert last(bought(shopper(*rows, settings=settings))) == day("2024-05-05")
    assert last(bought(shopper(*rows))) is None
    member = shopper(*rows, settings=settings).event("account.created", "2024-01-01", "account:1")
    assert last(bought(member)) is None
    assert last(member.event("account.terminated", "2024-05-01", "account:1")) == day("2024-05-01")


def test_an_account_whose_data_have_expired_counts_as_ended() -> None:
    buying = activity("buying", events=["order", "account"], categories=["name"], retention=["K-9"])
    settings = {"K-9": {"buying": {"anchor": ["account.created", "account.logged_in"], "duration": "P1Y"}}}
    rows = [
        rule(anchor=["account.terminated"], duration="P0D", guest_as="buying"),
        {"id": "K-9", "activities": "all", "needs_setting": True},
    ]
    p = Person(policy(settings, retention=rows, activities=[activity("selling", retention=["K-1"]), buying]))
    bought(p.event("account.created", "2024-01-01", "account:1"))
    assert last(p) == day("2025-01-02")
    p.event("account.logged_in", "2024-04-01", "account:1")
    assert last(p) == day("2025-04-02"), "whoever logs in has data there for longer"
    p.event("account.created", "2024-05-01", "account:2")
    assert last(p) == day("2025-05-02"), "the last of the accounts counts"
    p.event("account.terminated", "2024-06-01", "account:2")
    assert p.s.has_account
    p.event("account.terminated", "2024-06-02", "account:1")
    assert not p.s.has_account
    assert last(p) == day("2024-06-02")


EXPIRING = {"id": "K-9", "activities": "all", "needs_setting": True}


def member(clock: dict[str, Any], *, lists: tuple[str, ...] = ("order", "account"), **guest: Any) -> Person:
    rows = [rule(**{"anchor": ["account.terminated"], "duration": "P0D", "guest_as": "buying", **guest}), EXPIRING]
    buying = activity("buying", events=list(lists), categories=["name"], retention=["K-9"])
    activities = [activity("selling", retention=["K-1"]), buying]
    return Person(policy({"K-9": {"buying": clock}}, retention=rows, activities=activities))


@pytest.mark.parametrize(
    ("duration", "end"), [("P0D", "2025-01-02"), ("P1M", "2025-02-02"), (["P1M", "P3D"], "2025-02-05"), ("param:right_of_withdrawal", "2025-01-16")]
)  # fmt: skip
def test_an_account_whose_data_have_expired_starts_the_clock_that_runs_from_its_end(duration: Any, end: str) -> None:
    p = member({"anchor": "account.created", "duration": "P1Y"}, duration=duration)
    assert last(bought(p.event("account.created", "2024-01-01", "account:1"))) == day(end)


def test_an_account_does_not_expire_by_the_clock_of_what_holds_nothing_of_it() -> None:
    delivered = {"anchor": "order.delivered", "duration": "P2M"}
    for lists, end in ((("order", "account"), day("2024-05-06")), (("order",), None)):
        p = member(delivered, lists=lists).event("account.created", "2024-01-01", "account:1")
        assert last(bought(p)) == end


def test_an_account_expires_when_its_own_data_do_whatever_becomes_of_the_orders() -> None:
    p = member({"anchor": "order.delivered", "duration": "P2M"}).event("account.created", "2024-01-01", "account:1")
    bought(bought(p), None, "order:2")
    assert last_day(p.s, p.item("shop", "buying", "name", "account:1")) == day("2024-05-05")
    assert last(p, number="order:1") == day("2024-05-06")


def test_an_account_that_nobody_has_named_does_not_expire() -> None:
    p = bought(member({"anchor": "account.created", "duration": "P1Y"}).event("account.created", "2024-01-01"))
    assert p.s.has_account
    assert last(p) is None


def test_an_account_does_not_expire_before_somebody_has_set_when() -> None:
    rows = [rule(anchor=["account.terminated"], duration="P0D", guest_as="buying"), EXPIRING]
    buying = activity("buying", events=["order", "account"], categories=["name"], retention=["K-9"])
    p = Person(policy(retention=rows, activities=[activity("selling", retention=["K-1"]), buying]))
    assert last(bought(p.event("account.created", "2024-01-01", "account:1"))) is None


def test_of_several_accounts_the_one_that_lasts_longest_says_when_all_have_expired() -> None:
    sooner = {"after": "account.terminated", "anchor": "account.logged_in", "duration": "P1M"}
    p = member({"anchor": "account.logged_in", "duration": "P1Y", "unless": sooner})
    p.event("account.created", "2024-01-01", "account:1").event("account.created", "2024-01-02", "account:2")
    p.event("account.logged_in", "2024-02-01", "account:1").event("account.terminated", "2024-02-10", "account:2")
    assert p.s.has_account
    assert last(bought(p)) == day("2025-02-02")


def books(transaction: object, parameter: str = "bookkeeping", name: str = "H-1") -> dict[str, Any]:
    return {"id": name, "kind": "legal_obligation", "blocks": ["erasure"], "while": {"transaction": transaction},
            "last": {"parameter": parameter}, "scope": {"activities": ["selling"]}}  # fmt: skip


ANY, PAID = books(True), books("paid_or_invoiced", name="H-2")
TWO = ("order.placed", "2024-03-01", {"lines": 2})
GONE, SHIPPED = ("order.cancelled", "2024-03-04"), ("order.shipped", "2024-03-05")


def test_an_order_that_was_cancelled_and_never_paid_or_shipped_is_none_for_the_books() -> None:
    rows = [{"id": "K-1", "activities": ["selling"], "parameter": "bookkeeping"}]
    for events, end in (
        ((), "2029-12-31"),
        ((("order.cancelled", "2024-03-04"),), "2024-03-04"),
        ((("order.paid", "2024-03-03"), ("order.cancelled", "2024-03-04")), "2029-12-31"),
        ((("order.shipped", "2024-03-03"), ("order.cancelled", "2024-03-04")), "2029-12-31"),
    ):
        p = Person(policy(retention=rows, holds=[ANY], activities=[activity("selling", retention=["K-1"])]))
        p.event("order.placed", "2024-03-02", "order:1")
        for type_, when in events:
            p.event(type_, when, "order:1")
        assert last(p) == day(end), events


@pytest.mark.parametrize(
    ("holds", "order", "expected"),
    [
        ([ANY], matter(PLACED, GONE), "2024-03-04"),
        ([PAID], matter(PLACED, GONE), "2024-03-04"),
        ([], matter(PLACED, GONE), None),
        ([books(True, "aml")], matter(PLACED, GONE), None),
        ([hold(last={"parameter": "bookkeeping"}, closed_by=None)], matter(PLACED, GONE), None),
        ([ANY, books("paid_or_invoiced", "aml", "H-2")], matter(PLACED, GONE, SHIPPED), None),
        ([PAID, books(True, "aml")], matter(PLACED, GONE, SHIPPED), "2024-03-04"),
        ([ANY], matter(PLACED, GONE, kind="debt"), None),
        ([ANY], matter(("order.placed", "2024-03-01", {"lines": 0})), None),
        ([ANY], matter(TWO, ("order.cancelled", "2024-03-04", {"lines": 1})), None),
        ([ANY], matter(TWO, ("order.cancelled", "2024-03-04", {"lines": 1}), ("order.cancelled", "2024-03-06")), "2024-03-06"),
        ([PAID], matter(TWO, ("order.shipped", "2024-03-03", {"lines": 1}), GONE), None),
        ([ANY], matter(PLACED, GONE, SHIPPED), None),
        ([PAID], matter(PLACED, GONE, SHIPPED), "2024-03-04"),
        ([ANY, PAID], matter(PLACED, GONE, SHIPPED), None),
        ([PAID], matter(PLACED, ("order.paid", "2024-03-02"), GONE), None),
    ],
)
def test_what_was_cancelled_wholly_and_is_no_transaction_was_never_booked(
    holds: list[dict[str, Any]], order: Matter, expected: str | None
) -> None:
    assert never_booked(subject(*holds), "bookkeeping", order) == (day(expected) if expected else None)


def test_an_event_may_put_another_clock_in_the_place_of_the_first() -> None:
    p = bought(shopper(rule()))
    clock = Clock(
        ("order.delivered",), (Duration(12, 0),), unless=("order.refunded", Clock(("order.exchange_delivered",), (Duration(1, 0),)))
    )
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2025-03-05")
    p.event("order.refunded", "2024-03-10", "order:1")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) is None
    p.event("order.exchange_delivered", "2024-03-20", "order:1")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2024-04-20")
    assert clock_end(p.s, clock, None) == day("2025-03-05")


def test_several_durations_and_parameters_add_up_and_an_unknown_one_is_no_end() -> None:
    p = bought(shopper(rule()))
    order = p.s.matters["order:1"]
    delivered = ("order.delivered",)
    assert clock_end(p.s, Clock(delivered, (Duration(1, 0), Duration(0, 3))), order) == day("2024-04-08")
    assert clock_end(p.s, Clock(delivered, (Duration(1, 0),), ("right_of_withdrawal",)), order) == day("2024-04-19")
    assert clock_end(p.s, Clock(delivered, (), ("no_such",)), order) is None
    assert clock_end(p.s, Clock(delivered, (), ("bookkeeping",)), order) is None


def test_a_clock_that_waits_for_an_event_ends_not_before_it() -> None:
    clock = Clock(("order.delivered",), (Duration(0, 3),), after=("order.completed",))
    p = bought(shopper(rule()))
    assert clock_end(p.s, clock, p.s.matters["order:1"]) is None
    assert clock_end(p.s, clock, None) is None
    p.event("order.completed", "2024-03-06", "order:1")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2024-03-08")
    p.event("order.completed", "2024-03-30", "order:1")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2024-03-30")
    unknown = Clock(("order.delivered",), (), ("no_such",), after=("order.completed",))
    assert clock_end(p.s, unknown, p.s.matters["order:1"]) is None
    late = Clock(("order.refunded",), (Duration(0, 3),), after=("order.completed",))
    assert clock_end(p.s, late, p.s.matters["order:1"]) == day("2024-04-02"), "without its anchor it runs from what it waited for"


def test_an_order_that_is_delivered_and_paid_is_as_good_as_completed() -> None:
    clock = Clock(("order.delivered",), (Duration(0, 3),), after=("order.completed",))
    p = bought(shopper(rule()))
    assert clock_end(p.s, clock, p.s.matters["order:1"]) is None
    p.event("order.paid", "2024-03-20", "order:1")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2024-03-20")
    early = Matter("order", "order:2", [(second("2024-03-02"), "order.paid", {}), (second("2024-03-05"), "order.delivered", {})])
    assert clock_end(p.s, clock, early) == day("2024-03-08")
    assert clock_end(p.s, clock, Matter("order", "order:3")) is None


def test_an_anchor_about_the_persons_other_matters_counts_wherever_it_happened() -> None:
    clock = Clock(("support.closed", "order.delivered"), (Duration(0, 3),))
    p = bought(shopper(rule())).event("support.closed", "2024-05-01", "matter:1")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2024-05-04")
    p = bought(bought(shopper(rule())), "2024-04-01", "order:2")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2024-03-08"), "another order's delivery is none of its"
    assert clock_end(p.s, clock, None) == day("2024-04-04")


def test_an_anchor_elsewhere_counts_from_the_second_in_which_the_matter_began() -> None:
    clock = Clock(("support.closed", "order.delivered"), (Duration(0, 3),))
    s = subject()
    order = matter(PLACED)
    s.times["support.closed"] = [order.events[0][0] - 1]
    assert clock_end(s, clock, order) is None
    s.times["support.closed"] = [order.events[0][0]]
    assert clock_end(s, clock, order) == day("2024-03-04")


def test_whoever_signs_up_again_has_not_left_and_nobody_else_is_kept_longer_by_it() -> None:
    left, sold = Clock(("newsletter.unsubscribed",), (Duration(0, 3),)), Clock(("order.delivered",), (Duration(0, 3),))
    s = subject()
    s.times = {"newsletter.unsubscribed": [second("2024-03-05")], "order.delivered": [second("2024-03-05")]}
    assert [clock_end(s, clock, None) for clock in (left, sold)] == [day("2024-03-08")] * 2
    s.times["newsletter.subscribed"] = [second("2024-03-01"), second("2024-03-05")]
    assert clock_end(s, left, None) == day("2024-03-08"), "of one second the leaving counts"
    s.times["newsletter.subscribed"] += [second("2024-03-06")]
    assert [clock_end(s, clock, None) for clock in (left, sold)] == [None, day("2024-03-08")]
    s.times["newsletter.unsubscribed"] += [second("2024-03-07")]
    assert clock_end(s, left, None) == day("2024-03-10")


def test_an_open_account_keeps_no_other_anchor_from_counting() -> None:
    p = (
        bought(shopper(rule()))
        .event("account.created", "2024-01-01", "account:1")
        .event("support.closed", "2024-05-01", "matter:1")
    )
    assert clock_end(p.s, Clock(("support.closed",), (Duration(0, 3),)), p.s.matters["order:1"]) == day("2024-05-04")


def test_a_question_that_nobody_has_answered_is_not_handled() -> None:
    question = Matter("matter", "matter:1", [(second("2024-03-01"), "support.opened", {})])
    assert clock_end(subject(), Clock(("support.closed",), (Duration(0, 3),)), question) is None


def test_the_end_of_an_account_is_none_while_another_is_open() -> None:
    clock = Clock(("account.terminated",), (Duration(0, 3),))
    p = shopper(rule()).event("account.created", "2024-01-01", "account:1").event("account.terminated", "2024-02-01", "account:1")
    bought(p)
    assert clock_end(p.s, clock, p.s.matters["order:1"]) == day("2024-02-04")
    p.event("account.created", "2024-03-09", "account:2")
    assert clock_end(p.s, clock, p.s.matters["order:1"]) is None


@pytest.mark.parametrize("again", ["support.opened", "support.reopened", "form.submitted"])
def test_a_question_that_was_taken_up_again_is_not_handled(again: str) -> None:
    clock = Clock(("support.closed",), (Duration(0, 3),))
    asked = [(second("2024-03-01"), "support.opened", {}), (second("2024-03-04"), "support.closed", {})]
    question = Matter("matter", "matter:1", list(asked))
    s = subject()
    assert clock_end(s, clock, question) == day("2024-03-07")
    question.events.append((second("2024-03-04"), again, {}))
    assert clock_end(s, clock, question) == day("2024-03-07"), "in the same second it is"
    question.events.append((second("2024-03-05"), again, {}))
    assert clock_end(s, clock, question) is None
    question.events.append((second("2024-03-09"), "support.closed", {}))
    assert clock_end(s, clock, question) == day("2024-03-12")


def test_a_question_of_which_only_the_answer_is_known_is_handled() -> None:
    question = Matter("matter", "matter:1", [(second("2024-03-04"), "support.closed", {})])
    assert clock_end(subject(), Clock(("support.closed",), (Duration(0, 3),)), question) == day("2024-03-07")


def test_the_first_end_is_the_earliest_of_what_is_in_ordinary_use() -> None:
    p = bought(bought(shopper(rule())), "2024-04-01", "order:2")
    bought(p, None, "order:3")
    assert first_end(p.s) == day("2025-03-05")
    for i in p.s.items.values():
        p.s.items.turn(i, Use.KEPT if i.matter == "order:1" else i.use)
    assert first_end(p.s) == day("2025-04-01")
    assert first_end(bought(shopper(rule()), None).s) is None
    assert first_end(shopper(rule()).s) is None


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("order.placed", "order"), ("debt.sold", "debt"), ("credit.rejected", "credit"), ("service.ended", "contract"),
        ("support.closed", "matter"), ("form.submitted", "matter"), ("incident.closed", "incident"),
        ("competition.ended", "competition"), ("prize.delivered", "competition"), ("campaign.ended", "campaign"),
        ("survey.answered", "survey"), ("cookie.accepted", "cookie"), ("account.terminated", None), ("person.died", None),
    ],
)  # fmt: skip
def test_an_event_is_about_the_kind_of_matter_that_its_name_begins_with(type_: str, kind: str | None) -> None:
    assert matter_kind(type_) == kind


def test_a_system_that_is_a_recipient_too_is_a_place_of_its_own() -> None:
    row = hold(scope={"activities": ["selling"], "systems": ["shop"]})
    assert held(row, item("desk"), item("shop"), recipients=[recipient("desk")]) == [False, True]


def test_a_hold_on_categories_covers_no_recipient_with_an_end_of_its_own() -> None:
    row = hold(scope={"categories": ["name"]}, recipients={"carrier": {"closed_by": [{"all": ["order.shipped"]}]}})
    assert held(row, item("carrier"), item(), recipients=PARTIES) == [False, True]


def test_a_keeping_is_active_unless_it_keeps_for_its_recipients_only() -> None:
    assert Keeping(Hold("H-1", "purpose", ("erasure",)), None, {}).active
