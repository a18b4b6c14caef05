"""Find what is wrong with a scenario file before it is played: names that its policies do not have, with their lines.

Categories of a step are free: a scenario may well let an event bring what no policy knows, to see it set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import schemas
from lineage import policy_file
from lineage.policy import Policy
from lineage.policy_check import Finding
from lineage.policy_references import Problem, home_ids, settings_problems
from lineage.scenario import OUTCOMES, STEP_KINDS
from lineage.yaml_lines import Lines

_FREE = ("param:", "gdpr:")
_SHARED = {"at", "as", "controller", "person", "note"}
_EVENT = {"event", "categories", "with", "without", "occurred", "copies"}


def check_scenarios(path: Path, root: Path = policy_file.POLICIES) -> list[Finding]:
    """Check a scenario file against the policies of a folder and the catalogue of event types."""
    raw = policy_file.read(path)
    lines = Lines(path.read_text("utf-8"))
    found = [Finding(str(path), lines.of(p), "", f"the key {p[-1]!r} stands here twice") for p in lines.repeated]
    seen: set[str] = set()
    for n, scenario in enumerate(raw["scenarios"]):
        id_ = str(scenario.get("id", "?"))
        if id_ in seen:
            found.append(Finding(str(path), lines.of(("scenarios", n)), id_, "there are two scenarios with this id"))
        seen.add(id_)
        for where, message in _scenario(scenario, root):
            found.append(Finding(str(path), lines.of(("scenarios", n, *where)), id_, message))
    return found


def _scenario(raw: Mapping[str, Any], root: Path) -> Iterator[Problem]:
    for missing in [k for k in ("id", "controllers", "steps", "expect") if not raw.get(k)]:
        yield (), f"{missing} is missing"
    known = policy_file.controllers(root)
    controllers = [str(c) for c in raw.get("controllers") or ()]
    for name in controllers:
        if name not in known:
            yield ("controllers",), f"there is no policy {name!r}: have {', '.join(known)}"
    if not controllers or any(c not in known for c in controllers):
        return
    contents = {c: policy_file.read(root / f"{c}.yaml") for c in controllers}
    policies = {c: policy_file.build(contents[c], None, root) for c in controllers}
    for name, settings in (raw.get("settings") or {}).items():
        if name not in contents:
            yield ("settings", name), f"{name!r} is not among the scenario's controllers"
        else:
            yield from ((("settings", name), text) for text in settings_problems(contents[name], settings))
    targets = {t for p in policies.values() for t in (*p.systems, *p.recipients)}
    for name in raw.get("downstream") or ():
        if name not in targets:
            yield ("downstream", name), f"{name!r} is neither a system nor a recipient"
    names = [str(s["as"]) for s in raw.get("steps") or () if s.get("as")]
    for n, step in enumerate(raw.get("steps") or ()):
        yield from ((("steps", n, *where), message) for where, message in _step(step, policies, names))
    ids = {i for content in contents.values() for i in home_ids(content)}
    for n, row in enumerate(raw.get("expect") or ()):
        yield from ((("expect", n, *where), message) for where, message in _row(row, policies, ids, names))


def _step(step: Mapping[str, Any], policies: Mapping[str, Policy], names: list[str]) -> Iterator[Problem]:
    kinds = [k for k in STEP_KINDS if k in step]
    if len(kinds) != 1:
        yield (), f"a step has exactly one of {', '.join(STEP_KINDS)}"
        return
    if "at" not in step:
        yield (), "a step needs the day on which it happens (`at`)"
    if step.get("controller", next(iter(policies))) not in policies:
        yield ("controller",), f"{step['controller']!r} is not among the scenario's controllers"
    if step.get("as") and names.count(str(step["as"])) > 1:
        yield ("as",), f"two steps are named {step['as']!r}"
    if kinds[0] == "event":
        yield from _event(step)
        return
    policy = policies.get(step.get("controller", next(iter(policies))))
    if step.get("about") and str(step["about"]) not in names:
        yield ("about",), f"no step is named {step['about']!r}"
    if step.get("ask") == "message" and policy is not None and step.get("activity") not in policy.activities:
        yield ("activity",), f"{step.get('activity')!r} is no activity of the policy"
    if step.get("receipt") and policy is not None and step.get("from") not in {*policy.systems, *policy.recipients}:
        yield ("from",), f"{step.get('from')!r} is neither a system nor a recipient"


def _event(step: Mapping[str, Any]) -> Iterator[Problem]:
    spec = schemas.registry().types.get(str(step["event"]))
    if spec is None:
        yield ("event",), f"{step['event']!r} is no type of event"
        return
    names = {"source" if f == "origin" else f for f in spec.fields}
    for key in step:
        if key not in {*_SHARED, *_EVENT, *spec.refs, *names}:
            yield (key,), f"{spec.name} has no {key}"


def _row(row: Mapping[str, Any], policies: Mapping[str, Policy], ids: set[str], names: list[str]) -> Iterator[Problem]:
    policy = policies.get(row.get("controller", next(iter(policies))))
    if policy is None:
        yield ("controller",), f"{row['controller']!r} is not among the scenario's controllers"
        return
    if row.get("outcome") not in OUTCOMES:
        yield ("outcome",), f"{row.get('outcome')!r} is no outcome"
    for missing in [k for k in ("at", "because") if not row.get(k)]:
        yield (), f"a row needs `{missing}`"
    for value in row.get("because") or ():
        if value not in ids and not str(value).startswith(_FREE):
            yield ("because",), f"{value!r} is no rule of the policy"
    if row.get("target") and row["target"] not in {*policy.systems, *policy.recipients}:
        yield ("target",), f"{row['target']!r} is neither a system nor a recipient"
    if row.get("step") and str(row["step"]) not in names:
        yield ("step",), f"no step is named {row['step']!r}"
    if row.get("activity") and row["activity"] not in policy.activities:
        yield ("activity",), f"{row['activity']!r} is no activity of the policy"
    for value in row.get("categories") or ():
        if value not in policy.categories:
            yield ("categories",), f"{value!r} is no category of the policy"
