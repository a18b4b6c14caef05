"""The control records: what the code really has comes back from its bytes, what does not fit is refused without its values."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from shop import ORDER, Shop, at

import schemas
from lineage import exports
from lineage.errors import BadCall, BadEvent, Undecodable
from lineage.pipeline import OUTCOMES
from streams import wire
from streams.outbox import Outbox

SECRET = "secret-value@example.org"
EMAIL = {"email": "buyer@example.org"}
COMMAND: dict[str, Any] = {
    "id": "c-1", "case": "k-1", "controller": "pompdelux", "target": "order_system", "kind": "erase", "notice": False,
    "activity": None, "categories": ["email"], "because": {"email": ["P-1", "gdpr:17"]},
    "identifiers": {"email": [SECRET], "customer_number": ["1", "2"]}, "issued": 1_790_000_000, "deadline": "2026-10-31", "attempt": 1,
}  # fmt: skip
REQUEST: dict[str, Any] = {
    "case": "k-1",
    "controller": "pompdelux",
    "right": "erasure",
    "identifier": {"kind": "email", "value": SECRET},
}


def described(shop: Shop, now: str) -> list[dict[str, Any]]:
    engine: Any = SimpleNamespace(store=shop.store, pipeline=shop.pipeline, settings=SimpleNamespace(warn_attempts=3))
    nothing: Any = None
    return Outbox(engine, nothing).take(None, None, at(now), 1000)


@pytest.fixture
def shop():
    found = Shop()
    found.take(found.event("order.placed", "2024-03-01", order="1", data=ORDER), now="2024-03-02")
    found.take(found.event("newsletter.subscribed", "2024-03-02", channel="email", express=True, data=EMAIL), now="2024-03-02")
    yield found
    found.store.close()


@pytest.mark.parametrize("right", ["erasure", "access", "restriction", "withdrawal"])
def test_every_command_that_the_outbox_describes_comes_back_from_its_bytes(shop: Shop, right: str) -> None:
    shop.request(right, "2024-03-03", via="email")
    found = described(shop, "2024-03-04")
    assert found
    for command in found:
        assert wire.decode_command(wire.encode_command(command)) == command


def test_a_command_of_a_kind_that_is_not_known_yet_can_be_read() -> None:
    assert wire.decode_command(wire.encode_command({**COMMAND, "kind": "freeze"}))["kind"] == "freeze"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": SECRET}, "has fields beside"),
        ({"categories": SECRET}, "must be lists"),
        ({"because": {"email": SECRET}}, "must be lists"),
        ({"identifiers": {"email": SECRET}}, "must be lists"),
        ({"issued": SECRET}, "whole seconds"),
        ({"attempt": SECRET}, "does not fit"),
        ({"id": None}, "does not fit"),
    ],
)
def test_a_command_that_does_not_fit_is_refused_without_its_values(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadCall, match=reason) as caught:
        wire.encode_command({**COMMAND, **change})
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_command_that_lacks_something_is_refused() -> None:
    with pytest.raises(BadCall, match="lacks target, kind"):
        wire.encode_command({k: v for k, v in COMMAND.items() if k not in ("target", "kind")})


@pytest.mark.parametrize("outcome", [*OUTCOMES, "done"])
def test_a_receipt_comes_back_from_its_bytes(outcome: str) -> None:
    assert wire.decode_receipt(wire.encode_receipt("c-1", outcome)) == {"command": "c-1", "outcome": outcome, "data": None}


def test_the_values_of_an_export_come_back_as_they_were() -> None:
    data = {"name": "Ann", "order_content": ["a dress", {"size": 3}], "birthday": None}
    found = wire.decode_receipt(wire.encode_receipt("c-1", "done", data))
    assert found["data"] == data


def test_a_receipt_goes_into_the_pipeline(shop: Shop) -> None:
    case = shop.request("access", "2024-03-03", via="email")
    row = next(r for r in shop.commands("2024-03-04") if r.kind == "export" and r.target == "order_system")
    receipt = wire.decode_receipt(wire.encode_receipt(row.id, "done", {"name": "Ann Buyer"}))
    shop.pipeline.receipt(receipt["command"], receipt["outcome"], at("2024-03-05"), receipt["data"])
    assert exports.export(shop.store, shop.pipeline.keys, case)["order_system"] == {"name": "Ann Buyer"}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("c-1", SECRET), "outcome must be one of"),
        (("", "erased"), "id of the command"),
        ((None, "erased"), "id of the command"),
        (("c-1", "done", {"name": {SECRET}}), "JSON can hold"),
        (("c-1", "done", [SECRET]), "JSON can hold"),
        (("c-1", "done", {5: SECRET}), "does not fit"),
    ],
)
def test_a_receipt_that_is_wrong_is_refused(args: Any, reason: str) -> None:
    with pytest.raises(BadCall, match=reason) as caught:
        wire.encode_receipt(*args)
    assert SECRET not in str(caught.value)


def test_a_receipt_from_elsewhere_is_checked() -> None:
    write = schemas.registry().encode
    with pytest.raises(BadEvent, match="outcome is none of"):
        wire.decode_receipt(write("receipt", {"command": "c", "outcome": SECRET, "data": None}))
    with pytest.raises(BadEvent, match="no JSON") as caught:
        wire.decode_receipt(write("receipt", {"command": "c", "outcome": "done", "data": {"name": SECRET}}))
    assert caught.value.__cause__ is None


def test_a_request_comes_back_with_every_field() -> None:
    plain = wire.decode_request(wire.encode_request(REQUEST))
    assert plain == {
        **REQUEST, "scope": [], "of": [], "correct": [], "remove": [], "contested": False, "identity": "proven", "via": None,
        "channel": None, "ground": None, "by": None,
    }  # fmt: skip
    assert wire.decode_request(wire.encode_request(plain)) == plain
    full = {
        **plain,
        "scope": ["marketing"],
        "of": ["email"],
        "contested": True,
        "identity": "unproven",
        "via": "phone",
        "by": "parent",
    }
    assert wire.decode_request(wire.encode_request({**full, "scope": "marketing"})) == full


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scopes": ["newsletter"]}, "no field scopes"),
        ({SECRET: 1}, "there is no field; it has"),
        ({"case": ""}, "lacks case"),
        ({"case": SECRET}, "1 to 64 letters"),
        ({"case": 5}, "1 to 64 letters"),
        ({"right": SECRET}, "right must be one of"),
        ({"identifier": SECRET}, "identifier must be"),
        ({"identifier": {"kind": "mail", "value": SECRET}}, "identifier must be"),
        ({"identifier": {"kind": "email", "value": ""}}, "identifier must be"),
        ({"identifier": {"kind": "email", "value": 5}}, "does not fit"),
        ({"identity": SECRET}, "identity must be"),
        ({"of": {SECRET: 1}}, "of must be a name or a list"),
        ({"scope": [5]}, "scope must be a name or a list"),
        ({"via": 5}, "does not fit"),
    ],
)
def test_a_request_that_is_wrong_is_refused_without_its_values(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadCall, match=reason) as caught:
        wire.encode_request({**REQUEST, **change})
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_request_from_elsewhere_is_checked() -> None:
    record = wire.decode_request(wire.encode_request(REQUEST))
    with pytest.raises(BadEvent, match="right must be one of"):
        wire.decode_request(schemas.registry().encode("rights_request", {**record, "right": "oblivion"}))


def test_a_dead_letter_goes_out_without_its_payload(shop: Shop) -> None:
    value = shop.event("order.placed", "2024-03-01", controller="nobody", data={"name": SECRET})
    shop.take(value, now="2024-03-02")
    (letter,) = shop.store.dead_letters()
    given = {**letter._asdict(), "time": letter.at}
    del given["at"]
    data = wire.encode_dead_letter(given)
    assert SECRET.encode() not in data
    assert letter.sealed not in data
    assert wire.decode_dead_letter(data) == {k: v for k, v in given.items() if k != "sealed"}


def test_an_alert_comes_back_from_its_bytes() -> None:
    alert = {"id": "a-1", "time": 5, "controller": "apof", "kind": "warned", "about": "unanswered", "reasons": ["P-1"]}
    assert wire.decode_alert(wire.encode_alert(alert)) == {**alert, "case": None, "target": None}
    with pytest.raises(BadCall, match="must be a list"):
        wire.encode_alert({**alert, "reasons": "P-1"})


def test_every_certificate_of_the_chain_comes_back_from_its_bytes() -> None:
    shop = Shop()
    shop.take(shop.event("newsletter.subscribed", "2024-03-01", channel="email", express=True, data=EMAIL), now="2024-03-02")
    shop.request("erasure", "2024-03-03", via="email")
    shop.acknowledge_all("2024-03-04")
    (line,) = shop.store.certificates()
    certificate = {**json.loads(line.body), "previous": line.previous, "hash": line.hash}
    back = wire.decode_certificate(wire.encode_certificate(certificate))
    for target, own in zip(back.pop("targets"), certificate.pop("targets"), strict=True):
        assert {k: v for k, v in target.items() if v is not None} == {k: v for k, v in own.items() if v is not None}
    assert back == certificate
    shop.store.close()


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (wire.decode_command, b"", "shorter than"),
        (wire.decode_command, b"\0\0\0\xff\xff", "not in schemas/ids.json"),
        (wire.decode_command, wire.encode_receipt("c-1", "done"), "receipt where a command was expected"),
        (wire.decode_receipt, wire.encode_command(COMMAND), "command where a receipt was expected"),
        (wire.decode_receipt, wire.encode_receipt("c-1", "done")[:-2], "do not fit"),
        (wire.decode_alert, wire.encode_receipt("c-1", "done") + b"x", "left over"),
    ],
)
def test_bytes_that_are_something_else_are_undecodable(read: Any, value: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        read(value)


def test_the_key_is_that_of_the_strongest_identifier_however_it_is_spelt() -> None:
    key = wire.event_key("pompdelux", {"email": "Ann@Example.org ", "phone": "12 34 56 78"})
    assert key == hashlib.sha256(b"pompdelux\0email\0ann@example.org").digest()
    assert key == wire.event_key("pompdelux", {"cookie": "x", "email": "ann@example.org", "customer_number": None, "account": ""})
    assert key != wire.event_key("apof", {"email": "ann@example.org"})
    assert wire.event_key("pompdelux", {"customer_number": "7", "email": "ann@example.org"}) == wire.event_key(
        "pompdelux", {"customer_number": " 7", "email": "other@example.org"}
    )


def test_an_event_without_an_identifier_has_no_key() -> None:
    assert wire.event_key("pompdelux", {}) is None
    assert wire.event_key("pompdelux", {"email": ""}) is None


def test_the_headers_are_those_of_the_cloudevents_binding() -> None:
    assert wire.headers("e-1", "web shop/ordrer å", "order.placed", 1_790_000_000_123) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e-1"),
        ("ce_source", b"web%20shop/ordrer%20%C3%A5"),
        ("ce_type", b"order.placed"),
        ("ce_time", b"2026-09-21T14:13:20.123Z"),
        ("content-type", b"application/vnd.lineage.avro"),
    ]


def test_personal_data_are_marked_in_the_control_records() -> None:
    fields = {
        path: [f["name"] for f in schema["fields"] if "confluent:tags" in f]
        for path, (_, schema) in schemas.registry().schemas.items()
        if path.startswith("control/")
    }
    assert {path: names for path, names in fields.items() if names} == {
        "control/command": ["identifiers"],
        "control/receipt": ["data"],
    }
    identifier = next(f for f in schemas.registry().schemas["control/rights_request"][1]["fields"] if f["name"] == "identifier")
    assert [f["name"] for f in identifier["type"]["fields"] if "confluent:tags" in f] == ["value"]
