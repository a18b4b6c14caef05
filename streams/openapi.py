"""Describe the HTTP API (OpenAPI 3.1): what arrives is nothing, what leaves is the document that /openapi.json serves."""

from __future__ import annotations

from typing import Any

import schemas
from lineage.rights import ARTICLE

_TEXT = {"type": "string"}
_NAMES = {"type": "array", "items": _TEXT}
_PROBLEM = {"description": "a problem document (RFC 9457)", "content": {"application/problem+json": {"schema": {"type": "object"}}}}


def _object(needed: tuple[str, ...], **properties: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "object", "required": list(needed), "properties": properties}


def _identifier() -> dict[str, Any]:
    return _object(("kind", "value"), kind={"enum": list(schemas.IDENTIFIER_KINDS)}, value=_TEXT)


def _call(
    summary: str, body: dict[str, Any] | None = None, ok: str = "200", kinds: tuple[str, ...] = ("application/json",)
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {ok: {"description": "done", "content": {"application/json": {}}}, "4XX": _PROBLEM, "503": _PROBLEM},
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": {k: {"schema": body} for k in kinds}}
    return found


def _path(*names: str) -> list[dict[str, Any]]:
    return [{"name": n, "in": "path", "required": True, "schema": _TEXT} for n in names]


def document() -> dict[str, Any]:
    """Give the document."""
    person = {"controller": _TEXT, "identifier": _identifier()}
    request = _object(
        ("controller", "right", "identifier"),
        **person,
        right={"enum": list(ARTICLE)},
        via=_TEXT,
        scope=_NAMES,
        of=_NAMES,
        channel=_TEXT,
        correct=_NAMES,
        remove=_NAMES,
        contested={"type": "boolean"},
        ground=_TEXT,
        identity={"enum": ["proven", "unproven"]},
        case=_TEXT,
    )
    receipt = _object(("command", "outcome"), command=_TEXT, outcome=_TEXT, data={"type": "object"})
    event = {"type": "object", "required": ["id", "source", "type", "time", "controller"],
             "properties": {"type": {"enum": sorted(schemas.registry().types)}}}  # fmt: skip
    kinds = ("application/json", "application/x-ndjson", "application/vnd.lineage.avro")
    paths: dict[str, dict[str, Any]] = {
        "/v1/events": {"post": _call("Take events; they are durable when this answers", event, "202", kinds)},
        "/v1/requests": {"post": _call("File a rights request", request, "202")},
        "/v1/cases": {"get": _call("List cases")},
        "/v1/cases/{case}": {"get": _call("Give a case"), "parameters": _path("case")},
        "/v1/cases/{case}/decisions": {
            "post": _call("Decide about a case", _object(("question",), question=_TEXT)),
            "parameters": _path("case"),
        },
        "/v1/cases/{case}/certificate": {"get": _call("Give the certificate of a closed case"), "parameters": _path("case")},
        "/v1/cases/{case}/export": {"get": _call("Hand over the values for access or portability"), "parameters": _path("case")},
        "/v1/lineage": {"post": _call("Tell what is held of a person", _object(("controller", "identifier"), **person))},
        "/v1/plan": {
            "post": _call(
                "Tell what a request would do on a day: each item's decision, reasons in words, and the day on which it goes",
                _object(
                    ("controller", "identifier", "right"),
                    **person,
                    right=_TEXT,
                    via=_TEXT,
                    channel=_TEXT,
                    ground=_TEXT,
                    scope={"type": ["string", "array"], "items": _TEXT},
                    of={"type": ["string", "array"], "items": _TEXT},
                    at={"type": ["string", "integer"], "description": "a day such as 2026-12-01, or seconds since the epoch"},
                ),
            )
        },
        "/v1/ask": {"post": _call("Ask first: may we?", _object(("controller", "identifier", "gate"), **person, gate=_TEXT))},
        "/v1/audit": {"get": _call("Read the audit log")},
        "/v1/dead-letters": {"get": _call("List the dead letters")},
        "/v1/systems/{controller}/{target}/commands": {
            "get": _call("Fetch a target's commands"),
            "parameters": _path("controller", "target"),
        },
        "/v1/receipts": {"post": _call("Answer a command", receipt, "202")},
        "/health": {"get": {**_call("Say whether events are taken"), "security": []}},
        "/metrics": {"get": _call("Give the figures for Prometheus")},
        "/openapi.json": {"get": _call("Give this document")},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Personal-data lineage", "version": "1", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }
