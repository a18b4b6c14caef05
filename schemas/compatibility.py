"""Say what is wrong with a change of a schema, before it is on a topic that others read.

A schema that changes gets a new line in `ids.json`, and its old form stays under `history/`, so that what was written
once can always be read. Old and new must be able to read each other: services and this project are never deployed at
the same moment.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import avro.compatibility
import avro.schema

from schemas.files import FrozenId, Schema, fingerprint, load_ids, load_schema, load_shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable


def incompatibilities(old: Schema, new: Schema) -> tuple[str, ...]:
    """Tell why one of two schemas cannot read what the other has written, either way; empty if both can."""
    ways = (("old data with the new schema", old, new), ("new data with the old schema", new, old))
    return tuple(f"{way}: {reason}" for way, writer, reader in ways for reason in _reasons(writer, reader))


def _reasons(writer: Schema, reader: Schema) -> list[str]:
    parsed = [avro.schema.parse(json.dumps(schema)) for schema in (reader, writer)]
    result = avro.compatibility.ReaderWriterCompatibilityChecker().get_compatibility(*parsed)
    if result.compatibility is avro.compatibility.SchemaCompatibilityType.compatible:
        return []
    return sorted(str(message) for message in result.messages)


def problems(root: Traversable) -> tuple[str, ...]:
    """Compare the schemas with the ids that were given to them; each problem says what to do about it."""
    shared = load_shared(root)
    lines: dict[str, list[FrozenId]] = {}
    for line in load_ids(root):
        lines.setdefault(line.schema, []).append(line)
    numbers = [line.id for line in load_ids(root)]
    found = [] if len(set(numbers)) == len(numbers) else ["ids.json: an id is given twice; ids are never used again"]
    next_id = max(numbers, default=0) + 1
    for of_one in lines.values():
        found += _problems_of(root, shared, of_one, next_id)
    missing = sorted(_files(root) - set(lines))
    found += [f"{path}.avsc has no id; add a line with id {next_id} to ids.json" for path in missing]
    return tuple(found)


def _files(root: Traversable) -> set[str]:
    directories = [entry for entry in root.iterdir() if entry.is_dir() and entry.name not in ("shared", "history")]
    files = ((directory.name, file.name) for directory in directories for file in directory.iterdir())
    return {f"{directory}/{name.removesuffix('.avsc')}" for directory, name in files if name.endswith(".avsc")}


def _problems_of(
    root: Traversable,
    shared: Mapping[str, Schema],
    lines: list[FrozenId],
    next_id: int,
) -> Iterator[str]:
    *before, last = lines
    current = load_schema(root / f"{last.schema}.avsc", shared)
    if fingerprint(current) != last.fingerprint:
        yield (
            f"{last.schema}.avsc has changed: keep its old form as history/{last.id}.avsc and add to ids.json "
            f'{{"id": {next_id}, "schema": "{last.schema}", "fingerprint": "{fingerprint(current)}"}}'
        )
        return
    for line in before:
        old = load_schema(root / "history" / f"{line.id}.avsc", shared)
        if fingerprint(old) != line.fingerprint:
            yield f"history/{line.id}.avsc is not what id {line.id} was given for; take it back from the history"
        for reason in incompatibilities(old, current):
            yield f"{last.schema}.avsc and history/{line.id}.avsc: {reason}; give new fields a default, take none away"
