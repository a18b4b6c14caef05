"""Read the closed lists: the names of personal data (terms) and the types of events. Files arrive, values leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

IDENTIFIER_KINDS = ("email", "phone", "customer_number", "cookie", "account")
"""What an emitting service may know a data subject by; the first three are those of the Person record."""

UNKNOWN_TERM = "?"
"""Stands for every name of personal data that is not in the list."""


@dataclass(frozen=True, slots=True)
class Term:
    """A name of personal data: its fideslang category, the nearest term of the Data Privacy Vocabulary, a label."""

    name: str
    category: str
    dpv: str
    label: str
    tags: tuple[str, ...] = ("PII",)
    free_text: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EventType:
    """What the schemas and the policies know of a type of event.

    `refs` are the matters that it names. `fields` says, name by name, of which sort its driving fields are. `data`
    are the terms that it names itself. `kinds` are the event kinds of a policy that it can belong to: it is of the
    first that the policy has. An `act` is done by the data subject; a `report` comes from a recipient, a source or a
    device.
    """

    name: str
    stream: str
    meaning: str
    schema_id: int
    schema: Mapping[str, Any] = field(repr=False)
    refs: tuple[str, ...]
    fields: Mapping[str, str]
    data: tuple[str, ...]
    kinds: tuple[str, ...]
    carries_none: bool
    act: bool
    report: bool


def _mapping(file: Traversable) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(file.read_text("utf-8"), Loader=loader)  # noqa: S506 (either is a safe one)
    return content


def load_terms(root: Traversable) -> Mapping[str, Term]:
    """Read `terms.yaml`, in its order."""
    return MappingProxyType(
        {
            name: Term(name, **{**entry, "tags": tuple(entry.get("tags", ("PII",)))})
            for name, entry in _mapping(root / "terms.yaml").items()
        },
    )


def load_types(root: Traversable, schemas: Mapping[str, tuple[int, Mapping[str, Any]]]) -> Mapping[str, EventType]:
    """Read `catalog.yaml`; `schemas` gives id and resolved schema for `stream/type`."""
    types = {}
    for stream, entries in _mapping(root / "catalog.yaml").items():
        for name, entry in entries.items():
            schema_id, schema = schemas[f"{stream}/{name}"]
            types[name] = EventType(
                name=name,
                stream=stream,
                meaning=entry["meaning"],
                schema_id=schema_id,
                schema=schema,
                refs=tuple(entry.get("refs", ())),
                fields=MappingProxyType(entry.get("fields", {})),
                data=tuple(entry.get("data", ())),
                kinds=tuple(entry.get("kinds", ())),
                carries_none=bool(entry.get("carries_none")),
                act=bool(entry.get("act")),
                report=bool(entry.get("report")),
            )
    return MappingProxyType(types)
