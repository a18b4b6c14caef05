"""Write and read the control records of the cluster: what the code calls a command, a receipt, … and its bytes on Kafka.

Events have their own way (`schemas.registry()`); here are the records about them. Each is Avro in the wire format of
`schemas`, with CloudEvents headers beside it (Kafka protocol binding, binary content mode). Times are seconds since the
epoch in the values of this module, milliseconds on the wire. Whoever writes wrongly gets `BadCall`; bytes that arrive
and are wrong are `BadEvent`. Neither shows a value.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import orjson

import schemas
from lineage.errors import BadCall, BadEvent, Undecodable
from lineage.identity import normalise
from lineage.pipeline import OUTCOMES
from lineage.rights import ARTICLE

CONTENT_TYPE = "application/vnd.lineage.avro"
"""Avro in the Confluent wire format, the same name as over HTTP."""
COMMAND, RECEIPT, REQUEST = "lineage.command", "lineage.receipt", "lineage.request"
DEAD_LETTER, ALERT, CERTIFICATE = "lineage.dead_letter", "lineage.alert", "lineage.certificate"
"""The types of the control records in the header `ce_type`; an event's is its own, like order.placed."""
RECEIPT_OUTCOMES = (*OUTCOMES, "done")
KEY_ORDER = ("customer_number", "account", "email", "phone", "cookie")
"""Which identifier of an event its key is made of, the strongest first."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_URI = "!#$%&'()*+,/:;=?@[]~"
_CASE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FIELD = re.compile(r"[a-z][a-z_]{0,39}")
_LISTS = ("scope", "of", "correct", "remove")
_WORDS = ("via", "channel", "ground", "by")
_REQUEST = ("case", "controller", "right", "identifier", "contested", "identity", *_LISTS, *_WORDS)
_COMMAND = ("id", "case", "controller", "target", "kind", "notice", "activity", "categories", "because", "identifiers",
            "issued", "deadline", "attempt")  # fmt: skip
_LETTER = ("topic", "partition", "offset", "schema_id", "reason", "time")
_ALERT = ("id", "time", "controller", "kind", "about", "reasons", "case", "target")
_CERTIFICATE = ("case", "controller", "policy_version", "right", "received", "reasons", "targets", "previous", "hash")

Content = dict[str, Any]


# -- keys and headers --------------------------------------------------------------------------------------------------


def event_key(controller: str, identifiers: Mapping[str, str | None]) -> bytes | None:
    """Give the partition key of an event: events under a data subject's strongest identifier come in their order.

    It is the SHA-256 of controller, kind and normalised value of the first identifier in `KEY_ORDER`; None where there
    is none (any partition will do). This is a plain hash: the sender has no secret of the pipeline, and whoever knows an
    e-mail address can compute it. Treat a key as the personal data that it stands for (GDPR art. 4(5)), and never log it.
    The pipeline does not rest on this order; it only has less to do where it is kept.
    """
    for kind in KEY_ORDER:
        value = identifiers.get(kind)
        if value:
            return hashlib.sha256(f"{controller}\0{kind}\0{normalise(kind, value)}".encode(errors="replace")).digest()
    return None


def identifiers_of(kind: schemas.EventType, record: Mapping[str, Any]) -> dict[str, str]:
    """Give the identifiers in an event's record, by kind: those of the person, and the cookie or account beside them."""
    found = {kind: value for kind, value in record["person"].items() if value}
    fields = ((field["name"], field["identifier"]) for field in kind.schema["fields"] if "identifier" in field)
    return found | {identifier: record[name] for name, identifier in fields if record[name]}


def headers(id_: str, source: str, type_: str, time_ms: int) -> list[tuple[str, bytes]]:
    """Give the CloudEvents headers of a Kafka record; `time_ms` is milliseconds since the epoch."""
    time = (_EPOCH + dt.timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds")
    found = {
        "ce_specversion": "1.0",
        "ce_id": id_,
        "ce_source": quote(source, safe=_URI),
        "ce_type": type_,
        "ce_time": time.replace("+00:00", "Z"),
        "content-type": CONTENT_TYPE,
    }
    return [(name, value.encode()) for name, value in found.items()]


# -- commands and receipts ---------------------------------------------------------------------------------------------


def encode_command(command: Mapping[str, Any]) -> bytes:
    """Write a command as `Outbox.describe` gives it."""
    record = _picked("command", command, _COMMAND)
    lists = [record["categories"], *record["because"].values(), *record["identifiers"].values()]
    if any(isinstance(names, str) for names in lists):
        msg = "command: categories and the values of because and identifiers must be lists"
        raise BadCall(msg)
    return _encode("command", {**record, "issued": _ms("command", "issued", record["issued"])})


def decode_command(value: bytes) -> Content:
    """Read a command; its kind may be one that this version does not know."""
    record = _decode("command", value)
    return {**record, "issued": record["issued"] // 1000}


def encode_receipt(command: str, outcome: str, data: Mapping[str, object] | None = None) -> bytes:
    """Write a target's answer to a command; `data` (category -> value) answers an export."""
    if outcome not in RECEIPT_OUTCOMES:
        msg = f"receipt: outcome must be one of {', '.join(RECEIPT_OUTCOMES)}"
        raise BadCall(msg)
    if not isinstance(command, str) or not command:
        msg = "receipt: command must be the id of the command"
        raise BadCall(msg)
    return _encode("receipt", {"command": command, "outcome": outcome, "data": None if data is None else _dumped(data)})


def decode_receipt(value: bytes) -> Content:
    """Read a receipt: command, outcome, and data as `Pipeline.receipt` takes them."""
    record = _decode("receipt", value)
    if record["outcome"] not in RECEIPT_OUTCOMES:
        msg = f"receipt: the outcome is none of {', '.join(RECEIPT_OUTCOMES)}"
        raise BadEvent(msg)
    if record["data"] is not None:
        try:
            record["data"] = {category: orjson.loads(text) for category, text in record["data"].items()}
        except orjson.JSONDecodeError:
            msg = "receipt: a value of data is no JSON"
            raise BadEvent(msg) from None
    return record


def _dumped(data: Mapping[str, object]) -> dict[str, str]:
    try:
        return {category: orjson.dumps(value).decode() for category, value in data.items()}
    except (TypeError, AttributeError):
        msg = "receipt: data must be categories and values that JSON can hold"
        raise BadCall(msg) from None


# -- rights requests ---------------------------------------------------------------------------------------------------


def encode_request(request: Mapping[str, Any]) -> bytes:
    """Write a rights request, in the form that POST /v1/requests takes; `case` is needed, so that it is filed once."""
    strangers = [key for key in request if key not in _REQUEST]
    if strangers:
        shown = next((f" {key}" for key in strangers if isinstance(key, str) and _FIELD.fullmatch(key)), "")
        msg = f"request: there is no field{shown}; it has {', '.join(_REQUEST)}"
        raise BadCall(msg)
    missing = [field for field in _REQUEST[:4] if not request.get(field)]
    if missing:
        msg = f"request: lacks {', '.join(missing)}"
        raise BadCall(msg)
    identifier = request["identifier"]
    record = {
        "case": request["case"],
        "controller": request["controller"],
        "right": request["right"],
        "identifier": {k: identifier.get(k) for k in ("kind", "value")} if isinstance(identifier, Mapping) else None,
        "contested": bool(request.get("contested")),
        "identity": request.get("identity") or "proven",
        **{field: _names(field, request.get(field)) for field in _LISTS},
        **{field: request.get(field) or None for field in _WORDS},
    }
    wrong = _wrong_request(record)
    if wrong:
        raise BadCall(wrong)
    return _encode("rights_request", record)


def decode_request(value: bytes) -> Content:
    """Read a rights request in the form that POST /v1/requests takes, every field filled."""
    record = _decode("rights_request", value)
    wrong = _wrong_request(record)
    if wrong:
        raise BadEvent(wrong)
    return record


def _wrong_request(record: Content) -> str:
    identifier = record["identifier"]
    if not isinstance(record["case"], str) or not _CASE.fullmatch(record["case"]):
        return "request: case must be 1 to 64 letters, digits, dots, dashes or underscores"
    if record["right"] not in ARTICLE:
        return f"request: right must be one of {', '.join(ARTICLE)}"
    if identifier is None or identifier["kind"] not in schemas.IDENTIFIER_KINDS or not identifier["value"]:
        return f"request: identifier must be {{kind, value}}, kind one of {', '.join(schemas.IDENTIFIER_KINDS)}"
    if record["identity"] not in ("proven", "unproven"):
        return "request: identity must be proven or unproven"
    return ""


def _names(field: str, value: object) -> list[str]:
    found = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
    if value is None:
        return []
    if found is None or not all(isinstance(name, str) for name in found):
        msg = f"request: {field} must be a name or a list of names"
        raise BadCall(msg)
    return found


# -- what the pipeline tells -------------------------------------------------------------------------------------------


def encode_dead_letter(letter: Mapping[str, Any]) -> bytes:
    """Write a dead letter: topic, partition, offset, schema_id, reason, time; a sealed payload is not taken over."""
    record = _picked("dead letter", {k: v for k, v in letter.items() if k != "sealed"}, _LETTER)
    return _encode("dead_letter", {**record, "time": _ms("dead letter", "time", record["time"])})


def decode_dead_letter(value: bytes) -> Content:
    """Read a dead letter."""
    record = _decode("dead_letter", value)
    return {**record, "time": record["time"] // 1000}


def encode_alert(alert: Mapping[str, Any]) -> bytes:
    """Write an alert: id, time, controller, kind, about, reasons; case and target where it is about one."""
    record = _picked("alert", {"reasons": (), "case": None, "target": None, **alert}, _ALERT)
    if isinstance(record["reasons"], str):
        msg = "alert: reasons must be a list"
        raise BadCall(msg)
    return _encode("alert", {**record, "time": _ms("alert", "time", record["time"])})


def decode_alert(value: bytes) -> Content:
    """Read an alert."""
    record = _decode("alert", value)
    return {**record, "time": record["time"] // 1000}


def encode_certificate(certificate: Mapping[str, Any]) -> bytes:
    """Write a certificate with its place in the chain (`previous`, `hash`)."""
    record = _picked("certificate", certificate, _CERTIFICATE)
    return _encode("certificate", _scaled(record, lambda seconds: _ms("certificate", "time", seconds)))


def decode_certificate(value: bytes) -> Content:
    """Read a certificate."""
    return _scaled(_decode("certificate", value), lambda ms: int(ms) // 1000)


def _scaled(record: Content, time: Callable[[Any], int]) -> Content:
    def some(value: object) -> int | None:
        return None if value is None else time(value)

    targets = [{**t, "issued": some(t.get("issued")), "acknowledged": some(t.get("acknowledged"))} for t in record["targets"]]
    return {**record, "received": time(record["received"]), "targets": targets}


# -- bytes -------------------------------------------------------------------------------------------------------------


def _picked(what: str, content: Mapping[str, Any], fields: Collection[str]) -> Content:
    """Take exactly the fields: one that is missing or unknown is a mistake of whoever wrote it."""
    missing = [field for field in fields if field not in content]
    if missing or len(content) != len(fields):
        msg = f"{what}: lacks {', '.join(missing)}" if missing else f"{what}: has fields beside {', '.join(fields)}"
        raise BadCall(msg)
    return dict(content)


def _ms(what: str, field: str, seconds: object) -> int:
    if not isinstance(seconds, int):
        msg = f"{what}: {field} must be whole seconds since the epoch"
        raise BadCall(msg)
    return seconds * 1000


def _encode(name: str, record: Content) -> bytes:
    try:
        return schemas.registry().encode(name, record)
    except schemas.InvalidEvent as error:
        raise BadCall(str(error)) from None


def _decode(name: str, value: bytes) -> Content:
    try:
        found, record = schemas.registry().decode_control(value)
    except schemas.DecodeError as error:
        raise Undecodable(error.reason) from None
    if found != name:
        msg = f"{found} where a {name} was expected"
        raise Undecodable(msg)
    return record
