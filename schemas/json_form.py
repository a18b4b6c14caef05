"""Read the JSON form of an event: what arrives over HTTP or from a file, checked field by field, becomes a record.

The message of each error names the field and says what to do; it never shows the value, and no name that could be one.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, NoReturn

from schemas.errors import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from schemas.catalog import EventType, Term

Record = dict[str, Any]
PERSON = ("email", "phone", "customer_number")
_REQUIRED = ("id", "source", "time", "controller")
_NAME = re.compile(r"[a-z][a-z_]{0,39}")
_INT32 = 2**31
_TIME_MAX_MS = 253_402_300_799_999
_TIME_MIN_MS = -62_135_596_800_000


def read(types: Mapping[str, EventType], terms: Mapping[str, Term], obj: object) -> tuple[EventType, Record]:
    """Give the type and the full record, absent nullable fields as None; raise `InvalidEvent`."""
    if not isinstance(obj, dict):
        _fail("", "an event is a JSON object; send one object per event")
    name = obj.get("type")
    if name is None:
        _fail("type", "the field type is missing; add it, like order.placed")
    kind = types.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidEvent(unknown_type(name), "type")
    _no_strangers(kind.name, obj, ("type", *_REQUIRED, "person", "data", *kind.refs, *kind.fields))
    record = {field: _required(kind.name, field, obj.get(field)) for field in _REQUIRED}
    record["person"] = _person(kind.name, obj.get("person"))
    record |= {ref: _text(kind.name, ref, obj.get(ref)) for ref in kind.refs}
    record |= {field: _CHECKS[sort](kind.name, field, obj.get(field)) for field, sort in kind.fields.items()}
    record["data"] = _data(kind, terms, obj.get("data"))
    return kind, record


def unknown_type(name: object) -> str:
    """Say that there is no such type, showing its name only if it looks like one."""
    shown = f" {name}" if isinstance(name, str) and re.fullmatch(r"[a-z]+\.[a-z_]{1,30}", name) else ""
    return f"there is no event type{shown}; schemas/catalog.yaml lists them"


def _fail(field: str, reason: str) -> NoReturn:
    raise InvalidEvent(reason, field)


def _no_strangers(where: str, obj: Mapping[Any, object], known: Collection[str]) -> None:
    for key in obj:
        if key not in known:
            shown = key if isinstance(key, str) and _NAME.fullmatch(key) else "(name not shown)"
            _fail(
                shown,
                f"{where} has no field {shown}; leave it out, or put personal data under data.others",
            )


def _required(where: str, field: str, value: object) -> object:
    if value is None or value == "":
        _fail(
            field,
            f"{where} lacks the field {field}; every event needs {', '.join(_REQUIRED)}",
        )
    return _time(where, field, value) if field == "time" else _text(where, field, value)


def _time(where: str, field: str, value: object) -> int:
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None and len(value) > len("2024-10-01"):
            return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
    elif isinstance(value, int) and not isinstance(value, bool) and _TIME_MIN_MS <= value <= _TIME_MAX_MS:
        return value
    _fail(
        field,
        f"{where}: {field} must be an RFC 3339 time with its offset, or milliseconds since the epoch",
    )


def _text(where: str, field: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        _encodable(where, field, value)
        return value
    _fail(field, f"{where}: {field} must be a string")


def _encodable(where: str, field: str, value: str | None) -> None:
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        # A lone surrogate, which JSON can escape and UTF-8 cannot write. The cause would carry the value.
        reason = f"{where}: {field} holds characters that UTF-8 cannot write; send it as proper Unicode"
        raise InvalidEvent(reason, field) from None


def _int(where: str, field: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and -_INT32 <= value < _INT32):
        return value
    _fail(field, f"{where}: {field} must be a whole number of 32 bits")


def _boolean(where: str, field: str, value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    _fail(field, f"{where}: {field} must be true or false")


def _date(where: str, field: str, value: object) -> str | None:
    if value is None:
        return None
    try:
        return dt.date.fromisoformat(value).isoformat()  # type: ignore[arg-type]
    except (ValueError, TypeError):
        pass
    _fail(field, f"{where}: {field} must be a date like 2024-10-01")


def _list(where: str, field: str, value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        _fail(field, f"{where}: {field} must be a list of strings")
    for item in value:
        _encodable(where, field, item)
    return value


_CHECKS = {
    "string": _text,
    "identifier": _text,
    "reference": _text,
    "int": _int,
    "boolean": _boolean,
    "date": _date,
    "list": _list,
    "terms": _list,
}


def _object(where: str, field: str, value: object) -> Mapping[Any, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        _fail(field, f"{where}: {field} must be an object")
    return value


def _person(where: str, value: object) -> Record:
    obj = _object(where, "person", value)
    _no_strangers(f"{where}: person", obj, PERSON)
    return {kind: _text(where, f"person.{kind}", obj.get(kind)) for kind in PERSON}


def _data(kind: EventType, terms: Mapping[str, Term], value: object) -> Record:
    obj = _object(kind.name, "data", value)
    for key in obj:
        if key in terms and key not in kind.data:
            _fail(
                f"data.{key}",
                f"{kind.name} does not name data.{key} itself; put it under data.others",
            )
    _no_strangers(f"{kind.name}: data", obj, (*kind.data, "others"))
    record: Record = {term: _text(kind.name, f"data.{term}", obj.get(term)) for term in kind.data}
    others = _object(kind.name, "data.others", obj.get("others"))
    for key, other in others.items():
        if not isinstance(other, str):
            _fail(
                "data.others",
                f"{kind.name}: every value of data.others must be a string",
            )
        _encodable(kind.name, "data.others", key)
        _encodable(kind.name, "data.others", other)
    record["others"] = dict(others)
    return record
