"""Take note of data that were concluded, copied, disclosed to a party or delivered by one (GDPR art. 13, 14, 44).

What arrives are the events `data.*`; what leaves are the items that this makes, or a verdict that it ought not have been.
Data of a kind that the policy does not know are set aside, whatever is said of them.
"""

from __future__ import annotations

from lineage.calendar import EEA
from lineage.ending import target_ids
from lineage.guards import disclosure, openings, reported, secret
from lineage.holding import (
    Happening,
    apart,
    carried,
    consent_ids,
    consented,
    elsewhere_ids,
    has_place,
    leftovers,
    may_lie,
    narrowed,
    put,
    reached,
    receives,
    renewed,
    stopped,
    verdict,
)
from lineage.policy import Activity, Ids
from lineage.rights import CHANNEL_TERM
from lineage.subject import DoNotUse, Subject, Use


def derived(s: Subject, e: Happening) -> None:
    """Take what an activity has concluded about the person."""
    activity = s.policy.activities.get(str(e.fields.get("activity")))
    if activity is None:
        verdict(s, e, "blocked", s.cite(*(r.id for r in s.policy.rights if r.right == "purpose"), "gdpr:5"))
        return
    listed = sorted(e.categories & carried(s, e, activity))
    leftovers(s, e, listed, [activity])
    reasons = stopped(s, activity, e)
    if reasons is not None:
        for target in activity.systems:
            verdict(s, e, "blocked", reasons, target, listed)
        return
    for category in listed:
        places = [x for x in activity.systems if may_lie(s.policy, activity, x, category, e.type)]
        parted = {x: rule for x in places if (rule := narrowed(s, activity, x, category, e)) is not None}
        for system in places:
            if system in parted:
                verdict(s, e, "blocked", apart(s, parted[system]), system, (category,))
                continue
            put(s, e, system, activity.name, category, (activity.id,))
            verdict(s, e, "allowed", s.cite(activity.id), system, (category,))
        if places and len(parted) == len(places):
            continue  # It is nobody's yet, so nobody is told of it.
        for recipient in reached(s.policy, activity, e.type):
            if receives(recipient, category):
                put(s, e, recipient.name, activity.name, category, (activity.id, recipient.id))
                verdict(s, e, "allowed", s.cite(activity.id, recipient.id), recipient.name, (category,))


_LASTING = frozenset({"derived", "undeclared", "consent_proof"})
"""Marks of the data themselves, wherever they lie."""


def copied(s: Subject, e: Happening) -> None:
    """Take note that a system has passed categories to another."""
    source, to = str(e.fields.get("from")), str(e.fields.get("to"))
    links = [r.id for r in s.policy.links if r.id in s.policy.cited_with]
    ids = [*links, *target_ids(s, to)]
    leftovers(s, e, e.categories, ())
    for category in sorted(e.categories):
        if s.policy.categories[category].collected_by not in (None, to):
            verdict(s, e, "blocked", elsewhere_ids(s, e), to, (category,))
            continue
        held = [i for i in s.live() if i.target == source and i.category == category]
        naming = [a for a in s.policy.activities.values() if to in a.systems and category in a.categories]
        there = [a for a in naming if has_place(s.policy, a, to, category)]
        aside = bool(there) and all(a.marketing for a in there) and not {a.name for a in there} & {i.activity for i in held}
        if held and not aside:
            for item in held:
                cites = (*ids, *sorted(item.cites))
                copy = put(
                    s, e, to, item.activity, category, cites, use=item.use, why=item.why, source=item.source, matter=item.matter
                )
                copy.tags.update(_LASTING & item.tags)
                if copy.use is Use.KEPT:
                    copy.claimed, copy.asked = item.claimed, item.asked
            continue
        for activity in there:  # A place that is there for marketing has it for that, whatever the source holds it for.
            reasons = stopped(s, activity, e)
            if reasons is not None:
                verdict(s, e, "blocked", s.cite(*reasons, *ids), to, (category,))
                continue
            put(s, e, to, activity.name, category, (*ids, activity.id))


def disclosed(s: Subject, e: Happening) -> None:
    """Take note that a party got categories; judge whether it might."""
    to = str(e.fields.get("to"))
    facts = {k: e.fields.get(k) for k in ("ground", "country", "safeguard")}
    # Where a rule is about this recipient by name, what has happened must show the agreement that the rule needs.
    strict = [g for g in s.policy.guards if (g.on, g.to, g.needs) == ("disclosure", to, "agreement")]
    agreement = facts["ground"] in ("agreement", *strict[0].grounds) if strict else None
    hushed = secret(s, to, ground=facts["ground"], instrument=e.fields.get("legal_instrument"))
    leftovers(s, e, e.categories, ())
    for category in sorted(e.categories):
        answer = disclosure(s, to, (category,), agreement=agreement, **facts)
        verdict(s, e, "allowed" if answer.allowed else "blocked", answer.reasons, to, (category,))
        s.note("logged", answer.reasons, about="disclosed" if answer.allowed else "disclosure blocked", target=to)
        if not answer.allowed:
            continue
        naming = [a for a in s.policy.activities.values() if to in a.recipients]
        listing = [a for a in naming if category in a.categories] or naming
        fitting = [a for a in openings(s, to, category)[0] if a in listing] or listing
        for name in [a.name for a in fitting] or [""]:
            item = put(s, e, to, name, category, answer.reasons, matter="")
            item.tags.update(("disclosed", "reported" if hushed else "named"))
            item.cites.update(hushed)
            if e.fields.get("country") and e.fields["country"] not in EEA:
                item.tags.add("outside_eea")
                item.cites.update(s.cite(*(i for g in s.policy.guards if g.on == "transfer" for i in (g.id, *g.cites))))
    recipient = s.policy.recipients.get(to)
    warned = reported(s, recipient, facts["country"]) if recipient is not None else []
    if warned:
        s.note("warned", s.cite(*(g.id for g in warned)), about="transfer without a safeguard", target=to)


def import_refusal(s: Subject, e: Happening, activities: list[Activity]) -> tuple[str, Ids] | None:
    """Say why an import may not come in: blocked or quarantined with the rules, None if it may."""
    rules = [g for g in s.policy.guards if g.on == "import"]
    ids = s.cite(*(i for g in rules for i in (g.id, *g.cites)))
    suppressed = [i for d in s.do_not_use if not d.hidden for i in d.reasons]
    news = [a for a in activities if a.marketing == "direct"]
    readers = [x.id for x in s.policy.suppression if x.reader]
    for rule in rules:
        if rule.needs == "proof" and e.fields.get("proof") is not True:
            return rule.otherwise or "blocked", s.cite(rule.id, *rule.cites)
        if rule.needs == "sign_up" and news:
            signed = "newsletter.subscribed" in s.times or any(g.activity == a.name for a in news for g in s.grants)
            refused = [i for d in s.do_not_use if any(_is_against(d, a) for a in news) for i in d.reasons]
            if refused or not signed:
                return "blocked", s.cite(*refused, rule.id, *rule.cites)
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
    direct = activity.marketing == "direct"
    agreed = any(g.activity == activity.name for g in s.grants)
    news = [a for a in s.policy.activities.values() if a.marketing == "direct"]
    for entry in s.do_not_use:
        if entry.channel is None and renewed(s, activity, entry):
            continue  # A fresh consent to this very activity lifts what was refused before.
        own = direct and CHANNEL_TERM.get(entry.channel or "") == s.policy.categories[category].term
        if entry.channel is None and _is_against(entry, activity):
            return entry.reasons
        if not _is_against(entry, activity) and not (activity.needs_consent and any(_is_against(entry, a) for a in news)):
            continue
        if own or not agreed:
            return entry.reasons
    return ()


def _is_against(entry: DoNotUse, activity: Activity) -> bool:
    """Tell whether an entry keeps the person out of a marketing activity: of all marketing, of it, of a channel of news."""
    if entry.hidden or entry.target:
        return False
    by_channel = entry.channel is not None and activity.marketing == "direct"
    return entry.scope == "direct_marketing" or by_channel or (entry.activity == activity.name and entry.channel is None)


def imported(s: Subject, e: Happening) -> None:
    """Let in what a source delivers, as far as the policy allows it."""
    into = str(e.fields.get("into"))
    at_system = [a for a in s.policy.activities.values() if into in a.systems]
    listing = [a for a in at_system if any(k.base in a.events for k in e.kinds)] or at_system
    leftovers(s, e, e.categories, listing)
    refusal = import_refusal(s, e, listing)
    source = str(e.fields["origin"]) if e.fields.get("origin") else None
    guards = s.cite(*(i for g in s.policy.guards if g.on == "import" for i in (g.id, *g.cites)))
    if refusal is not None:
        outcome, reasons = refusal
        verdict(s, e, outcome, reasons, into, sorted(e.categories))
        s.note("logged", reasons, about=f"import {outcome}", target=into)
        return
    gated = any(g.needs == "consent" for g in s.policy.guards if g.on == "import")
    for category in sorted(e.categories):
        fitting = [a for a in listing if category in a.categories and has_place(s.policy, a, into, category)]
        shut = {a.name: why for a in fitting if (why := _shut_to_imports(s, e, a, category, gated=gated))}
        for activity in fitting:
            if activity.name in shut:
                continue
            cites = (*guards, activity.id, *(k.id for k in e.kinds), *(target_ids(s, source) if source else ()))
            put(s, e, into, activity.name, category, cites, source=source)
            verdict(s, e, "allowed", s.cite(*cites), into, (category,))
        if len(shut) == len(fitting):
            reasons = s.cite(*(i for why in shut.values() for i in why), *guards, *(a.id for a in listing))
            verdict(s, e, "blocked", reasons, into, (category,))
            s.note("logged", reasons, about="import blocked", target=into)


def _shut_to_imports(s: Subject, e: Happening, activity: Activity, category: str, *, gated: bool) -> Ids:
    """Say why an activity may not take the category from a source, nothing if it may."""
    if activity.name in s.objected:
        return s.objected[activity.name]
    refused = kept_out(s, activity, category)
    if refused:
        return refused
    lacking = gated and activity.needs_consent and not consented(s, activity, e.base)
    return consent_ids(s, activity) or (activity.id,) if lacking else ()
