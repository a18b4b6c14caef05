"""What a target got before it was known that it ought not have: what is lost, and how it is taken back."""

from __future__ import annotations

import pytest
from person import activity, policy

from lineage.hindsight import Learnt, lost, take_back
from lineage.subject import Change, Command, Item, Subject, Use

RIGHTS = [{"id": "S-CON", "right": "consent", "activities": "consent", "says": "Only with consent."}]
RETENTION = [
    {"id": "S-RET", "activities": ["news"], "clock": {"after": ["newsletter.unsubscribed"]}, "says": "Until unsubscribed."}
]


def subject() -> Subject:
    rows = [
        activity("news", basis="consent", events=["newsletter"], systems=["shop", "desk"], retention=["S-RET"]),
        activity("sell"),
    ]
    return Subject(policy(activities=rows, rights=RIGHTS, retention=RETENTION), "p")


def item(category: str, target: str = "shop", purpose: str = "news") -> Item:
    return Item(target, purpose, category, "", 5, 6, {"E-NEWS"}, {"provided"}, "web")


def holding(*items: Item) -> Subject:
    found = subject()
    for one in items:
        found.items[one.key] = one
    return found


def keys(items: tuple[Item, ...]) -> list[tuple[str, str]]:
    return [(i.target, i.category) for i in items]


def test_what_only_the_state_before_has_is_lost_and_what_both_have_is_not() -> None:
    before = holding(item("name"), item("email"), item("email", "desk"))
    assert keys(lost(before, holding(item("email")))) == [("shop", "name"), ("desk", "email")]


def test_what_was_on_its_way_out_already_is_not_lost() -> None:
    before = holding(item("name"), item("email"))
    before.items.turn(before.items[item("name").key], Use.ENDING)
    assert keys(lost(before, subject())) == [("shop", "email")]


@pytest.mark.parametrize(("kind", "told"), [("erase", True), ("expire_cookie", True), ("correct", False), ("restrict", False)])
def test_whoever_was_told_to_erase_need_not_be_told_again(kind: str, *, told: bool) -> None:
    after = subject()
    after.commands["c"] = Command("c", "", kind, "shop", 9, {"name": ("S-CON",)})
    found = keys(lost(holding(item("name"), item("email"), item("name", "desk")), after))
    rest = [("shop", "email"), ("desk", "name")]
    assert found == (rest if told else [("shop", "name"), *rest])


def test_what_has_ended_without_a_command_is_not_lost() -> None:
    after = subject()
    after.changes.append(Change(9, "ended", "shop", "name", "news", ("S-CON",)))
    assert keys(lost(holding(item("name"), item("email")), after)) == [("shop", "email")]


def commanded(s: Subject) -> dict[str, dict[str, tuple[str, ...]]]:
    return {c.target: dict(c.why) for c in s.commands.values() if c.kind == "erase"}


def test_everything_lost_is_commanded_with_the_rules_that_say_so() -> None:
    s = subject()
    s.objected["news"] = ("gdpr:21",)
    s.underage = ("gdpr:8",)
    take_back(s, Learnt(9, (item("name"), item("email", "desk"))))
    told = commanded(s)
    assert {target: set(why) for target, why in told.items()} == {"shop": {"name"}, "desk": {"email"}}
    for ids in (told["shop"]["name"], told["desk"]["email"]):
        assert ids[:5] == ("gdpr:21", "S-CON", "T-news", "S-RET", "gdpr:8")
        assert "E-NEWS" in ids
    assert {i.use for i in s.items.values()} == {Use.ENDING}


def test_what_is_held_again_rightly_and_what_no_activity_explains_is_left_and_the_rest_still_goes() -> None:
    s = holding(item("name"))
    take_back(s, Learnt(9, (item("name"), item("phone", purpose="forgotten"), item("email"))))
    assert {target: set(why) for target, why in commanded(s).items()} == {"shop": {"email"}}
    assert s.items[item("name").key].use is Use.ORDINARY
    assert item("phone", purpose="forgotten").key not in s.items


def test_what_another_activity_has_at_the_same_place_ends_for_this_one_only() -> None:
    s = holding(item("name", purpose="sell"))
    take_back(s, Learnt(9, (item("name"),)))
    assert commanded(s) == {}
    assert [(c.kind, c.target, c.category, c.activity) for c in s.changes] == [("ended", "shop", "name", "news")]
    assert list(s.items) == [item("name", purpose="sell").key]
