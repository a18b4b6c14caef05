"""Tag an event from its bytes: read what the tags need, and step over the rest. Bytes arrive, a `Tagged` leaves.

Most of an event is personal data of which the tags only say that it is there. Decoding it makes objects that nobody
looks at; here its length is read and the reader steps over it, and no name or address ever becomes a string in memory.
What is stepped over is not checked to be UTF-8; everything else that does not fit the schema is `Undecodable`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lineage import freetext
from lineage.errors import Undecodable
from lineage.tagging import HEADER, PERSON, Layout, Scan, Tagged, compile_tagger
from schemas import HEADER as WIRE_HEADER
from schemas import DecodeError, registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas import EventType, Registry, Term

Projection = Callable[[bytes], Tagged]

_TEXT, _INT, _BOOLEAN, _LIST = range(4)
_SORTS = {"int": _INT, "boolean": _BOOLEAN, "list": _LIST, "terms": _LIST}
_BODY = WIRE_HEADER.size
_LONG_BYTES_MAX = 10
_CACHE_SIZE = 4096
# A length in one byte: no continuation bit (0x80), not negative (0x01). Nearly all are.
_NOT_SHORT = 0x81
_PRESENT = 2


class _Misfit(Exception):
    """The bytes do not fit the schema."""


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Read a zigzag number of variable length; give it and where the next begins."""
    byte = data[at]
    value, shift, end = byte & 0x7F, 7, at + 1
    while byte & 0x80:
        byte = data[end]
        value |= (byte & 0x7F) << shift
        shift += 7
        end += 1
    if end - at > _LONG_BYTES_MAX:
        raise _Misfit
    return (value >> 1) ^ -(value & 1), end


def _size(data: bytes, at: int) -> tuple[int, int]:
    size, at = _long(data, at)
    if size < 0:
        raise _Misfit
    return size, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    size = data[at]
    if size & _NOT_SHORT:
        size, at = _size(data, at)
        end = at + size
    else:
        at += 1
        end = at + (size >> 1)
    if end > len(data):
        raise _Misfit
    return data[at:end].decode(), end


def _texts(data: bytes, at: int, per_item: int) -> tuple[list[str], int]:
    """Read the blocks of an array of strings, or of a map of them (two strings per item)."""
    texts: list[str] = []
    while True:
        count, at = _long(data, at)
        if count == 0:
            return texts, at
        if count < 0:
            # A negative count says that the size of the block in bytes comes first.
            count = -count
            _, at = _long(data, at)
        for _ in range(count * per_item):
            text, at = _text(data, at)
            texts.append(text)


def _other(data: bytes, at: int, sort: int) -> tuple[Any, int]:
    if sort == _INT:
        return _long(data, at)
    if sort == _BOOLEAN:
        return data[at] == 1, at + 1
    return _texts(data, at, 1)


def _compile_slots(sorts: tuple[int, ...]) -> Callable[[bytes, int], tuple[list[Any], int]]:
    """Prepare to read a run of nullable fields."""

    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        values: list[Any] = []
        append = values.append
        for sort in sorts:
            branch = data[at]
            at += 1
            if not branch:
                append(None)
            elif branch != _PRESENT:
                raise _Misfit
            elif not sort:
                size = data[at]
                at += 1
                if size & _NOT_SHORT:
                    text, at = _text(data, at - 1)
                    append(text)
                else:
                    size >>= 1
                    append(data[at : at + size].decode())
                    at += size
            else:
                value, at = _other(data, at, sort)
                append(value)
        return values, at

    return read


def _compile_data(layout: Layout) -> Callable[[bytes, int], tuple[tuple[str, ...], list[str], int]]:
    """Prepare to step over the personal data: which terms are there, and the texts that must be looked through."""
    bits = tuple((1 << place, name in layout.free_text) for place, name in enumerate(layout.data))
    by_mask: dict[int, tuple[str, ...]] = {}

    def terms_of(mask: int) -> tuple[str, ...]:
        terms = tuple(sorted(name for place, name in enumerate(layout.data) if mask >> place & 1))
        if len(by_mask) >= _CACHE_SIZE:
            by_mask.clear()
        by_mask[mask] = terms
        return terms

    def read(data: bytes, at: int) -> tuple[tuple[str, ...], list[str], int]:
        mask = 0
        texts: list[str] = []
        for bit, searched in bits:
            branch = data[at]
            at += 1
            if branch:
                if branch != _PRESENT:
                    raise _Misfit
                size = data[at]
                if size & _NOT_SHORT:
                    size, at = _size(data, at)
                else:
                    size >>= 1
                    at += 1
                if size:
                    mask |= bit
                    if searched:
                        texts.append(data[at : at + size].decode())
                    at += size
        return by_mask.get(mask) or terms_of(mask), texts, at

    return read


def _compile_others(layout: Layout) -> Callable[[bytes, int, tuple[str, ...], list[str]], tuple[tuple[str, ...], int]]:
    def read(data: bytes, at: int, terms: tuple[str, ...], texts: list[str]) -> tuple[tuple[str, ...], int]:
        flat, at = _texts(data, at, 2)
        others = {name: value for name, value in dict(zip(flat[::2], flat[1::2], strict=True)).items() if value}
        texts += [value for name, value in others.items() if layout.searched(name)]
        return layout.widened(terms, others), at

    return read


def compile_projection(
    event: EventType,
    terms: Mapping[str, Term] | None = None,
    scan: Scan = freetext.scan,
    countries: Mapping[str, str | None] | None = None,
) -> Projection | None:
    """Prepare the tagging of bytes of a type; None if its schema has fields that the event form does not foresee."""
    layout = Layout(event, registry().terms if terms is None else terms, scan, countries)
    slots = (*PERSON, *(name for name in layout.top if name not in (*HEADER, "data")))
    if layout.unforeseen or layout.top != (*HEADER, *slots[len(PERSON) :], "data"):
        return None
    read = _compile_body(layout, slots)

    def project(data: bytes) -> Tagged:
        try:
            return read(data)
        except (_Misfit, IndexError, UnicodeDecodeError):
            # The cause shows a part of the payload, so it is left behind.
            msg = f"the bytes do not fit the schema of {event.name}"
            raise Undecodable(msg) from None

    return project


def _pick(names: tuple[str, ...], slots: tuple[str, ...]) -> Callable[[list[Any]], tuple[Any, ...]]:
    places = [slots.index(name, 0 if name in PERSON else len(PERSON)) for name in names]
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])


def _compile_body(layout: Layout, slots: tuple[str, ...]) -> Projection:
    read_slots = _compile_slots(tuple(_SORTS.get(layout.event.fields.get(name, ""), _TEXT) for name in slots))
    read_data, read_others = _compile_data(layout), _compile_others(layout)
    kinds = (*PERSON, *(kind for _, kind in layout.devices))
    identifier_values = _pick((*PERSON, *(name for name, _ in layout.devices)), slots)
    reference_values, driving_values = _pick(layout.references, slots), _pick(layout.driving, slots)
    name, references, has_fields = layout.event.name, layout.references, bool(layout.driving)

    def read(data: bytes) -> Tagged:
        identity, at = _text(data, _BODY)
        source, at = _text(data, at)
        time_ms, at = _long(data, at)
        controller, at = _text(data, at)
        values, at = read_slots(data, at)
        terms, texts, at = read_data(data, at)
        if data[at]:
            terms, at = read_others(data, at, terms, texts)
        else:
            at += 1
        if at != len(data):
            raise _Misfit
        return Tagged(
            name,
            controller,
            source,
            identity,
            time_ms // 1000,
            tuple([pair for pair in zip(kinds, identifier_values(values), strict=True) if pair[1]]),
            tuple([pair for pair in zip(references, reference_values(values), strict=True) if pair[1]]),
            terms,
            layout.fields(driving_values(values)) if has_fields else (),
            layout.found(texts, terms, controller) if texts else (),
        )

    return read


class EventReader:
    """Tags any event of a registry from its bytes; those of older schemas are decoded first."""

    def __init__(
        self, schemas: Registry, scan: Scan = freetext.scan, countries: Mapping[str, str | None] | None = None,
    ) -> None:  # fmt: skip
        """Prepare all types; `countries` are those in which the controllers are at home."""
        self._registry = schemas
        self._taggers = {event: compile_tagger(event, schemas.terms, scan, countries) for event in schemas.types.values()}
        projections = ((event, compile_projection(event, schemas.terms, scan, countries)) for event in schemas.types.values())
        self._projections = {WIRE_HEADER.pack(0, event.schema_id): projection for event, projection in projections if projection}

    def read(self, data: bytes) -> Tagged:
        """Give the tags of an event in the wire format; raise `Undecodable` if the bytes are none."""
        projection = self._projections.get(data[:_BODY])
        if projection is not None:
            return projection(data)
        try:
            event, record = self._registry.decode(data)
        except DecodeError as error:
            raise Undecodable(error.reason) from None
        return self._taggers[event](record)


@functools.cache
def reader(countries: tuple[tuple[str, str | None], ...] = ()) -> EventReader:
    """Give the reader of the schemas that come with the package, made once for controllers at home in these countries."""
    return EventReader(registry(), countries=dict(countries))
