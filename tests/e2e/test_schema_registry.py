"""The schemas in a real registry (Apicurio, asked the way Confluent's is): registered once, held compatible, their ids on the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from on_kafka import own_topics, read

import schemas
from lineage.errors import BadCall, Undecodable
from schemas.files import fingerprint
from streams.cli import cli
from streams.emitter import Emitter
from streams.schema_registry import COMPATIBILITY, Ids, Registered, SchemaRegistry, shipped, subjects
from streams.topics import Topics

pytestmark = [pytest.mark.process, pytest.mark.slow]
EVENT: dict[str, Any] = {
    "id": "e-1", "source": "s", "type": "order.placed", "time": 0, "controller": "pompdelux", "person": {"email": "a@example.org"},
}  # fmt: skip


def without_namespaces(schema: Any) -> Any:
    """Leave out what the registry leaves out where the surrounding record says it already."""
    if isinstance(schema, dict):
        return {key: without_namespaces(value) for key, value in schema.items() if key != "namespace"}
    return [without_namespaces(item) for item in schema] if isinstance(schema, list) else schema


@pytest.fixture(scope="module")
def registry(registry_server):
    found = SchemaRegistry(registry_server.url, seconds_max=30)
    # Others' schemas come first, so that no id of the registry is by chance the same as ours.
    found.register("somebody.else", '{"type": "record", "name": "Else", "fields": [{"name": "a", "type": "string"}]}')
    found.register("somebody.more", '{"type": "record", "name": "More", "fields": [{"name": "b", "type": "string"}]}')
    yield found
    found.close()


@pytest.fixture(scope="module")
def registered(registry: SchemaRegistry) -> list[Registered]:
    return registry.register_all()


def test_every_schema_is_there_once_with_what_it_says_of_personal_data(
    registry: SchemaRegistry, registered: list[Registered]
) -> None:
    assert {r.own_id for r in registered} == {s.id for s in shipped()}
    assert not any(r.new for r in registry.register_all())
    assert registry.check(there=True) == []
    by_id = {r.own_id: r.id for r in registered}
    for ours in shipped():
        theirs = registry.schema(by_id[ours.id])
        assert fingerprint(theirs) == fingerprint(ours.schema)
        assert without_namespaces(theirs) == without_namespaces(ours.schema)


def test_the_registry_holds_others_to_the_same_rule(
    registry_server, registry: SchemaRegistry, registered: list[Registered]
) -> None:
    config = httpx.get(f"{registry_server.url}/config/lineage.events.OrderPlaced").json()
    assert config["compatibilityLevel"] == COMPATIBILITY
    order = next(s for s in shipped() if s.path == "order/order.placed")
    demanding = {**order.schema, "fields": [*order.schema["fields"], {"name": "extra", "type": "string"}]}
    assert registry.compatible(order.name, json.dumps(demanding))
    with pytest.raises(BadCall, match="refuses"):
        registry.register(order.name, json.dumps(demanding))
    relaxed = {**order.schema, "fields": [*order.schema["fields"], {"name": "extra", "type": ["null", "string"], "default": None}]}
    assert registry.compatible(order.name, json.dumps(relaxed)) == ()


def test_nothing_is_registered_where_one_schema_would_break_readers(registry: SchemaRegistry, unique) -> None:
    topics = Topics(unique("broken"))
    subject = f"{topics.event('order')}-lineage.events.OrderPaid"
    registry.register(
        subject, '{"type": "record", "name": "OrderPaid", "namespace": "lineage.events", "fields": [{"name": "id", "type": "int"}]}'
    )
    with pytest.raises(BadCall, match=f"nothing was registered: {subject}"):
        registry.register_all(topics)
    assert registry.latest(f"{topics.event('order')}-lineage.events.OrderPlaced") is None


def test_ids_are_told_apart_both_ways(registry: SchemaRegistry, registered: list[Registered]) -> None:
    writing, reading = Ids(registry), Ids(registry)
    writing.warm()
    for ours in shipped():
        assert reading.from_wire(writing.to_wire(ours.id)) == ours.id
    with pytest.raises(Undecodable, match="no schema of ours"):
        reading.from_wire(registry.id_of("somebody.else", json.dumps(registry.latest("somebody.else"))) or 0)
    with pytest.raises(Undecodable, match="no schema of ours"):
        reading.from_wire(2_000_000_000)


def test_an_event_goes_over_kafka_under_the_registrys_id(
    kafka_server, registry: SchemaRegistry, registered: list[Registered], unique
) -> None:
    topics = own_topics(kafka_server.bootstrap, unique("registry"))
    with Emitter(kafka_server.bootstrap, topics=topics, ids=Ids(registry)) as emitter:
        emitter.emit(EVENT)
    (record,) = read(kafka_server.bootstrap, topics.event("order"), 1)
    theirs = next(r.id for r in registered if r.own_id == schemas.registry().id_of("order.placed"))
    assert schemas.HEADER.unpack_from(record.value) == (0, theirs)
    kind, content = schemas.registry().decode(Ids(registry).inbound(record.value))
    assert (kind.name, content["id"]) == ("order.placed", "e-1")


def test_the_command_line_says_what_is_there(registry_server, registered: list[Registered], tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["schemas", "check", "--url", registry_server.url])
    assert (result.exit_code, result.stdout) == (0, "0 problems\n")
    result = CliRunner().invoke(cli, ["schemas", "register", "--url", registry_server.url, "--json"])
    assert {r["subject"] for r in json.loads(result.stdout)} == set(subjects())
