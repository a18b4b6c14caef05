"""What the tags of an event say, and that a schema of any shape gives up all its annotations."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lineage.annotations import compile_walk
from lineage.errors import Undecodable
from lineage.projection import EventReader, compile_projection
from lineage.tagging import Tagged, compile_tagger
from schemas import registry

REGISTRY = registry()
READER = EventReader(REGISTRY)
HEADER = {"id": "e-1", "source": "shop", "time": "2024-10-01T10:00:00.999Z", "controller": "pompdelux"}


def tags(**obj: Any) -> Tagged:
    """Tag both ways, and hold them to each other."""
    data = REGISTRY.encode_json({**HEADER, **obj})
    event, record = REGISTRY.decode(data)
    tagged = compile_tagger(event)(record)
    assert READER.read(data) == tagged
    return tagged


def test_an_order_says_who_what_and_about_which_matter() -> None:
    tagged = tags(
        type="order.placed",
        person={"email": "A@example.org", "customer_number": "17"},
        order="P-1",
        lines=2,
        secure=False,
        cookie="c1",
        data={"name": "N", "address": "", "phone": "86787871"},
    )
    assert tagged == Tagged(
        type="order.placed",
        controller="pompdelux",
        source="shop",
        id="e-1",
        at=1_727_776_800,
        identifiers=(("email", "A@example.org"), ("customer_number", "17"), ("cookie", "c1")),
        refs=(("order", "P-1"),),
        terms=("name", "phone"),
        fields=(("lines", 2), ("secure", False)),
        found=(),
    )


def test_nothing_personal_but_identifiers_is_in_the_tags() -> None:
    tagged = tags(
        type="support.opened",
        person={"email": "me@example.org"},
        matter="M-1",
        data={"name": "Ida Example", "message": "my number is 0101901234", "others": {"form_data": "x", "cpr": "y"}},
    )
    rest = repr(tagged._replace(identifiers=(), refs=()))
    assert not any(value in rest for value in ("me@", "Ida", "0101901234", "cpr"))


def test_a_cookie_that_the_type_refers_to_is_an_identifier_and_a_matter() -> None:
    tagged = tags(type="cookie.accepted", cookie="c1")
    assert (tagged.identifiers, tagged.refs) == ((("cookie", "c1"),), (("cookie", "c1"),))


def test_an_account_is_an_identifier_and_a_matter_but_its_cookie_an_identifier_only() -> None:
    tagged = tags(type="account.logged_in", account="AC-1", cookie="c1", network="Facebook")
    assert tagged.identifiers == (("account", "AC-1"), ("cookie", "c1"))
    assert tagged.refs == (("account", "AC-1"),)
    assert tagged.fields == (("network", "Facebook"),)


def test_what_a_claim_is_about_is_a_reference_and_no_field() -> None:
    tagged = tags(type="claim.opened", claim="C-1", about="M-1", categories=["name", "message"])
    assert tagged.refs == (("claim", "C-1"), ("about", "M-1"))
    assert tagged.fields == (("categories", ("message", "name")),)


def test_lists_are_sorted_and_words_that_are_no_terms_become_one_sign() -> None:
    tagged = tags(type="data.copied", categories=["phone", "email", "Ida Example", "x"], to="crm")
    assert tagged.fields == (("categories", ("?", "email", "phone")), ("to", "crm"))
    assert tagged.terms == ()


def test_others_are_terms_and_unknown_names_one_sign() -> None:
    tagged = tags(type="order.delivered", data={"others": {"name": "N", "email": "", "shoe": "46", "hat": "58"}})
    assert tagged.terms == ("?", "name")


def test_a_date_of_birth_is_the_field_born_and_no_term() -> None:
    tagged = tags(type="newsletter.subscribed", channel="email", date_of_birth="2010-05-04")
    assert tagged.fields == (("born", "2010-05-04"), ("channel", "email"))
    assert tagged.terms == ()


def test_a_driving_field_that_shows_personal_data_is_not_taken_over() -> None:
    tagged = tags(type="data.disclosed", to="police", legal_instrument="letter of ida@example.org", safeguard="contract")
    assert tagged.fields == (("legal_instrument", "?"), ("safeguard", "contract"), ("to", "police"))


def test_a_date_that_is_none_is_a_bad_event_either_way() -> None:
    _, record = REGISTRY.from_json({**HEADER, "type": "preservation.ordered"})
    record["until"] = "Ida Example"
    with pytest.raises(Undecodable, match=r"preservation\.ordered: until is no date"):
        compile_tagger(REGISTRY.types["preservation.ordered"])(record)
    with pytest.raises(Undecodable, match="until is no date"):
        READER.read(REGISTRY.encode("preservation.ordered", record))


def test_free_text_shows_what_nobody_declared() -> None:
    message = "Call 86 78 78 71 or write to ida@example.org, card 4111 1111 1111 1111"
    tagged = tags(type="support.opened", data={"message": message, "email": "ida@example.org"})
    assert tagged.terms == ("email", "message")
    assert tagged.found == ("card_data", "phone")


def test_other_values_are_looked_through_if_they_are_free_text_or_nameless() -> None:
    others = {"social_conversation": "my ip is 192.0.2.7", "note": "86787871", "company_name": "2001:db8::1"}
    tagged = tags(type="support.opened", data={"others": others})
    assert tagged.found == ("ip_address", "phone")


def test_the_same_event_twice_and_booleans_beside_numbers_are_kept_apart() -> None:
    assert tags(type="person.age_learnt", age=1).fields == (("age", 1),)
    assert tags(type="order.placed", lines=1, secure=True).fields == (("lines", 1), ("secure", True))
    assert tags(type="order.placed", lines=0, secure=False).fields == (("lines", 0), ("secure", False))


def test_times_before_the_epoch_are_rounded_down() -> None:
    assert tags(type="relationship.ended", time="1969-12-31T23:59:59.5Z").at == -1


@pytest.mark.parametrize("name", REGISTRY.types)
def test_every_type_is_tagged_either_way_and_as_its_annotations_say(name: str) -> None:
    event = REGISTRY.types[name]
    assert compile_projection(event) is not None
    sample = {"int": 3, "boolean": False, "date": "2024-02-29", "list": ["b", "a"], "terms": ["name", "age"]}
    obj: dict[str, Any] = {
        "type": name,
        "person": {"email": "ida@example.org", "phone": "86787871", "customer_number": "17"},
        "data": {term: f"value of {term} {'x' * 300}" for term in event.data} | {"others": {"cookie_information": "v"}},
        **dict.fromkeys(event.refs, "R-1"),
        **{field: sample.get(sort, "word") for field, sort in event.fields.items()},
    }
    tagged = tags(**obj)
    record = REGISTRY.from_json({**HEADER, **obj})[1]
    walked = list(compile_walk(event.schema)(record))
    marked = {found.mark.term for found in walked if found.path.startswith("data.") and "{}" not in found.path}
    assert set(tagged.terms) == marked | {"cookie_information"}
    assert sorted(tagged.identifiers) == sorted((found.mark.identifier, found.value) for found in walked if found.mark.identifier)
    assert len(tagged.fields) + len(tagged.refs) == len({*event.refs, *event.fields}) - sum(
        sort == "identifier" and field not in event.refs for field, sort in event.fields.items()
    )


def test_bytes_that_are_no_event_are_undecodable() -> None:
    order = REGISTRY.encode_json({**HEADER, "type": "order.placed", "data": {"name": "Ida"}})
    for broken in (b"", b"\1" + order[1:], b"\0\0\0\xff\0", order[:-1], order + b"\0", order[:5], order[:20]):
        with pytest.raises(Undecodable) as caught:
            READER.read(broken)
        assert "Ida" not in str(caught.value)


NASTY = {
    "type": "record",
    "name": "Nasty",
    "namespace": "x.y",
    "fields": [
        {
            "name": "holder",
            "type": {
                "type": "record",
                "name": "Human",
                "fields": [
                    {"name": "full", "type": ["null", "string"], "category": "user.name", "term": "name"},
                    {"name": "friend", "type": ["null", "Human"]},
                ],
            },
        },
        {"name": "guests", "type": {"type": "array", "items": "x.y.Human"}},
        {"name": "by_role", "type": ["null", {"type": "map", "values": ["null", "string", "Human"]}]},
        {"name": "mails", "type": ["null", {"type": "array", "items": "string"}], "category": "user.contact.email"},
        {"name": "typed", "type": {"type": "string", "category": "user.device", "free_text": True}},
        {"name": "branch", "type": ["null", {"type": "string", "category": "user.content"}, "int"]},
        {"name": "plain", "type": "string"},
        {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": ["LOW"]}, "confluent:tags": ["PII"]},
        {
            "name": "whole",
            "category": "user",
            "type": {
                "type": "record",
                "name": "Whole",
                "namespace": "z",
                "fields": [
                    {"name": "phone", "type": "string"},
                    {"name": "age", "type": "int", "category": "user.demographic.age_range"},
                    {"name": "again", "type": ["null", "x.y.Human"]},
                ],
            },
        },
        {"name": "either", "type": ["Human", "z.Whole", "null", "x.y.Level"]},
    ],
}


def _human(name: str | None, friend: Any = None) -> dict[str, Any]:
    return {"full": name, "friend": friend}


def test_a_walk_finds_annotations_through_everything_that_avro_nests() -> None:
    record = {
        "holder": _human("A", _human("B", _human(None))),
        "guests": [_human("C"), _human("")],
        "by_role": {"r1": _human("D"), "r2": "not annotated", "r3": None},
        "mails": ["e", "f"],
        "typed": "g",
        "branch": "h",
        "plain": "never",
        "level": "LOW",
        "whole": {"phone": "i", "age": 0, "again": _human("J")},
        "either": {"phone": "not annotated here", "age": 7, "again": None},
    }
    found = list(compile_walk(NASTY)(record))
    assert [(f.path, f.mark.term, f.value) for f in found] == [
        ("holder.full", "name", "A"),
        ("holder.friend.full", "name", "B"),
        ("guests[].full", "name", "C"),
        ("by_role{}.full", "name", "D"),
        ("mails[]", "mails", "e"),
        ("mails[]", "mails", "f"),
        ("typed", "typed", "g"),
        ("branch", "branch", "h"),
        ("level", "level", "LOW"),
        ("whole.phone", "phone", "i"),
        ("whole.age", "age", 0),
        ("whole.again.full", "name", "J"),
        ("either.age", "age", 7),
    ]
    assert found[6].mark.free_text
    assert found[8].mark.tags == ("PII",)
    assert found[9].mark.category == "user"


def test_an_annotated_field_that_the_event_form_does_not_foresee_is_tagged_too() -> None:
    event = REGISTRY.types["order.delivered"]
    guest = {
        "type": "record",
        "name": "Guest",
        "fields": [
            {"name": "label", "type": "string", "category": "user.name", "term": "name"},
            {"name": "remark", "type": "string", "category": "user.content", "free_text": True, "term": "message"},
            {"name": "hat", "type": "string", "category": "user.content"},
        ],
    }
    fields = [*event.schema["fields"], {"name": "guests", "type": {"type": "array", "items": guest}}]
    wider = dataclasses.replace(event, schema={**event.schema, "fields": fields})
    _, record = REGISTRY.from_json({**HEADER, "type": "order.delivered", "order": "P-1"})
    record["guests"] = [{"label": "Ida", "remark": "call 86787871", "hat": "blue"}]
    tagged = compile_tagger(wider)(record)
    assert tagged.terms == ("?", "message", "name")
    assert tagged.found == ("phone",)
    assert compile_projection(wider) is None
