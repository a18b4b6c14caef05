"""Take note of breaches, of disputes and of orders to keep data (GDPR art. 17(3)(e), 33).

What arrives are reports of them; what leaves is what they touch, and what must not be erased while they last.
"""

from __future__ import annotations

from lineage.ending import target_ids
from lineage.holding import Happening, verdict
from lineage.kinds import date_of
from lineage.subject import Change, Item, Subject


def breach(s: Subject, e: Happening) -> None:
    """Note a breach, and what of the person it touches."""
    by = str(e.fields.get("by"))
    ids = s.cite(*(g.id for g in s.policy.guards if g.on == "breach"), *target_ids(s, by), "gdpr:33")
    since, until = date_of(e.fields.get("since")), date_of(e.fields.get("until"))
    zone = s.policy.zone
    places: list[Item | Change] = [i for i in s.items.values() if since is None or s.today >= since]
    places += [c for c in s.changes if c.kind == "erased" and since is not None and zone.day(c.at) >= since]
    touched = [
        x for x in places
        if x.target == by and (not e.categories or x.category in e.categories) and (until is None or zone.day(x.first) <= until)
    ]  # fmt: skip
    if touched:
        verdict(s, e, "affected", ids, by, sorted({i.category for i in touched}))
    s.note("logged", ids, about="breach" if touched else "breach: not affected", target=by)


def claim(s: Subject, e: Happening) -> None:
    """Note a dispute or an order to keep data, its end, and what it needs."""
    if e.type == "claim.opened":
        s.claims.append((e.matter, e.about, e.categories, e.at))
    elif e.type == "claim.closed":
        s.closed_claims[e.matter] = e.at
    else:

        def listed(name: str) -> tuple[str, ...]:
            value = e.fields.get(name)
            return tuple(str(v) for v in value) if isinstance(value, tuple) else ()

        s.orders_to_keep.append((date_of(e.fields.get("until")), listed("activities"), listed("systems"), tuple(e.categories)))
    s.note("logged", s.cite(*(s.policy.restriction.get("claim") or s.policy.claim_cites), "gdpr:17"), about=e.type)
