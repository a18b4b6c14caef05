"""Random lives of customers: events of all types that a controller's policy knows, in the order in which they make sense or not."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import strategies as st
from shop import Shop

import schemas
from lineage.kinds import default_categories
from lineage.policy import Policy

FIRST = dt.date(2023, 1, 2)
CONTROLLERS = ("apof", "littlesteps", "pompdelux", "valeur", "webco")
_SKIPPED = ("data.copied", "data.disclosed", "preservation.ordered", "claim.opened", "breach.reported", "person.age_learnt")
TYPES = tuple(t for t in schemas.registry().types if t not in _SKIPPED)


@st.composite
def moments(draw: st.DrawFn, days: int = 900) -> str:
    """Give a local minute."""
    day = FIRST + dt.timedelta(days=draw(st.integers(0, days)))
    return f"{day.isoformat()}T{draw(st.integers(6, 22)):02d}:{draw(st.integers(0, 59)):02d}"


@st.composite
def happenings(draw: st.DrawFn, persons: int = 2) -> tuple[str, str, int, dict[str, Any]]:
    """Give (type, moment, person, fields)."""
    type_ = draw(st.sampled_from(TYPES))
    spec = schemas.registry().types[type_]
    fields: dict[str, Any] = {ref: f"{ref}-{draw(st.integers(1, 2))}" for ref in spec.refs}
    if "channel" in spec.fields:
        fields["channel"] = draw(st.sampled_from(["email", "sms", "push", "phone", "post"]))
    if "payment" in spec.fields:
        fields["payment"] = draw(st.sampled_from(["card", "invoice"]))
    if "logged_in" in spec.fields:
        fields["logged_in"] = draw(st.booleans())
    if spec.fields.get("cookie") == "identifier" and draw(st.booleans()):
        fields["cookie"] = f"cookie-{draw(st.integers(1, 2))}"
    if "lines" in spec.fields and draw(st.booleans()):
        fields["lines"] = draw(st.integers(1, 3))
    return type_, draw(moments()), draw(st.integers(0, persons - 1)), fields


def lives(most: int = 14, persons: int = 2) -> st.SearchStrategy[list[tuple[str, str, int, dict[str, Any]]]]:
    """Give some happenings of a few persons."""
    return st.lists(happenings(persons), min_size=1, max_size=most)


def encode(shop: Shop, policy: Policy, life: tuple[str, str, int, dict[str, Any]]) -> bytes:
    """Make the event, with the personal data that the policy says such an event carries."""
    type_, when, person, fields = life
    spec = schemas.registry().types[type_]
    mine = {k: f"{v}-{person}" if k in spec.refs and k not in ("cookie", "competition", "issue") else v for k, v in fields.items()}
    categories = default_categories(policy, type_, fields.get("channel"), fields.get("network"))
    terms = [policy.categories[c].term for c in categories]
    if type_ == "data.derived":
        activity = next((a for a in policy.activities.values() if a.marketing == "profiling"), None)
        derived = [c for c in policy.categories.values() if "data.derived" in c.arises_from]
        mine |= {"activity": activity.name if activity else "none", "categories": [c.term for c in derived]}
    if "terms" not in spec.fields.values():
        mine["data"] = {t: "x" for t in terms if t in spec.data}
        mine["data"]["others"] = {t: "x" for t in terms if t not in spec.data}
    anonymous = type_ == "cookie.page_viewed" and not fields.get("logged_in")
    return shop.event(type_, when, None if anonymous else f"p{person}", controller=policy.id, **mine)
