"""How holdings end: which target is told what, when nothing is left for it to hold, and what its answer does."""

from __future__ import annotations

from typing import Any

import pytest
from person import Person, activity, policy, recipient, second

from lineage.ending import acknowledge, command_id, distrust, end, issue, target_ids, why
from lineage.fold import Event, apply
from lineage.subject import Item, Subject, Use

SYSTEMS = [
    {"id": "Y-SHOP", "name": "shop"}, {"id": "Y-DESK", "name": "desk"}, {"id": "Y-STATS", "name": "stats", "pseudonymised": True},
    {"id": "Y-COOKIE", "name": "device", "erasable": False},
]  # fmt: skip
PARTIES = [
    recipient("carrier"), recipient("bank", "independent"), recipient("sister", "affiliate"), recipient("police", "authority"),
    recipient("broker", "source"), recipient("network", "uncontrolled"), recipient("host", operates="shop"),
    recipient("desk", receives=["name"]),
]  # fmt: skip
NOW = second("2024-06-10")


def subject(*held: tuple[str, str, str], **more: Any) -> Subject:
    """Give a person of whom targets hold something: target, activity and category of each item."""
    s = Subject(policy(systems=SYSTEMS, recipients=PARTIES, activities=[activity("selling"), activity("helping")], **more), "p")
    s.now = NOW
    for n, (target, name, category) in enumerate(held):
        item = Item(target, name, category, f"order:{n}", NOW - 9, NOW - 9, cites={f"E-{n}"})
        s.items[item.key] = item
    return s


def ended(s: Subject, *numbers: int, case: str = "case-1") -> None:
    items = [i for n, i in enumerate(list(s.items.values())) if n in numbers]
    end(s, items, {i.key: (f"W-{i.matter}",) for i in items}, case)


def told(s: Subject) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(c.kind, c.target, c.activity, tuple(c.why)) for c in s.commands.values()]


def changes(s: Subject) -> list[tuple[str, str, str, str]]:
    return [(c.kind, c.target, c.category, c.activity) for c in s.changes]


# -- reasons and commands ----------------------------------------------------------------------------------------------


def test_a_target_is_named_as_a_recipient_and_as_a_system() -> None:
    s = subject()
    assert target_ids(s, "desk") == ("R-desk", "Y-DESK")
    assert target_ids(s, "shop") == ("Y-SHOP",)
    assert target_ids(s, "nobody") == ()


def test_reasons_are_the_deciding_rules_then_activity_target_and_what_the_item_rests_on() -> None:
    s = subject(("desk", "selling", "name"))
    (item,) = s.items.values()
    item.cites = {"E-9", "E-1"}
    assert why(s, item, "D-1", "D-2") == ("D-1", "D-2", "T-selling", "R-desk", "Y-DESK", "E-1", "E-9")
    assert why(s, Item("shop", "", "name", "", 1, 1)) == ("Y-SHOP",)


def test_a_command_is_the_same_command_when_it_is_about_the_same() -> None:
    assert command_id("a", 1) == command_id("a", "1")
    assert len({command_id("a", "b"), command_id("ab"), command_id("b", "a"), command_id("a", "b", "")}) == 4
    assert len(command_id("a")) == 20


@pytest.mark.parametrize(
    "change", [{"kind": "stop"}, {"target": "bank"}, {"case": "case-2"}, {"activity": "selling"}, {"now": NOW + 1}, {"name": "q"}]
)
def test_a_command_about_anything_else_is_another(change: dict[str, Any]) -> None:
    def made(
        now: int = NOW, name: str = "p", kind: str = "erase", target: str = "carrier", case: str = "case-1", activity: str = ""
    ) -> str:
        s = subject()
        s.now, s.name = now, name
        return issue(s, kind, target, {"name": ("W-1",)}, case, activity).id

    assert made() == made()
    assert made(**change) != made()


@pytest.mark.parametrize(
    ("target", "notice", "waited_for"),
    [("carrier", False, True), ("sister", False, True), ("bank", True, False), ("police", False, True), ("shop", False, True),
     ("device", False, False), ("nobody", False, True)],
)  # fmt: skip
def test_a_case_waits_for_those_who_must_obey(target: str, notice: Any, waited_for: Any) -> None:
    command = issue(subject(), "erase", target, {"name": ("W-1",)}, "case-1")
    assert (command.notice, command.keeps_open) == (notice, waited_for)
    assert (command.case, command.kind, command.target, command.issued, command.sent) == ("case-1", "erase", target, NOW, [NOW])
    assert (command.state, command.acknowledged) == ("open", None)


def test_a_command_issued_twice_gathers_its_reasons() -> None:
    s = subject()
    issue(s, "erase", "shop", {"name": ("W-1", "W-2")}, "case-1")
    command = issue(s, "erase", "shop", {"name": ("W-3", "W-1"), "email": ("W-4", "W-1")}, "case-1")
    assert command.why == {"name": ("W-1", "W-2", "W-3"), "email": ("W-4", "W-1")}
    assert list(s.commands.values()) == [command]
    assert list(s.commands) == [command.id]
    lines = [(n.kind, n.about, n.target, n.case, n.reasons) for n in s.notes]
    assert lines[1] == ("logged", "erase", "shop", "case-1", ("W-3", "W-1", "W-4"))


# -- ending ------------------------------------------------------------------------------------------------------------


def test_a_system_is_told_once_of_all_its_categories() -> None:
    s = subject(
        ("shop", "selling", "name"), ("shop", "helping", "name"), ("shop", "selling", "email"), ("stats", "selling", "name")
    )
    ended(s, 0, 1, 2)
    (command,) = s.commands.values()
    assert (command.kind, command.target, command.activity, command.case) == ("erase", "shop", "", "case-1")
    assert command.why == {"name": ("W-order:0", "W-order:1"), "email": ("W-order:2",)}
    gone = [i for i in s.items.values() if i.target == "shop"]
    assert {(i.use, i.command) for i in gone} == {(Use.ENDING, command.id)}
    assert [i.target for i in s.live()] == ["stats"]


def test_a_system_is_not_told_of_a_category_that_something_else_still_holds_there() -> None:
    s = subject(("shop", "selling", "name"), ("shop", "helping", "name"), ("shop", "selling", "email"))
    ended(s, 0, 2)
    assert told(s) == [("erase", "shop", "", ("email",))]
    assert changes(s) == [("ended", "shop", "name", "selling")]
    assert s.changes[0].reasons == ("W-order:0",)
    assert [i.category for i in s.items.values()] == ["name", "email"]


def test_a_recipient_is_told_of_each_activity_that_ends_whatever_another_needs() -> None:
    s = subject(("carrier", "selling", "name"), ("carrier", "helping", "name"), ("carrier", "selling", "email"))
    ended(s, 0, 2)
    assert told(s) == [("erase", "carrier", "selling", ("name", "email"))]
    assert [(i.activity, i.use) for i in s.live()] == [("helping", Use.ORDINARY)]
    ended(s, 1)
    assert told(s)[1:] == [("erase", "carrier", "helping", ("name",))]


def test_a_recipient_is_not_told_while_another_matter_of_the_activity_needs_the_category() -> None:
    s = subject(("carrier", "selling", "name"), ("carrier", "selling", "name"))
    ended(s, 0)
    assert told(s) == []
    assert changes(s) == [("ended", "carrier", "name", "selling")]
    assert len(s.items) == 1


def test_whoever_operates_a_system_is_told_as_the_system_is() -> None:
    s = subject(("host", "selling", "name"), ("host", "helping", "name"), ("desk", "selling", "name"))
    ended(s, 0, 2)
    assert told(s) == [("erase", "desk", "", ("name",))]
    ended(s, 0)
    assert told(s)[1:] == [("erase", "host", "", ("name",))]


@pytest.mark.parametrize("target", ["police", "broker", "network"])
def test_nobody_out_of_the_controllers_hands_is_told(target: str) -> None:
    s = subject((target, "selling", "name"), ("carrier", "selling", "email"))
    ended(s, 0, 1)
    assert told(s) == [("erase", "carrier", "selling", ("email",))]
    assert [i.target for i in s.items.values()] == ["carrier"]
    assert s.changes == []


@pytest.mark.parametrize(("target", "activity"), [("carrier", "-"), ("nobody", ""), ("bank", "-")])
def test_what_was_disclosed_for_no_activity_is_told_as_such(target: str, activity: str) -> None:
    s = subject((target, "", "name"))
    ended(s, 0)
    assert told(s) == [("erase", target, activity, ("name",))]


def test_a_target_that_the_policy_no_longer_names_is_told_of_the_activity() -> None:
    s = subject(("nobody", "selling", "name"))
    ended(s, 0)
    assert told(s) == [("erase", "nobody", "selling", ("name",))]


def test_a_cookie_is_cut_off_at_once_and_asked_to_expire() -> None:
    s = subject(("device", "selling", "name"), ("device", "helping", "email"))
    ended(s, 0, 1)
    assert told(s) == [("expire_cookie", "device", "", ("name", "email"))]
    assert s.items == {}
    assert changes(s) == [("unlinked", "device", "name", "selling"), ("unlinked", "device", "email", "helping")]
    assert s.changes[1].reasons == ("W-order:1",)


def test_what_is_ending_already_is_not_ended_again() -> None:
    s = subject(("shop", "selling", "name"), ("shop", "selling", "email"))
    ended(s, 0)
    s.now += 60
    ended(s, 0, 1)
    assert [tuple(c.why) for c in s.commands.values()] == [("name",), ("email",)]


def test_what_was_kept_may_end() -> None:
    s = subject(("shop", "selling", "name"))
    (item,) = s.items.values()
    s.items.turn(item, Use.KEPT)
    item.command = "old"
    ended(s, 0)
    assert item.use is Use.ENDING


# -- answers -----------------------------------------------------------------------------------------------------------


def commanded(*held: tuple[str, str, str], **more: Any) -> tuple[Subject, Any]:
    s = subject(*held, **more)
    ended(s, *range(len(held)))
    s.now += 60
    return s, next(iter(s.commands.values()))


@pytest.mark.parametrize(
    ("outcome", "state"), [("failed", "failed"), ("unsupported", "unsupported"), ("retained", "retained"), ("refused", "failed")]
)
def test_an_answer_that_is_no_deletion_leaves_all_as_it_is(outcome: str, state: str) -> None:
    s, command = commanded(("shop", "selling", "name"))
    acknowledge(s, command, outcome)
    assert (command.state, command.acknowledged) == (state, None)
    assert len(s.items) == 1
    assert s.changes == []


def test_an_independent_recipient_may_refuse_and_that_settles_it() -> None:
    s, command = commanded(("bank", "selling", "name"))
    acknowledge(s, command, "refused")
    assert (command.state, command.acknowledged) == ("refused", s.now)
    assert s.items == {}


@pytest.mark.parametrize("outcome", ["failed", "unsupported", "retained"])
def test_an_independent_recipient_that_fails_has_settled_nothing(outcome: str) -> None:
    s, command = commanded(("bank", "selling", "name"))
    acknowledge(s, command, outcome)
    assert (command.state, len(s.items)) == (outcome, 1)


def test_what_a_target_confirms_is_gone_with_what_it_rested_on() -> None:
    s, command = commanded(("shop", "selling", "name"), ("stats", "selling", "name"))
    acknowledge(s, command, "erased")
    assert (command.state, command.acknowledged) == ("done", s.now)
    assert [i.target for i in s.items.values()] == ["stats"]
    (change,) = s.changes
    assert (change.kind, change.target, change.category, change.activity) == ("erased", "shop", "name", "selling")
    assert (change.at, change.reasons, change.first) == (s.now, ("W-order:0",), NOW - 9)


def test_an_answer_to_another_kind_of_command_erases_nothing() -> None:
    s = subject(("shop", "selling", "name"))
    command = issue(s, "stop", "shop", {"name": ("W-1",)})
    (item,) = s.items.values()
    item.use, item.command = Use.ENDING, command.id
    acknowledge(s, command, "done")
    assert command.state == "done"
    assert list(s.items.values()) == [item]


def test_what_came_again_after_the_command_is_not_gone_with_its_answer() -> None:
    s, command = commanded(("shop", "selling", "name"), ("shop", "selling", "email"))
    back = next(iter(s.items.values()))
    s.items.turn(back, Use.ORDINARY)
    acknowledge(s, command, "erased")
    assert list(s.items.values()) == [back]


def test_the_key_of_the_pseudonyms_goes_with_the_last_that_is_held_under_one() -> None:
    s, command = commanded(("stats", "selling", "name"), links=[{"id": "L-1", "pseudonyms": True}, {"id": "L-2"}])
    command.why["name"] = ("W-1", "L-1", "W-1")
    acknowledge(s, command, "erased")
    key = s.changes[-1]
    assert changes(s)[1:] == [("key_destroyed", "stats", "", "")]
    assert (key.at, key.reasons) == (s.now, ("W-1", "L-1", "Y-STATS"))
    note = s.notes[-1]
    assert (note.kind, note.about, note.target, note.reasons) == ("logged", "key_destroyed", "stats", key.reasons)


def test_the_key_stays_while_anything_is_held_under_it_and_where_there_is_none() -> None:
    s, command = commanded(("stats", "selling", "name"))
    s.items["left"] = Item("stats", "selling", "email", "", 1, 1)  # type: ignore[index]
    acknowledge(s, command, "erased")
    assert [c.kind for c in s.changes] == ["erased"]
    for target in ("shop", "carrier"):
        s, command = commanded((target, "selling", "name"))
        acknowledge(s, command, "erased")
        assert [c.kind for c in s.changes] == ["erased"]
    s = subject()
    acknowledge(s, issue(s, "erase", "stats", {"name": ("W-1",)}), "erased")
    assert s.changes == [], "nothing went, so there was no key"


# -- answers that were false -------------------------------------------------------------------------------------------


def done(*held: tuple[str, str, str]) -> tuple[Subject, Any]:
    s, command = commanded(*held)
    acknowledge(s, command, "done")
    s.now += 60
    return s, command


@pytest.mark.parametrize("target", ["carrier", "device"])
def test_a_target_whose_answer_was_false_is_commanded_again(target: str) -> None:
    s, command = done((target, "selling", "name"))
    assert distrust(s, target, ["name", "phone"], ("B-1", "W-order:0"))
    assert (command.state, command.acknowledged) == ("open", None)
    assert command.sent == [NOW, s.now]
    assert command.why == {"name": ("W-order:0", "B-1")}
    said = [(n.kind, n.about, n.target, n.reasons) for n in s.notes[-2:]]
    assert said == [
        ("logged", "acknowledgement was false", target, ("B-1", "W-order:0")), ("warned", "resurrection", target, ("B-1", "W-order:0")),
    ]  # fmt: skip


def test_without_categories_every_answer_of_the_target_was_false() -> None:
    s, command = done(("carrier", "selling", "name"))
    assert distrust(s, "carrier", (), ("B-1",))
    assert command.state == "open"


@pytest.mark.parametrize(("target", "categories"), [("shop", ()), ("carrier", ("phone",))])
def test_other_answers_stand(target: str, categories: tuple[str, ...]) -> None:
    s, command = done(("carrier", "selling", "name"))
    notes = len(s.notes)
    assert not distrust(s, target, categories, ("B-1",))
    assert command.state == "done"
    assert len(s.notes) == notes


def test_a_command_without_an_answer_or_of_another_kind_is_not_a_false_answer() -> None:
    s, _ = commanded(("carrier", "selling", "name"))
    assert not distrust(s, "carrier", (), ("B-1",))
    s = subject()
    command = issue(s, "stop", "carrier", {"name": ("W-1",)})
    command.state = "done"
    assert not distrust(s, "carrier", (), ("B-1",))


def test_of_several_answers_the_false_ones_alone_are_taken_back() -> None:
    s, _ = done(("shop", "selling", "name"), ("carrier", "selling", "email"), ("carrier", "helping", "name"))
    _, first, second_ = s.commands.values()
    acknowledge(s, first, "done")
    acknowledge(s, second_, "done")
    assert distrust(s, "carrier", ["name"], ("B-1",))
    assert (first.state, second_.state) == ("done", "open")
    assert second_.why == {"name": ("W-order:2", "B-1")}


def test_an_erasure_told_from_end_to_end_leaves_nothing() -> None:
    p = Person(policy(activities=[activity("selling", recipients=["carrier"])], recipients=[recipient("carrier")]))
    p.event("order.placed", "2024-03-01", "order:1")
    case = p.request("erasure", "2024-04-01")
    assert set(p.commands()) == {"shop", "carrier"}
    assert not case.done
    p.answer("2024-04-02")
    assert case.done
    assert p.s.items == {}


def told_again(settings: dict[str, Any] | None = None, **hold: Any) -> bool:
    """Tell whether a shop that tells of an old order, unpaid, after the erasure is told to erase it."""
    row = {"id": "H-1", "kind": "legal_obligation", "blocks": ["erasure"], "while": {"transaction": True},
           "last": {"parameter": "bookkeeping"}, "scope": {"activities": ["selling"]}, **hold}  # fmt: skip
    p = Person(policy(settings, activities=[activity("selling")], holds=[row]))
    p.event("account.created", "2024-03-01", "account:1", terms="name")
    p.request("erasure", "2024-04-01")
    apply(p.s, Event(second("2024-04-02"), "order.placed", ("name",), (), "order:1", occurred=second("2024-03-20")))
    return "shop" in p.commands()


def test_an_old_order_that_is_told_again_is_erased_unless_a_statute_may_come_to_keep_it() -> None:
    assert not told_again()
    assert told_again(kind="purpose")
    assert told_again(blocks=["retention"])
    assert told_again(scope={"activities": ["books"]})


@pytest.mark.parametrize(("settings", "erased"), [({}, True), ({"obliged": False}, True), ({"obliged": True}, False)])
def test_a_statute_that_does_not_bind_the_controller_spares_nothing(settings: dict[str, Any], erased: Any) -> None:
    assert told_again(settings, needs_setting="obliged") is erased
