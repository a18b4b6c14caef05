"""Answer a service that asks whether a message may go, or data be disclosed, sold, read or used.

What arrives is a question and the state of a data subject; what leaves is allowed or blocked with the rules that say
so. The same guards judge events that report what has already happened. Nothing here changes the state.
"""

from __future__ import annotations

from dataclasses import dataclass

from lineage.calendar import EEA
from lineage.children import child_ids, is_child
from lineage.ending import target_ids
from lineage.holding import consent_ids
from lineage.policy import Activity, Basis, Guard, Ids, Policy, Recipient, Role
from lineage.stopping import (
    barred,
    child_block,
    closed,
    consents,
    covered,
    hidden,
    hiding,
    known,
    lacking,
    reaching,
    suppressed,
    usable,
)
from lineage.subject import Reasons, Subject, Use

MARKETING_TOPICS = frozenset({"similar", "unrelated", "newsletter", "offer", "survey", "survey invitation", "new_service"})
ADVERTISING = MARKETING_TOPICS - {"survey", "survey invitation"}


@dataclass(frozen=True, slots=True)
class Question:
    """What a service wants to do: `gate` is message, disclosure, sale, read or use."""

    gate: str
    activity: str | None = None
    channel: str | None = None
    topic: str | None = None
    to: str | None = None
    target: str | None = None
    reader: str | None = None
    purpose: str | None = None
    categories: Ids = ()
    ground: str | None = None
    country: str | None = None
    safeguard: object = None
    agreement: object = None
    vetted: object = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Allowed or blocked, and the rules that say so, the deciding one first."""

    allowed: bool
    reasons: Reasons


def ask(s: Subject, q: Question) -> Answer:
    """Answer a question; it is the caller who writes the answer into the audit log."""
    match q.gate:
        case "message":
            return message(s, q)
        case "sale":
            return sale(s, q.to, q.categories)
        case "disclosure":
            return disclosure(
                s, q.to or "", q.categories, ground=q.ground, country=q.country, safeguard=q.safeguard,
                agreement=q.agreement, vetted=q.vetted, purpose=q.purpose,
            )  # fmt: skip
        case "read":
            return read(s, q)
        case _:
            return use(s, q)


def _no(s: Subject, *ids: str) -> Answer:
    return Answer(allowed=False, reasons=s.cite(*ids))


def _yes(s: Subject, *ids: str) -> Answer:
    return Answer(allowed=True, reasons=s.cite(*ids))


def _against_advertising(s: Subject) -> Reasons | None:
    """Give the reasons of an objection to all direct marketing that no later sign-up has taken back (GDPR art. 21(3))."""
    signed_up = max((*s.times.get("newsletter.subscribed", ()), *s.times.get("consent.given", ())), default=0)
    for case in s.cases.values():
        whole = not case.of and "direct_marketing" in (case.scope or ("direct_marketing",))
        if case.right == "objection" and whole and not case.waits and signed_up <= case.at:
            return s.cite(*case.reasons, "gdpr:21")
    return None


def message(s: Subject, q: Question) -> Answer:
    """Say whether a message may go out for an activity, over a channel, on a topic."""
    activity = s.policy.activities.get(q.activity or "")
    if activity is None:
        return _no(s, *(r.id for r in s.policy.rights if r.right == "purpose"), "gdpr:5")
    reach = s.reading.once(("reaching", activity.name, q.channel), lambda: reaching(s.policy, activity, q.channel))
    stop = (
        child_block(s, activity)
        or s.objected.get(activity.name)
        or suppressed(s, activity, q.channel)
        or covered(s, activity, reach)
        or (hidden(s, activity, reach) if activity.marketing else None)
    )
    if stop:
        return _no(s, *stop, activity.id)
    if q.channel and not reach and not any(g.channel == q.channel for g in consents(s, activity)):
        return _no(s, activity.id, *(consent_ids(s, activity) if activity.needs_consent else ()), "gdpr:5")
    if q.topic in MARKETING_TOPICS:
        refusal = _advertising_elsewhere(s, activity, q.topic)
        if refusal is not None:
            return refusal
    topic_ids = s.policy.cited_with_of("topic:survey") if q.topic and "survey" in q.topic else ()
    if activity.needs_consent:
        return _consented_message(s, q, activity, reach, topic_ids)
    gone = _unreachable(s, activity, reach)
    own = usable(s, activity)
    if gone is not None or (activity.marketing and not own):
        return _no(s, *(gone or ()), activity.id)
    notices = [r.id for r in s.policy.rights if r.right == "notice" and activity.name in r.activities]
    if q.topic and q.topic.replace(" ", "_") == "policy_change":
        notices += [g.id for g in s.policy.guards if g.on == "purpose_change"]
    return _yes(s, *notices, activity.id, *topic_ids, *(x for i in own for x in i.why))


def _unreachable(s: Subject, activity: Activity, reach: Ids) -> Reasons | None:
    """Say why an activity has nothing any more to reach the person by, None if it has, or has never had it."""
    found = [lacking(s, activity, (c,)) for c in reach] or [lacking(s, activity)]
    return found[0] if all(found) else None


def _advertising_elsewhere(s: Subject, activity: Activity, topic: str) -> Answer | None:
    """Refuse advertisements in the messages of an activity that is not there for them, or that the person does not want."""
    against = _against_advertising(s) if topic in ADVERTISING else None
    if activity.unsolicited_needs:
        return _no(s, *(against or ()), *activity.unsolicited_needs, activity.id)
    if not activity.marketing:
        direct = [a for a in s.policy.activities.values() if a.marketing == "direct"]
        return _no(s, *(against or ()), activity.id, "gdpr:5", *(i for a in direct for i in (*consent_ids(s, a), a.id)))
    return _no(s, *against, activity.id) if against is not None and activity.marketing == "outreach" else None


def _consented_message(s: Subject, q: Question, activity: Activity, reach: Ids, topic_ids: Ids) -> Answer:
    ids = consent_ids(s, activity)
    grants = [g for g in s.grants if g.activity == activity.name and (g.kinds is None)]
    gone = _unreachable(s, activity, reach) if grants else None
    if gone is not None:
        return _no(s, *gone)
    full = [g for g in grants if not g.soft and (g.channel in (None, q.channel))]
    if full:
        links = [r.id for r in s.policy.links if r.id in s.policy.cited_with]
        return _yes(s, *ids, *topic_ids, *links, *(r.id for r in s.policy.rights if r.right == "withdrawal"))
    soft = [g for g in grants if g.soft]
    soft_id = s.policy.soft_opt_in
    if soft and soft_id:
        if q.topic == "similar":
            return _yes(s, soft_id, *ids)
        return _no(s, soft_id, activity.id)
    refused = (soft_id,) if soft_id and s.soft_closed else ()
    return _no(s, *refused, *s.soft_closed, *ids)


def use(s: Subject, q: Question) -> Answer:
    """Say whether data may be used for an activity, or for a purpose that no activity has."""
    activity = s.policy.activities.get(q.activity or q.purpose or "")
    if activity is None:
        ids = [r.id for r in s.policy.rights if r.right == "purpose"]
        unlisted = [g.id for g in s.policy.guards if g.on == "disclosure" and g.to == "unlisted"]
        return _no(s, *ids, *unlisted, "gdpr:5")
    stop = child_block(s, activity) or s.objected.get(activity.name) or covered(s, activity, q.categories)
    stop = stop or suppressed(s, activity, None) or hidden(s, activity, q.categories)
    if stop:
        return _no(s, *stop, activity.id)
    foreign = set(q.categories) - set(activity.categories)
    if foreign:
        return _no(s, activity.id, *(r.id for r in s.policy.rights if r.right == "purpose"), "gdpr:5")
    basis = consent_ids(s, activity) if Basis.CONSENT in activity.kinds else (activity.id,)
    if activity.needs_consent and not any(g.activity == activity.name for g in s.grants):
        kept = [i for i in usable(s, activity) if i.use is Use.KEPT]
        if not kept or not set(q.categories) <= {i.category for i in kept}:
            return _no(s, *basis, *s.soft_closed, activity.id)
        return _yes(s, *(x for i in kept for x in i.why), activity.id)
    gone = lacking(s, activity, q.categories)
    if gone is not None:
        return _no(s, *gone)
    decided = [i for c in s.cases.values() for i in c.reasons if activity.name in c.acts]
    return _yes(s, *basis, *decided, activity.id, *(child_ids(s) if is_child(s) else ()))


def read(s: Subject, q: Question) -> Answer:
    """Say whether a reader may look at what a target holds."""
    policy = s.policy
    listed = [x for x in policy.suppression if x.system == q.target and x.keeps != "tag"]
    readers = [x for x in policy.suppression if x.reader]
    if listed:
        ok = any(x.reader == q.reader for x in readers)
        return Answer(ok, s.cite(*(x.id for x in readers), *(x.id for x in listed)))
    rules = [g.id for g in policy.guards if g.on == "read"]
    activity = policy.activities.get(q.reader or "")
    items = [i for i in s.live() if i.target == q.target and i.category in q.categories]
    if activity is None or q.target not in (*activity.systems, *activity.recipients):
        purposes = {policy.activities[i.activity].id for i in items if i.activity in policy.activities}
        held_for = (*(i for x in items for i in x.why), *sorted(purposes), activity.id if activity else "")
        purpose = [r.id for r in policy.rights if r.right == "purpose"]
        out_of_sight = hiding(s, q.categories) or ()
        return _no(s, *rules, *purpose, *target_ids(s, q.target or ""), "gdpr:5", *out_of_sight, *held_for)
    stop = hiding(s, q.categories) or covered(s, activity, q.categories)
    if stop:
        return _no(s, *stop, *rules)
    own = [i for i in usable(s, activity) if i.target == q.target and i.category in q.categories]
    has = {i.category for i in own}
    others = [i for i in items if i.category not in has]
    gone = [i for c in q.categories if c not in has for i in lacking(s, activity, (c,)) or ()]
    if others or gone or not set(q.categories) <= set(activity.categories):
        holders = {policy.activities[i.activity].id: None for i in others if i.activity in policy.activities}
        return _no(s, *rules, *(i for x in others for i in x.why), *gone, activity.id, *holders)
    return _yes(s, *rules, activity.id, *(i for x in own for i in x.why))


def sale(s: Subject, to: str | None, categories: Ids) -> Answer:
    """May data be sold? A permission that names a buyer is for that buyer only."""
    rules = [g for g in s.policy.guards if g.on == "sale"]
    ids = [g.id for g in rules] or ["gdpr:6"]
    permitted = any(g.allowed == "with_permission" for g in rules) and bool({"sale", f"sale:{to}"} & set(s.uses))
    held = {i.category for i in s.live() if i.use is Use.ORDINARY}
    stop = barred(s, categories)
    if stop:
        return _no(s, *ids, *stop)
    return Answer(permitted and set(categories) <= held, s.cite(*ids))


def disclosure(
    s: Subject,
    to: str,
    categories: Ids,
    *,
    ground: object = None,
    country: object = None,
    safeguard: object = None,
    agreement: object = None,
    vetted: object = None,
    purpose: object = None,
) -> Answer:
    """Say whether data may go to a party. The policy's guards are asked in their order, then what the recipient may receive."""
    policy = s.policy
    recipient = policy.recipients.get(to)
    rules = [g for g in policy.guards if g.on == "disclosure"]
    if to in (policy.id, policy.name):
        own = [g.id for g in rules if g.to == "controller"]
        return Answer(allowed=True, reasons=s.cite(*own, "gdpr:4"))
    own_ends = str(purpose or "").startswith(("third_party", "own_purposes"))
    if recipient is None or own_ends:
        closed = [i for g in rules if g.to == "unlisted" for i in (g.id, *g.cites)]
        return _no(s, *(g.id for g in policy.guards if g.on == "sale"), *closed, *target_ids(s, to), "gdpr:6")
    fitting = [g for g in rules if g.to in (None, to, recipient.role)]
    ids = s.cite(*(i for g in fitting for i in (g.id, *g.cites)), recipient.id)
    stop = _unmet(s, fitting, recipient, ground=ground, agreement=agreement, vetted=vetted)
    if stop is not None:
        return _no(s, *stop, recipient.id)
    stop = _transfer(s, country, safeguard, recipient)
    if stop is not None:
        return _no(s, *stop, recipient.id)
    granted = any(ground in g.grounds for g in fitting)
    if purpose and not granted and not serves(s, recipient, str(purpose), ground):
        rights = [r.id for r in policy.rights if r.right == "purpose"]
        return _no(s, *ids, *rights, "gdpr:5", *(a.id for a in [policy.activities.get(str(purpose))] if a is not None))
    return _content(s, recipient, categories, ids, purpose=purpose, ground=ground)


def secret(s: Subject, to: str, *, ground: object, instrument: object) -> Reasons:
    """Give the rules that keep a report to an authority out of the answers to the person: none if it is no such report.

    Telling of it would warn whom it is about, so where a reporting duty exists, a report without its law is one too.
    """
    recipient = s.policy.recipients.get(to)
    if recipient is None or recipient.role is not Role.AUTHORITY or ground != "law":
        return ()
    named = str(instrument or "").lower()
    rules = [g for g in s.policy.guards if g.on == "aml_report"]
    found = [
        g.id for g in rules
        if any(w in named for w in g.instruments) or (not named and s.policy.settings.get(g.setting or "") is True)
    ]  # fmt: skip
    return s.cite(*found)


def _unmet(s: Subject, rules: list[Guard], to: Recipient, *, ground: object, agreement: object, vetted: object) -> Ids | None:
    given = {"agreement": agreement, "vetted": vetted}
    for rule in rules:
        cites = (rule.id, *rule.cites)
        if rule.needs in given and given[rule.needs] is False:
            return cites
        if not rule.grounds or to.role not in (Role.AUTHORITY, Role.INDEPENDENT):
            continue
        consented = "consent" in rule.grounds and bool({"disclosure", f"disclosure:{to.name}"} & set(s.uses))
        if not consented and (ground == "consent" or ground not in rule.grounds):
            return cites
    return None


def reported(s: Subject, to: Recipient, country: object) -> list[Guard]:
    """Give the rules by which a transfer to a recipient is reported rather than refused: where the policy says it lies."""
    if not country or country in EEA or to.location not in (None, country):
        return []
    return [g for g in s.policy.guards if g.on == "transfer" and g.warns and g.to == to.name]


def _transfer(s: Subject, country: object, safeguard: object, to: Recipient) -> Ids | None:
    if not country or country in EEA:
        return None
    rules = [g for g in s.policy.guards if g.on == "transfer"]
    needing = [g for g in rules if g.needs == "safeguard"]
    if safeguard or to.role is Role.AUTHORITY or reported(s, to, country):
        return None
    if needing:
        return tuple(i for g in needing for i in (g.id, *g.cites))
    return ("gdpr:44", *(g.id for g in rules))


def _lawful(recipient: Recipient, ground: object) -> bool:
    """Tell whether the law, or a claim, lets the recipient have what no activity would give it."""
    authority = recipient.role is Role.AUTHORITY
    return (authority and ground != "consent") or (recipient.role is Role.INDEPENDENT and ground == "law")


def serves(s: Subject, recipient: Recipient, purpose: str, ground: object) -> bool:
    """Tell whether the recipient may get data for the purpose: the policy names it with that activity."""
    activity = s.policy.activities.get(purpose)
    if _lawful(recipient, ground):
        return True
    return activity is not None and (recipient.name in activity.recipients or recipient.role is Role.AFFILIATE)


def openings(s: Subject, to: str, category: str, purpose: object = None) -> tuple[list[Activity], Reasons]:
    """Give the activities for which a recipient may get a category, and why it may not for the others.

    Those are asked that name the recipient, or the purpose alone; where none does, any that lists the category and is not
    there for the law alone. One that never had it counts only where no other has it or had it.
    """
    named = s.policy.activities.get(str(purpose))
    if named is not None and category in named.categories:
        return ([], stop) if (stop := closed(s, named, category, to)) else ([named], ())
    able = s.reading.once(("able", to, category), lambda: _able(s.policy, to, category))
    asked = [a for a in able if known(s, a, category)] or able
    if not asked and s.erased_at is not None:
        return [], s.cite(*s.cases[s.erasure].reasons)
    shut = [(a, closed(s, a, category, to)) for a in asked]
    return [a for a, stop in shut if stop is None], s.cite(*(i for _, stop in shut if stop for i in stop))


def _able(policy: Policy, to: str, category: str) -> list[Activity]:
    listing = [a for a in policy.activities.values() if category in a.categories]
    return [a for a in listing if to in a.recipients] or [a for a in listing if not a.legal] or listing


def _content(s: Subject, recipient: Recipient, categories: Ids, ids: Ids, *, purpose: object, ground: object) -> Answer:
    policy = s.policy
    naming = s.reading.once(
        ("naming", recipient.name), lambda: [a for a in policy.activities.values() if recipient.name in a.recipients]
    )
    named = policy.activities.get(str(purpose))
    wide = recipient.role in (Role.AUTHORITY, Role.AFFILIATE) or bool(ground)
    if recipient.receives is not None and not set(categories) <= recipient.receives:
        return _no(s, *ids, *(a.id for a in naming))
    scope = [named] if named in naming else naming
    if not wide and scope and not all(any(c in a.categories for a in scope) for c in categories):
        return _no(s, *ids, *(a.id for a in scope))
    stop = barred(s, categories)
    if stop and ground != "law":
        return _no(s, *stop, *ids)
    serving = [a for a in scope if any(c in a.categories for c in categories)]
    if not _lawful(recipient, ground):
        found = [openings(s, recipient.name, c, purpose) for c in categories]
        for open_, stops in found:
            if stops and not open_:
                return _no(s, *stops, *ids)
        serving = [a for a in serving if any(a in open_ for open_, _ in found)]
    transfers = [i for g in policy.guards if g.on == "transfer" for i in (g.id, *g.cites)]
    return _yes(s, *ids, *(a.id for a in serving), *transfers)
