"""Tag an event: say which personal data it carries, about whom and about what. A record arrives, a `Tagged` leaves.

`Tagged` is all that the rest of the pipeline sees of an event. It holds no personal data but the identifiers and the
names of matters, which the next step hashes, and a date of birth where the age decides (`born`).

Two ways lead here: `compile_tagger` takes a decoded record, `lineage.projection` the bytes, without decoding what the
tags do not need. Both give the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage import freetext
from lineage.annotations import compile_walk
from lineage.errors import Undecodable
from schemas import UNKNOWN_TERM, EventType, Term, registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Scalar = str | int | bool
Field = tuple[str, Scalar | tuple[str, ...]]
Record = dict[str, Any]
Scan = Callable[[str, str | None], frozenset[str]]
"""Gives the terms of the personal data in a text, as they are written in a country."""

PERSON = ("email", "phone", "customer_number")
HEADER = ("id", "source", "time", "controller", "person")
RENAMED = {"date_of_birth": "born"}
"""Driving fields that are called otherwise in the tags."""

_CACHE_SIZE = 4096
_TEXT = ["null", "string"]


class Tagged(NamedTuple):
    """What an event says, without the personal data that it carries.

    `at` is seconds since the epoch, UTC. `identifiers` and `refs` are (kind, value), in the order of the schema; a
    cookie or account is both where the type refers to it; `about` names a matter of any kind. `terms` are the personal
    data that are there, sorted; `?` stands for any that is not in the list of terms. `fields` are the driving fields
    that are there, sorted, lists as sorted tuples. `found` is what free text showed and `terms` lacks.
    """

    type: str
    controller: str
    source: str
    id: str
    at: int
    identifiers: tuple[tuple[str, str], ...]
    refs: tuple[tuple[str, str], ...]
    terms: tuple[str, ...]
    fields: tuple[Field, ...]
    found: tuple[str, ...]


Tagger = Callable[[Record], Tagged]


class Layout:
    """Where in the records of a type is what; both ways of tagging rest on it."""

    def __init__(
        self, event: EventType, terms: Mapping[str, Term], scan: Scan, countries: Mapping[str, str | None] | None = None,
    ) -> None:  # fmt: skip
        """Read the type; `terms` is the closed list, `scan` looks through text, `countries` are those of the controllers."""
        self.event = event
        self.scan = scan
        self.countries = countries or {}
        self.known = frozenset(terms)
        self.free_text = frozenset(name for name, term in terms.items() if term.free_text)
        top = {field["name"]: field for field in event.schema["fields"]}
        self.top = tuple(top)
        self.devices = tuple((name, field["identifier"]) for name, field in top.items() if "identifier" in field)
        """Identifiers beside those of the person: (field, kind)."""
        self.references = tuple(n for n in top if n in event.refs or event.fields.get(n) == "reference")
        self.driving = tuple(sorted(n for n, sort in event.fields.items() if sort not in ("identifier", "reference")))
        inner = {field["name"]: field["type"] for field in top["data"]["type"]["fields"]}
        self.data = tuple(name for name, kind in inner.items() if kind == _TEXT)
        person = [field["name"] for field in top["person"]["type"]["fields"]]
        self.unforeseen = frozenset(
            {name for name in top if name not in (*HEADER, "data", *event.refs, *event.fields)}
            | {f"data.{name}" for name in inner if name not in (*self.data, "others")}
            | {f"person.{name}" for name in person if name not in PERSON},
        )
        """Paths that the event form does not know; what is annotated below them is tagged all the same."""
        self._fields: dict[tuple[Any, ...], tuple[Field, ...]] = {}

    def fields(self, values: tuple[Any, ...]) -> tuple[Field, ...]:
        """Give the driving fields for their values, which come in the order of `driving`.

        The same few combinations come again and again. Raises `Undecodable` if a date is none.
        """
        # A position has one type, so values that are equal are the same; a list is made a key.
        key = tuple([tuple(value) if value.__class__ is list else value for value in values])
        found = self._fields.get(key)
        if found is None:
            pairs = [(name, value) for name, value in zip(self.driving, key, strict=True) if value is not None]
            found = tuple(sorted((RENAMED.get(name, name), self._clean(name, value)) for name, value in pairs))
            if len(self._fields) >= _CACHE_SIZE:
                self._fields.clear()
            self._fields[key] = found
        return found

    def _clean(self, field: str, value: Any) -> Scalar | tuple[str, ...]:  # noqa: ANN401 (any driving value)
        if isinstance(value, tuple):
            return tuple(sorted({self._word(field, item) for item in value}))
        return self._word(field, value) if isinstance(value, str) else value

    def _word(self, field: str, text: str) -> str:
        """Driving fields stay readable: a term that is none of ours, or personal data in one, is not taken over."""
        sort = self.event.fields[field]
        if sort == "date":
            try:
                return dt.date.fromisoformat(text).isoformat()
            except ValueError:
                msg = f"{self.event.name}: {field} is no date like 2024-10-01"
                raise Undecodable(msg) from None
        unfit = text not in self.known if sort == "terms" else self._shows_any(text)
        return UNKNOWN_TERM if unfit else text

    def _shows_any(self, text: str) -> bool:
        """Look under the rules of all controllers: which one's it is is not asked, so that one answer does for all."""
        return any(self.scan(text, country) for country in sorted({c or "" for c in self.countries.values()} or {""}))

    def widened(self, terms: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
        """Add the names of more personal data."""
        return tuple(sorted({*terms, *(name if name in self.known else UNKNOWN_TERM for name in more)}))

    def searched(self, name: str) -> bool:
        """Tell whether a value under this name is looked through: it is free text, or the name says nothing."""
        return name in self.free_text or name not in self.known

    def found(self, texts: Iterable[str], terms: tuple[str, ...], controller: str) -> tuple[str, ...]:
        """Look through text sent to a controller, and give what `terms` does not declare."""
        found: set[str] = set()
        country = self.countries.get(controller)
        for text in texts:
            found |= self.scan(text, country)
        return tuple(sorted(found.difference(terms))) if found else ()


def compile_tagger(
    event: EventType, terms: Mapping[str, Term] | None = None, scan: Scan = freetext.scan,
    countries: Mapping[str, str | None] | None = None,
) -> Tagger:  # fmt: skip
    """Prepare the tagging of decoded records of a type; a tagger raises `Undecodable` if a date is none.

    A field that the event form does not foresee is tagged too if the schema annotates it, wherever it lies: by walking
    the record, which is slower.
    """
    layout = Layout(event, registry().terms if terms is None else terms, scan, countries)
    fast = _compile_fast(layout)
    return _compile_beyond(layout, fast) if layout.unforeseen else fast


def _values(names: tuple[str, ...]) -> Callable[[Record], tuple[Any, ...]]:
    """Prepare to take several values at once; `itemgetter` alone gives no tuple for fewer than two."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda record: tuple([record[name] for name in names])


def _compile_fast(layout: Layout) -> Tagger:
    header = itemgetter("controller", "source", "id", "time", "person", "data")
    data_names = tuple(sorted(layout.data))
    person_values, data_values, driving_values = _values(PERSON), _values(data_names), _values(layout.driving)
    texts = tuple(name for name in data_names if name in layout.free_text)
    name, devices, references, has_fields = layout.event.name, layout.devices, layout.references, bool(layout.driving)

    def tag(record: Record) -> Tagged:
        controller, source, identity, time_ms, person, data = header(record)
        identifiers = [pair for pair in zip(PERSON, person_values(person), strict=True) if pair[1]]
        identifiers += [(kind, record[field]) for field, kind in devices if record[field]]
        terms = tuple(compress(data_names, data_values(data)))
        others = data["others"]
        read = [data[field] for field in texts if data[field]]
        if others:
            terms = layout.widened(terms, [other for other, value in others.items() if value])
            read += [value for other, value in others.items() if value and layout.searched(other)]
        return Tagged(
            name,
            controller,
            source,
            identity,
            time_ms // 1000,
            tuple(identifiers),
            tuple([(field, record[field]) for field in references if record[field]]),
            terms,
            layout.fields(driving_values(record)) if has_fields else (),
            layout.found(read, terms, controller) if read else (),
        )

    return tag


def _compile_beyond(layout: Layout, fast: Tagger) -> Tagger:
    walk = compile_walk(layout.event.schema)

    def unforeseen(path: str) -> bool:
        steps = path.replace("[]", "").replace("{}", "").split(".")
        return steps[0] in layout.unforeseen or ".".join(steps[:2]) in layout.unforeseen

    def tag(record: Record) -> Tagged:
        tagged = fast(record)
        beyond = [found for found in walk(record) if unforeseen(found.path) and not found.mark.driving]
        terms = layout.widened(tagged.terms, [found.mark.term for found in beyond])
        texts = [found.value for found in beyond if found.mark.free_text and isinstance(found.value, str)]
        found = {*tagged.found, *layout.found(texts, terms, tagged.controller)}.difference(terms)
        return tagged._replace(terms=terms, found=tuple(sorted(found)))

    return tag
