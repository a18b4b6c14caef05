"""Until when something is kept: holds and retention clocks, asked again each time from all that happened."""

from __future__ import annotations

import datetime as dt
from typing import Any

from oracle.person import NEVER, REOPENED, STATUTES, Happening, Person, add, add_all, bases, catalog, doubt, many, operated


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
    if (
        ("if" in case and not dead)
        or ("unless" in case and dead)
        or (hold.get("needs_setting") and not x.settings.get(hold["needs_setting"]))
    ):
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


def rules(p: dict[str, Any], a: dict[str, Any], system: str) -> list[dict[str, Any]]:
    named = [r for r in p["retention"] if r["id"] in a["retention"]]
    everywhere = [r for r in named if system in r.get("systems", {}).get(a["name"], [system])]
    return everywhere if system in a["systems"] else named


def anchored(x: Person, key: tuple[str, str, str, str], types: list[str]) -> dt.date | None:
    """The latest of the anchor's events: of the matter, or of the person where an anchor is of another kind of matter."""
    mine = in_matter(x, key[3]) if key[3] else []
    sort = mine[0].sort if mine else ""
    found: list[Happening] = []
    for type_ in types:
        same = bool(sort) and sort in (catalog()[type_].get("refs") or ())
        found += [h for h in (mine if same else x.past) if h.type == type_]
    latest = max((n for n, h in enumerate(x.past) if any(h is f for f in found)), default=-1)
    if sort == "matter" and any(h.type in REOPENED and h.matter == key[3] for h in x.past[latest + 1 :]):
        return None  # what was taken up again is not handled
    day = x.past[latest].day if found else None
    if day is not None and day < x.held[key].first:
        doubt(x, [key])
        return None
    return day


def rule_end(x: Person, key: tuple[str, str, str, str], rule: dict[str, Any]) -> dt.date | None:
    """The last day by one rule; None while it has none."""
    if rule.get("parameter") == "bookkeeping":
        began = in_matter(x, key[3])
        kinds = [h["while"]["transaction"] for h in x.policy["holds"] if h["while"].get("transaction")]
        gone = lines_left(began, ())[1] if began and kinds and began[0].sort == "order" else NEVER
        if gone != NEVER and not any(transaction(began, kind) for kind in kinds):
            return gone  # cancelled before it was paid, invoiced or shipped: nothing to book
        return dt.date(began[0].day.year + STATUTES["bookkeeping"], 12, 31) if began else None
    activity = key[1]
    if rule.get("guest_as") and not any(h.type == "account.created" for h in x.past):
        doubt(x, [key] if any(h.type.startswith("account") for h in x.past) else [])
        other = next(a for a in x.policy["activities"] if a["name"] == rule["guest_as"])
        rule, activity = next(r for r in x.policy["retention"] if r["id"] == other["retention"][0]), rule["guest_as"]
    elif rule.get("guest_as") and x.settings:
        doubt(x, [key])  # an account whose data have expired counts as ended: when they have is not worked out here
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
