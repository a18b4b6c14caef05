"""Random scenarios: the matters of one person at one controller, in likely and odd orders, and at most one request."""

from __future__ import annotations

import datetime as dt
from typing import Any

import yaml
from hypothesis import strategies as st
from oracle.person import ROOT, catalog

FIRST = dt.date(2023, 1, 2)
CONTROLLERS = ("apof", "littlesteps", "pompdelux", "valeur", "webco")
DURATIONS = ("P0D", "P14D", "P1M", "P6M", "P1Y", "P2Y")
ACTS = tuple(t for t, spec in catalog().items() if spec.get("act"))
EXAMPLE = yaml.safe_load((ROOT / "policies" / "settings.example.yaml").read_text())
Step = dict[str, Any]

ORDER = [
    "paid",
    "shipped",
    "delivered",
    "completed",
    "cancelled",
    "returned",
    "exchange_requested",
    "refunded",
    "exchange_delivered",
]
LIKELY = {
    "order": [["placed", "paid", "shipped", "delivered", "completed"], ["placed", "cancelled"], ["placed", "shipped", "delivered"],
              ["placed", "paid", "shipped", "delivered", "returned", "refunded"], ["placed", "paid", "shipped"],
              ["placed", "paid", "shipped", "shipped", "delivered", "exchange_requested", "exchange_delivered"]],
    "support": [["opened", "answered", "closed"], ["opened", "closed", "reopened", "closed"], ["opened"]],
    "competition": [["entered", "drawn", "ended"], ["entered", "won", "ended", "prize.sent", "prize.delivered"], ["entered"]],
    "campaign": [["entered", "ended"], ["entered"]],
    "survey": [["answered"]],
    "account": [["created", "logged_in", "changed", "terminated"], ["created", "logged_in"], ["created"]],
    "newsletter": [["subscribed", "sent", "clicked", "unsubscribed"], ["subscribed", "sent"], ["subscribed", "unsubscribed"],
                   ["subscribed", "opened", "clicked"], ["subscribed", "unsubscribed", "subscribed"]],
    "debt": [["opened", "settled"], ["opened", "sold"], ["opened"]],
    "credit": [["applied", "rejected"], ["applied", "granted"]],
    "incident": [["opened", "closed"], ["opened"]],
    "service": [["started", "ended"], ["started"]],
    "social": [["liked"], ["conversed"], ["listened"]],
    "form": [["submitted"]],
    "relationship": [["ended"]],
    "consent": [["given", "withdrawn"], ["given"]],
    "person": [["died"]],
    "cookie": [["accepted", "page_viewed", "page_viewed"], ["page_viewed"]],
}  # fmt: skip
KNOWN = {
    "apof": "order support competition survey account newsletter debt credit incident cookie consent person",
    "littlesteps": "order support competition survey newsletter consent",
    "pompdelux": "order support competition survey account newsletter consent",
    "valeur": "order support form competition campaign survey account newsletter social cookie consent",
    "webco": "order support form survey newsletter service social relationship",
}
AGREED = {"apof": "competition", "littlesteps": "campaigns_and_surveys", "pompdelux": "surveys", "valeur": "participation"}
"""An activity on a consent of its own, which is not marketing."""
CHANNELS = {"apof": ["email", "sms"], "pompdelux": ["email", "sms"], "valeur": ["email", "push"]}
REF = {"support": "matter", "form": "matter", "service": "contract"}


@st.composite
def story(draw: st.DrawFn, controller: str, sort: str, number: int) -> list[tuple[int, Step]]:
    """Give one matter: what happened on which day of the person's time."""
    names = list(draw(st.sampled_from(LIKELY[sort])))
    if sort == "order" and draw(st.integers(0, 3)) == 0:
        names[1:] = draw(st.lists(st.sampled_from(ORDER), max_size=5, unique=True))
    day = draw(st.integers(0, 240))
    ref = REF.get(sort, sort)
    channel = draw(st.sampled_from(CHANNELS.get(controller, ["email"])))
    device = f"c{draw(st.integers(1, 2))}"
    found = []
    for name in names:
        type_ = name if "." in name else f"{sort}.{name}"
        step: Step = {"event": type_}
        if ref in catalog()[type_].get("refs", ()):
            step[ref] = device if ref == "cookie" else f"{ref}-{number}"
        if type_ == "order.placed":
            step |= {
                "lines": draw(st.integers(1, 2)),
                "payment": "card" if "cancelled" in names else draw(st.sampled_from(["card", "invoice"])),
            }
            if controller == "valeur" and draw(st.integers(0, 4)) == 0:
                step["objects_to_marketing"] = True
            if controller == "webco" and draw(st.booleans()):
                step["cookie"] = device
        if type_ == "order.shipped" and names.count("shipped") > 1:
            step["lines"] = 1
        if type_ in ("newsletter.sent", "newsletter.opened", "newsletter.clicked"):
            step["issue"] = f"issue-{number}"
        if type_ in ("newsletter.subscribed", "newsletter.unsubscribed"):
            step["channel"] = channel
        if sort == "consent":
            step["activity"] = AGREED[controller]
        if type_ == "newsletter.clicked" and draw(st.booleans()):
            step["cookie"] = device
        if type_ == "cookie.page_viewed" and controller == "apof":
            step["logged_in"] = draw(st.booleans())
        found.append((day, step))
        if type_ == "newsletter.clicked" and "cookie" in step:
            found.append((day + draw(st.integers(0, 5)), {"event": "cookie.page_viewed", "cookie": device}))
        day += draw(st.sampled_from([0, 1, 2, 5, 20, 60]))
    return found


@st.composite
def settings(draw: st.DrawFn, controller: str) -> dict[str, Any]:
    """Give clocks drawn at random where the policy leaves them open."""
    mine: dict[str, Any] = {}
    for id_, rows in EXAMPLE[controller].items():
        mine[id_] = rows
        if isinstance(rows, dict):
            mine[id_] = {
                a: {**r, "duration": r["duration"] if "unsubscribed" in str(r["anchor"]) else draw(st.sampled_from(DURATIONS))}
                for a, r in rows.items()
            }
    if controller == "webco":
        mine["obliged_entity"] = draw(st.booleans())
    return mine


@st.composite
def scenarios(draw: st.DrawFn, controller: str) -> dict[str, Any]:
    """Give a scenario's settings and steps, in order of time."""
    sorts = KNOWN[controller].split()
    picked = draw(st.lists(st.sampled_from(["order", "newsletter", "order", *sorts]), min_size=2, max_size=6))
    once = [s for n, s in enumerate(picked) if s not in ("account", "cookie", "relationship", "person") or s not in picked[:n]]
    rows = [row for n, s in enumerate(once) for row in draw(story(controller, s, n))]
    rights = {"apof": ["erasure", "objection", "withdrawal"], "littlesteps": ["withdrawal", "objection"],
              "pompdelux": ["withdrawal", "objection"], "valeur": ["withdrawal", "objection"], "webco": ["erasure"]}  # fmt: skip
    steps = [{"at": FIRST + dt.timedelta(days=day), **step} for day, step in rows]
    right = draw(st.sampled_from(["erasure", "erasure", None, *rights[controller]]))
    if right:
        base = draw(st.sampled_from(rows))[0]
        at = FIRST + dt.timedelta(days=max(base, rows[0][0]) + draw(st.sampled_from([0, 1, 3, 14, 15, 100, 500])))
        request: Step = {"at": at, "request": right, "via": "email", "as": "r1"}
        if right != "erasure":
            request["scope"] = "direct_marketing"
        steps.append(request)
        if right == "erasure" and draw(st.booleans()):
            later = draw(
                st.lists(st.sampled_from([x for x in sorts if x not in ("relationship", "person")]), min_size=1, max_size=2)
            )
            steps += [
                {"at": at + dt.timedelta(days=1 + day // 4), **step}
                for n, sort in enumerate(later)
                for day, step in draw(story(controller, sort, 10 + n))
            ]
    steps.sort(key=lambda s: (s["at"], "request" in s))
    return {"settings": mine if (mine := draw(settings(controller))) else {}, "steps": steps}
