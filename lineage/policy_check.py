"""Find what is wrong with a policy before it runs: what arrives is a file, what leaves are findings with their lines.

A policy passes if every id, name, category, event type and key of a vocabulary in it exists, if every category is
carried or arises, if every personal-data field that its events carry is claimed by an activity, if every recipient has
a role and every retention an end or an honest gap. With `deployable` it must also have every setting that it leaves open.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

import schemas
from lineage import policy_file, vocabulary
from lineage.deployment import missing_settings
from lineage.errors import PolicyError
from lineage.policy import Policy
from lineage.policy_references import (
    RULE,
    Problem,
    head_gaps,
    home_ids,
    near,
    parameter_gaps,
    problems,
    settings_problems,
    statutory_problems,
)
from lineage.yaml_lines import Lines

__all__ = ["RULE", "Finding", "Lines", "check", "check_schemas", "check_statutory", "home_ids"]


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


def check(path: Path, settings: Mapping[str, Any] | None = None, *, deployable: bool = False) -> list[Finding]:
    """Check a policy file; raise `PolicyError` only where it is no YAML at all.

    A file that breaks the form is not looked at further: what follows from a wrong form would only be noise.
    """
    raw = policy_file.read(path)
    found = _Found(str(path), raw, Lines(path.read_text("utf-8")))
    schema_root, root = _home(path.parent, "policy.schema.json"), path.parent
    for error in sorted(_validator(schema_root).iter_errors(raw), key=lambda e: [str(p) for p in e.absolute_path]):
        found.add(tuple(error.absolute_path), _plain(error))
    if found.all:
        return found.all
    if raw["id"] != path.stem:
        found.add(("id",), f"the file is {path.name}, so the id must be {path.stem}: events name the controller by it")
    found.take(problems(raw, root))
    try:
        policy = policy_file.build(raw, settings, root)
    except (ValueError, KeyError, TypeError, AttributeError, PolicyError) as error:
        found.take((("controller",), text) for text in settings_problems(raw, settings or {}))
        if not found.all:
            found.add((), str(error))
        return found.all
    found.take(_uncovered(raw, policy))
    found.take(_gaps(raw, policy), warning=True)
    found.take(parameter_gaps(raw, policy), warning=not deployable or bool(policy.settings.get("incomplete")))
    found.take((("controller",), text) for text in settings_problems(raw, settings or {}))
    if deployable:
        for missing in missing_settings(policy):
            found.add(("controller",), f"not deployable: {missing.what} is missing", missing.rules[0])
    return found.all


def check_statutory(path: Path) -> list[Finding]:
    """Check a file of statutory parameters."""
    raw = policy_file.read(path)
    found = _Found(str(path), raw, Lines(path.read_text("utf-8")))
    found.take(statutory_problems(raw))
    return found.all


def _home(folder: Path, name: str) -> Path:
    """Give the folder that has a file which all its policies share: their own, or else that of the package."""
    return folder if (folder / name).exists() else policy_file.POLICIES


@functools.cache
def _validator(root: Path) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((root / "policy.schema.json").read_text("utf-8")))


def _plain(error: jsonschema.ValidationError) -> str:
    where = ".".join(str(p) for p in error.absolute_path if not isinstance(p, int))
    return f"{where}: {error.message}{_meant(error)}" if where else f"{error.message}{_meant(error)}"


def _meant(error: jsonschema.ValidationError) -> str:
    """Guess what was meant by a word or a key that is not allowed."""
    if error.validator == "enum":
        words: Any = error.validator_value
        return near(str(error.instance), [str(w) for w in words])
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping) and isinstance(error.schema, Mapping):
        allowed = error.schema.get("properties", {})
        return "".join(near(str(key), allowed) for key in error.instance if key not in allowed)
    return ""


class _Found:
    """Gathers findings about one file."""

    def __init__(self, file: str, raw: Any, lines: Lines) -> None:  # noqa: ANN401 (any YAML, before its form is known)
        self.all: list[Finding] = []
        self._file, self._raw, self._lines = file, raw, lines
        for path in lines.repeated:
            self.add(path, f"the key {path[-1]!r} stands here twice: only the last one would count")

    def take(self, problems: Iterator[Problem], *, warning: bool = False) -> None:
        """Note all problems."""
        for path, message in problems:
            self.add(path, message, warning=warning)

    def add(self, path: tuple[Any, ...], message: str, rule: str = "", *, warning: bool = False) -> None:
        """Note something at a path."""
        self.all.append(Finding(self._file, self._lines.of(path), rule or self._rule(path), message, warning))

    def _rule(self, path: tuple[Any, ...]) -> str:
        """Give the id of the innermost row that a path goes through."""
        row, rule = self._raw, ""
        for step in path:
            try:
                row = row[step]
            except (KeyError, IndexError, TypeError):
                break
            if isinstance(row, Mapping) and isinstance(row.get("id"), str):
                rule = row["id"]
        return rule


def _uncovered(raw: Mapping[str, Any], policy: Policy) -> Iterator[Problem]:
    """Give categories that nothing carries, carried data that no activity claims, retention that never ends."""
    carried = {c for k in policy.kinds.values() for c in k.carries}
    for n, row in enumerate(raw["categories"]):
        if row["id"] not in carried and not row.get("arises_from"):
            yield ("categories", n), f"no event carries {row['id']}, and nothing lets it arise"
    for n, row in enumerate(raw["events"]):
        base = str(row["kind"]).partition("/")[0]
        claimed = {c for a in policy.activities.values() if base in a.events for c in a.categories}
        for m, name in enumerate(row["carries"]):
            if name in policy.categories and name not in claimed and not policy.categories[name].collected_by:
                yield ("events", n, "carries", m), f"no activity that takes events of kind {base} claims {name}"
    for n, row in enumerate(raw["retention"]):
        if not any(row.get(k) for k in ("anchor", "until", "parameter")):
            yield ("retention", n), "a retention needs an anchor with a duration, an `until`, or a statutory parameter"
        elif row.get("anchor") and not row.get("duration"):
            yield ("retention", n), "an anchor needs a duration"


def _gaps(raw: Mapping[str, Any], policy: Policy) -> Iterator[Problem]:
    """Give what the policy leaves open honestly: known, and no reason to fail."""
    yield from head_gaps(raw, policy)
    for n, row in enumerate(raw["activities"]):
        if not row["basis"]:
            yield ("activities", n, "basis"), "no legal basis is stated"


def check_schemas(root: Path | None = None) -> list[Finding]:
    """Check the contracts: each personal-data field has a known category and tags, and no schema has changed its meaning."""
    from schemas.compatibility import problems as changes  # noqa: PLC0415 - a second parser that only a check pays

    root = root or Path(schemas.__file__).parent
    found = [Finding(str(root), 1, "", text) for text in changes(root)]
    for name, term in schemas.registry().terms.items():
        if term.category not in vocabulary.data_categories():
            found.append(Finding(str(root / "terms.yaml"), 1, name, f"{term.category!r} is no fideslang data category"))
    for file in sorted(root.glob("*/*.avsc")):
        if file.parent.name not in ("control", "history"):
            found += _check_schema(file)
    return found


def _check_schema(file: Path) -> Iterator[Finding]:
    text = file.read_text("utf-8")
    lines = text.splitlines()
    for field, personal in _fields(json.loads(text), personal=False):
        name = str(field["name"])
        line = next((n for n, row in enumerate(lines, 1) if f'"name": "{name}", "type"' in row), 1)
        if personal and "category" not in field:
            yield Finding(str(file), line, name, "personal data without a `category`")
        elif "category" in field and field["category"] not in vocabulary.data_categories():
            yield Finding(str(file), line, name, f"{field['category']!r} is no fideslang data category")
        elif "category" in field and not (isinstance(tags := field.get("confluent:tags"), list) and tags):
            yield Finding(str(file), line, name, "personal data without `confluent:tags`, a list")


def _fields(node: Any, *, personal: bool) -> Iterator[tuple[Mapping[str, Any], bool]]:  # noqa: ANN401 (any schema)
    """Give the fields that hold a value; those under `data`, and identifiers, are personal whatever they say."""
    if isinstance(node, list):
        for branch in node:
            yield from _fields(branch, personal=personal)
    elif isinstance(node, Mapping):
        for field in node.get("fields", ()):
            inner = list(_fields(field["type"], personal=personal or field["name"] == "data"))
            yield from inner
            if not inner and field["name"] not in ("person", "data"):
                yield field, personal or "identifier" in field
        if node.get("type") in ("array", "map"):
            yield from _fields(node.get("items", node.get("values")), personal=personal)
