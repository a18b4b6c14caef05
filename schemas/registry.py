"""Turn events into bytes and back: Confluent's wire format (a zero, the schema's id in four bytes, the Avro record).

What arrives from a topic or the journal is bytes; what leaves is the event's type and its record. In a record, times
are milliseconds since the epoch (UTC), as on the wire: nobody on the hot path needs a calendar.
"""

from __future__ import annotations

import functools
import io
import struct
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import fastavro

from schemas import json_form
from schemas.catalog import EventType, load_terms, load_types
from schemas.errors import DecodeError, InvalidEvent
from schemas.files import Schema, load_ids, load_schema, load_shared, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

HEADER = struct.Struct(">bI")
Record = dict[str, Any]


class Registry:
    """All schemas, terms and types of one directory. Nothing in it changes after it has been read."""

    def __init__(self, root: Traversable) -> None:
        """Read everything: a file that is missing or no Avro fails here, not at the first event."""
        shared = load_shared(root)
        frozen = load_ids(root)
        self._current = {line.schema: line.id for line in frozen}
        self.schemas: Mapping[str, tuple[int, Schema]] = MappingProxyType(
            {path: (number, load_schema(root / f"{path}.avsc", shared)) for path, number in self._current.items()},
        )
        """Path without suffix (`order/order.placed`, `control/command`) -> id, schema with its annotations."""
        self.terms = load_terms(root)
        self.types: Mapping[str, EventType] = load_types(root, self.schemas)
        self._ids = {path.partition("/")[2]: number for path, (number, _) in self.schemas.items()}
        self._names = {number: name for name, number in self._ids.items()}
        parsed = {path: fastavro.parse_schema(plain(schema)) for path, (_, schema) in self.schemas.items()}
        self._writers = {self._current[path]: schema for path, schema in parsed.items()}
        self._readers: dict[int, tuple[str, Any, Any]] = {}
        """Id on the wire -> name, schema that it was written with, schema to read it as where that is another one."""
        for line in frozen:
            name = line.schema.partition("/")[2]
            if line.id == self._current[line.schema]:
                self._readers[line.id] = (name, parsed[line.schema], None)
            else:
                old = plain(load_schema(root / "history" / f"{line.id}.avsc", shared))
                self._readers[line.id] = (
                    name,
                    fastavro.parse_schema(old),
                    parsed[line.schema],
                )

    def id_of(self, name: str) -> int:
        """Give the id that a type or control record is written with; KeyError if there is no such."""
        return self._ids[name]

    def type_of(self, schema_id: int) -> EventType | None:
        """Give the type of event that the bytes of this id hold if they are written as of today, else None."""
        return self.types.get(self._names.get(schema_id, ""))

    def encode(self, name: str, record: Record) -> bytes:
        """Write the record of a type of event or of a control record; raise `InvalidEvent` if it does not fit."""
        number = self._ids.get(name)
        if number is None:
            raise InvalidEvent(json_form.unknown_type(name), "type")
        out = io.BytesIO()
        out.write(HEADER.pack(0, number))
        try:
            fastavro.schemaless_writer(out, self._writers[number], record)
        except Exception:  # noqa: BLE001 (fastavro raises many kinds, and its messages show the value)
            reason = f"the record does not fit the schema of {name}; check its fields against schemas/"
            raise InvalidEvent(reason) from None
        return out.getvalue()

    def decode(self, data: bytes) -> tuple[EventType, Record]:
        """Read an event; raise `DecodeError` for anything else."""
        name, record = self._read(data)
        kind = self.types.get(name)
        if kind is None:
            reason = f"{name} is a control record, no event"
            raise DecodeError(reason, self._ids[name])
        return kind, record

    def decode_control(self, data: bytes) -> tuple[str, Record]:
        """Read a control record (command, receipt, …) and its name; raise `DecodeError` for anything else."""
        name, record = self._read(data)
        if name in self.types:
            reason = f"{name} is an event, no control record"
            raise DecodeError(reason, self._ids[name])
        return name, record

    def _read(self, data: bytes) -> tuple[str, Record]:
        if len(data) < HEADER.size:
            reason = "shorter than the five bytes of the header"
            raise DecodeError(reason)
        magic, number = HEADER.unpack_from(data)
        if magic:
            reason = "does not begin with a zero byte, so it is not in the wire format"
            raise DecodeError(reason)
        entry = self._readers.get(number)
        if entry is None:
            reason = f"schema id {number} is not in schemas/ids.json"
            raise DecodeError(reason, number)
        name, writer, reader = entry
        source = io.BytesIO(data)
        source.seek(HEADER.size)
        try:
            record: Record = fastavro.schemaless_reader(source, writer, reader)
        except Exception:  # noqa: BLE001 (fastavro raises many kinds, and its messages may show the value)
            reason = f"the bytes do not fit the schema of {name}"
            raise DecodeError(reason, number) from None
        if source.tell() != len(data):
            reason = f"there are bytes left over after the record of {name}"
            raise DecodeError(reason, number)
        return name, record

    def from_json(self, obj: object) -> tuple[EventType, Record]:
        """Take an event in its JSON form; raise `InvalidEvent`, which names the field and says what to do."""
        return json_form.read(self.types, self.terms, obj)

    def encode_json(self, obj: object) -> bytes:
        """Take an event in its JSON form and write it to bytes; raise `InvalidEvent` like `from_json`."""
        kind, record = self.from_json(obj)
        return self.encode(kind.name, record)


@functools.cache
def registry() -> Registry:
    """Give the registry of the schemas that come with the package."""
    return Registry(resources.files("schemas"))
