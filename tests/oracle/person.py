"""One person at one controller as an independent reading of the policy sees it: what the file says, what happened, what is held.

What arrives is a policy file as it lies on disk; nothing of the engine is used, not even its dates.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ONE = dt.timedelta(days=1)
NEVER = dt.date.max
Pair = tuple[str, str]
ALL = frozenset({"direct", "profiling"})
STATUTES = {"bookkeeping": 5, "legal_warranty": "P2Y", "right_of_withdrawal": "P14D", "aml": "P5Y"}
MATTERS = ("debt", "order", "matter", "competition", "campaign", "survey", "credit", "incident", "contract", "account")
REOPENED = ["support.opened", "support.reopened", "form.submitted"]
OF_CHANNEL = {"email": ("email", "clicks"), "sms": ("phone", "telephone"), "push": ("push_token",)}
ENTRIES = ("competition.entered", "campaign.entered", "survey.answered")


@dataclass
class Happening:
    day: dt.date
    type: str
    matter: str = ""
    sort: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Held:
    first: dt.date
    last: dt.date
    kept: bool = False


@dataclass
class Person:
    policy: dict[str, Any]
    settings: dict[str, Any]
    past: list[Happening] = field(default_factory=list)
    held: dict[tuple[str, str, str, str], Held] = field(default_factory=dict)
    consents: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)
    """Activity -> where the consent comes from -> the kinds of events that it covers."""
    refused: set[str] = field(default_factory=set)
    erased_before: bool = False
    """Whether the person follows an erased data subject: a hash keeps it out of marketing until a fresh consent."""
    soft_closed: bool = False
    channels: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    asked: dt.date | None = None
    waits_for: list[dict[str, Any]] = field(default_factory=list)
    """The holds that kept something of an erasure when it was asked for."""
    doubtful: set[Pair] = field(default_factory=set)
    blurred: dict[dt.date, set[Pair]] = field(default_factory=dict)
    ran_out: dict[dt.date, set[Pair]] = field(default_factory=dict)
    told: dict[dt.date, set[Pair]] = field(default_factory=dict)


@cache
def policy(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "policies" / f"{name}.yaml").read_text())


@cache
def catalog() -> dict[str, Any]:
    streams = yaml.safe_load((ROOT / "schemas" / "catalog.yaml").read_text())
    return {name: spec for types in streams.values() for name, spec in types.items()}


def add(day: dt.date, duration: str) -> dt.date:
    number, months, days = "", 0, 0
    for letter in duration[1:]:
        if letter.isdigit():
            number += letter
            continue
        count, number = int(number), ""
        months += count * {"Y": 12, "M": 1}.get(letter, 0)
        days += count * {"D": 1, "W": 7}.get(letter, 0)
    first = dt.date(day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1, 1)
    following = (first + 31 * ONE).replace(day=1)
    return min(first + (day.day - 1) * ONE, following - ONE) + days * ONE


def add_all(day: dt.date, durations: Any) -> dt.date:
    for duration in durations if isinstance(durations, list) else [durations]:
        name = str(duration)
        day = add(day, str(STATUTES[name[6:]]) if name.startswith("param:") else name)
    return day


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def kinds(p: dict[str, Any], type_: str, fields: dict[str, Any]) -> list[str]:
    """The first kind of the type that the policy has; a channel chooses before that, a network adds social_login."""
    known = [e["kind"] for e in p["events"]]
    wanted = list(catalog()[type_].get("kinds") or ())
    chosen = {"sms": "newsletter/sms_signup", "push": "push_consent"}.get(fields.get("channel", ""))
    if chosen in wanted and chosen in known:
        return [chosen]
    if type_.startswith("account.") and fields.get("network") and "social_login" in known:
        return [k for k in ("account", "social_login") if k in known]
    for kind in wanted:
        if kind in known:
            return [kind]
        below = [k for k in known if k.startswith(kind + "/")]
        if "/" not in kind and below:
            return below[:1]
    return []


def carried(p: dict[str, Any], h: Happening) -> list[str]:
    if "categories" in h.fields:
        return list(h.fields["categories"])
    if catalog()[h.type].get("carries_none"):
        return []
    mine = kinds(p, h.type, h.fields)
    return list(dict.fromkeys(c for e in p["events"] if e["kind"] in mine for c in e["carries"]))


def bases(activity: dict[str, Any]) -> set[str]:
    return {b["kind"] for b in activity["basis"]}


def gated(activity: dict[str, Any]) -> bool:
    return "consent" in bases(activity) and bases(activity) <= {"consent", "soft_opt_in"}


def legal(p: dict[str, Any], name: str) -> bool:
    return next((bases(a) == {"legal_obligation"} for a in p["activities"] if a["name"] == name), False)


def doubt(x: Person, keys: Any) -> None:
    x.doubtful |= {(k[0], k[2]) for k in keys}


def operated(p: dict[str, Any], recipient: str) -> str | None:
    return next((r.get("operates") for r in p["recipients"] if r["name"] == recipient), None)
