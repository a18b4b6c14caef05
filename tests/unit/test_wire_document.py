"""docs/wire.md: every example in it is what the code writes and reads, and what another Avro library makes of the bytes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest

import schemas
from lineage.identity import normalise
from streams import wire
from streams.taking import STREAMS
from streams.topics import Topics

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text("utf-8")
BLOCKS = {
    (language, name): body for language, name, body in re.findall(r"^```(\w+) (\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
}


def example(name: str) -> Any:
    return json.loads(BLOCKS["json", name])


def data(name: str) -> bytes:
    return bytes.fromhex(BLOCKS["hex", name])


def test_the_page_has_its_examples() -> None:
    assert {name for _, name in BLOCKS} == {"event", "key", "headers", "command", "receipt", "export", "request"}


def test_the_event_is_these_bytes() -> None:
    assert schemas.registry().encode_json(example("event")) == data("event")
    number = schemas.registry().id_of("support.opened")
    assert f"under our own id {number}, `support.opened`" in PAGE
    assert data("event")[:5] == schemas.HEADER.pack(0, number)


def test_the_key_is_this_hash() -> None:
    kind, record = schemas.registry().from_json(example("event"))
    assert wire.event_key(record["controller"], wire.identifiers_of(kind, record)) == data("key")
    order = PAGE.partition("in this order: ")[2].partition(".")[0]
    assert tuple(re.findall(r"`(\w+)`", order)) == wire.KEY_ORDER
    for spelling in ("+45 12 34 56 78", "0045 12345678"):
        assert f"`{spelling}`" in PAGE
        assert normalise("phone", spelling) == "4512345678"


def test_the_headers_are_these() -> None:
    _, record = schemas.registry().from_json(example("event"))
    written = wire.headers(record["id"], record["source"], "support.opened", record["time"])
    assert BLOCKS["text", "headers"].splitlines() == [f"{name}: {value.decode()}" for name, value in written]
    for type_ in (wire.COMMAND, wire.RECEIPT, wire.REQUEST, wire.ALERT, wire.DEAD_LETTER):
        assert f"`{type_}`" in PAGE


def test_the_command_is_these_bytes() -> None:
    assert wire.encode_command(example("command")) == data("command")
    assert wire.decode_command(data("command")) == example("command")


def test_the_receipts_are_these_bytes() -> None:
    for name in ("receipt", "export"):
        found = example(name)
        assert wire.encode_receipt(found["command"], found["outcome"], found["data"]) == data(name)
        assert wire.decode_receipt(data(name)) == found


def test_the_request_is_these_bytes() -> None:
    assert wire.encode_request(example("request")) == data("request")
    assert wire.decode_request(data("request")) == example("request")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("event", "support/support.opened"),
        ("command", "control/command"),
        ("receipt", "control/receipt"),
        ("request", "control/rights_request"),
    ],
)
def test_another_avro_library_reads_the_same(name: str, path: str) -> None:
    schema = avro.schema.parse(json.dumps(schemas.registry().schemas[path][1]))
    reader = avro.io.DatumReader(schema)
    found: Any = reader.read(avro.io.BinaryDecoder(io.BytesIO(data(name)[5:])))
    if name == "event":
        assert (found["id"], found["person"]["email"], found["data"]["message"]) == ("e-1", "Ann@example.org", "Where is it?")
    elif name == "command":
        assert (found["identifiers"], found["kind"]) == (example("command")["identifiers"], "erase")
        assert found["issued"].timestamp() == example("command")["issued"]
    else:
        assert found == example(name)


def rows(title: str) -> list[str]:
    """Give the first cells of the table under a title."""
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("|")]
    return cells[2:]


def test_the_tables_are_whole() -> None:
    assert {cell.strip("`") for cell in rows("Receipts")} == set(wire.RECEIPT_OUTCOMES)
    fields = [field["name"] for field in schemas.registry().schemas["control/command"][1]["fields"]]
    described = [cell.strip("`") for cell in rows("Commands")]
    assert set(described) <= set(fields)
    assert set(fields) - set(described) == {"case", "controller", "target", "issued"}
    kinds = next(field["doc"] for field in schemas.registry().schemas["control/command"][1]["fields"] if field["name"] == "kind")
    listed = re.findall(r"`(\w+)`", next(line for line in PAGE.splitlines() if line.startswith("| `kind`")).split("|")[2])
    assert listed[:-1] == kinds.partition(";")[0].split(", ")


def test_the_topics_are_those_of_the_code() -> None:
    events, *others = rows("Topics")
    topics = Topics()
    first, *rest = re.findall(r"`([^`]+)`", events)
    assert [first, *(f"{topics.prefix}.events{name}" for name in rest)] == [topics.event(stream) for stream in STREAMS]
    expected = {topics.requests, topics.receipts, topics.alerts, topics.dead_letters, topics.commands("CONTROLLER", "TARGET")}
    assert {cell.strip("`") for cell in others} == expected
