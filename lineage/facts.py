"""Turn tagged events into the facts that the graph keeps: keys instead of values, one observation per event.

What arrives is a `Tagged`; what leaves are rows for a `Batch`: an observation, the identifiers that are new, the links
between those that one event carried. No clock, no store; the caches only spare work.
"""

from __future__ import annotations

import hashlib
import threading
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
_PERSONS_MAX = 1 << 14


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
    """The shapes that are known, by id and by content; new ones get the next id. One thread may add while another writes."""

    def __init__(self, shapes: Iterable[Shape], *, shared: bool = False) -> None:
        """Start from what the store has.

        Numbers count up, as small ones take little room. Where several processes give them (`shared`), a number is 63
        bits of a hash of what it stands for, so that all give the same one without asking each other.
        """
        self._shared = shared
        self.by_id: dict[int, Shape] = {}
        self._ids: dict[tuple[str, str, str], int] = {}
        self.bodies: dict[int, ShapeBody] = {}
        self._fast: dict[tuple[object, ...], int] = {}
        self._fresh: list[Shape] = []
        self._new = threading.Lock()
        self.learn(shapes)

    def learn(self, shapes: Iterable[Shape]) -> None:
        """Take in shapes that others have written."""
        for shape in shapes:
            if shape.id not in self.by_id:
                self._add(shape)

    def _number(self, controller: str, type_: str, text: str) -> int:
        if not self._shared:
            return len(self.by_id) + 1
        digest = hashlib.sha256(f"{controller}\0{type_}\0{text}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

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
            with self._new:
                known = self._ids.get((controller, type_, text))
                if known is None:
                    shape = Shape(self._number(controller, type_, text), controller, type_, text)
                    self._add(shape)
                    self._fresh.append(shape)
                    known = shape.id
            found = self._fast[key] = known
        return found

    def take_fresh(self) -> list[Shape]:
        """Give the shapes that the store does not have yet."""
        with self._new:
            fresh, self._fresh = self._fresh, []
        return fresh

    def give_back(self, shapes: Iterable[Shape]) -> None:
        """Take back what `take_fresh` gave: the store has not got it."""
        with self._new:
            self._fresh = [*shapes, *self._fresh]


class Rows(NamedTuple):
    """The facts of one event: its keys (the first is the one it hangs on), observations, links."""

    keys: tuple[Key, ...]
    observations: tuple[Observation, ...]
    links: tuple[Link, ...]
    identifiers: tuple[tuple[Key, int, str, str], ...]
    """(key, check, kind, value) of all identifiers."""


class Known(NamedTuple):
    """Identifiers that came together, as keys: the first bears the observations, `same` are links between persons."""

    keys: tuple[Key, ...]
    identifiers: tuple[tuple[Key, int, str, str], ...]
    kinds: tuple[str, ...]
    same: tuple[tuple[Key, Key], ...]
    devices: tuple[Key, ...]


class Plan(NamedTuple):
    """How to read events of one form: which references are which.

    A reference is (kind, place): a place from 0 on is that of a reference, one below 0 (counted from -1) that of an
    identifier. Two pairs of references where the second may be of two kinds (what a claim is about).
    """

    references: tuple[tuple[str, int | None, str, int | None], ...]


def _plan(type_: str, identifiers: tuple[str, ...], refs: tuple[str, ...]) -> Plan:
    spec = schemas.registry().types[type_]
    devices = [n for n, k in enumerate(identifiers) if k in DEVICE_KINDS]
    named = [n for n, k in enumerate(refs) if k in spec.refs]
    first = named[0] if named else None
    kind = refs[first] if first is not None else ""
    about = next((n for n, k in enumerate(refs) if k == "about"), None)
    rest = next((n for n, k in enumerate(refs) if k != "about" and n != first), None)
    found: tuple[tuple[str, int | None, str, int | None], ...]
    if about is not None:
        found = tuple((kind, first, other, about) for other in ("matter", "order"))
    elif rest is not None:
        found = ((kind, first, refs[rest], rest),)
    elif devices and kind != "cookie":
        found = ((kind, first, "device", -1 - devices[0]),)
    else:
        found = ((kind, first, "", None),)
    return Plan(found)


def references(tagged: Tagged) -> list[tuple[str, str, str, str]]:
    """Give (kind, value, kind, value) of an event's matter and second reference; a claim's may be of two kinds."""
    kinds = tuple(k for k, _ in tagged.identifiers)
    found = []
    for kind, place, about_kind, about in _plan(tagged.type, kinds, tuple(k for k, _ in tagged.refs)).references:
        value = tagged.refs[place][1] if place is not None else ""
        other = "" if about is None else tagged.identifiers[-1 - about][1] if about < 0 else tagged.refs[about][1]
        found.append((kind, value, about_kind, other))
    return found


class Writer:
    """Makes facts of tagged events for the controllers that there are keys for."""

    def __init__(self, keys: KeyRing, policies: Mapping[str, Policy], shapes: Shapes) -> None:
        """Take the secrets and the shapes known so far."""
        self._keys = keys
        self._policies = policies
        self.shapes = shapes
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._likes: dict[tuple[object, ...], tuple[int, ...]] = {}
        # Two generations bound what is kept: what the younger lacks is looked up in the older, which is dropped whole.
        self._young: dict[tuple[str, tuple[tuple[str, str], ...]], Known] = {}
        self._old: dict[tuple[str, tuple[tuple[str, str], ...]], Known] = {}

    def rows(self, tagged: Tagged, evidence: int, successor: Callable[[Key, str, str], tuple[Key, int]] | None = None) -> Rows:
        """Make the rows of an event; `successor` replaces the key of an identifier whose first bearer was erased."""
        type_, controller, _, _, at, given, refs, terms, fields, found = tagged
        if not given:
            return Rows((), (), (), ())
        key_of = self._keys.key
        person = self._person(controller, given) if successor is None else self._known(controller, given, successor)
        form = (type_, person.kinds, *[k for k, _ in refs])
        plan = self._plans.get(form)
        if plan is None:
            plan = self._plans[form] = _plan(type_, person.kinds, tuple(k for k, _ in refs))
        identifiers, bearer = person.identifiers, person.keys[0]
        observations = []
        like = (form, controller, terms, fields, found)
        shapes = self._likes.get(like)
        if shapes is None:
            bodies = [ShapeBody(terms, fields, kind, about_kind, found) for kind, _, about_kind, _ in plan.references]
            shapes = self._likes[like] = tuple([self.shapes.id_of(controller, type_, body) for body in bodies])
        for shape, (_, place, about_kind, about) in zip(shapes, plan.references, strict=True):
            matter = 0 if place is None else key_of(controller, *refs[place])[0]
            second = 0
            if about is not None:
                second = identifiers[-1 - about][0] if about < 0 else key_of(controller, about_kind, refs[about][1])[0]
            observations.append(Observation(bearer, at, shape, matter, second, evidence))
        if len(identifiers) == 1:
            return Rows(person.keys, tuple(observations), (), identifiers)
        links = [Link(a, b, "same", 0, at) for a, b in person.same]
        links += [Link(bearer, device, "device", shapes[-1], at) for device in person.devices]
        return Rows(person.keys, tuple(observations), tuple(links), identifiers)

    def _person(self, controller: str, given: tuple[tuple[str, str], ...]) -> Known:
        """Give what is known of identifiers that came together; they come together again and again."""
        name = (controller, given)
        found = self._young.get(name)
        if found is None:
            found = self._old.get(name) or self._known(controller, given)
            if len(self._young) >= _PERSONS_MAX:
                self._old, self._young = self._young, {}
            self._young[name] = found
        return found

    def _known(
        self,
        controller: str,
        given: tuple[tuple[str, str], ...],
        successor: Callable[[Key, str, str], tuple[Key, int]] | None = None,
    ) -> Known:
        key_of = self._keys.key
        made = [(*key_of(controller, kind, value), kind, value) for kind, value in given]
        if successor is not None:
            made = [(*successor(i[0], i[2], i[3]), i[2], i[3]) for i in made]
        if len(made) == 1:
            return Known((made[0][0],), tuple(made), (made[0][2],), (), ())
        persons = sorted((i for i in made if i[2] not in DEVICE_KINDS), key=lambda i: PERSON_KINDS.index(i[2]))
        devices = [i for i in made if i[2] in DEVICE_KINDS]
        first, *others = [i[0] for i in (*persons, *devices)]
        same = tuple((min(first, i[0]), max(first, i[0])) for i in persons if i[0] != first)
        apart = tuple(i[0] for i in devices if i[0] != first)
        return Known((first, *others), tuple(made), tuple(i[2] for i in made), same, apart)

    def forget(self) -> None:
        """Drop the values that are kept in memory: after an erasure none of them is left."""
        self._young, self._old = {}, {}


def seal_row(keys: KeyRing, controller: str, row: tuple[Key, int, str, str], random: Callable[[int], bytes]) -> Identifier:
    """Make the identifier's row: its value only encrypted."""
    key, check, kind, value = row
    return Identifier(key, check, controller, kind, keys.seal(controller, kind, value, random))
