"""What a policy's words say a target holds, worked out slowly and independently of the engine.

What arrives is a policy file as it lies on disk, its settings, and what happened to one person day by day; what leaves
is, for any day, which categories each target holds, for ordinary use or for a hold only. Everything is asked again from
the list of what happened: no index, no incremental state but the set of what is held. Where the words leave a question
open, the pair of target and category is called doubtful from then on, rather than guessed.
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
    told: dict[dt.date, set[Pair]] = field(default_factory=dict)


@cache
def policy(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "policies" / f"{name}.yaml").read_text())


@cache
def catalog() -> dict[str, Any]:
    streams = yaml.safe_load((ROOT / "schemas" / "catalog.yaml").read_text())
    return {name: spec for types in streams.values() for name, spec in types.items()}


# -- days ------------------------------------------------------------------------------------------------------


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


# -- what an event is ------------------------------------------------------------------------------------------


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


# -- consent, refusals -----------------------------------------------------------------------------------------


def consent(x: Person, h: Happening) -> None:
    p = x.policy
    for a in p["activities"]:
        fed = {k.split("/")[0] for k in a["events"]}
        mine = x.consents.setdefault(a["name"], {})
        express = any(
            r["right"] == "consent" and r.get("express") and (a["name"] in many(r.get("activities", [])) or r.get("activities") == "consent")
            for r in p["rights"]
        )  # fmt: skip
        base = {k.split("/")[0] for k in kinds(p, h.type, h.fields)}
        if h.type == "consent.given" and h.fields.get("activity") == a["name"]:
            mine["given"] = frozenset(fed)
            x.refused.discard(a["name"])
        if not gated(a):
            continue
        if h.type == "newsletter.subscribed" and a.get("marketing") in ALL and (h.fields.get("express", True) or not express):
            mine["sign-up" if base & fed else "perhaps"] = frozenset(fed)
            x.refused.discard(a["name"])
        if h.type == "cookie.accepted" and "cookie" in fed:
            mine["cookie"] = frozenset({"cookie"})
        assumed = any(g["on"] == "cookie" and g.get("allowed") == "assumed_from_use" for g in p["guards"])
        if h.type == "cookie.page_viewed" and assumed and "cookie" in fed:
            mine["use"] = frozenset({"cookie"})
        if h.type in ENTRIES and a.get("marketing") not in ALL and base & fed:
            mine["entry"] = frozenset(fed)
        if (
            h.type == "order.placed"
            and "soft_opt_in" in bases(a)
            and not x.soft_closed
            and not h.fields.get("objects_to_marketing")
        ):
            mine["soft"] = frozenset(fed)
    if h.type == "newsletter.subscribed":
        x.channels.add(str(h.fields.get("channel", "email")))


def of_marketing(p: dict[str, Any], categories: tuple[str, ...] | None) -> set[Pair]:
    """What the words leave open after one of several channels was stopped: its own data, and the analysis."""
    return {
        (t, c) for a in p["activities"] if a.get("marketing") in ALL for t in (*a["systems"], *a["recipients"])
        for c in a["categories"] if categories is None or a["marketing"] == "profiling" or c in categories
    }  # fmt: skip


def withdraw(x: Person, activity: str) -> None:
    x.consents.get(activity, {}).clear()
    for key in [k for k in x.held if k[1] == activity]:
        del x.held[key]


def refuse(x: Person, h: Happening) -> None:
    """End what an unsubscription, a withdrawal or an objection ends: at once, whatever is held."""
    p, right, asked = x.policy, "", h.type.startswith("request:")
    if h.type == "newsletter.unsubscribed":
        x.channels.discard(str(h.fields.get("channel", "email")))
        if any(s.get("keeps") == "tag" for s in p["suppression"]):
            return
        if x.channels:
            x.doubtful |= of_marketing(p, None if p["id"] == "valeur" else OF_CHANNEL[str(h.fields.get("channel", "email"))])
            return
        right = "withdrawal"
    elif asked:
        right = h.type.removeprefix("request:")
    rows = [r for r in p["rights"] if r["right"] == right and "direct_marketing" in r.get("scope", ()) and not r.get("channel")]
    ends = {a for r in rows for a in (r.get("asked_ends") if asked and r.get("asked_ends") else r.get("ends", ()))}
    marketing = {a["name"] for a in p["activities"] if a.get("marketing") in ALL}
    if not rows:
        ends = marketing
    x.soft_closed = True
    for a in p["activities"]:
        if a.get("marketing") == "enrichment" and a["name"] not in ends:
            x.doubtful |= {(t, c) for t in (*a["systems"], *a["recipients"]) for c in a["categories"]}
    x.channels.clear()
    for a in p["activities"]:
        name, mine = a["name"], x.consents.get(a["name"], {})
        had = bool(mine)
        if name in ends:
            mine.clear()
        elif name in marketing and gated(a):
            mine.pop("sign-up", None)
            mine.pop("perhaps", None)
        if name in ends and (right == "objection" or not gated(a)):
            x.refused.add(name)
        gone = [k for k in x.held if k[1] == name and (name in ends or (name in marketing and had and gated(a) and not mine))]
        if name not in ends and name in marketing and gone:
            doubt(x, gone)
        if name in ends and a.get("marketing") not in ALL and right == "withdrawal" and not asked:
            doubt(x, gone)
        for key in gone:
            del x.held[key]


def doubt(x: Person, keys: Any) -> None:
    x.doubtful |= {(k[0], k[2]) for k in keys}


# -- feeding ---------------------------------------------------------------------------------------------------


def operated(p: dict[str, Any], recipient: str) -> str | None:
    return next((r.get("operates") for r in p["recipients"] if r["name"] == recipient), None)


def put(x: Person, target: str, activity: str, category: str, h: Happening, *, kept: bool) -> None:
    key = (target, activity, category, h.matter)
    if key in x.held:
        x.held[key].last = h.day
    else:
        x.held[key] = Held(h.day, h.day, kept)


def open_to(x: Person, a: dict[str, Any], base: str) -> bool:
    if a["name"] in x.refused:
        return False
    renewed = any(h.type == "newsletter.subscribed" for h in x.past) or base == "newsletter"
    if (
        x.erased_before
        and not gated(a)
        and a.get("marketing") in (*ALL, "enrichment")
        and not ("newsletter" in a["events"] and renewed)
    ):
        if renewed:
            x.doubtful |= {(t, c) for t in (*a["systems"], *a["recipients"]) for c in a["categories"]}
        return False
    mine = {source for source, covered in x.consents.get(a["name"], {}).items() if base in covered}
    if gated(a) and mine == {"perhaps"}:
        x.doubtful |= {(t, c) for t in (*a["systems"], *a["recipients"]) for c in a["categories"]}
    return not gated(a) or bool(mine)


def has(x: Person, state: str) -> bool:
    if state == "has_account":
        types = [h.type for h in x.past if h.type in ("account.created", "account.terminated")]
        return bool(types) and types[-1] == "account.created"
    return any(h.type == "order.placed" for h in x.past)


def feed(x: Person, h: Happening) -> None:
    p = x.policy
    brings = carried(p, h)
    needed = [hold for hold in p["holds"] if "erasure" in hold["blocks"] and keeps_open(x, hold, h)] if x.asked else []
    for kind in kinds(p, h.type, h.fields):
        for a in p["activities"]:
            base = kind.split("/")[0]
            if base not in a["events"] and kind not in a["events"]:
                continue
            if x.asked is None and not open_to(x, a, base):
                continue
            arises = [c["id"] for c in p["categories"] if h.type in c.get("arises_from", ())]
            conditional = a.get("conditional", {})
            left_out = [] if not conditional or has(x, conditional["if"]) else conditional["categories"]
            mine = [c for c in dict.fromkeys([*brings, *arises]) if c in a["categories"] and c not in left_out]
            for system in a.get("feeds", {}).get(base, a["systems"]):
                for c in mine:
                    if c in a.get("in_systems", {}).get(system, [c]):
                        into_system(x, a, system, c, h, needed)
            for r in p["recipients"]:
                if r["name"] in a["recipients"] and h.type in r.get("reached_by", [h.type]):
                    to_recipient(x, a, r, h, needed)


def into_system(x: Person, a: dict[str, Any], system: str, c: str, h: Happening, needed: list[dict[str, Any]]) -> None:
    p = x.policy
    both = next((r for r in p["recipients"] if r["name"] == system), None)
    if both and (h.type not in both.get("reached_by", [h.type]) or (both["receives"] != "any" and c not in both["receives"])):
        return
    if x.asked and not any(covers(p, hold, system, a["name"], c) for hold in needed):
        return
    for link in p["links"]:
        if link.get("activity") == a["name"] and system in link.get("systems", ()) and link.get("needs") == "device":
            if c in link.get("takes_up", ()) and not x.devices:
                return
            if link.get("only_at") and h.type not in link["only_at"]:
                return
    put(x, system, a["name"], c, h, kept=x.asked is not None)


def to_recipient(x: Person, a: dict[str, Any], r: dict[str, Any], h: Happening, needed: list[dict[str, Any]]) -> None:
    held = {k[2] for k in x.held if k[1] == a["name"] and k[3] == h.matter and k[0] in a["systems"]}
    for c in held if r["name"] not in a["systems"] else ():
        if (r["receives"] == "any" or c in r["receives"]) and (
            not x.asked or any(covers(x.policy, hold, r["name"], a["name"], c) for hold in needed)
        ):
            put(x, r["name"], a["name"], c, h, kept=x.asked is not None)


def join(x: Person, h: Happening) -> bool:
    """Tell whether the event is the person's, and join the device that it names where a link rule says so."""
    p = x.policy
    rules = [r for r in p["links"] if r.get("device")]
    cookie = h.fields.get("cookie")
    if h.type == "cookie.page_viewed":
        each = any(r["since"] == "each" for r in rules)
        return bool(h.fields.get("logged_in")) if each else cookie in x.devices
    for r in rules:
        if cookie and h.type in r["joined_by"]:
            x.devices.add(str(cookie))
            for link in p["links"]:
                if link.get("takes_up"):
                    take_up(x, link, h)
    return not h.type.startswith("cookie.") or cookie in x.devices


def take_up(x: Person, link: dict[str, Any], h: Happening) -> None:
    a = next(a for a in x.policy["activities"] if a["name"] == link["activity"])
    if not open_to(x, a, "newsletter"):
        return
    for past in x.past:
        for c in set(carried(x.policy, past)) & set(link["takes_up"]):
            if {k.split("/")[0] for k in kinds(x.policy, past.type, past.fields)} & set(a["events"]):
                for system in link["systems"]:
                    put(x, system, a["name"], c, Happening(h.day, h.type, past.matter), kept=False)


# -- holds -----------------------------------------------------------------------------------------------------


def scope_activities(p: dict[str, Any], hold: dict[str, Any]) -> list[str] | None:
    named = hold["scope"].get("activities")
    if isinstance(named, str):
        return [a["name"] for a in p["activities"] if named in bases(a)]
    return named


def covers(p: dict[str, Any], hold: dict[str, Any], target: str, activity: str, category: str) -> bool:
    scope, activities = hold["scope"], scope_activities(p, hold)
    if "recipients" in scope:
        return target in scope["recipients"]
    if activities is not None and activity not in activities:
        return False
    is_recipient = target not in {s["name"] for s in p["systems"]}
    place = operated(p, target) or target
    told_of_all = is_recipient and place == target and activities is not None and hold["kind"] != "legal_obligation"
    if category not in scope.get("categories", [category]) and not told_of_all:
        return False
    if is_recipient and place == target:
        return activities is not None
    return place in scope.get("systems", [place])


def in_matter(x: Person, matter: str) -> list[Happening]:
    return [h for h in x.past if h.matter == matter]


def is_open(events: list[Happening], opened: list[str], closed: list[str]) -> bool:
    last = max((n for n, h in enumerate(events) if h.type in opened), default=-1)
    return last >= 0 and not any(h.type in closed for h in events[last + 1 :])


def lines_left(events: list[Happening], less: tuple[str, ...]) -> tuple[int, dt.date]:
    """Lines that are neither cancelled nor, where that counts, shipped; and the day on which there were none any more."""
    lines, shipped, cancelled, day = 0, 0, 0, NEVER
    for h in events:
        if h.type == "order.placed":
            lines += int(h.fields.get("lines", 1))
        left = lines - shipped - cancelled
        if h.type == "order.shipped":
            shipped += min(left, int(h.fields.get("lines", left)))
        if h.type == "order.cancelled":
            cancelled += min(left, int(h.fields.get("lines", left)))
        gone = cancelled + (shipped if "shipped" in less else 0)
        if h.type in ("order.shipped", "order.cancelled") and lines and gone >= lines and day == NEVER:
            day = h.day
    return lines, day


def closed_on(events: list[Happening], since: int, form: dict[str, Any]) -> dt.date | None:
    """The last day of a matter by one of the forms of its end; None while it is open by that form."""
    after = events[since + 1 :]
    if "lines" in form:
        day = lines_left(events, ("shipped",) if form["lines"] == "shipped" else ())[1]
        return None if day == NEVER else day
    days = []
    for type_ in form["all"]:
        found = [h.day for h in after if h.type == type_]
        if not found:
            return None
        days.append(max(found))
    sub = form.get("none_open")
    if sub and is_open(events, sub["opened_by"], sub["closed_by"]):
        return None
    return add_all(max(days), form["plus"]) if "plus" in form else max(days)


def transaction(events: list[Happening], kind: Any) -> bool:
    done = {h.type for h in events}
    invoiced = any(h.type == "order.placed" and h.fields.get("payment") == "invoice" for h in events)
    return "order.placed" in done and ("order.paid" in done or invoiced or (kind is True and "order.shipped" in done))


def matter_until(x: Person, hold: dict[str, Any], events: list[Happening], target: str = "") -> dt.date | None:
    """The last day for which a hold on account of a matter is known to last: NEVER while it is open, None without it."""
    case = hold["while"]
    dead = any(h.type == "person.died" for h in x.past)
    if ("if" in case and not dead) or ("unless" in case and dead) or (hold.get("needs_setting") and not x.settings.get(hold["needs_setting"])):
        return None
    if case.get("transaction"):
        if not transaction(events, case["transaction"]):
            return None
        return dt.date(next(h.day for h in events if h.type == "order.placed").year + STATUTES["bookkeeping"], 12, 31)
    since = max((n for n, h in enumerate(events) if h.type in case["opened_by"]), default=-1)
    if since < 0:
        return None
    last = hold.get("last", {})
    if last.get("parameter") == "aml":
        ended = [h.day for h in x.past if h.type == "relationship.ended"]
        return add(max(ended), "P5Y") if ended else NEVER
    if last:
        return add(events[since].day, last.get("duration") or str(STATUTES[last["parameter"]]))
    forms = hold.get("recipients", {}).get(target, hold)["closed_by"]
    ends = [day for form in forms if (day := closed_on(events, since, form)) is not None]
    return min(ends, default=NEVER)


def hold_until(x: Person, hold: dict[str, Any], target: str = "") -> dt.date | None:
    matters = {h.matter for h in x.past if h.matter}
    ends = [e for m in sorted(matters) if (e := matter_until(x, hold, in_matter(x, m), target)) is not None]
    return max(ends, default=None)


def keeps_open(x: Person, hold: dict[str, Any], h: Happening) -> bool:
    """Tell whether the event is of a matter on account of which a hold still keeps something, on its day."""
    law = hold["kind"] == "legal_obligation"
    if not law and hold not in x.waits_for:
        return False
    if law and not any(held.kept for held in x.held.values()):
        places = {s["name"] for s in x.policy["systems"]} | {r["name"] for r in x.policy["recipients"]}
        x.doubtful |= {(t, c) for t in places for c in hold["scope"].get("categories", [c["id"] for c in x.policy["categories"]])}
    if not any(held.kept and (law or covers(x.policy, hold, *key[:3])) for key, held in x.held.items()):
        return False
    until = matter_until(x, hold, in_matter(x, h.matter)) if h.matter else None
    return until is not None and until >= h.day


def kept_until(x: Person, key: tuple[str, str, str, str], blocks: str) -> dt.date | None:
    ends = [
        hold_until(x, hold, key[0]) for hold in x.policy["holds"]
        if blocks in hold["blocks"] and covers(x.policy, hold, key[0], key[1], key[2])
    ]  # fmt: skip
    return max((e for e in ends if e is not None), default=None)


# -- retention -------------------------------------------------------------------------------------------------


def rules(p: dict[str, Any], a: dict[str, Any], system: str) -> list[dict[str, Any]]:
    named = [r for r in p["retention"] if r["id"] in a["retention"]]
    everywhere = [r for r in named if system in r.get("systems", {}).get(a["name"], [system])]
    return everywhere if system in a["systems"] else named


def anchored(x: Person, key: tuple[str, str, str, str], types: list[str]) -> dt.date | None:
    """The latest of the anchor's events: of the matter, or of the person where an anchor is of another kind of matter."""
    mine = in_matter(x, key[3]) if key[3] else []
    sort = mine[0].sort if mine else ""
    found = []
    for type_ in types:
        same = bool(sort) and sort in (catalog()[type_].get("refs") or ())
        found += [h.day for h in (mine if same else x.past) if h.type == type_]
    day = max(found, default=None)
    if sort == "matter" and is_open(mine, REOPENED, types) and day is not None:
        return None  # what was taken up again is not handled
    if day is not None and day < x.held[key].first:
        doubt(x, [key])
        return None
    return day


def rule_end(x: Person, key: tuple[str, str, str, str], rule: dict[str, Any]) -> dt.date | None:
    """The last day by one rule; None while it has none."""
    if rule.get("parameter") == "bookkeeping":
        began = in_matter(x, key[3])
        return dt.date(began[0].day.year + STATUTES["bookkeeping"], 12, 31) if began else None
    activity = key[1]
    if rule.get("guest_as") and not any(h.type == "account.created" for h in x.past):
        doubt(x, [key] if any(h.type.startswith("account") for h in x.past) else [])
        other = next(a for a in x.policy["activities"] if a["name"] == rule["guest_as"])
        rule, activity = next(r for r in x.policy["retention"] if r["id"] == other["retention"][0]), rule["guest_as"]
    if rule.get("needs_setting"):
        rule = x.settings.get(rule["id"], {}).get(activity, {})
        other = rule.get("unless")
        if other and any(h.type == other["after"] for h in in_matter(x, key[3])):
            rule = {"anchor": other["anchor"], "duration": other["duration"]}
    if "unless" in rule and "if" in rule["unless"] and any(h.type == "account.created" for h in x.past):
        rule = next(r for r in x.policy["retention"] if r["id"] == rule["unless"]["then"])
    if rule.get("anchor") == "collected":
        if x.held[key].first != x.held[key].last:
            doubt(x, [key])
        return add_all(x.held[key].last, rule["duration"])
    if not rule.get("anchor"):
        return None
    done = {h.type for h in in_matter(x, key[3])}
    if rule.get("after") and not {*rule["after"], *many(rule["anchor"])} <= done:
        doubt(x, [key] if {"order.completed"} <= done or {"order.delivered", "order.paid"} <= done else [])
        return None
    day = anchored(x, key, many(rule["anchor"]))
    return None if day is None else add_all(day, rule["duration"])


def clock(x: Person, key: tuple[str, str, str, str]) -> dt.date | None:
    """The last day by the clocks of the activity: the latest, None where one of them has no end yet."""
    a = next(a for a in x.policy["activities"] if a["name"] == key[1])
    ends = [rule_end(x, key, r) for r in rules(x.policy, a, key[0])]
    return None if not ends or None in ends else max(e for e in ends if e is not None)


def outlived(x: Person, key: tuple[str, str, str, str], day: dt.date) -> bool:
    """Tell whether nothing but a hold keeps it, its own time being up."""
    last = clock(x, key)
    if last is None or last >= day:
        return False
    active = [
        hold for hold in x.policy["holds"]
        if "retention" in hold["blocks"] and covers(x.policy, hold, *key[:3]) and (hold_until(x, hold, key[0]) or dt.date.min) >= day
    ]  # fmt: skip
    return all(hold["kind"] == "legal_obligation" for hold in active)


def end(x: Person, key: tuple[str, str, str, str]) -> dt.date | None:
    """The last day of something held: its clock's, or the hold's after a request; None while there is none."""
    if x.held[key].kept:
        until = kept_until(x, key, "erasure")
        return dt.date.min if until is None else until
    last = clock(x, key)
    kept = kept_until(x, key, "retention")
    return last if last is None or kept is None or kept <= last else kept


# -- the days --------------------------------------------------------------------------------------------------


def begin(x: Person, day: dt.date) -> None:
    """Let go what has no day left: at 00:00 of the day after the last."""
    for key in list(x.held):
        last = end(x, key)
        if last is not None and last < day:
            del x.held[key]


def happen(x: Person, h: Happening) -> None:
    before = {(k[0], k[2]) for k in x.held}
    if h.type.startswith("request:"):
        erase(x, h) if h.type == "request:erasure" else refuse(x, h)
    else:
        mine = join(x, h)
        if x.asked is None and mine:
            consent(x, h)
        x.past.append(h)
        if mine:
            feed(x, h)
        if h.type == "newsletter.unsubscribed":
            refuse(x, h)
        if h.type == "consent.withdrawn":
            withdraw(x, str(h.fields["activity"]))
    if h.type.startswith("request:"):
        x.told[h.day] = before - {(k[0], k[2]) for k in x.held}
    for key in x.held:
        last = end(x, key)
        if last is not None and last < h.day:
            x.blurred.setdefault(h.day, set()).add((key[0], key[2]))


def erase(x: Person, h: Happening) -> None:
    doubt(x, [k for k in x.held if outlived(x, k, h.day)])  # whether the law alone keeps it, or the activity too
    x.asked = h.day
    for key in list(x.held):
        until = kept_until(x, key, "erasure")
        if until is None or until < h.day:
            del x.held[key]
        else:
            x.held[key].kept = True
    x.waits_for = [
        hold for hold in x.policy["holds"]
        if "erasure" in hold["blocks"] and any(covers(x.policy, hold, *k[:3]) and (hold_until(x, hold, k[0]) or dt.date.min) >= h.day for k in x.held)
    ]  # fmt: skip


def ends(x: Person) -> set[dt.date]:
    return {e for k in list(x.held) if (e := end(x, k)) is not None and e != NEVER}


def states(x: Person, day: dt.date) -> dict[Pair, frozenset[str]]:
    """Say for each target and category that is held whether for ordinary use, for a hold or the law only, or both."""
    found: dict[Pair, list[tuple[bool, bool]]] = {}
    for key, held in x.held.items():
        law = legal(x.policy, key[1]) or (not held.kept and outlived(x, key, day))
        found.setdefault((key[0], key[2]), []).append((held.kept, law))
    return {
        pair: frozenset(
            [*(["held"] if any(not kept for kept, _ in rows) else []), *(["retained"] if all(k or law for k, law in rows) else [])],
        )
        for pair, rows in found.items()
    }  # fmt: skip
