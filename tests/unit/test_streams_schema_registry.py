"""Ids on the wire, and what is registered: against a registry in memory that speaks the same protocol, with its faults."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

import schemas
from lineage.errors import BadCall, Undecodable, WorldError
from streams.schema_registry import COMPATIBILITY, Ids, SchemaRegistry, shipped, subjects
from streams.topics import Topics

URL = "http://registry.example.org:8081"
SECRET = "secret-password"
EVENT = {
    "id": "e-1", "source": "s", "type": "order.placed", "time": 0, "controller": "pompdelux", "person": {"email": "a@example.org"},
}  # fmt: skip


class InMemory(httpx.BaseTransport):
    """A registry whose ids begin at 100; `faults` are answers that come before the real ones."""

    def __init__(self, *faults: httpx.Response | Exception) -> None:
        self.subjects: dict[str, list[int]] = {}
        self.texts: dict[int, str] = {}
        self.config: dict[str, Any] = {}
        self.calls: list[tuple[str, str]] = []
        self.faults = list(faults)
        self.against: list[str] = []
        self.authorization = ""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        self.calls.append((request.method, path))
        self.authorization = request.headers.get("Authorization", "")
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        body = json.loads(request.content) if request.content else {}
        parts = path.strip("/").split("/")
        match request.method, parts:
            case "GET", ["schemas", "ids", id_] if int(id_) in self.texts:
                return httpx.Response(200, json={"schema": self.texts[int(id_)]})
            case "GET", ["subjects", subject, "versions", "latest"] if self.subjects.get(subject):
                return httpx.Response(200, json={"schema": self.texts[self.subjects[subject][-1]]})
            case "POST", ["subjects", subject]:
                found = [i for i in self.subjects.get(subject, ()) if self.texts[i] == body["schema"]]
                return httpx.Response(200, json={"id": found[0]}) if found else missing()
            case "POST", ["subjects", subject, "versions"]:
                return httpx.Response(200, json={"id": self.put(subject, body["schema"])})
            case "POST", ["compatibility", "subjects", _, "versions", "latest"]:
                return httpx.Response(200, json={"is_compatible": not self.against, "messages": self.against})
            case "PUT", ["config", subject]:
                self.config[subject] = body["compatibility"]
                return httpx.Response(200, json=body)
        return missing()

    def put(self, subject: str, text: str) -> int:
        id_ = next((i for i, t in self.texts.items() if t == text), 100 + len(self.texts))
        self.texts[id_] = text
        self.subjects.setdefault(subject, []).append(id_)
        return id_


def missing() -> httpx.Response:
    return httpx.Response(404, json={"error_code": 40401, "message": "not found"})


def registry(transport: httpx.BaseTransport, url: str = URL, **more: Any) -> SchemaRegistry:
    return SchemaRegistry(url, transport=transport, pause=lambda _: None, **more)


def test_every_schema_is_registered_once_under_its_record_name_with_its_tags() -> None:
    world = InMemory()
    found = registry(world).register_all()
    assert {r.own_id for r in found} == {s.id for s in shipped()}
    assert all(r.new for r in found)
    assert not any(r.new for r in registry(world).register_all())
    text = world.texts[world.subjects["lineage.events.OrderPlaced"][0]]
    assert '"confluent:tags":["PII"]' in text
    assert set(world.config) == set(world.subjects)
    assert set(world.config.values()) == {COMPATIBILITY}


def test_subjects_can_carry_the_topic() -> None:
    found = subjects(Topics("shop"))
    assert "shop.events.order-lineage.events.OrderPlaced" in found
    assert "shop.requests-lineage.control.RightsRequest" in found
    assert "lineage.control.Command" in found
    assert sum(len(line) for line in found.values()) == len(shipped())


def test_check_lists_what_is_missing() -> None:
    world = InMemory()
    found = registry(world).check(there=True)
    assert len(found) == len(shipped())
    assert all(p.missing for p in found)
    assert registry(world).check() == []
    registry(world).register_all()
    assert registry(world).check(there=True) == []


def test_nothing_is_registered_where_one_schema_would_break_readers() -> None:
    world = InMemory()
    world.put(
        "lineage.events.OrderPaid",
        '{"type": "record", "name": "OrderPaid", "namespace": "lineage.events", "fields": [{"name": "id", "type": "int"}]}',
    )
    with pytest.raises(BadCall, match=r"nothing was registered: lineage\.events\.OrderPaid: old data with the new schema"):
        registry(world).register_all()
    assert list(world.subjects) == ["lineage.events.OrderPaid"]


def test_what_the_registry_itself_has_against_a_schema_counts_too() -> None:
    world = InMemory()
    order = next(s for s in shipped() if s.path == "order/order.placed")
    world.put(order.name, json.dumps({**order.schema, "doc": "older"}))
    world.against = ["NAME_MISMATCH"]
    assert [(p.subject, p.reason) for p in registry(world).check()] == [(order.name, "NAME_MISMATCH")]


def test_ids_are_those_of_the_registry_on_the_wire_and_ours_behind_it() -> None:
    world = InMemory()
    registry(world).register_all()
    ids = Ids(registry(world))
    own = schemas.registry().encode_json(EVENT)
    sent = ids.outbound(own)
    assert sent[:5] == b"\0" + (100).to_bytes(4, "big")
    assert sent[5:] == own[5:]
    assert Ids(registry(world)).inbound(sent) == own
    assert {Ids(registry(world)).from_wire(ids.to_wire(s.id)) for s in shipped()} == {s.id for s in shipped()}


def test_ids_are_asked_for_once() -> None:
    world = InMemory()
    registry(world).register_all()
    ids = Ids(registry(world))
    ids.warm()
    asked = len(world.calls)
    for s in shipped():
        assert ids.from_wire(ids.to_wire(s.id)) == s.id
    assert len(world.calls) == asked


def test_without_a_registry_the_ids_are_ours() -> None:
    own = schemas.registry().encode_json(EVENT)
    assert Ids().outbound(own) is own
    assert Ids().inbound(own) is own
    assert (Ids().to_wire(5), Ids().from_wire(5)) == (5, 5)
    Ids().warm()


def test_a_schema_that_another_producer_has_written_otherwise_is_ours_if_the_bytes_are() -> None:
    world = InMemory()
    order = next(s for s in shipped() if s.path == "order/order.placed")
    id_ = world.put("any", json.dumps({**order.schema, "doc": "in other words", "owner": "shop"}, indent=2))
    assert Ids(registry(world)).from_wire(id_) == order.id


@pytest.mark.parametrize("text", ['"string"', "no JSON", '{"type": "record"}', "[]", "{}", "5"])
def test_a_schema_that_is_none_of_ours_is_undecodable(text: str) -> None:
    world = InMemory()
    id_ = world.put("any", text)
    with pytest.raises(Undecodable, match=f"schema id {id_} of the registry"):
        Ids(registry(world)).from_wire(id_)


def test_an_unknown_id_is_asked_for_again_after_a_minute() -> None:
    world, now = InMemory(), [0.0]
    ids = Ids(registry(world), clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(Undecodable):
            ids.from_wire(100)
    assert len(world.calls) == 1
    registry(world).register_all()
    now[0] = 61.0
    assert ids.from_wire(100) == 1


def test_a_schema_that_is_not_registered_cannot_be_written() -> None:
    with pytest.raises(BadCall, match="lineage schemas register"):
        Ids(registry(InMemory())).outbound(schemas.registry().encode_json(EVENT))
    with pytest.raises(BadCall, match="unknown"):
        Ids(registry(InMemory())).to_wire(9999)


@pytest.mark.parametrize("value", [b"", b"\0\0", b"{}......"])
def test_bytes_without_a_header_stay_as_they_are(value: bytes) -> None:
    assert Ids(registry(InMemory())).inbound(value) == value


@pytest.mark.parametrize("fault", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.Response(503), httpx.Response(429)])
def test_a_fault_that_passes_is_not_seen(fault: Any) -> None:
    world = InMemory(fault, fault)
    world.put("any", shipped()[0].text)
    assert Ids(registry(world)).from_wire(100) == shipped()[0].id


def test_a_registry_that_does_not_answer_is_the_worlds_fault_and_not_the_events() -> None:
    world = InMemory(*[httpx.ConnectError("x")] * 4)
    with pytest.raises(WorldError, match=r"registry at registry\.example\.org does not answer \(ConnectError\)"):
        Ids(registry(world)).from_wire(100)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(401), "user and password"),
        (httpx.Response(403), "user and password"),
        (httpx.Response(422, json={"message": "Invalid Avro schema"}), "refuses: Invalid Avro schema"),
        (httpx.Response(400, content=b"<html>"), "refuses: status 400"),
        (httpx.Response(200, content=b"<html>"), "no JSON object"),
        (httpx.Response(200, json=[]), "no JSON object"),
    ],
)
def test_an_answer_that_no_retry_can_change_is_told(answer: httpx.Response, reason: str) -> None:
    world = InMemory(answer)
    with pytest.raises(BadCall, match=reason) as caught:
        registry(world, url=f"http://user:{SECRET}@registry.example.org").latest("any")
    assert SECRET not in str(caught.value)
    assert len(world.calls) == 1


def test_an_answer_without_an_id_is_the_worlds_fault() -> None:
    with pytest.raises(WorldError, match="gave no id"):
        registry(InMemory(httpx.Response(200, json={}))).register("any", '"string"')


@pytest.mark.parametrize("given", [{"url": f"http://ann:{SECRET}@registry.example.org"}, {"user": "ann", "password": SECRET}])
def test_user_and_password_go_into_the_header_only(given: dict[str, str]) -> None:
    world = InMemory()
    registry(world, **given).latest("any")
    assert base64.b64decode(world.authorization.removeprefix("Basic ")) == f"ann:{SECRET}".encode()
    assert not any(SECRET in path for _, path in world.calls)


def test_an_address_with_a_path_keeps_it() -> None:
    world = InMemory()
    registry(world, url=f"{URL}/apis/ccompat/v7/").latest("any/thing")
    assert world.calls == [("GET", "/apis/ccompat/v7/subjects/any%2Fthing/versions/latest")]


@pytest.mark.parametrize("url", ["", "registry:8081", "ftp://registry", "http://", "http://host:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadCall, match="must be like"):
        SchemaRegistry(url)
