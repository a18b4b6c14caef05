"""Turn tagged events into the facts that the graph keeps: keys instead of values, one observation per event.

What arrives is a `Tagged`; what leaves are rows for a `Batch`: an observation, the identifiers that are new, the links
between those that one event carried. No clock, no store; the caches only spare work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import orjson

import schemas
from lineage.identity import KeyRing
from lineage.policy import Policy
from lineage.store import Identifier, Key, Link, Observation, Shape
from lineage.tagging import Tagged

PERSON_KINDS = ("customer_number", "email", "account", "phone")
"""Which of an event's identifiers its observation hangs on: the first that it has."""
DEVICE_KINDS = frozenset({"cookie"})


LATE = "late_after"
"""The driving field that marks an event from before an erasure that came after it: the second of the erasure."""


class ShapeBody(NamedTuple):
    """What a shape says: the terms, the driving fields, the kinds of its two references."""

    terms: tuple[str, ...]
    fields: tuple[tuple[str, object], ...]
    matter: str
    about: str
    found: tuple[str, ...] = ()


def encode_shape(body: ShapeBody) -> str:
    """Write a shape's body as canonical JSON."""
    return orjson.dumps(
        {"t": body.terms, "f": body.fields, "m": body.matter, "a": body.about, "u": body.found}, option=orjson.OPT_SORT_KEYS,
    ).decode()  # fmt: skip


def decode_shape(text: str) -> ShapeBody:
    """Read a shape's body."""
    raw = orjson.loads(text)
    fields = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in raw["f"])
    return ShapeBody(tuple(raw["t"]), fields, raw["m"], raw["a"], tuple(raw.get("u", ())))


class Shapes:
    """The shapes that are known, by id and by content; new ones get the next id."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        """Start from what the store has."""
        self.by_id: dict[int, Shape] = {}
        self._ids: dict[tuple[str, str, str], int] = {}
        self.bodies: dict[int, ShapeBody] = {}
        self._fast: dict[tuple[object, ...], int] = {}
        self.fresh: list[Shape] = []
        for shape in shapes:
            self._add(shape)

    def _add(self, shape: Shape) -> None:
        self.by_id[shape.id] = shape
        self._ids[shape.controller, shape.type, shape.body] = shape.id
        self.bodies[shape.id] = decode_shape(shape.body)

    def id_of(self, controller: str, type_: str, body: ShapeBody) -> int:
        """Give the id of a shape, a new one if it has none."""
        key = (controller, type_, body)
        found = self._fast.get(key)
        if found is None:
            text = encode_shape(body)
            known = self._ids.get((controller, type_, text))
            if known is None:
                shape = Shape(len(self.by_id) + 1, controller, type_, text)
                self._add(shape)
                self.fresh.append(shape)
                known = shape.id
            found = self._fast[key] = known
        return found

    def take_fresh(self) -> list[Shape]:
        """Give the shapes that the store does not have yet."""
        fresh, self.fresh = self.fresh, []
        return fresh


class Rows(NamedTuple):
    """The facts of one event: its keys (the first is the one it hangs on), observations, links."""

    keys: tuple[Key, ...]
    observations: tuple[Observation, ...]
    links: tuple[Link, ...]
    identifiers: tuple[tuple[Key, int, str, str], ...]
    """(key, check, kind, value) of all identifiers."""


def references(tagged: Tagged) -> list[tuple[str, str, str, str]]:
    """Give (kind, value, kind, value) of the matter and the second reference; a claim's subject may be of two kinds."""
    spec = schemas.registry().types[tagged.type]
    refs = [(k, v) for k, v in tagged.refs if k != "about"]
    first = next(((k, v) for k, v in refs if k in spec.refs), ("", ""))
    rest = [(k, v) for k, v in refs if (k, v) != first]
    about = next((v for k, v in tagged.refs if k == "about"), None)
    if about is not None:
        return [(*first, kind, about) for kind in ("matter", "order")]
    if rest:
        return [(*first, *rest[0])]
    device = next((v for k, v in tagged.identifiers if k in DEVICE_KINDS), None)
    if device is not None and first[0] != "cookie":
        return [(*first, "device", device)]
    return [(*first, "", "")]


class Writer:
    """Makes facts of tagged events for the controllers that there are keys for."""

    def __init__(self, keys: KeyRing, policies: Mapping[str, Policy], shapes: Shapes) -> None:
        """Take the secrets and the shapes known so far."""
        self._keys = keys
        self._policies = policies
        self.shapes = shapes

    def key_of(self, controller: str, kind: str, value: str) -> Key:
        """Give the key of a matter or identifier."""
        return self._keys.key(controller, "cookie" if kind == "device" else kind, value)[0]

    def rows(self, tagged: Tagged, evidence: int, successor: Callable[[Key, str, str], tuple[Key, int]] | None = None) -> Rows:
        """Make the rows of an event; `successor` replaces the key of an identifier whose first bearer was erased."""
        controller = tagged.controller
        identifiers: list[tuple[Key, int, str, str]] = []
        for kind, value in tagged.identifiers:
            key, check = self._keys.key(controller, kind, value)
            if successor is not None:
                key, check = successor(key, kind, value)
            identifiers.append((key, check, kind, value))
        persons = [i for i in identifiers if i[2] not in DEVICE_KINDS]
        if len(persons) > 1:
            persons.sort(key=lambda i: PERSON_KINDS.index(i[2]))
        bearer = persons[0] if persons else identifiers[0] if identifiers else None
        if bearer is None:
            return Rows((), (), (), ())
        observations = []
        shape = 0
        for kind, value, about_kind, about in references(tagged):
            matter = self.key_of(controller, kind, value) if value else 0
            second = self.key_of(controller, about_kind, about) if about else 0
            body = ShapeBody(tagged.terms, tagged.fields, kind, about_kind, tagged.found)
            shape = self.shapes.id_of(controller, tagged.type, body)
            observations.append(Observation(bearer[0], tagged.at, shape, matter, second, evidence))
        if len(identifiers) == 1:
            return Rows((bearer[0],), tuple(observations), (), tuple(identifiers))
        links = [Link(min(bearer[0], p[0]), max(bearer[0], p[0]), "same", 0, tagged.at) for p in persons[1:]]
        links += [Link(bearer[0], i[0], "device", shape, tagged.at) for i in identifiers
                  if i[2] in DEVICE_KINDS and i[0] != bearer[0]]  # fmt: skip
        keys = (bearer[0], *(i[0] for i in identifiers if i[0] != bearer[0]))
        return Rows(keys, tuple(observations), tuple(links), tuple(identifiers))


def seal_row(keys: KeyRing, controller: str, row: tuple[Key, int, str, str], random: Callable[[int], bytes]) -> Identifier:
    """Make the identifier's row: its value only encrypted."""
    key, check, kind, value = row
    return Identifier(key, check, controller, kind, keys.seal(controller, kind, value, random))
