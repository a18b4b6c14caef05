"""Describe the topics for machines: the schemas and the table of topics become one AsyncAPI 3.0 document.

The application of the document is the pipeline: it receives events, requests and receipts, and sends commands, alerts and
dead letters. Everything in it is read from where the code reads it, so it cannot say something else.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import schemas
from lineage.policy import Policy
from streams import wire
from streams.taking import STREAMS
from streams.topics import Topic, Topics

_BINDING = "0.5.0"
_AVRO = "application/vnd.apache.avro;version=1.9.0"
_CONTROL = {
    "command": (wire.COMMAND, "command", "the id of the command; a record without value withdraws the command of that key"),
    "receipt": (wire.RECEIPT, "receipt", "the id of the command"),
    "request": (wire.REQUEST, "rights_request", "like that of an event, from the identifier of the request"),
    "dead_letter": (wire.DEAD_LETTER, "dead_letter", "where the record lay, as topic/partition/offset"),
    "alert": (wire.ALERT, "alert", "the id of the alert"),
}
_EVENT_KEY = (
    "SHA-256 over controller, NUL, kind, NUL and normalised value of the strongest identifier (first of "
    f"{', '.join(wire.KEY_ORDER)}); none where the event has no identifier; personal data"
)
_PARTS = (
    ("requests", "receive", ("request",), "rights of data subjects are exercised"),
    ("receipts", "receive", ("receipt",), "systems and recipients say what they did with a command"),
    ("commands", "send", ("command",), "one topic per system or recipient: what it must carry out or be told"),
    ("alerts", "send", ("alert",), "what people at the controller must look at"),
    ("dead-letters", "send", ("dead_letter",), "records that could not be taken, without what they say"),
)


def document(topics: Topics | None = None) -> dict[str, Any]:
    """Make the document for topics with a prefix."""
    topics = topics or Topics()
    anybody = cast("Policy", SimpleNamespace(id="{controller}", systems=("{target}",), recipients=()))
    channels, operations = {}, {}
    layout = {topic.name.removeprefix(f"{topics.prefix}.").partition(".{")[0]: topic for topic in topics.all((anybody,), 2)}
    for stream in STREAMS:
        names = tuple(t.name for t in schemas.registry().types.values() if t.stream == stream)
        channels[f"events.{stream}"] = _channel(layout[f"events.{stream}"], names, f"what happens: {stream}")
        operations[f"receive.events.{stream}"] = _operation("receive", f"events.{stream}", names)
    for name, action, messages, meaning in _PARTS:
        channels[name] = _channel(layout[name], messages, meaning)
        operations[f"{action}.{name}"] = _operation(action, name, messages)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Personal-data lineage",
            "version": "1",
            "description": __doc__.partition("\n\n")[2].strip() + " The bytes are described in docs/wire.md.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": wire.CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {**_events(), **{name: _control(name) for name in _CONTROL}},
            "messageTraits": {"cloudevent": {"headers": _headers()}},
            "parameters": {
                "controller": {"description": "the id of a policy"},
                "target": {"description": "the name of a system or recipient in that policy"},
            },
        },
    }


def _channel(topic: Topic, messages: tuple[str, ...], meaning: str) -> dict[str, Any]:
    config: dict[str, Any] = {key: int(value) if value.isdigit() else value for key, value in topic.config.items()}
    config["cleanup.policy"] = topic.config["cleanup.policy"].split(",")
    kafka = {"topicConfiguration": config, "bindingVersion": _BINDING}
    found: dict[str, Any] = {
        "address": topic.name,
        "description": meaning,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"partitions": 1, **kafka} if topic.partitions == 1 else kafka},
    }
    if "{" in topic.name:
        found["parameters"] = {name: {"$ref": f"#/components/parameters/{name}"} for name in ("controller", "target")}
    return found


def _operation(action: str, channel: str, messages: tuple[str, ...]) -> dict[str, Any]:
    # A channel's name stands in a JSON pointer, where only / and ~ would have to be written otherwise.
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _events() -> dict[str, Any]:
    return {
        kind.name: _message(kind.name, kind.meaning, kind.schema_id, kind.schema, _EVENT_KEY)
        for kind in schemas.registry().types.values()
    }


def _control(name: str) -> dict[str, Any]:
    type_, file, key = _CONTROL[name]
    number, schema = schemas.registry().schemas[f"control/{file}"]
    return _message(type_, schema["doc"], number, schema, key)


def _message(type_: str, meaning: str, number: int, schema: Any, key: str) -> dict[str, Any]:  # noqa: ANN401
    return {
        "name": type_,
        "summary": meaning,
        "contentType": wire.CONTENT_TYPE,
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": {"schemaFormat": _AVRO, "schema": schema},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "format": "binary", "description": key},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "bindingVersion": _BINDING,
            }
        },
        "x-schema-id": number,
    }


def _headers() -> dict[str, Any]:
    texts = {
        "ce_id": "the id of the event, the command, …; with ce_source it says which record is the same one again",
        "ce_source": "which service wrote it, as a URI reference",
        "ce_type": "the name of the message",
        "ce_time": "when it happened (RFC 3339)",
    }
    found: dict[str, Any] = {name: {"type": "string", "description": text} for name, text in texts.items()}
    found["ce_specversion"] = {"type": "string", "const": "1.0"}
    found["content-type"] = {"type": "string", "const": wire.CONTENT_TYPE}
    return {"type": "object", "description": "CloudEvents, Kafka protocol binding, binary content mode", "properties": found}
