"""The AsyncAPI document: valid by the standard's own schema, whole, and the one that is in the repository."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

import schemas
from lineage import policy_file
from streams import wire
from streams.asyncapi import document
from streams.cli import cli
from streams.taking import STREAMS
from streams.topics import Topics

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft7Validator(json.loads((ROOT / "tests" / "data" / "asyncapi-3.0.0.schema.json").read_text("utf-8")))
DOCUMENT = document()


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        node = node[name]
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [r for value in node.values() for r in references(value)]
    return [r for item in node for r in references(item)] if isinstance(node, list) else []


def test_the_document_is_valid_by_the_standards_own_schema() -> None:
    assert [f"{list(e.absolute_path)}: {e.message[:200]}" for e in VALIDATOR.iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    "path",
    [
        ("info",),
        ("channels", "requests", "address"),
        ("operations", "send.alerts", "action"),
        ("components", "messages", "alert", "payload", "schema"),
    ],
)
def test_the_standards_schema_does_notice_what_is_wrong(path: tuple[str, ...]) -> None:
    broken = copy.deepcopy(DOCUMENT)
    node: Any = broken
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = 5
    assert list(VALIDATOR.iter_errors(broken))


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 200
    for reference in found:
        assert resolve(reference)


def test_every_topic_is_in_it() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    topics = Topics().all([policy_file.load("pompdelux")], 4)
    for topic in topics:
        name = "lineage.commands.{controller}.{target}" if ".commands." in topic.name else topic.name
        assert name in addresses
        (channel,) = [c for c in DOCUMENT["channels"].values() if c["address"] == name]
        config = channel["bindings"]["kafka"]["topicConfiguration"]
        assert ",".join(config["cleanup.policy"]) == topic.config["cleanup.policy"]
        assert {k: str(v) for k, v in config.items() if k != "cleanup.policy"} == {
            k: v for k, v in topic.config.items() if k != "cleanup.policy"
        }
        assert channel["bindings"]["kafka"].get("partitions") == (1 if topic.partitions == 1 else None)
    assert len(addresses) == len(STREAMS) + 5


def test_every_message_is_in_it_once_on_its_channel_with_its_schema() -> None:
    messages = DOCUMENT["components"]["messages"]
    carried = [r for channel in DOCUMENT["channels"].values() for r in references(channel["messages"])]
    assert sorted(carried) == sorted(f"#/components/messages/{name}" for name in messages)
    for kind in schemas.registry().types.values():
        assert kind.name in DOCUMENT["channels"][f"events.{kind.stream}"]["messages"]
    by_id = dict(schemas.registry().schemas.values())
    assert {m["x-schema-id"] for m in messages.values()} == set(by_id) - {schemas.registry().id_of("certificate")}
    for message in messages.values():
        assert message["payload"]["schema"] == by_id[message["x-schema-id"]]
        assert avro.schema.parse(json.dumps(message["payload"]["schema"])).type == "record"
        assert message["bindings"]["kafka"]["key"]["description"]
        assert message["contentType"] == wire.CONTENT_TYPE


def test_every_operation_has_all_messages_of_its_channel() -> None:
    operations = DOCUMENT["operations"]
    assert {o["channel"]["$ref"] for o in operations.values()} == {f"#/channels/{name}" for name in DOCUMENT["channels"]}
    for operation in operations.values():
        assert len(operation["messages"]) == len(resolve(operation["channel"]["$ref"])["messages"])
    assert operations["send.commands"]["action"] == "send"


def test_the_headers_are_those_that_are_written() -> None:
    names = {name for name, _ in wire.headers("1", "s", "t", 0)}
    assert set(DOCUMENT["components"]["messageTraits"]["cloudevent"]["headers"]["properties"]) == names


def test_the_document_in_the_repository_is_this_one() -> None:
    file = ROOT / "docs" / "asyncapi.json"
    assert json.loads(file.read_text("utf-8")) == DOCUMENT, "run: lineage asyncapi > docs/asyncapi.json"


def test_it_is_printed_for_other_topics_too() -> None:
    result = CliRunner().invoke(cli, ["asyncapi", "--topics", "shop"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["channels"]["requests"]["address"] == "shop.requests"
    assert json.loads(CliRunner().invoke(cli, ["asyncapi"]).stdout) == DOCUMENT
