"""Find what is wrong with a scenario file before it is played: names that its policies do not have, with their lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import schemas
from lineage import policy_file
from lineage.policy_check import Finding, Lines, home_ids
from lineage.scenario import OUTCOMES, STEP_KINDS

_FREE = ("param:", "gdpr:")
_SHARED = {"at", "as", "controller", "person", "note"}


def check_scenarios(path: Path, root: Path = policy_file.POLICIES) -> list[Finding]:
    """Check a scenario file against the policies of a folder and the catalogue of event types."""
    raw = policy_file.read(path)
    lines = Lines(path.read_text("utf-8"))
    found = []
    for n, scenario in enumerate(raw["scenarios"]):
        for where, message in _scenario(scenario, root):
            found.append(Finding(str(path), lines.of(("scenarios", n, *where)), str(scenario.get("id", "?")), message))
    return found


def _scenario(raw: Mapping[str, Any], root: Path) -> Iterator[tuple[tuple[Any, ...], str]]:
    known = policy_file.controllers(root)
    controllers = [str(c) for c in raw.get("controllers", ())]
    for missing in [k for k in ("id", "controllers", "steps", "expect") if not raw.get(k)]:
        yield (), f"{missing} is missing"
    for name in controllers:
        if name not in known:
            yield ("controllers",), f"there is no policy {name!r}: have {', '.join(known)}"
    if not controllers or any(c not in known for c in controllers):
        return
    policies = {c: policy_file.load(c, None, root) for c in controllers}
    ids = {i for c in controllers for i in home_ids(policy_file.read(root / f"{c}.yaml"))}
    steps = {str(s["as"]) for s in raw["steps"] if s.get("as")}
    for n, step in enumerate(raw["steps"]):
        yield from ((("steps", n, *where), message) for where, message in _step(step))
    for n, row in enumerate(raw["expect"]):
        policy = policies[row.get("controller", controllers[0])] if row.get("controller", controllers[0]) in policies else None
        if policy is None:
            yield ("expect", n, "controller"), f"{row['controller']!r} is not among the scenario's controllers"
            continue
        targets = {*policy.systems, *policy.recipients}
        yield from ((("expect", n, *where), message) for where, message in _row(row, ids, steps, targets, policy.categories))


def _step(step: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], str]]:
    kinds = [k for k in STEP_KINDS if k in step]
    if len(kinds) != 1:
        yield (), f"a step has exactly one of {', '.join(STEP_KINDS)}"
        return
    if "at" not in step:
        yield (), "a step needs the day on which it happens (`at`)"
    if kinds[0] != "event":
        return
    spec = schemas.registry().types.get(str(step["event"]))
    if spec is None:
        yield ("event",), f"{step['event']!r} is no type of event"
        return
    names = {"source" if f == "origin" else f for f in spec.fields}
    allowed = {*_SHARED, "event", "categories", "with", "without", "occurred", "copies", *spec.refs, *names}
    for key in step:
        if key not in allowed:
            yield (key,), f"{spec.name} has no {key}"


def _row(row: Mapping[str, Any], ids: set[str], steps: set[str], targets: Iterable[str], categories: Iterable[str]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if row.get("outcome") not in OUTCOMES:
        yield ("outcome",), f"{row.get('outcome')!r} is no outcome"
    for missing in [k for k in ("at", "because") if not row.get(k)]:
        yield (), f"a row needs `{missing}`"
    for value in row.get("because") or ():
        if value not in ids and not str(value).startswith(_FREE):
            yield ("because",), f"{value!r} is no rule of the policy"
    if row.get("target") and row["target"] not in set(targets):
        yield ("target",), f"{row['target']!r} is neither a system nor a recipient"
    if row.get("step") and str(row["step"]) not in steps:
        yield ("step",), f"no step is named {row['step']!r}"
    for value in row.get("categories") or ():
        if value not in set(categories):
            yield ("categories",), f"{value!r} is no category of the policy"
