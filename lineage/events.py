"""Take an event into the state: what it is under the policy, what it opens and ends, whom its data reach.

What arrives is an event as the graph remembers it; what leaves are changed matters, consents, joins and items, and a
verdict for every category that was let through, stopped or set aside.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import schemas
from lineage.calendar import EEA, Duration, age_on
from lineage.clocks import covers, keeping_of, keepings, kept
from lineage.due import happened
from lineage.ending import distrust, end, target_ids, why
from lineage.guards import disclosure, secret
from lineage.holding import (
    Happening,
    consented,
    feed,
    narrowed,
    put,
    receives,
    stopped,
    verdict,
)
from lineage.policy import Activity, Basis, EventKind, Ids, Policy, Role
from lineage.reading import matter_kind
from lineage.rights import CHANNEL_TERM, end_activity, marketing_of, object_to, suppress, withdraw_channel
from lineage.subject import Change, DoNotUse, Grant, Item, Matter, Quarantine, Subject, Use

if TYPE_CHECKING:
    from lineage.fold import Event

_EVERY_POLICY = ("consent.", "person.", "relationship.", "claim.", "preservation.", "breach.", "data.")
_PREFERRED = {"sms": "newsletter/sms_signup", "push": "push_consent"}


def kinds_of(policy: Policy, type_: str, channel: object = None, network: object = None) -> tuple[EventKind, ...]:
    """Give the policy's kinds of an event: the first that fits; a social network adds that of a social login."""
    names = schemas.registry().types[type_].kinds
    found: list[EventKind] = []
    preferred = _PREFERRED.get(str(channel))
    if preferred in names and preferred in policy.kinds:
        return (policy.kinds[preferred],)
    for name in names:
        kind = policy.kinds.get(name)
        if kind is None and "/" not in name:
            kind = next((k for k in policy.kinds.values() if k.base == name and "/" in k.kind), None)
        if kind is not None and kind not in found:
            found.append(kind)
    social = type_.startswith("account.") and network
    return tuple(found) if social else tuple(found[:1])


def default_categories(policy: Policy, type_: str, channel: object = None, network: object = None) -> tuple[str, ...]:
    """Give what the policy says that an event of the type carries."""
    if schemas.registry().types[type_].carries_none:
        return ()
    return tuple(dict.fromkeys(c for k in kinds_of(policy, type_, channel, network) for c in k.carries))


def happening(s: Subject, event: Event) -> Happening:
    """Read an event under the policy: its kinds, and its terms as categories."""
    policy = s.policy
    fields = dict(event.fields)
    by_term = s.reading.by_term
    named = fields.get("categories")
    terms = (*event.terms, *(named if isinstance(named, tuple) else ()))
    kinds = kinds_of(policy, event.type, fields.get("channel"), fields.get("network"))
    needs_kind = bool(schemas.registry().types[event.type].kinds) and not event.type.startswith(_EVERY_POLICY)
    return Happening(
        event.at,
        event.type,
        frozenset(by_term[t] for t in terms if t in by_term),
        frozenset(t for t in terms if t not in by_term),
        fields,
        {},
        kinds,
        needs_kind and not kinds,
        event.matter,
        event.about,
        event.device_only,
        occurred=event.occurred,
    )


def take(s: Subject, event: Event) -> None:
    """Take an event into the state."""
    e = happening(s, event)
    if _refused(s, e):
        return
    if e.kindless:
        ids = [g.id for g in s.policy.guards if g.on == "unknown_kind" and g.kind in (None, e.type.partition(".")[0])]
        verdict(s, e, "quarantined", s.cite(*ids, *(() if ids else ("gdpr:5",))), "", sorted(e.categories) or ("",))
        s.note("warned", s.cite(*ids), about=f"unknown kind of event: {e.type}")
        return
    new_matter = bool(e.matter) and e.matter not in s.matters
    if s.erased_at is not None:
        waiting = _waiting(s)
        _remember(s, e)
        _after_erasure(s, e, waiting, new_matter=new_matter)
        return
    _remember(s, e)
    _state_of_person(s, e)
    admitted = _child(s, e)
    if admitted is not None:
        _consents(s, admitted)
        _carry_on(s, admitted)
        _parted(s, admitted)
        _ends(s, admitted)


def _parted(s: Subject, e: Happening) -> None:
    """Bring nothing back that an erasure of a part has ended: only the person does, by an act of their own.

    What such an erasure waits for takes what the hold needs, as it does after an erasure of everything.
    """
    for case in s.cases.values():
        if case.right != "erasure" or not case.in_part or case.at >= e.at or case.waits:
            continue
        named = {a.name for scope in case.scope for a in marketing_of(s, scope)}
        came = [
            i for i in list(s.live())
            if i.first == e.at and i.use is Use.ORDINARY and (not named or i.activity in named)
            and (not case.of or i.category in case.of) and not _anew(s, e, i, case.at)
        ]  # fmt: skip
        active = keepings(s, "erasure", s.today) if came else ()
        for item in came:
            keeping = keeping_of(s, item, active, s.today)
            if keeping is not None and s.matters.get(item.matter) is not None:
                item.asked, item.why = case.id, keeping.reasons
                s.items.turn(item, Use.KEPT)
            elif schemas.registry().types[e.type].report:
                del s.items[item.key]
                verdict(s, e, "blocked", s.cite(*case.reasons, *(k.id for k in e.kinds)), item.target, (item.category,))


def _anew(s: Subject, e: Happening, item: Item, since: int) -> bool:
    """Tell whether the person has given the category again since then: for a new matter, or for the same activity."""
    matter = s.matters.get(item.matter)
    begun = matter.events[0] if matter is not None and matter.events else None
    if begun is not None and schemas.registry().types[begun[1]].act:
        return begun[0] > since
    return any((i.activity, i.category) == (item.activity, item.category) and since < i.first < e.at for i in s.live())


def _carry_on(s: Subject, e: Happening) -> None:
    if e.type.startswith("cookie."):
        _cookie(s, e)
    elif e.type.startswith("data."):
        _data(s, e)
    elif e.type == "breach.reported":
        _breach(s, e)
    elif e.type.startswith(("claim.", "preservation.")):
        _claims(s, e)
    else:
        _join(s, e)
        feed(s, e)


def _refused(s: Subject, e: Happening) -> bool:
    for guard in s.policy.guards:
        if guard.on == "insecure" and e.fields.get("secure") is False:
            verdict(s, e, "refused", s.cite(guard.id, *guard.cites))
            s.note("logged", s.cite(guard.id), about="refused")
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
        matter = s.matters.setdefault(ref, Matter(ref.partition(":")[0], ref))
        if ref == e.matter:
            matter.events.append((at, e.type, e.fields))
            if e.occurred:
                matter.events.sort(key=lambda known: known[0])
    if e.type == "account.created":
        s.had_account = True
    happened(s, e.type, refs, began=began)


def _date(value: object) -> dt.date | None:
    return dt.date.fromisoformat(str(value)) if value else None


def _state_of_person(s: Subject, e: Happening) -> None:
    if e.type == "person.died":
        s.died = e.at
    born = _date(e.fields.get("born"))
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
    limit = _age_limit(s)
    if limit is not None and known_age(s) is not None and (known_age(s) or 0) < limit and not s.underage:
        _child_learnt(s, e)


def known_age(s: Subject) -> int | None:
    """Give the person's age today, None if it is not known."""
    if s.born is not None:
        return age_on(s.born, s.today)
    if s.age is not None:
        age, at = s.age
        since = s.policy.zone.day(at)
        return age + (s.today.year - since.year) - ((s.today.month, s.today.day) < (since.month, since.day))
    return None


def _age_limit(s: Subject) -> int | None:
    for guard in s.policy.guards:
        if guard.on == "child":
            if guard.age is not None:
                return guard.age
            if guard.setting and guard.setting in s.policy.settings:
                return int(str(s.policy.settings[guard.setting]))
    return None


def is_child(s: Subject) -> bool:
    """Tell whether the person is known to be below the age that the policy names."""
    limit, age = _age_limit(s), known_age(s)
    return limit is not None and age is not None and age < limit


def child_ids(s: Subject) -> Ids:
    """Give the policy's rules on children."""
    return s.cite(*(i for g in s.policy.guards if g.on == "child" for i in (g.id, *g.cites)))


def _child_learnt(s: Subject, e: Happening) -> None:
    ids = child_ids(s)
    refusing = next((g for g in s.policy.guards if g.on == "child" and g.refuses), None)
    if refusing is not None:
        s.underage = ids
        orders = {m.ref for m in s.matters.values() if m.kind == "order"}
        ending = [i for i in s.live() if i.matter in orders]
    else:
        ending = []
        for item in s.live():
            activity = s.policy.activities.get(item.activity)
            if activity is not None and activity.marketing:
                ending.append(item)
        s.grants = [g for g in s.grants if not s.policy.activities[g.activity].marketing]
    end(s, ending, {i.key: why(s, i, *ids) for i in ending})
    s.note("logged", ids, about=f"child: {e.type}")


def _child(s: Subject, e: Happening) -> Happening | None:
    """Set a child's sign-up aside until a parent consents; give what goes on: what a parent agreed to, the child's question."""
    rules = [g for g in s.policy.guards if g.on == "child"]
    if not any(g.marketing == "never" for g in rules) or not is_child(s) or not e.categories:
        return e
    ids = child_ids(s)
    listing = _listing(s, e)
    closed = _closed(s, listing)
    for activity in listing:
        outcome = "quarantined" if activity in closed else "allowed"
        for system in activity.systems:
            verdict(s, e, outcome, s.cite(*ids, activity.id), system, sorted(e.categories))
    if closed and len(closed) == len(listing):
        grace = s.policy.settings.get("deny_children_grace")
        until = Duration.parse(str(grace)).after(s.today) if grace else None
        s.quarantine.append(Quarantine(e.at, e.type, until, ids, e))
        s.note("warned", ids, about="a child's sign-up waits for a parent")
        return None
    return replace(e, closed=frozenset(a.name for a in closed))


def _listing(s: Subject, e: Happening) -> list[Activity]:
    return [a for a in s.policy.activities.values() if any(k.base in a.events for k in e.kinds)]


def _closed(s: Subject, listing: list[Activity]) -> list[Activity]:
    """Give the activities closed to a child; what the law asks for follows the use that a parent agreed to."""
    exempt = {a for g in s.policy.guards if g.on == "child" for a in g.exempt}
    closed = [a for a in listing if a.name not in exempt and not _parent_agreed(s, a)]
    opened = len(closed) < len(listing)
    return [a for a in closed if not (opened and a.legal)]


def _release(s: Subject, activity: Activity) -> None:
    """Take what waited for a parent's consent to the activity."""
    for waiting in list(s.quarantine):
        e = waiting.event
        if isinstance(e, Happening) and _parent_agreed(s, activity) and activity in (listing := _listing(s, e)):
            s.quarantine.remove(waiting)
            e = replace(e, closed=frozenset(a.name for a in _closed(s, listing)))
            _consents(s, e)
            _carry_on(s, e)


def _parent_agreed(s: Subject, activity: Activity) -> bool:
    return not activity.marketing and any(g.parent and g.activity == activity.name for g in s.grants)


def grant(s: Subject, e: Happening, activity: Activity, **how: object) -> None:
    """Record a consent."""
    s.grants.append(Grant(activity.name, e.at, **how))  # type: ignore[arg-type]
    if how.get("kinds") is None and not how.get("soft"):
        s.objected.pop(activity.name, None)
        if not activity.marketing:
            s.do_not_use = [d for d in s.do_not_use if d.activity != activity.name or d.channel or d.target or d.hidden]


def _consents(s: Subject, e: Happening) -> None:
    gated = [a for a in s.reading.on_consent if a.name not in e.closed]
    bases = {k.base for k in e.kinds}
    match e.type:
        case "newsletter.subscribed":
            _sign_up(s, e, [a for a in gated if bases & set(a.events)])
        case "consent.given":
            _consent_given(s, e)
        case "cookie.accepted":
            for activity in gated:
                if bases & set(activity.events):
                    grant(s, e, activity, kinds=frozenset({"cookie", "derived"}))
        case "cookie.page_viewed":
            if any(g.on == "cookie" and g.allowed == "assumed_from_use" for g in s.policy.guards):
                for activity in gated:
                    if bases & set(activity.events) and not consented(s, activity, "cookie"):
                        grant(s, e, activity, kinds=frozenset({"cookie"}))
        case "competition.entered" | "campaign.entered" | "survey.answered":
            for activity in gated:
                if bases & set(activity.events) and activity.marketing not in ("direct", "profiling"):
                    grant(s, e, activity)
        case "order.placed":
            _soft_opt_in(s, e)
            _checkout(s, e)
        case _:
            pass


def _sign_up(s: Subject, e: Happening, activities: list[Activity]) -> None:
    channel = str(e.fields.get("channel") or "email")
    express, proof = e.fields.get("express") is not False, e.fields.get("proof")
    handed = [r.id for r in s.policy.rights if r.right == "handed_over"]
    for activity in activities:
        consents = [r for r in s.policy.rights if r.right == "consent"
                    and (r.activities == "consent" or activity.name in r.activities)]  # fmt: skip
        ids = [r.id for r in consents]
        if proof is False or (not express and any(r.express for r in consents)):
            reasons = s.cite(*(handed if proof is False else ()), *ids, activity.id)
            for target in activity.systems:
                verdict(s, e, "blocked", reasons, target, sorted(e.categories))
            s.note("logged", reasons, about="consent not valid")
            continue
        grant(s, e, activity, channel=channel, proof=proof is True)
        for system in activity.systems:
            fits = sorted(e.categories & set(activity.categories))
            verdict(s, e, "allowed", s.cite(*(handed if proof else ()), *ids, activity.id), system, fits)
    if proof is not False:
        lift(s, channel)


def lift(s: Subject, channel: str | None = None) -> None:
    """Lift what a fresh consent lifts: the do-not-use entries for the channel, and those for all marketing."""

    def stays(d: DoNotUse) -> bool:
        other_channel = d.channel is not None and d.channel != channel
        narrower = bool(d.activity and d.scope and d.scope != d.activity)
        return d.hidden or other_channel or narrower or (d.target is not None and d.channel != channel)

    s.do_not_use = [d for d in s.do_not_use if stays(d)]


def _consent_given(s: Subject, e: Happening) -> None:
    use, name = e.fields.get("use"), e.fields.get("activity")
    if use:
        s.uses[f"{use}:{e.fields['to']}" if e.fields.get("to") else str(use)] = e.at
    if not name or str(name) not in s.policy.activities:
        return
    activity = s.policy.activities[str(name)]
    express_needed = any(r.express and r.right == "consent" and (r.activities == "consent" or activity.name in r.activities)
                         for r in s.policy.rights)  # fmt: skip
    if (express_needed and e.fields.get("express") is False) or e.fields.get("proof") is False:
        return
    parent = e.fields.get("by") == "parent"
    grant(s, e, activity, parent=parent)
    if parent and is_child(s):
        _release(s, activity)
    if activity.marketing == "direct" and not (parent and is_child(s)):
        s.do_not_use = [d for d in s.do_not_use if d.hidden or d.target]


def _soft_opt_in(s: Subject, e: Happening) -> None:
    for activity in s.policy.activities.values():
        if Basis.SOFT_OPT_IN not in activity.kinds or s.soft_closed or activity.name in s.objected:
            continue
        if e.fields.get("objects_to_marketing") is True:
            s.soft_closed = s.cite(s.policy.soft_opt_in or "")
            _end_soft(s, activity)
            continue
        if not any(g.soft and g.activity == activity.name for g in s.grants) and not is_child(s):
            grant(s, e, activity, soft=True)


def _checkout(s: Subject, e: Happening) -> None:
    """Carry out an objection at the checkout to marketing that rests on a legitimate interest (GDPR art. 21(2))."""
    if e.fields.get("objects_to_marketing") is not True:
        return
    for activity in s.policy.activities.values():
        if activity.marketing == "direct" and not activity.needs_consent and activity.name not in s.objected:
            object_to(s, activity, "")


def _end_soft(s: Subject, activity: Activity) -> None:
    """End what an earlier purchase opened, unless the person has asked for it as well."""
    granted = [g for g in s.grants if g.activity == activity.name]
    s.grants = [g for g in s.grants if not (g.soft and g.activity == activity.name)]
    if any(g.soft for g in granted) and all(g.soft for g in granted):
        ids = [r.id for r in s.policy.rights if r.right == "objection" and activity.name in r.ends]
        end_activity(s, activity, s.cite(s.policy.soft_opt_in or "", *ids), "")


def _join(s: Subject, e: Happening) -> None:
    """Join a device where the policy says that this event does, and take up what the join brings."""
    device = e.about if e.about.startswith("device:") else ""
    for rule in s.policy.links:
        if not device or rule.device is None or e.type not in rule.joined_by:
            continue
        if device in s.devices:
            continue
        s.devices[device] = e.at
        take_up(s, e)
        if rule.since == "session":
            for view in s.waiting_views.pop(device, []):
                if isinstance(view, Happening) and s.policy.zone.day(view.at) == s.today:
                    feed(s, view, (rule.id,))


def take_up(s: Subject, e: Happening) -> None:
    """Take up in a linked system what is held already, once a device has been joined."""
    for rule in s.policy.links:
        if not rule.takes_up or rule.activity is None:
            continue
        activity = s.policy.activities[rule.activity]
        if stopped(s, activity, e) is not None:
            continue
        for item in list(s.live()):
            if item.category in rule.takes_up and item.activity != rule.activity and item.target in s.policy.systems:
                joins = [r.id for r in s.policy.links if r.device]
                for system in rule.systems:
                    put(s, e, system, activity.name, item.category, (rule.id, *joins, activity.id), matter=item.matter)


def _cookie(s: Subject, e: Happening) -> None:
    device = e.matter.replace("cookie:", "device:", 1)
    if e.type == "cookie.third_party_set":
        by = str(e.fields.get("by") or "")
        s.uncontrolled.add(by)
        ids = s.cite(*(g.id for g in s.policy.guards if g.on == "third_party_cookie"), *target_ids(s, by))
        s.note("logged", ids, about="third party's own cookie", target=by)
        return
    rule = next((r for r in s.policy.links if r.device), None)
    if rule is None:
        feed(s, e)
        return
    if e.type == "cookie.declined":
        _declined(s, device)
        return
    if rule.since == "each":
        if e.fields.get("logged_in") is True:
            s.devices[device] = min(e.at, s.devices.get(device, e.at))
            feed(s, e, (rule.id,))
        return
    if device not in s.devices and e.type in rule.joined_by and not e.device_only:
        s.devices[device] = e.at
        take_up(s, e)
    if device in s.devices:
        feed(s, e, (rule.id, *rule.cites))
        return
    if rule.accepted:
        reasons = s.cite(rule.id, *rule.cites, *(k.id for k in e.kinds))
        listing = [a for a in s.policy.activities.values() if any(k.base in a.events for k in e.kinds)]
        for target in sorted({t for a in listing for t in a.systems}):
            verdict(s, e, "blocked", reasons, target, sorted(e.categories))
        return
    s.waiting_views.setdefault(device, []).append(e)


def _declined(s: Subject, device: str) -> None:
    rule = next((r for r in s.policy.links if r.device and r.accepted), None)
    if rule is None or device not in s.devices:
        return
    del s.devices[device]
    s.grants = [g for g in s.grants if g.kinds is None]
    cookie_ids = {k.id for k in s.policy.kinds.values() if k.base == "cookie"}
    gated = {a.name for a in s.policy.activities.values() if a.needs_consent}
    ending = [i for i in s.live() if i.activity in gated and i.cites & cookie_ids]
    end(s, ending, {i.key: why(s, i, rule.id, *rule.cites, "gdpr:7") for i in ending})


def _data(s: Subject, e: Happening) -> None:
    match e.type:
        case "data.derived":
            _derived(s, e)
        case "data.copied":
            _copied(s, e)
        case "data.disclosed":
            _disclosed(s, e)
        case _:
            _imported(s, e)


def _derived(s: Subject, e: Happening) -> None:
    activity = s.policy.activities.get(str(e.fields.get("activity")))
    if activity is None:
        verdict(s, e, "blocked", s.cite(*(r.id for r in s.policy.rights if r.right == "purpose"), "gdpr:5"))
        return
    reasons = stopped(s, activity, e)
    if reasons is not None:
        for target in activity.systems:
            verdict(s, e, "blocked", reasons, target, sorted(e.categories))
        return
    for category in sorted(e.categories & set(activity.categories)):
        for system in activity.systems:
            if system in activity.in_systems and category not in activity.in_systems[system]:
                continue
            if narrowed(s, activity, system, category, e) is None:
                put(s, e, system, activity.name, category, (activity.id,))
                verdict(s, e, "allowed", s.cite(activity.id), system, (category,))
        for name in activity.recipients:
            recipient = s.policy.recipients[name]
            if receives(recipient, category) and not recipient.reached_by:
                put(s, e, name, activity.name, category, (activity.id, recipient.id))


def _copied(s: Subject, e: Happening) -> None:
    source, to = str(e.fields.get("from")), str(e.fields.get("to"))
    links = [r.id for r in s.policy.links if r.id in s.policy.cited_with] or []
    ids = [*links, *target_ids(s, to)]
    for category in sorted(e.categories):
        held = [i for i in s.live() if i.target == source and i.category == category]
        for item in list(held):
            put(s, e, to, item.activity, category, (*ids, *sorted(item.cites)), matter=item.matter)
        if not held:
            for activity in s.policy.activities.values():
                if to in activity.systems and category in activity.categories:
                    put(s, e, to, activity.name, category, (*ids, activity.id))


def _disclosed(s: Subject, e: Happening) -> None:
    to = str(e.fields.get("to"))
    facts = {k: e.fields.get(k) for k in ("ground", "country", "safeguard")}
    reported = secret(s, to, ground=facts["ground"], instrument=e.fields.get("legal_instrument"))
    for category in sorted(e.categories):
        answer = disclosure(s, to, (category,), **facts)
        verdict(s, e, "allowed" if answer.allowed else "blocked", answer.reasons, to, (category,))
        s.note("logged", answer.reasons, about="disclosed" if answer.allowed else "disclosure blocked", target=to)
        if not answer.allowed:
            continue
        naming = [a for a in s.policy.activities.values() if to in a.recipients]
        fitting = [a for a in naming if category in a.categories] or naming
        for name in [a.name for a in fitting] or [""]:
            item = put(s, e, to, name, category, answer.reasons, matter="")
            item.tags.update(("disclosed", "reported" if reported else "named"))
            item.cites.update(reported)
            if e.fields.get("country") and e.fields["country"] not in EEA:
                item.tags.add("outside_eea")
                item.cites.update(s.cite(*(i for g in s.policy.guards if g.on == "transfer" for i in (g.id, *g.cites))))


def import_refusal(s: Subject, e: Happening, activities: list[Activity]) -> tuple[str, Ids] | None:
    """Say why an import may not come in: blocked or quarantined with the rules, None if it may."""
    rules = [g for g in s.policy.guards if g.on == "import"]
    ids = s.cite(*(i for g in rules for i in (g.id, *g.cites)))
    suppressed = [i for d in s.do_not_use if not d.hidden for i in d.reasons]
    readers = [x.id for x in s.policy.suppression if x.reader]
    for rule in rules:
        if rule.needs == "proof" and e.fields.get("proof") is not True:
            return rule.otherwise or "blocked", s.cite(rule.id, *rule.cites)
        if rule.needs == "sign_up" and any(a.marketing == "direct" for a in activities):
            signed = "newsletter.subscribed" in s.times
            if suppressed or not signed:
                return "blocked", s.cite(*suppressed, rule.id, *rule.cites)
        if rule.needs == "consent" and activities:
            open_ = [a for a in activities if a.name not in s.objected and (not a.needs_consent or consented(s, a, e.base))]
            if not open_:
                objected = [i for a in activities for i in s.objected.get(a.name, ())]
                return "blocked", s.cite(*suppressed, *objected, *readers, *ids)
    return None


def kept_out(s: Subject, activity: Activity, category: str) -> Ids:
    """Give the do-not-use entries that keep an import of the category out of a marketing activity."""
    if not activity.marketing:
        return ()
    left = any(g.activity == activity.name for g in s.grants)
    for entry in s.do_not_use:
        if entry.hidden or entry.target:
            continue
        own = CHANNEL_TERM.get(entry.channel or "") == s.policy.categories[category].term
        by_channel = entry.channel is not None and activity.marketing == "direct" and (own or not left)
        if entry.scope == "direct_marketing" or by_channel or (entry.activity == activity.name and entry.channel is None):
            return entry.reasons
    return ()


def _imported(s: Subject, e: Happening) -> None:
    into = str(e.fields.get("into"))
    at_system = [a for a in s.policy.activities.values() if into in a.systems]
    listing = [a for a in at_system if any(k.base in a.events for k in e.kinds)] or at_system
    refusal = import_refusal(s, e, listing)
    source = str(e.fields["origin"]) if e.fields.get("origin") else None
    guards = s.cite(*(g.id for g in s.policy.guards if g.on == "import"))
    if refusal is not None:
        outcome, reasons = refusal
        verdict(s, e, outcome, reasons, into, sorted(e.categories))
        s.note("logged", reasons, about=f"import {outcome}", target=into)
        return
    gated = any(g.needs == "consent" for g in s.policy.guards if g.on == "import")
    for category in sorted(e.categories):
        takers = [a for a in listing if category in a.categories and a.name not in s.objected
                  and not kept_out(s, a, category) and not (gated and a.needs_consent and not consented(s, a, e.base))]  # fmt: skip
        for activity in takers:
            cites = (*guards, activity.id, *(k.id for k in e.kinds), *(target_ids(s, source) if source else ()))
            put(s, e, into, activity.name, category, cites, source=source)
            verdict(s, e, "allowed", s.cite(*cites), into, (category,))
        if not takers:
            entries = [i for a in listing for i in kept_out(s, a, category)]
            verdict(s, e, "blocked", s.cite(*entries, *guards, *(a.id for a in listing)), into, (category,))


def _breach(s: Subject, e: Happening) -> None:
    by = str(e.fields.get("by"))
    ids = s.cite(*(g.id for g in s.policy.guards if g.on == "breach"), *target_ids(s, by), "gdpr:33")
    since, until = _date(e.fields.get("since")), _date(e.fields.get("until"))
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


def _claims(s: Subject, e: Happening) -> None:
    if e.type == "claim.opened":
        s.claims.append((e.matter, e.about, e.categories, e.at))
    elif e.type == "claim.closed":
        s.closed_claims[e.matter] = e.at
    else:

        def listed(name: str) -> tuple[str, ...]:
            value = e.fields.get(name)
            return tuple(str(v) for v in value) if isinstance(value, tuple) else ()

        s.orders_to_keep.append((_date(e.fields.get("until")), listed("activities"), listed("systems"), tuple(e.categories)))
    s.note("logged", s.cite(*(s.policy.restriction.get("claim") or s.policy.claim_cites), "gdpr:17"), about=e.type)


def _ends(s: Subject, e: Happening) -> None:
    """Carry out what an event ends: an unsubscription, a consent taken back."""
    if e.type == "newsletter.unsubscribed":
        channel = str(e.fields.get("channel") or "email")
        if channel == "post":
            _no_more_post(s, e)
        else:
            withdraw_channel(s, channel, str(e.fields.get("via") or ""))
    elif e.type == "consent.withdrawn":
        if e.fields.get("use"):
            use = str(e.fields["use"])
            s.uses = {k: at for k, at in s.uses.items() if k.partition(":")[0] != use}
        activity = s.policy.activities.get(str(e.fields.get("activity")))
        if activity is not None and any(x.keeps == "tag" and x.activity == activity.name for x in s.policy.suppression):
            withdraw_channel(s, "email", "")
        elif activity is not None:
            ids = [r.id for r in s.policy.rights if r.right in ("withdrawal", "consent")
                   and (activity.name in r.ends or activity.name in r.scope or r.activities == "consent")]  # fmt: skip
            whole = [a for r in s.policy.rights if r.right == "withdrawal" and activity.name in r.scope for a in r.ends]
            for name in whole or [activity.name]:
                s.grants = [g for g in s.grants if g.activity != name]
                end_activity(s, s.policy.activities[name], s.cite(*ids, activity.id, "gdpr:7"), "")
            if activity.marketing == "direct":
                s.soft_closed = s.cite(*ids, activity.id)
                suppress(s, s.cite(*ids), "", activity=activity.name, scope=activity.name)


def _no_more_post(s: Subject, e: Happening) -> None:
    """Read an unsubscription from post as an objection to it: post rests on no consent."""
    for activity in s.policy.activities.values():
        by_post = "address" in {s.policy.categories[c].term for c in activity.categories}
        if activity.marketing == "direct" and by_post and not activity.needs_consent:
            object_to(s, activity, str(e.fields.get("via") or ""))
            return
    withdraw_channel(s, "post", str(e.fields.get("via") or ""))


def _after_erasure(s: Subject, e: Happening, waiting: frozenset[str], *, new_matter: bool) -> None:
    """Take what comes for an erased person: only what a hold still needs comes in, the rest leaves a trace in the log.

    `waiting` names the holds that kept something when the event came: what has been erased does not come back by opening another.
    """
    case = s.cases[s.erasure]
    kind_ids = tuple(k.id for k in e.kinds)
    listing = [a for a in s.policy.activities.values() if any(k.base in a.events for k in e.kinds)]
    recipients = [s.policy.recipients[r].id for a in listing for r in a.recipients]
    late = [g.id for g in s.policy.guards if g.on == "late"]
    suppressed = [i for d in s.do_not_use for i in d.reasons]
    ids = s.cite(*case.reasons, *kind_ids, *late, *suppressed, *recipients)
    known = e.type.startswith(_EVERY_POLICY)
    spec = schemas.registry().types[e.type]
    if e.type == "breach.reported":
        by = str(e.fields.get("by"))
        reasons = s.cite(*(g.id for g in s.policy.guards if g.on == "breach"), *target_ids(s, by), *case.reasons)
        _breach(s, e)
        until = _date(e.fields.get("until"))
        if until is None or s.erased_at is None or until >= s.policy.zone.day(s.erased_at):
            distrust(s, by, e.categories, reasons)
        return
    if e.type.startswith(("claim.", "preservation.")):
        _claims(s, e)
        return
    if e.type == "person.died":
        s.died = e.at
        return
    happened_before = e.at <= s.erased_at if s.erased_at is not None else False
    if new_matter and not spec.act and e.matter and matter_kind(e.type) in ("order", "matter", "debt", "credit", "account"):
        s.matters.pop(e.matter, None)
        if happened_before:
            s.late.append(e)
        verdict(s, e, "quarantined", ids, "", sorted(e.categories) or ("",))
        s.note("logged", ids, about=f"quarantined after erasure: {e.type}", case=case.id)
        s.note("warned", ids, about=f"quarantined after erasure: {e.type}", case=case.id)
        return
    if new_matter and happened_before:
        _put_together(s, e)
    let_in = _keep_needed(s, e, listing, waiting, law_only=happened_before)
    if happened_before and e.matter:
        _late_again(s, e, let_in=let_in)
    arising = {c.id for c in s.policy.categories.values() if e.type in c.arises_from}
    for category in sorted(e.categories | arising) or [""]:
        verdict(s, e, "blocked", ids, "", (category,))
    if let_in:
        s.note("logged", ids, about=f"taken into what is kept: {e.type}", case=case.id)
        return
    s.note("logged", ids, about=f"dropped after erasure: {e.type}", case=case.id)
    # The warehouse's report of an order is no evidence against those who send the news.
    if spec.report and not known and not happened_before and not e.type.startswith(("order.", "prize.")):
        for activity in listing:
            for name in (*activity.recipients, *activity.systems):
                recipient, system = s.policy.recipients.get(name), s.policy.systems.get(name)
                device = system is not None and not system.erasable and e.type.startswith("cookie.")
                if (recipient is not None and recipient.role.obeys and (activity.marketing or e.base == "cookie")) or device:
                    distrust(s, name, (), ids)


def _put_together(s: Subject, e: Happening) -> None:
    """Give a matter that begins the events that came before its beginning: they named one that did not exist yet."""
    matter = s.matters.get(e.matter)
    if matter is None:
        return
    matter.events += [
        (x.occurred or x.at, x.type, x.fields) for x in s.late if isinstance(x, Happening) and x.matter == e.matter
    ]  # fmt: skip
    matter.events.sort(key=lambda known: known[0])
    s.changed()


def _late_again(s: Subject, e: Happening, *, let_in: bool) -> None:
    """Look again at what came too late for the same matter: with this event it may be one that a statute keeps."""
    for earlier in list(s.late):
        if isinstance(earlier, Happening) and earlier.matter == e.matter:
            listing = [a for a in s.policy.activities.values() if any(k.base in a.events for k in earlier.kinds)]
            if _keep_needed(s, earlier, listing, frozenset(), law_only=True):
                s.late.remove(earlier)
    if not let_in:
        s.late.append(e)


def _waiting(s: Subject) -> frozenset[str]:
    """Name the holds for which an erasure waits: those that keep what no statute keeps anyway."""
    active = keepings(s, "erasure", s.today)
    bare = [i for i, *_ in kept(s) if not any(k.hold.statutory and covers(s, k, i) for k in active)]
    return frozenset(k.hold.id for k in active if any(covers(s, k, i) for i in bare))


def _keep_needed(s: Subject, e: Happening, listing: list[Activity], waiting: frozenset[str], *, law_only: bool) -> bool:
    active = [k for k in keepings(s, "erasure", s.today) if k.hold.statutory or k.hold.id in waiting]
    let_in = False
    for activity in listing:
        categories = {c for c in activity.categories
                      if c in e.categories or e.type in s.policy.categories[c].arises_from}  # fmt: skip
        if law_only and activity.legal:
            # A statute that names categories keeps them, whatever they came for: they are the books' now.
            categories |= {c for k in active if k.hold.statutory and k.hold.activities is None
                           for c in e.categories & set(k.hold.categories or ())}  # fmt: skip
        base = next(k.base for k in e.kinds if k.base in activity.events)
        systems = activity.feeds.get(base, activity.systems) if activity.feeds else activity.systems
        held = {i.category for i in s.items.group(activity.name, e.matter).values() if i.live} | categories
        targets = [(t, c) for t in systems for c in sorted(categories)]
        for name in activity.recipients:
            recipient = s.policy.recipients[name]
            if recipient.reached_by and e.type not in recipient.reached_by:
                continue
            if name not in s.policy.systems and recipient.role not in (Role.SOURCE, Role.UNCONTROLLED) and e.categories:
                targets += [(name, c) for c in sorted(held) if receives(recipient, c)]
        for target, category in targets:
            probe = Item(target, activity.name, category, e.matter, e.at, e.at)
            keeping = keeping_of(s, probe, active, s.today)
            if keeping is None or (keeping.statutory and not activity.legal and not _held_there(s, probe)):
                continue
            if law_only and not (keeping.statutory or activity.legal):
                continue
            put(s, e, target, activity.name, category, (activity.id, *(k.id for k in e.kinds)), use=Use.KEPT, why=keeping.reasons)
            verdict(s, e, "allowed", s.cite(*keeping.reasons, *(k.id for k in e.kinds)), target, (category,))
            let_in = True
    return let_in


def _held_there(s: Subject, probe: Item) -> bool:
    return s.items.left(probe.target, probe.category, probe.activity)
