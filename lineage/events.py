"""Take an event into the state: what it opens and ends, and whom its data reach.

What arrives is an event as the graph remembers it; what leaves are changed matters, consents, joins and items, and a
verdict for every category that was let through, stopped or set aside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from lineage.afterwards import after_erasure, parted, waited_for
from lineage.children import admit, age_limit, child_learnt, closed_to_children, is_child, known_age, parent_agreed
from lineage.claims import breach, claim
from lineage.consents import consent, take_back
from lineage.devices import cookie, join
from lineage.due import happened
from lineage.holding import Happening, feed, verdict
from lineage.kinds import date_of, happening, listing_of
from lineage.passing_on import copied, derived, disclosed, imported
from lineage.policy import Activity, Role
from lineage.subject import Matter, Subject

if TYPE_CHECKING:
    from lineage.fold import Event

HANDLERS: dict[str, Callable[[Subject, Happening], None]] = {
    "cookie": cookie, "data.derived": derived, "data.copied": copied, "data.disclosed": disclosed, "data.imported": imported,
    "breach.reported": breach, "claim": claim, "preservation": claim,
}  # fmt: skip
"""What becomes of an event of a type, or of all types of a family; any other feeds the activities that list its kind."""


def take(s: Subject, event: Event) -> None:
    """Take an event into the state."""
    e = happening(s, event)
    if _refused(s, e):
        return
    if e.kindless:
        ids = [g.id for g in s.policy.guards if g.on == "unknown_kind" and g.kind in (None, e.type.partition(".")[0])]
        strange = () if ids else (*(g.id for g in s.policy.guards if g.on == "undeclared"), "gdpr:5")
        verdict(s, e, "quarantined", s.cite(*ids, *strange), "", sorted(e.categories) or ("",))
        s.note("warned", s.cite(*ids), about=f"unknown kind of event: {e.type}")
        return
    new_matter = bool(e.matter) and e.matter not in s.matters
    if s.erased_at is not None:
        waiting = waited_for(s)
        _remember(s, e)
        after_erasure(s, e, waiting, new_matter=new_matter)
        return
    _remember(s, e)
    _state_of_person(s, e)
    admitted = admit(s, e)
    if admitted is not None:
        for activity in consent(s, admitted):
            _release(s, activity)
        _carry_on(s, admitted)
        parted(s, admitted)
        take_back(s, admitted)


def _carry_on(s: Subject, e: Happening) -> None:
    own = HANDLERS.get(e.type) or HANDLERS.get(e.type.partition(".")[0])
    if own is not None:
        own(s, e)
    else:
        join(s, e)
        feed(s, e)


def _release(s: Subject, activity: Activity) -> None:
    """Take what waited for a parent's consent to the activity."""
    for waiting in list(s.quarantine):
        e = waiting.event
        if isinstance(e, Happening) and parent_agreed(s, activity) and activity in (listing := listing_of(s, e)):
            s.quarantine.remove(waiting)
            e = replace(e, closed=frozenset(a.name for a in closed_to_children(s, listing)))
            for other in consent(s, e):
                _release(s, other)
            _carry_on(s, e)


def _refused(s: Subject, e: Happening) -> bool:
    for guard in s.policy.guards:
        if guard.on == "insecure" and e.fields.get("secure") is False:
            verdict(s, e, "refused", s.cite(guard.id, *guard.cites))
            s.note("logged", s.cite(guard.id, *guard.cites), about="refused")
            return True
        if guard.on == "required" and e.type == guard.event:
            missing = {c.id for c in s.policy.categories.values() if c.required} - e.categories
            if missing:
                verdict(s, e, "refused", s.cite(guard.id, *guard.cites))
                s.note("logged", s.cite(guard.id, *guard.cites), about="refused: a mandatory field is missing")
                return True
        if guard.on == "child" and e.type in guard.refuses and s.underage and is_child(s):
            verdict(s, e, "refused", s.underage)
            s.note("logged", s.underage, about="refused")
            return True
    return False


def _remember(s: Subject, e: Happening) -> None:
    at = e.occurred or e.at
    s.times.setdefault(e.type, []).append(at)
    refs = [ref for ref in (e.matter, e.about) if ref and not ref.startswith("device:")]
    began = bool(e.occurred) or any(ref not in s.matters or not s.matters[ref].events for ref in refs)
    for ref in refs:
        if ref not in s.matters:
            s.matters[ref] = Matter(ref.partition(":")[0], ref, late=s.erased_at is not None and at <= s.erased_at)
        matter = s.matters[ref]
        if ref == e.matter:
            matter.events.append((at, e.type, e.fields))
            if e.occurred:
                matter.events.sort(key=lambda known: known[0])
    if e.type == "account.created":
        s.had_account = True
    happened(s, e.type, refs, began=began)


def _state_of_person(s: Subject, e: Happening) -> None:
    if e.type == "person.died":
        s.died = e.at
    born = date_of(e.fields.get("born"))
    if born is not None:
        s.born = born
    if e.type == "person.age_learnt" and e.fields.get("age") is not None:
        s.age = (int(str(e.fields["age"])), e.at)
    network = e.fields.get("network")
    if network or e.type.startswith("social."):
        sources = [r for r in s.policy.recipients.values() if r.role is Role.SOURCE]
        named = [r.name for r in sources if network in r.names]
        plain = [r.name for r in sources if "social" in r.name]
        s.sources.update(named or plain)
    if e.fields.get("origin"):
        s.sources.add(str(e.fields["origin"]))
    limit = age_limit(s)
    if limit is not None and known_age(s) is not None and (known_age(s) or 0) < limit and not s.underage:
        child_learnt(s, e)
