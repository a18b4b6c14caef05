"""Read scenario files: unit tests for a privacy policy, written in the policy's own words.

What arrives is YAML (steps with dates, and rows that must hold on a day); what leaves are typed values, or one clear
error with the scenario's id and the number of the step or row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lineage.errors import BadCall
from lineage.policy_file import read

STEP_KINDS = ("event", "request", "decide", "ask", "receipt", "load", "replay", "tick")
OUTCOMES = frozenset(
    [
        "held",
        "absent",
        "erased",
        "retained",
        "restricted",
        "suppressed",
        "corrected",
        "linked",
        "unlinked",
        "tagged",
        "commanded",
        "notified",
        "not_told",
        "allowed",
        "blocked",
        "quarantined",
        "refused",
        "exported",
        "omitted",
        "declined",
        "pending",
        "closed",
        "affected",
        "informed",
        "warned",
        "logged",
        "key_destroyed",
        "unchanged",
    ],
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens; `fields` are those of its kind, as the file has them."""

    number: int
    at: dt.datetime
    whole_day: bool
    kind: str
    what: str
    name: str
    controller: str
    person: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """What must be true on a day; the reasons hold if one of `because` is among those that the engine gives."""

    number: int
    at: dt.date
    outcome: str
    because: tuple[str, ...]
    controller: str
    person: str
    target: str | None
    categories: tuple[str, ...]
    step: str | None
    until: dt.date | None
    foreseen: dt.date | None
    acknowledged: dt.date | None
    extra: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)

    def get(self, name: str) -> str | None:
        """Give one of: command, channel, scope, tag, source, activity."""
        value = self.extra.get(name)
        return None if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of a file."""

    id: str
    title: str
    controllers: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Any]]
    people: Mapping[str, Mapping[str, Any]]
    steps: tuple[Step, ...]
    rows: tuple[Row, ...]
    downstream: Mapping[str, object]
    """Target -> the day from which it answers, or "never"."""


def load(path: Path) -> Iterator[Scenario]:
    """Read the scenarios of a file; raise `BadCall` naming the scenario and what is wrong."""
    content = read(path)
    rows = content.get("scenarios") if isinstance(content, Mapping) else None
    if not isinstance(rows, list):
        msg = f"{path}: a scenario file has a list under `scenarios`"
        raise BadCall(msg)
    for raw in rows:
        try:
            yield scenario(raw)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            msg = f"{path}: scenario {raw.get('id', '?') if isinstance(raw, Mapping) else '?'}: {what}"
            raise BadCall(msg) from None


def scenario(raw: Mapping[str, Any]) -> Scenario:
    """Read one scenario."""
    controllers = tuple(raw["controllers"])
    people = {str(k): v or {} for k, v in (raw.get("people") or {}).items()}
    named = [str(s["person"]) for s in raw["steps"] if s.get("person")]
    default = next(iter(people), named[0] if named else "person")
    steps = tuple(_step(n, s, controllers[0], default) for n, s in enumerate(raw["steps"], 1))
    for name in (default, *named):
        people.setdefault(name, {})
    by_name = {s.name: s for s in steps}
    return Scenario(
        raw["id"],
        raw.get("title", ""),
        controllers,
        raw.get("settings") or {},
        people,
        steps,
        tuple(_row(n, r, controllers[0], default, by_name) for n, r in enumerate(raw["expect"], 1)),
        {t: (a["answers"] if a["answers"] == "never" else _day(a["answers"])) for t, a in (raw.get("downstream") or {}).items()},
    )


def _moment(value: object) -> tuple[dt.datetime, bool]:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None), False
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day), True  # noqa: DTZ001 - local, as the file means it
    return dt.datetime.fromisoformat(str(value)), False


def _day(value: object) -> dt.date:
    return _moment(value)[0].date()


def _step(number: int, raw: Mapping[str, Any], controller: str, person: str) -> Step:
    kinds = [k for k in STEP_KINDS if k in raw]
    if len(kinds) != 1:
        msg = f"step {number} needs exactly one of {', '.join(STEP_KINDS)}"
        raise ValueError(msg)
    at, whole = _moment(raw["at"])
    rest = {k: v for k, v in raw.items() if k not in ("at", "as", "controller", "person", "note", kinds[0])}
    name = str(raw.get("as") or f"step-{number}")
    return Step(number, at, whole, kinds[0], str(raw[kinds[0]]), name, raw.get("controller", controller),
                str(raw.get("person") or person), rest)  # fmt: skip


def _row(number: int, raw: Mapping[str, Any], controller: str, person: str, steps: Mapping[str, Step]) -> Row:
    if raw["outcome"] not in OUTCOMES:
        msg = f"row {number}: unknown outcome {raw['outcome']!r}"
        raise ValueError(msg)
    at = _day(raw["at"])
    until = _day(raw["until"]) if raw.get("until") else None
    foreseen = raw.get("foreseen")
    step = steps.get(str(raw["step"])) if raw.get("step") else None
    if raw.get("step") and step is None:
        msg = f"row {number}: there is no step named {raw['step']!r}"
        raise ValueError(msg)
    return Row(
        number,
        at,
        raw["outcome"],
        tuple(raw["because"]),
        raw.get("controller", step.controller if step else controller),
        str(raw.get("person") or (step.person if step else person)),
        raw.get("target"),
        tuple(raw.get("categories") or ()),
        step.name if step else None,
        until,
        until if foreseen is True else _day(foreseen) if foreseen else None,
        _day(raw["acknowledged"]) if raw.get("acknowledged") else None,
        {k: raw[k] for k in ("command", "channel", "scope", "tag", "source", "activity") if k in raw},
        raw,
    )
