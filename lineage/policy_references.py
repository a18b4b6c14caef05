"""Find the names in a policy that lead nowhere: its content arrives, places and what is wrong with them leave.

One table says what each place of a policy file may name; everything else here reads that table.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from zoneinfo import available_timezones

import schemas
from lineage import countries, policy_file, vocabulary
from lineage.errors import PolicyError
from lineage.policy import Basis, Policy, Role
from lineage.yaml_lines import Path

RULE = re.compile(r"^[A-Z]+-[A-Z]+-\d+$")
Problem = tuple[Path, str]

_SELECTORS = ("role:", "right:", "via:", "access:", "topic:", "param:", "gdpr:")
_WORDS = frozenset({"undeclared", "swept", "log"})
_PROSE = frozenset({"says", "question", "reading", "label", "value"})

# In a path `*` stands for each item of a list or value of a mapping (or for a text that is no list), `%` for each key.
_NAMES = {
    "categories": """activities.*.categories.* activities.*.in_systems.*.* activities.*.conditional.categories.*
        activities.*.channels.*.* activities.*.basis.*.categories.* events.*.carries.* recipients.*.receives.*
        holds.*.scope.categories.* suppression.*.category suppression.*.tag links.*.takes_up.* guards.*.omits.*""",
    "systems": """activities.*.systems.* activities.*.feeds.*.* activities.*.in_systems.% recipients.*.operates
        systems.*.part_of retention.*.systems.*.* holds.*.scope.systems.* suppression.*.system links.*.systems.*
        links.*.copies.* rights.*.source rights.*.target""",
    "recipients": """activities.*.recipients.* categories.*.collected_by holds.*.scope.recipients.* holds.*.recipients.%
        suppression.*.operator""",
    "activities": """retention.*.activities.* retention.*.systems.% retention.*.guest_as holds.*.scope.activities.*
        suppression.*.activity suppression.*.reader rights.*.ends.* rights.*.asked_ends.* rights.*.channel_ends.*.*
        rights.*.activities.* rights.*.activity rights.*.scope.* links.*.activity guards.*.exempt.*""",
    "retention": "activities.*.retention.* retention.*.unless.then",
    "kinds of event": "activities.*.events.* activities.*.feeds.% guards.*.erases.*",
    "types of event": """recipients.*.reached_by.* categories.*.arises_from.* retention.*.anchor.* retention.*.after.*
        retention.*.warns.while.opened_by.* retention.*.warns.while.closed_by.* holds.*.while.opened_by.*
        holds.*.closed_by.*.all.* holds.*.closed_by.*.none_open.opened_by.* holds.*.closed_by.*.none_open.closed_by.*
        holds.*.recipients.*.closed_by.*.all.* links.*.joined_by.* links.*.only_at.* guards.*.event guards.*.refuses.*""",
    "statutory parameters": "retention.*.parameter holds.*.last.parameter",
    "recipients and roles": "guards.*.to",
    "fideslang data uses": "activities.*.use",
}
_BESIDES = {
    "categories": {"any"},
    "activities": {"all", "direct_marketing", "legitimate_interest", *Basis},
    "types of event": {"collected", "logged_in"},
}
_PARAMETER = ("name", "jurisdiction", "since", "duration", "years_after_financial_year", "anchor", "extension", "source")
_UNIQUE = ("channels", "categories", "events", "systems", "recipients", "activities", "retention", "readings", "notes")


def places(node: Any, steps: tuple[str, ...], path: Path = ()) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 (any YAML)
    """Give what stands at a path of the table, with its exact place."""
    if not steps:
        yield path, node
        return
    step, rest = steps[0], steps[1:]
    if step == "%":
        yield from (((*path, key), key) for key in (node if isinstance(node, Mapping) else ()))
    elif step != "*":
        if isinstance(node, Mapping) and node.get(step) is not None:
            yield from places(node[step], rest, (*path, step))
    elif isinstance(node, str):
        yield from places(node, rest, path)
    else:
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node if isinstance(node, list) else ()):
            yield from places(value, rest, (*path, key))


def home_ids(raw: Mapping[str, Any]) -> Iterator[str]:
    """Give the ids of all rows of a policy file."""
    return (str(value) for section, rows in raw.items() if isinstance(rows, list) for _, value in places(rows, ("*", "id")))


def problems(raw: Mapping[str, Any], root: Any) -> Iterator[Problem]:  # noqa: ANN401 (a folder)
    """Give each name that does not exist, each id that is cited but has no row, each row that hides another."""
    known = _known(raw, root)
    for what, paths in _NAMES.items():
        allowed = known[what] | {str(v) for v in _BESIDES.get(what, ())}
        for path in paths.split():
            for place, value in places(raw, tuple(path.split("."))):
                if str(value) not in allowed:
                    yield place, f"{value!r} is not among the {what}{near(str(value), allowed)}"
    yield from _head(raw)
    yield from _terms(raw)
    yield from _ids(raw)
    yield from _hidden(raw)


def _head(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Give a country and a time zone that do not exist: holidays, telephone numbers and days follow from them."""
    jurisdiction, zone = raw["controller"]["jurisdiction"], raw["time_zone"]
    if jurisdiction is not None and jurisdiction not in countries.zones():
        meant = near(jurisdiction.upper(), countries.zones())
        yield ("controller", "jurisdiction"), f"{jurisdiction!r} is no country: write its two letters (ISO 3166), such as IE{meant}"
    kinds = {kind for type_ in schemas.registry().types.values() for kind in type_.kinds}
    kinds |= {kind.partition("/")[0] for kind in kinds}
    for place, kind in places(raw, ("events", "*", "kind")):
        if kind not in kinds:
            yield place, f"no type of event belongs to the kind {kind!r}{near(kind, kinds)}"
    if zone not in available_timezones():
        yield ("time_zone",), f"{zone!r} is no time zone: write a name such as Europe/Dublin{near(zone, available_timezones())}"


def head_gaps(raw: Mapping[str, Any], policy: Policy) -> Iterator[Problem]:
    """Give what of a policy's home is open or odd, though it exists; rules whose id has another key than the file's."""
    for section, rows in raw.items():
        for n, row in enumerate(rows if isinstance(rows, list) else ()):
            id_ = row.get("id") if isinstance(row, Mapping) else None
            if isinstance(id_, str) and RULE.match(id_) and not id_.startswith(f"{raw['key']}-"):
                yield (section, n, "id"), f"{id_} does not begin with the file's key: {raw['key']}-{id_.partition('-')[2]}"
    jurisdiction, zone = policy.jurisdiction, raw["time_zone"]
    if jurisdiction is None:
        yield (
            ("controller", "jurisdiction"),
            (
                "without a jurisdiction (here or in the settings) only the Union's parameters hold, no holiday is known, and "
                "telephone numbers without a country's code are compared as they are written"
            ),
        )
    elif zone not in countries.zones().get(jurisdiction, (zone,)):
        yield ("time_zone",), f"{zone} is no time zone of {jurisdiction}: {', '.join(countries.zones()[jurisdiction])}"


def parameter_gaps(raw: Mapping[str, Any], policy: Policy) -> Iterator[Problem]:
    """Give the statutory parameters that rules name and the jurisdiction has no number for: what they keep has no end."""
    whose = f"of {policy.jurisdiction} " if policy.jurisdiction else ""
    known = ", ".join(sorted(policy.parameters)) or "none"
    for path in ("retention.*.parameter", "holds.*.last.parameter", "retention.*.duration.*", "holds.*.closed_by.*.plus"):
        for place, value in places(raw, tuple(path.split("."))):
            name = str(value).removeprefix("param:")
            if (value != name or "parameter" in path) and name not in policy.parameters:
                text = f"the statutory parameter {name} {whose}is missing, so what rests on it never ends: give it in"
                yield (
                    place[:2],
                    f"{text} a statutory.yaml beside the policy, or in the settings (statutory: {{{name}: ...}}); have {known}",
                )


def statutory_problems(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Give what is wrong with a file of statutory parameters."""
    seen: set[tuple[object, object]] = set()
    for n, row in enumerate(raw["parameters"]):
        place = ("parameters", n)
        for missing in [k for k in ("name", "jurisdiction", "source") if not row.get(k)]:
            yield place, f"{missing} is missing"
        for key in row:
            if key not in _PARAMETER:
                yield (*place, key), f"a parameter has no {key}{near(str(key), _PARAMETER)}"
        if row.get("jurisdiction") and row["jurisdiction"] not in {"EU", *countries.zones()}:
            yield (*place, "jurisdiction"), f"{row['jurisdiction']!r} is no country (ISO 3166), nor EU"
        if (row.get("name"), row.get("jurisdiction")) in seen:
            yield place, f"there are two parameters {row.get('name')} of {row.get('jurisdiction')}"
        seen.add((row.get("name"), row.get("jurisdiction")))
        if bool(row.get("duration")) == bool(row.get("years_after_financial_year")):
            yield place, "a parameter has a duration, or years_after_financial_year: one of the two"
        try:
            policy_file.parameter({"name": "", "source": "", **row})
        except ValueError as error:
            yield place, str(error)
        if row.get("anchor") and row["anchor"] not in schemas.registry().types:
            yield (*place, "anchor"), f"{row['anchor']!r} is no type of event"


def near(name: str, allowed: Iterable[str]) -> str:
    """Guess what was meant by a name, in words to put behind what is wrong with it."""
    close = difflib.get_close_matches(name, sorted(allowed), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _known(raw: Mapping[str, Any], root: Any) -> Mapping[str, set[str]]:  # noqa: ANN401 (a folder)
    def of(section: str, key: str) -> set[str]:
        return {str(value) for _, value in places(raw, (section, "*", key))}

    return {
        "categories": of("categories", "id"),
        "systems": of("systems", "name"),
        "recipients": of("recipients", "name"),
        "activities": of("activities", "name"),
        "retention": of("retention", "id"),
        "kinds of event": {kind.partition("/")[0] for kind in of("events", "kind")},
        "types of event": set(schemas.registry().types),
        "statutory parameters": {str(row["name"]) for row in policy_file.statutory(root)},
        "recipients and roles": {*of("recipients", "name"), *Role, "unlisted", "controller", "eea"},
        "fideslang data uses": set(vocabulary.data_uses()),
    }


def _terms(raw: Mapping[str, Any]) -> Iterator[Problem]:
    terms = schemas.registry().terms
    for place, name in places(raw, ("categories", "*", "term")):
        term = terms.get(name)
        if term is None:
            yield place, f"{name!r} is no term of the schemas: no event can carry it"
        elif term.category not in vocabulary.data_categories():
            yield place, f"{term.category!r} is no fideslang data category"


def _ids(raw: Mapping[str, Any]) -> Iterator[Problem]:
    own = set(home_ids(raw))
    for place, value in _strings(raw, ()):
        if RULE.match(value) and value not in own:
            yield place, f"{value} is cited, and no row has this id"
    for place, value in places(raw, ("cited_with", "*", "*")):
        if not (RULE.match(value) or value in own or value.startswith(_SELECTORS) or value in _WORDS):
            yield place, f"{value!r} is neither an id nor a selector"


def _hidden(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Give rows that another of the same name hides: where the engine looks rows up, the last one would win silently."""
    for section in _UNIQUE:
        for key in ("id", "name", "kind") if section != "channels" else ("id",):
            seen: dict[str, Path] = {}
            for place, value in places(raw, (section, "*", key)):
                if value in seen:
                    yield place, f"there are two {section} with the {key} {value!r}"
                seen.setdefault(value, place)


def _strings(node: Any, path: Path) -> Iterator[tuple[Path, str]]:  # noqa: ANN401 (any YAML)
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key not in _PROSE:
                yield from _strings(value, (*path, key))
            if isinstance(key, str) and RULE.match(key):
                yield (*path, key), key
    elif isinstance(node, list):
        for n, value in enumerate(node):
            yield from _strings(value, (*path, n))


def settings_problems(raw: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Give what is wrong with the settings of a policy; names that no rule asks for are left alone."""
    place = settings.get("jurisdiction")
    if place is not None and place not in countries.zones():
        yield f"settings.jurisdiction: {place!r} is no country: write its two letters (ISO 3166), such as IE"
    for name, row in (settings.get("statutory") or {}).items():
        if not isinstance(row, Mapping):
            yield f"settings.statutory.{name}: write a duration, or years_after_financial_year"
            continue
        yield from (f"settings.statutory.{name}: {text}" for _, text in statutory_problems(
            {"parameters": [{"name": name, "jurisdiction": "EU", "source": "settings", **row}]}))  # fmt: skip
    rules = {str(row["id"]): row for row in raw["retention"]}
    activities = {str(row["name"]) for row in raw["activities"]}
    for rule, rows in settings.items():
        if not RULE.match(str(rule)):
            continue
        if rule not in rules:
            yield f"settings: there is no retention {rule}"
            continue
        for name, row in rows.items() if isinstance(rows, Mapping) else ():
            if name not in activities:
                yield f"settings.{rule}: {name!r} is not among the activities"
            else:
                yield from (f"settings.{rule}.{name}: {text}" for text in _clock_problems(row))


def _clock_problems(row: object) -> Iterator[str]:
    read: Callable[..., object] = policy_file.clock
    try:
        read(row)
    except (ValueError, KeyError, TypeError, PolicyError) as error:
        yield f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        return
    types = schemas.registry().types
    for path in (("anchor", "*"), ("unless", "anchor", "*"), ("unless", "after")):
        yield from (f"{value!r} is not among the types of event" for _, value in places(row, path) if value not in types)
