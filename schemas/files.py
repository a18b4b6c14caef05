"""Read the Avro files: each `.avsc` with the shared named types put in, and the ids that never change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import fastavro.schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

Schema = Any
"""An Avro schema as JSON: a name, a list (union) or an object."""

_NEST = ("type", "items", "values")


class FrozenId(NamedTuple):
    """A line of `ids.json`: the id on the wire, the file that it stands for, the fingerprint of its canonical form."""

    id: int
    schema: str
    fingerprint: str


def load_ids(root: Traversable) -> tuple[FrozenId, ...]:
    """Read `ids.json`; a schema may have several ids, the last is the one that is written."""
    return tuple(FrozenId(**line) for line in json.loads((root / "ids.json").read_text("utf-8")))


def load_shared(root: Traversable) -> Mapping[str, Schema]:
    """Read the named types that several schemas refer to."""
    shared = (json.loads(f.read_text("utf-8")) for f in (root / "shared").iterdir() if f.name.endswith(".avsc"))
    return {f"{schema['namespace']}.{schema['name']}": schema for schema in shared}


def load_schema(file: Traversable, shared: Mapping[str, Schema]) -> Schema:
    """Read one file; the first mention of a shared type becomes its definition, as Avro asks."""
    return resolve(json.loads(file.read_text("utf-8")), dict(shared))


def resolve(schema: Schema, pending: dict[str, Schema]) -> Schema:
    """Put the definitions of `pending` where they are first named; each is taken out of `pending`."""
    if isinstance(schema, str):
        definition = pending.pop(schema, None)
        return schema if definition is None else resolve(definition, pending)
    if isinstance(schema, list):
        return [resolve(branch, pending) for branch in schema]
    resolved = {key: resolve(value, pending) if key in _NEST else value for key, value in schema.items()}
    if "fields" in schema:
        resolved["fields"] = [{**field, "type": resolve(field["type"], pending)} for field in schema["fields"]]
    return resolved


def plain(schema: Schema) -> Schema:
    """Leave out what decoding does not need; times stay the numbers that they are on the wire."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if "logicalType" in schema:
        return schema["type"]
    kept = {key: plain(value) for key, value in schema.items() if key in _NEST}
    kept |= {key: schema[key] for key in ("name", "namespace", "symbols", "default", "size") if key in schema}
    if "fields" in schema:
        kept["fields"] = [plain(field) for field in schema["fields"]]
    return kept


def fingerprint(schema: Schema) -> str:
    """Give the SHA-256 of the parsing canonical form: it changes when the bytes on the wire would."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return str(fastavro.schema.fingerprint(canonical, "SHA-256"))
