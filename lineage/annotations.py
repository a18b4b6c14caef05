"""Read what a schema says about its fields: which hold personal data, which identify, which are free text.

An annotation may stand on a field or on a type within it, and holds for everything below it that has none of its own,
through unions, arrays, maps, nested records and references to named types. Confluent's own tags stop at references; a
walk finds them all, in recursive types too. The tagger of our own events takes a shorter way and is held to this one by
a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Schema = Any
Visit = Callable[[Any, "Mark | None", str], Iterator["Found"]]
_ABOUT = ("category", "identifier", "free_text", "driving", "term", "confluent:tags")
Fits = Callable[[Any], bool]


class Mark(NamedTuple):
    """What is said about a field. `term` is its own name unless it says another."""

    term: str
    category: str = ""
    identifier: str = ""
    free_text: bool = False
    driving: bool = False
    tags: tuple[str, ...] = ()


class Found(NamedTuple):
    """A value that an annotation holds for; `path` goes by field names, `[]` is for items, `{}` for values of a map."""

    path: str
    mark: Mark
    value: Any


def compile_walk(schema: Schema) -> Callable[[Any], Iterator[Found]]:
    """Prepare a schema, so that records of it can be searched for annotated values that are there."""
    visit = _Compiler().visit(schema, "", "")
    return lambda record: visit(record, None, "")


def _mark(node: Mapping[str, Any], name: str) -> Mark | None:
    if not any(key in node for key in _ABOUT):
        return None
    return Mark(
        node.get("term", name),
        node.get("category", ""),
        node.get("identifier", ""),
        bool(node.get("free_text")),
        bool(node.get("driving")),
        tuple(node.get("confluent:tags", ())),
    )


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


class _Compiler:
    """Turn types into functions. A recursive type is looked up when a record is there: by then it is compiled."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}
        self._fits: dict[str, Fits] = {}

    def visit(self, schema: Schema, name: str, namespace: str) -> Visit:
        """Compile a type; `name` is that of the field it belongs to."""
        if isinstance(schema, list):
            return self._union(schema, name, namespace)
        if isinstance(schema, str):
            full = _full(schema, namespace)
            return lambda value, mark, path: self._visits.get(full, _leaf)(value, mark, path)  # noqa: PLW0108 (late)
        own = _mark(schema, name)
        inner = self._complex(schema, name, namespace)
        return inner if own is None else lambda value, _, path: inner(value, own, path)

    def _complex(self, schema: Mapping[str, Any], name: str, namespace: str) -> Visit:
        kind = schema["type"]
        if kind in ("record", "error"):
            return self._record(schema, namespace)
        if kind == "array":
            return _items(self.visit(schema["items"], name, namespace), "[]")
        if kind == "map":
            return _items(self.visit(schema["values"], name, namespace), "{}")
        return _leaf if kind in ("enum", "fixed") else self.visit(kind, name, namespace)

    def _record(self, schema: Mapping[str, Any], namespace: str) -> Visit:
        full = _full(schema["name"], schema.get("namespace", namespace))
        inside = full.rpartition(".")[0]
        fields: list[tuple[str, Mark | None, Visit]] = []

        def visit(value: Any, mark: Mark | None, path: str) -> Iterator[Found]:  # noqa: ANN401 (any record)
            for name, own, inner in fields:
                if name in value:
                    # What holds for the whole record is said of each field, under that field's name.
                    inherited = own or (mark and mark._replace(term=name))
                    yield from inner(value[name], inherited, f"{path}.{name}" if path else name)

        self._visits[full] = visit
        self._fits[full] = self._fitting(schema, namespace)
        fields += [(f["name"], _mark(f, f["name"]), self.visit(f["type"], f["name"], inside)) for f in schema["fields"]]
        return visit

    def _union(self, branches: list[Schema], name: str, namespace: str) -> Visit:
        fitting = [(self._fitting(branch, namespace), self.visit(branch, name, namespace)) for branch in branches]

        def visit(value: Any, mark: Mark | None, path: str) -> Iterator[Found]:  # noqa: ANN401 (any branch)
            # A decoded record does not say which branch it is of; all that fit are read, so that none is missed.
            for fits, inner in fitting:
                if fits(value):
                    yield from inner(value, mark, path)

        return visit

    def _fitting(self, schema: Schema, namespace: str) -> Fits:
        """Tell whether a value may be of the type, as far as a decoded value shows it."""
        if isinstance(schema, str):
            full = _full(schema, namespace)
            return lambda value: self._fits.get(full, _PRIMITIVE.get(schema, _is_leaf))(value)  # noqa: PLW0108 (late)
        kind = schema["type"]
        if kind in ("record", "error"):
            names = {field["name"] for field in schema["fields"]}
            return lambda value: isinstance(value, Mapping) and value.keys() == names
        return _PRIMITIVE.get(kind, _is_leaf) if isinstance(kind, str) else self._fitting(kind, namespace)


def _items(inner: Visit, sign: str) -> Visit:
    def visit(value: Any, mark: Mark | None, path: str) -> Iterator[Found]:  # noqa: ANN401 (any array or map)
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from inner(item, mark, path + sign)

    return visit


def _leaf(value: Any, mark: Mark | None, path: str) -> Iterator[Found]:  # noqa: ANN401 (any primitive)
    if mark is not None and value not in (None, "", b""):
        yield Found(path, mark, value)


def _is_leaf(value: object) -> bool:
    return value is not None and not isinstance(value, (Mapping, list, tuple))


_PRIMITIVE: Mapping[str, Fits] = {
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, (list, tuple)),
    "map": lambda value: isinstance(value, Mapping),
}
