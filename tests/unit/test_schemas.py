"""What the schemas promise: closed lists that hold together, bytes that come back, errors that name the field only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import avro.schema
import fastavro
import pytest
from fideslang.default_taxonomy import DEFAULT_TAXONOMY

import schemas
from schemas.compatibility import incompatibilities, problems
from schemas.files import fingerprint, load_ids, load_schema, load_shared, plain

ROOT = Path(schemas.__file__).parent
REGISTRY = schemas.registry()
STREAMS = {"order", "newsletter", "cookie", "support", "account", "campaign"}
DPV = {
    *("pd:Name", "pd:EmailAddress", "pd:PhysicalAddress", "pd:TelephoneNumber", "pd:IPAddress", "pd:UserAgent"),
    *("pd:BrowserFingerprint", "pd:UID", "pd:Purchase", "pd:Transaction", "pd:PaymentCardNumber", "pd:BankAccount"),
    *("pd:PrivacyPreference", "pd:Communication", "pd:EmailContent", "pd:BrowsingBehaviour", "dpv:PersonalData"),
}
ORDER = {
    "type": "order.placed",
    "id": "e-1",
    "source": "shop/orders",
    "time": "2024-10-01T12:00:00+02:00",
    "controller": "pompdelux",
    "person": {"email": "buyer@example.org"},
    "order": "P-1020",
    "lines": 2,
    "objects_to_marketing": True,
    "data": {"name": "Søren Example", "others": {"push_token": "tok"}},
}
SECRET = "secret-value@example.org"


def test_every_category_of_a_term_is_one_of_the_installed_fideslang() -> None:
    known = {category.fides_key for category in DEFAULT_TAXONOMY.data_category}
    assert {term.category for term in REGISTRY.terms.values()} <= known


def test_every_category_in_a_schema_is_one_of_the_installed_fideslang() -> None:
    known = {category.fides_key for category in DEFAULT_TAXONOMY.data_category}

    def categories(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = node.get("category")
            return categories(list(node.values())) | ({own} if isinstance(own, str) else set())
        return set().union(*map(categories, node)) if isinstance(node, list) else set()

    found = categories([schema for _, schema in REGISTRY.schemas.values()])
    assert len(found) > 20
    assert found <= known


def test_every_dpv_term_exists() -> None:
    assert {term.dpv for term in REGISTRY.terms.values()} <= DPV


def test_the_terms_keep_their_order_and_new_ones_follow() -> None:
    first = "\n".join(list(REGISTRY.terms)[:67])
    assert hashlib.sha256(first.encode()).hexdigest()[:16] == "188816af3b7fe917"


def test_the_types_cover_the_six_streams() -> None:
    assert {event.stream for event in REGISTRY.types.values()} == STREAMS
    assert len(REGISTRY.types) == 63


@pytest.mark.parametrize("name", REGISTRY.types)
def test_catalog_and_schema_of_a_type_say_the_same(name: str) -> None:
    event = REGISTRY.types[name]
    fields = {field["name"]: field for field in event.schema["fields"]}
    assert len(fields) == len(event.schema["fields"])
    header = ["id", "source", "time", "controller", "person"]
    assert list(fields) == [*header, *event.refs, *(f for f in event.fields if f not in event.refs), "data"]
    data = {field["name"]: field for field in fields["data"]["type"]["fields"]}
    assert tuple(data) == (*event.data, "others")
    for term in event.data:
        assert data[term]["category"] == REGISTRY.terms[term].category
        assert data[term]["confluent:tags"] == list(REGISTRY.terms[term].tags)
        assert data[term].get("free_text", False) is REGISTRY.terms[term].free_text
    assert not (event.act and event.report)
    assert not (event.carries_none and event.data)


@pytest.mark.parametrize("path", REGISTRY.schemas)
def test_every_schema_is_avro_for_two_readers(path: str) -> None:
    # The avro package keeps {"type": "long"} where a logical type was; the canonical form has "long".
    schema = plain(REGISTRY.schemas[path][1])
    canonical = avro.schema.parse(json.dumps(schema)).canonical_form
    assert json.loads(str(canonical)) == json.loads(fastavro.schema.to_parsing_canonical_form(schema))


def test_the_schemas_are_what_their_ids_were_given_for() -> None:
    assert problems(ROOT) == ()


def _changed(tmp_path: Path, path: str, field: dict[str, Any]) -> Path:
    root = tmp_path / "schemas"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("__pycache__"))
    file = root / f"{path}.avsc"
    schema = json.loads(file.read_text("utf-8"))
    schema["fields"].append(field)
    file.write_text(json.dumps(schema), "utf-8")
    return root


def _with_history(tmp_path: Path, path: str, field: dict[str, Any], new_id: int = 900) -> Path:
    root = _changed(tmp_path, path, field)
    (root / "history").mkdir()
    old = REGISTRY.schemas[path]
    (root / "history" / f"{old[0]}.avsc").write_text(json.dumps(old[1]), "utf-8")
    lines = json.loads((root / "ids.json").read_text("utf-8"))
    new = load_schema(root / f"{path}.avsc", load_shared(root))
    lines.append({"id": new_id, "schema": path, "fingerprint": fingerprint(new)})
    (root / "ids.json").write_text(json.dumps(lines), "utf-8")
    return root


def test_a_schema_that_changed_without_a_new_id_is_a_problem(tmp_path: Path) -> None:
    root = _changed(tmp_path, "order/order.paid", {"name": "extra", "type": ["null", "string"], "default": None})
    (problem,) = problems(root)
    assert problem.startswith("order/order.paid.avsc has changed: keep its old form")


def test_a_schema_without_an_id_is_a_problem(tmp_path: Path) -> None:
    root = _changed(tmp_path, "order/order.paid", {"name": "x", "type": ["null", "string"], "default": None})
    shutil.copy(ROOT / "order" / "order.paid.avsc", root / "order" / "order.paid.avsc")
    shutil.copy(ROOT / "order" / "order.paid.avsc", root / "order" / "order.new.avsc")
    (problem,) = problems(root)
    assert problem.startswith("order/order.new.avsc has no id")


def test_a_new_field_without_a_default_is_a_problem(tmp_path: Path) -> None:
    root = _with_history(tmp_path, "order/order.paid", {"name": "extra", "type": "string"})
    (problem,) = problems(root)
    assert "old data with the new schema: extra" in problem


def test_an_event_written_with_an_older_schema_is_read_as_of_today(tmp_path: Path) -> None:
    root = _with_history(tmp_path, "order/order.placed", {"name": "extra", "type": ["null", "string"], "default": None})
    assert problems(root) == ()
    newer = schemas.Registry(root)
    assert newer.id_of("order.placed") == 900
    event, record = newer.decode(REGISTRY.encode_json(ORDER))
    assert (event.name, record["order"], record["extra"]) == ("order.placed", "P-1020", None)


def test_incompatible_types_are_told_both_ways() -> None:
    old = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}
    new = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
    assert len(incompatibilities(old, new)) == 2


def test_ids_are_never_given_twice() -> None:
    lines = load_ids(ROOT)
    assert len({line.id for line in lines}) == len(lines)
    assert (REGISTRY.id_of("order.placed"), REGISTRY.id_of("command")) == (1, 66)


def test_an_event_comes_back_from_its_bytes() -> None:
    data = REGISTRY.encode_json(ORDER)
    assert data[:5] == b"\0\0\0\0\x01"
    event, record = REGISTRY.decode(data)
    assert event is REGISTRY.types["order.placed"]
    assert record["time"] == 1_727_776_800_000
    assert record["person"] == {"email": "buyer@example.org", "phone": None, "customer_number": None}
    assert (record["order"], record["lines"], record["secure"]) == ("P-1020", 2, None)
    assert record["data"]["name"] == "Søren Example"
    assert record["data"]["address"] is None
    assert record["data"]["others"] == {"push_token": "tok"}


@pytest.mark.parametrize("name", REGISTRY.types)
def test_every_type_has_a_shortest_event(name: str) -> None:
    obj = {"type": name, "id": "1", "source": "s", "time": 0, "controller": "c"}
    event, record = REGISTRY.decode(REGISTRY.encode_json(obj))
    assert event.name == name
    assert (event, record) == REGISTRY.from_json(obj)


def test_control_records_come_back_from_their_bytes() -> None:
    command = {
        "id": "c-1",
        "case": "k-1",
        "controller": "apof",
        "target": "crm",
        "kind": "erase",
        "notice": False,
        "activity": None,
        "categories": ["name"],
        "because": {"name": ["A-ERA-1"]},
        "identifiers": {"email": ["a@example.org"]},
        "issued": 1,
        "deadline": None,
        "attempt": 1,
    }
    assert REGISTRY.decode_control(REGISTRY.encode("command", command)) == ("command", command)


@pytest.mark.parametrize(
    ("data", "schema_id", "reason"),
    [
        (b"", -1, "shorter"),
        (b"\0\0\0", -1, "shorter"),
        (b"\x01\0\0\0\x01", -1, "zero byte"),
        (b"\0\xff\xff\xff\xff..", 2**32 - 1, "not in schemas/ids.json"),
        (b"\0\0\0\0\x01", 1, "do not fit"),
        (b"\0\0\0\0\x01\x32abc", 1, "do not fit"),
        (b"\0\0\0\0\x01\x02\xff", 1, "do not fit"),
        (REGISTRY.encode_json(ORDER) + b"x", 1, "left over"),
        (REGISTRY.encode_json(ORDER)[:-4], 1, "do not fit"),
    ],
)
def test_bytes_that_are_no_event_say_which_schema_they_claim(data: bytes, schema_id: int, reason: str) -> None:
    with pytest.raises(schemas.DecodeError, match=reason) as caught:
        REGISTRY.decode(data)
    assert caught.value.schema_id == schema_id


def test_a_control_record_is_no_event_and_the_other_way_round() -> None:
    alert = {"id": "1", "controller": "c", "kind": "k", "time": 1, "about": "a"}
    with pytest.raises(schemas.DecodeError, match="no event"):
        REGISTRY.decode(REGISTRY.encode("alert", alert))
    with pytest.raises(schemas.DecodeError, match="no control record"):
        REGISTRY.decode_control(REGISTRY.encode_json(ORDER))


def test_an_error_of_decoding_shows_nothing_of_the_payload() -> None:
    data = REGISTRY.encode_json({**ORDER, "person": {"email": SECRET}})
    with pytest.raises(schemas.DecodeError) as caught:
        REGISTRY.decode(data[:-2] + b"\xff")
    error = caught.value
    assert SECRET not in f"{error!r} {error.__cause__!r}"
    assert error.__suppress_context__


WRONG: list[tuple[object, str, str]] = [
    ([], "", "an event is a JSON object"),
    ("x", "", "an event is a JSON object"),
    ({"id": "1"}, "type", "type is missing"),
    ({**ORDER, "type": "order.lost"}, "type", "no event type order.lost"),
    ({**ORDER, "type": SECRET}, "type", "there is no event type;"),
    ({**ORDER, "type": 5}, "type", "there is no event type;"),
    ({**ORDER, "type": ["order.placed"]}, "type", "there is no event type;"),
    ({k: v for k, v in ORDER.items() if k != "id"}, "id", "lacks the field id"),
    ({**ORDER, "id": ""}, "id", "lacks the field id"),
    ({**ORDER, "id": 7}, "id", "must be a string"),
    ({**ORDER, "controller": None}, "controller", "lacks the field controller"),
    ({**ORDER, "colour": "x"}, "colour", "no field colour; leave it out"),
    ({**ORDER, SECRET: "x"}, "(name not shown)", "name not shown"),
    ({**ORDER, "time": "yesterday"}, "time", "RFC 3339"),
    ({**ORDER, "time": "2024-10-01"}, "time", "RFC 3339"),
    ({**ORDER, "time": "2024-10-01T10:00:00"}, "time", "with its offset"),
    ({**ORDER, "time": True}, "time", "RFC 3339"),
    ({**ORDER, "time": 1.5}, "time", "RFC 3339"),
    ({**ORDER, "time": 10**18}, "time", "RFC 3339"),
    ({**ORDER, "lines": "2"}, "lines", "whole number"),
    ({**ORDER, "lines": True}, "lines", "whole number"),
    ({**ORDER, "lines": 2**31}, "lines", "32 bits"),
    ({**ORDER, "secure": "no"}, "secure", "true or false"),
    ({**ORDER, "order": 1020}, "order", "must be a string"),
    ({**ORDER, "order": "\ud800"}, "order", "UTF-8"),
    ({**ORDER, "person": SECRET}, "person", "must be an object"),
    ({**ORDER, "person": {"email": 5}}, "person.email", "must be a string"),
    ({**ORDER, "person": {"mail": "x"}}, "mail", "person has no field mail"),
    ({**ORDER, "data": {"push_token": "x"}}, "data.push_token", "put it under data.others"),
    ({**ORDER, "data": {"nom": "x"}}, "nom", "data has no field nom"),
    ({**ORDER, "data": {"name": 5}}, "data.name", "must be a string"),
    ({**ORDER, "data": {"others": {"x": 5}}}, "data.others", "must be a string"),
    ({**ORDER, "data": []}, "data", "must be an object"),
]


@pytest.mark.parametrize(("obj", "field", "reason"), WRONG)
def test_an_invalid_event_names_the_field_and_says_what_to_do(obj: object, field: str, reason: str) -> None:
    with pytest.raises(schemas.InvalidEvent, match=reason) as caught:
        REGISTRY.from_json(obj)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"type": "preservation.ordered", "until": "2024-13-01"}, "until"),
        ({"type": "preservation.ordered", "until": 5}, "until"),
        ({"type": "data.copied", "categories": "name"}, "categories"),
        ({"type": "data.copied", "categories": [1]}, "categories"),
    ],
)
def test_dates_and_lists_are_checked(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(schemas.InvalidEvent) as caught:
        REGISTRY.from_json({"id": "1", "source": "s", "time": 0, "controller": "c", **fields})
    assert caught.value.field == wrong


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2024-10-01T10:00:00Z", 1_727_776_800_000),
        ("2024-10-01T12:00:00.5+02:00", 1_727_776_800_500),
        ("1969-12-31T23:59:59.999Z", -1),
        (1_727_776_800_000, 1_727_776_800_000),
    ],
)
def test_times_are_read_to_the_millisecond(text: object, time_ms: int) -> None:
    assert REGISTRY.from_json({**ORDER, "time": text})[1]["time"] == time_ms


def test_a_record_that_does_not_fit_is_refused_without_its_values() -> None:
    _, record = REGISTRY.from_json(ORDER)
    with pytest.raises(schemas.InvalidEvent) as caught:
        REGISTRY.encode("order.placed", {**record, "lines": SECRET})
    assert SECRET not in f"{caught.value}"
    assert caught.value.__suppress_context__
    with pytest.raises(schemas.InvalidEvent, match=r"no event type order\.lost"):
        REGISTRY.encode("order.lost", record)


def test_the_header_is_that_of_the_schema_registry() -> None:
    assert schemas.HEADER.format in (">bI", b">bI")
    assert struct.unpack(">bI", REGISTRY.encode_json(ORDER)[:5]) == (0, REGISTRY.id_of("order.placed"))


def test_a_type_of_event_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        REGISTRY.types["order.placed"].act = False  # type: ignore[misc]
