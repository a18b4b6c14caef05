"""Find what is wrong with a policy before it runs: what arrives is a file, what leaves are findings with their lines.

A policy passes if every id, name, category, event type and key of a vocabulary in it exists, if every category is
carried or arises, if every personal-data field that its events carry is claimed by an activity, if every recipient has
a role and every retention an end or an honest gap. With `deployable` it must also have every setting that it leaves open.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

import schemas
from lineage import policy_file
from lineage.deployment import missing_settings
from lineage.errors import PolicyError
from lineage.policy import Policy

RULE = re.compile(r"^[A-Z]+-[A-Z]+-\d+$")
SELECTORS = ("role:", "right:", "via:", "access:", "topic:", "param:", "gdpr:")
WORDS = frozenset({"undeclared", "swept", "log"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong (or, with `warning`, worth knowing) at a line of a file; `rule` is the id of the row it is in."""

    file: str
    line: int
    rule: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        """Write it as a compiler would."""
        kind = "warning: " if self.warning else ""
        return f"{self.file}:{self.line}: {kind}{f'{self.rule}: ' if self.rule else ''}{self.message}"


class Lines:
    """The lines of a YAML file's values, found by their paths."""

    def __init__(self, text: str) -> None:
        """Read the file's nodes."""
        self._lines: dict[tuple[Any, ...], int] = {}
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self._walk(node, ())

    def _walk(self, node: Any, path: tuple[Any, ...]) -> None:  # noqa: ANN401
        if node is None:
            return
        self._lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for n, value in enumerate(node.value):
                self._walk(value, (*path, n))

    def of(self, path: Iterable[Any]) -> int:
        """Give the line of a path, or of the nearest that is above it."""
        steps = tuple(path)
        while steps and steps not in self._lines:
            steps = steps[:-1]
        return self._lines.get(steps, 1)


@functools.cache
def _validator(root: Path) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((root / "policy.schema.json").read_text("utf-8")))


@functools.cache
def _fideslang() -> tuple[frozenset[str], frozenset[str]]:
    """Give the keys of the installed fideslang: data categories and data uses."""
    from fideslang.default_taxonomy import DEFAULT_TAXONOMY  # noqa: PLC0415 - half a second that only a check pays

    return (
        frozenset(str(c.fides_key) for c in DEFAULT_TAXONOMY.data_category or ()),
        frozenset(str(u.fides_key) for u in DEFAULT_TAXONOMY.data_use or ()),
    )


def check(path: Path, settings: Mapping[str, Any] | None = None, *, deployable: bool = False) -> list[Finding]:
    """Check a policy file; raise `PolicyError` only where it is no YAML at all."""
    raw = policy_file.read(path)
    lines = Lines(path.read_text("utf-8"))
    found = _Findings(str(path), raw, lines)
    root = path.parent if (path.parent / "policy.schema.json").exists() else policy_file.POLICIES
    for error in sorted(_validator(root).iter_errors(raw), key=lambda e: [str(p) for p in e.absolute_path]):
        found.add(tuple(error.absolute_path), _plain(error))
    if found.all:
        return found.all
    found.references()
    try:
        policy = policy_file.build(raw, settings, root if (root / "statutory.yaml").exists() else policy_file.POLICIES)
    except (ValueError, KeyError, PolicyError) as error:
        found.add((), str(error))
        return found.all
    found.coverage(policy)
    if deployable:
        for missing in missing_settings(policy):
            found.add(("controller",), f"not deployable: {missing.what} is missing", missing.rules[0])
    return found.all


def _plain(error: jsonschema.ValidationError) -> str:
    where = ".".join(str(p) for p in error.absolute_path if not isinstance(p, int))
    return f"{where}: {error.message}" if where else error.message


class _Findings:
    """Gathers findings about one file."""

    def __init__(self, file: str, raw: Mapping[str, Any], lines: Lines) -> None:
        self.all: list[Finding] = []
        self._file, self._raw, self._lines = file, raw, lines

    def add(self, path: tuple[Any, ...], message: str, rule: str = "", *, warning: bool = False) -> None:
        """Note something at a path."""
        if not rule:
            row: Any = self._raw
            for step in path:
                try:
                    row = row[step]
                except (KeyError, IndexError, TypeError):
                    break
                if isinstance(row, Mapping) and isinstance(row.get("id"), str):
                    rule = row["id"]
        self.all.append(Finding(self._file, self._lines.of(path), rule, message, warning))

    def _names(self, section: str, key: str = "name") -> set[str]:
        return {str(r[key]) for r in self._raw.get(section, ()) if key in r}

    def references(self) -> None:
        """Look for names and ids that do not exist."""
        raw = self._raw
        known = {
            "systems": self._names("systems"), "recipients": self._names("recipients"), "categories": self._names("categories", "id"),
            "retention": self._names("retention", "id"), "activities": self._names("activities"),
        }  # fmt: skip
        kinds = {str(e["kind"]).partition("/")[0] for e in raw["events"]}
        for n, row in enumerate(raw["activities"]):
            for field in ("systems", "recipients", "categories", "retention"):
                self._exist(("activities", n, field), row[field], known[field], field)
            self._exist(("activities", n, "events"), row["events"], kinds, "kinds of event")
            self._exist(("activities", n, "in_systems"), row.get("in_systems", {}), known["systems"], "systems")
            if "use" in row:
                self._exist(("activities", n, "use"), [row["use"]], _fideslang()[1], "fideslang data uses")
        for n, row in enumerate(raw["events"]):
            self._exist(("events", n, "carries"), row["carries"], known["categories"], "categories")
        for n, row in enumerate(raw["recipients"]):
            if row["receives"] != "any":
                self._exist(("recipients", n, "receives"), row["receives"], known["categories"], "categories")
            self._exist(("recipients", n, "operates"), [row["operates"]] if "operates" in row else [], known["systems"], "systems")
        for n, row in enumerate(raw["holds"]):
            for field, values in (row.get("scope") or {}).items():
                if isinstance(values, list):
                    self._exist(("holds", n, "scope", field), values, known[field], field)
        self._rules(known["activities"])
        self._event_types(raw, ())
        self._terms()
        self._ids()

    def _exist(self, path: tuple[Any, ...], values: Iterable[str], known: Iterable[str], what: str) -> None:
        for value in values:
            if value not in set(known):
                self.add(path, f"{value!r} is not among the {what}")

    def _rules(self, activities: set[str]) -> None:
        for section in ("rights", "links", "suppression"):
            for n, row in enumerate(self._raw[section]):
                named = [*_list(row.get("ends")), *_list(row.get("asked_ends")), *_list(row.get("activity"))]
                if isinstance(row.get("activities"), list):
                    named += row["activities"]
                self._exist((section, n), named, activities, "activities")

    def _event_types(self, node: Any, path: tuple[Any, ...]) -> None:  # noqa: ANN401
        fields = ("opened_by", "closed_by", "anchor", "after", "reached_by", "arises_from", "joined_by", "only_at", "all", "refuses")
        types = schemas.registry().types
        if isinstance(node, Mapping):
            for key, value in node.items():
                if key in fields and isinstance(value, list):
                    for name in value:
                        if isinstance(name, str) and name not in (*types, "logged_in"):
                            self.add((*path, key), f"{name!r} is no type of event")
                self._event_types(value, (*path, key))
        elif isinstance(node, list):
            for n, value in enumerate(node):
                self._event_types(value, (*path, n))

    def _terms(self) -> None:
        terms, categories = schemas.registry().terms, _fideslang()[0]
        for n, row in enumerate(self._raw["categories"]):
            term = terms.get(row["term"])
            if term is None:
                self.add(("categories", n, "term"), f"{row['term']!r} is no term of the schemas: no event can carry it")
            elif term.category not in categories:
                self.add(("categories", n, "term"), f"{term.category!r} is no fideslang data category")

    def _ids(self) -> None:
        """Look for ids that are cited and have no row."""
        own = set(home_ids(self._raw))
        for path, value in _strings(self._raw, ()):
            if RULE.match(value) and value not in own:
                self.add(path, f"{value} is cited, and no row has this id")
        for name, along in (self._raw.get("cited_with") or {}).items():
            for value in along:
                if not (value in own or value.startswith(SELECTORS) or value in WORDS):
                    self.add(("cited_with", name), f"{value!r} is neither an id nor a selector")

    def coverage(self, policy: Policy) -> None:
        """Look for categories that nothing carries, fields that nothing claims, and gaps that the policy declares."""
        carried = {c for k in policy.kinds.values() for c in k.carries}
        for n, row in enumerate(self._raw["categories"]):
            category = policy.categories[row["id"]]
            if category.id not in carried and not category.arises_from:
                self.add(("categories", n), f"no event carries {category.id}, and nothing lets it arise")
        for n, row in enumerate(self._raw["events"]):
            base = str(row["kind"]).partition("/")[0]
            claimed = {c for a in policy.activities.values() if base in a.events for c in a.categories}
            for name in row["carries"]:
                if name not in claimed and not policy.categories[name].collected_by:
                    self.add(("events", n, "carries"), f"no activity that takes events of kind {base} claims {name}")
        for n, row in enumerate(self._raw["retention"]):
            if not any(row.get(k) for k in ("anchor", "until", "parameter")):
                self.add(("retention", n), "a retention needs an anchor with a duration, an `until`, or a statutory parameter")
            if row.get("parameter") and row["parameter"] not in policy.parameters:
                known = ", ".join(sorted(policy.parameters)) or "none"
                self.add(("retention", n), f"the jurisdiction has no parameter {row['parameter']}: have {known}", warning=True)
        for n, row in enumerate(self._raw["activities"]):
            if not row["basis"]:
                self.add(("activities", n, "basis"), "no legal basis is stated", warning=True)


def _list(value: object) -> list[str]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def home_ids(raw: Mapping[str, Any]) -> Iterator[str]:
    """Give the ids of all rows of a policy file."""
    for value in raw.values():
        if isinstance(value, list):
            for row in value:
                if isinstance(row, Mapping) and isinstance(row.get("id"), str):
                    yield row["id"]


def _strings(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:  # noqa: ANN401
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key not in ("says", "question", "reading", "label", "value"):
                yield from _strings(value, (*path, key))
            if isinstance(key, str) and RULE.match(key):
                yield (*path, key), key
    elif isinstance(node, list):
        for n, value in enumerate(node):
            yield from _strings(value, (*path, n))


def check_schemas() -> list[Finding]:
    """Check the contracts: every personal-data field has a known category, and no schema has changed its meaning."""
    from schemas.compatibility import problems  # noqa: PLC0415

    root = Path(schemas.__file__).parent
    found = [Finding(str(root), 1, "", text) for text in problems(root)]
    for name, term in schemas.registry().terms.items():
        if term.category not in _fideslang()[0]:
            found.append(Finding(str(root / "terms.yaml"), 1, name, f"{term.category!r} is no fideslang data category"))
    return found
