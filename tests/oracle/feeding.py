"""What an event brings to whom: consents and refusals, joined devices, systems and recipients."""

from __future__ import annotations

from typing import Any

from oracle.endings import covers, keeps_open
from oracle.person import (
    ALL,
    ENTRIES,
    OF_CHANNEL,
    Happening,
    Held,
    Pair,
    Person,
    bases,
    carried,
    doubt,
    gated,
    kinds,
    many,
)


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
            if h.type == "newsletter.subscribed" and a["name"] in x.refused:
                x.doubtful |= {(t, c) for t in (*a["systems"], *a["recipients"]) for c in a["categories"]}
            continue
        if h.type == "newsletter.subscribed" and a.get("marketing") in ALL and (h.fields.get("express", True) or not express):
            analysis = a["marketing"] == "profiling" and "newsletter" in base
            mine["sign-up" if base & fed or analysis else "perhaps"] = frozenset(fed)
            x.refused.discard(a["name"])
        if h.type == "cookie.accepted" and "cookie" in fed:
            mine["cookie"] = frozenset({"cookie"})
        assumed = any(g["on"] == "cookie" and g.get("allowed") == "assumed_from_use" for g in p["guards"])
        if h.type == "cookie.page_viewed" and assumed and "cookie" in fed:
            mine["use"] = frozenset({"cookie"})
        if h.type in ENTRIES and a.get("marketing") not in ALL and base & fed:
            mine["entry"] = frozenset(fed)
        if h.fields.get("objects_to_marketing") and "soft_opt_in" in bases(a):
            x.doubtful |= of_marketing(p, None)
        if (
            h.type == "order.placed"
            and "soft_opt_in" in bases(a)
            and not (x.soft_closed or x.erased_before)
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
    if any(r.get("needs") == "device" and r["activity"] in ends for r in p["links"]):
        x.devices.clear()
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
    unsure(x, system, a["name"], c, needed)


def unsure(x: Person, target: str, activity: str, category: str, needed: list[dict[str, Any]]) -> None:
    """Call doubtful what comes in for holds of which it is doubtful whether they kept anything when it was asked for."""
    mine = [hold for hold in needed if covers(x.policy, hold, target, activity, category)]
    if not x.asked or any(hold["kind"] == "legal_obligation" for hold in mine):
        return
    waiting = [
        k for k, held in x.held.items() if held.kept and held.first <= x.asked and any(covers(x.policy, m, *k[:3]) for m in mine)
    ]
    if all((k[0], k[2]) in x.doubtful for k in waiting):
        x.doubtful.add((target, category))


def to_recipient(x: Person, a: dict[str, Any], r: dict[str, Any], h: Happening, needed: list[dict[str, Any]]) -> None:
    held = {k[2] for k in x.held if k[1] == a["name"] and k[3] == h.matter and k[0] in a["systems"]}
    for c in held if r["name"] not in a["systems"] else ():
        if (r["receives"] == "any" or c in r["receives"]) and (
            not x.asked or any(covers(x.policy, hold, r["name"], a["name"], c) for hold in needed)
        ):
            put(x, r["name"], a["name"], c, h, kept=x.asked is not None)
            unsure(x, r["name"], a["name"], c, needed)


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
