"""Answer a service that asks whether a message may go, or data be disclosed, sold, read or used.

What arrives is a question and the state of a data subject; what leaves is allowed or blocked with the rules that say
so. The same guards judge events that report what has already happened. Nothing here changes the state.
"""

from __future__ import annotations

from dataclasses import dataclass

from lineage.calendar import EEA
from lineage.children import child_ids, is_child
from lineage.ending import target_ids
from lineage.holding import consent_ids, renewed
from lineage.keeping import covers, keepings
from lineage.policy import Activity, Basis, Guard, Ids, Recipient, Role
from lineage.subject import Item, Reasons, Subject, Use

MARKETING_TOPICS = frozenset({"similar", "unrelated", "newsletter", "offer", "survey", "survey invitation", "new_service"})
_CHANNEL_TERM = {"email": "email", "sms": "phone", "phone": "phone", "push": "push_token", "post": "address"}


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


def child_block(s: Subject, activity: Activity) -> Reasons | None:
    """Give the rules on children that stand in the way of an activity, None if none does."""
    if not is_child(s):
        return None
    if s.underage:
        return s.cite(*s.underage, activity.id)
    rules = [g for g in s.policy.guards if g.on == "child"]
    if any(activity.name in g.exempt for g in rules):
        return None
    agreed = any(g.parent and g.activity == activity.name for g in s.grants)
    if agreed and not activity.marketing:
        return None
    return s.cite(*child_ids(s), activity.id)


def covered(s: Subject, activity: Activity, categories: Ids) -> Reasons | None:
    """Give the reasons of a restriction that covers the use, None if there is none."""
    for cover in s.restrictions:
        probes = [Item("", activity.name, c, "", 0, 0) for c in categories or activity.categories]
        hit = [p for p in probes if cover.covers(p)]
        if hit and (categories or cover.activities is not None or len(hit) == len(probes)):
            return s.cite(*cover.reasons, activity.id)
    return None


def barred(s: Subject, categories: Ids) -> Reasons | None:
    """Give the reasons of a restriction of every use of one of the categories, None if there is none."""
    for cover in s.restrictions:
        if cover.activities is None and (cover.categories is None or cover.categories & set(categories)):
            return cover.reasons
    return None


def _suppressed(s: Subject, activity: Activity, channel: str | None) -> Reasons | None:
    readers = [x.id for x in s.policy.suppression if x.reader]
    for entry in s.do_not_use:
        if entry.hidden or entry.target:
            continue
        by_scope = entry.scope == "direct_marketing" and activity.marketing
        by_channel = entry.channel is not None and entry.channel == channel and activity.marketing == "direct"
        by_activity = entry.activity == activity.name and entry.channel is None
        if by_channel or ((by_scope or by_activity) and not renewed(s, activity, entry)):
            ids = [r.id for r in s.policy.rights if activity.name in r.ends or activity.name == r.activity]
            return s.cite(*entry.reasons, *readers, *(k.id for k in s.policy.kinds.values() if k.base in activity.events),
                          *ids, *consent_ids(s, activity))  # fmt: skip
    return None


def _against_advertising(s: Subject) -> Reasons | None:
    """Give the reasons of an objection to all direct marketing that no later sign-up has taken back (GDPR art. 21(3))."""
    signed_up = max((*s.times.get("newsletter.subscribed", ()), *s.times.get("consent.given", ())), default=0)
    for case in s.cases.values():
        whole = not case.of and "direct_marketing" in (case.scope or ("direct_marketing",))
        if case.right == "objection" and whole and not case.waits and signed_up <= case.at:
            return s.cite(*case.reasons, "gdpr:21")
    return None


def usable(s: Subject, activity: Activity) -> list[Item]:
    """Give what the activity may use: what is kept serves the purpose of the hold, and no other (GDPR art. 5(1)(b))."""
    own = [i for i in s.live() if i.activity == activity.name]
    if all(i.use is Use.ORDINARY for i in own):
        return own
    asked = s.erased_at is not None or any(i.asked for i in own)
    active = [k for k in keepings(s, "erasure" if asked else "retention", s.today)
              if activity.legal or k.hold.activities is not None]  # fmt: skip
    return [i for i in own if i.use is Use.ORDINARY or any(covers(s, k, i) for k in active)]


def message(s: Subject, q: Question) -> Answer:
    """Say whether a message may go out for an activity, over a channel, on a topic."""
    activity = s.policy.activities.get(q.activity or "")
    if activity is None:
        return _no(s, *(r.id for r in s.policy.rights if r.right == "purpose"), "gdpr:5")
    category = s.policy.by_term().get(_CHANNEL_TERM.get(q.channel or "", ""))
    stop = (
        child_block(s, activity)
        or s.objected.get(activity.name)
        or _suppressed(s, activity, q.channel)
        or covered(s, activity, (category,) if category else ())
    )
    if stop:
        return _no(s, *stop, activity.id)
    against = _against_advertising(s) if q.topic in ADVERTISING and activity.marketing == "outreach" else None
    if against is not None:
        return _no(s, *against, activity.id)
    topic_ids = s.policy.cited_with_of("topic:survey") if q.topic and "survey" in q.topic else ()
    if activity.unsolicited_needs and q.topic in MARKETING_TOPICS:
        return _no(s, *activity.unsolicited_needs, activity.id)
    if not activity.marketing and q.topic in MARKETING_TOPICS:
        return _no(s, activity.id, "gdpr:5")
    notices = [r.id for r in s.policy.rights if r.right == "notice" and activity.name in r.activities]
    if activity.needs_consent:
        return _consented_message(s, q, activity, topic_ids)
    own = usable(s, activity)
    if (activity.marketing or s.erased_at is not None) and not own:
        return _no(s, activity.id, *(s.cases[s.erasure].reasons if s.erasure else ()))
    return _yes(s, *notices, activity.id, *topic_ids, *(x for i in own for x in i.why))


def _consented_message(s: Subject, q: Question, activity: Activity, topic_ids: Ids) -> Answer:
    ids = consent_ids(s, activity)
    grants = [g for g in s.grants if g.activity == activity.name and (g.kinds is None)]
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
    stop = stop or _suppressed(s, activity, None)
    if stop:
        return _no(s, *stop, activity.id)
    foreign = set(q.categories) - set(activity.categories)
    if foreign:
        return _no(s, activity.id, *(r.id for r in s.policy.rights if r.right == "purpose"), "gdpr:5")
    held = {i.category for i in usable(s, activity)}
    gone = s.erased_at is not None and not held & set(q.categories)
    basis = consent_ids(s, activity) if Basis.CONSENT in activity.kinds else (activity.id,)
    if activity.needs_consent and not any(g.activity == activity.name for g in s.grants):
        return _no(s, *basis, *s.soft_closed, activity.id)
    decided = [i for c in s.cases.values() for i in c.reasons if activity.name in c.acts]
    if gone:
        return _no(s, *(s.cases[s.erasure].reasons), activity.id)
    return _yes(s, *basis, *decided, activity.id)


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
        return _no(s, *rules, *target_ids(s, q.target or ""), "gdpr:5", *held_for)
    for entry in s.do_not_use:
        if entry.hidden and (not entry.categories or set(entry.categories) & set(q.categories)):
            return _no(s, *entry.reasons, *rules)
    stop = covered(s, activity, q.categories)
    if stop:
        return _no(s, *stop, *rules)
    own = [i for i in usable(s, activity) if i in items]
    if items and not own:
        return _no(s, *rules, *(i for x in items for i in x.why), activity.id)
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
    stop = _transfer(s, country, safeguard, recipient.role)
    if stop is not None:
        return _no(s, *stop, recipient.id)
    return _content(s, to, categories, ids, purpose=purpose, ground=ground)


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


def _transfer(s: Subject, country: object, safeguard: object, role: Role) -> Ids | None:
    if not country or country in EEA:
        return None
    rules = [g for g in s.policy.guards if g.on == "transfer"]
    needing = [g for g in rules if g.needs == "safeguard"]
    if safeguard or role is Role.AUTHORITY:
        return None
    if needing:
        return tuple(i for g in needing for i in (g.id, *g.cites))
    return ("gdpr:44", *(g.id for g in rules))


def _content(s: Subject, to: str, categories: Ids, ids: Ids, *, purpose: object, ground: object) -> Answer:
    policy = s.policy
    recipient = policy.recipients[to]
    naming = [a for a in policy.activities.values() if to in a.recipients]
    wide = recipient.role in (Role.AUTHORITY, Role.AFFILIATE) or bool(ground)
    if recipient.receives is not None and not set(categories) <= recipient.receives:
        return _no(s, *ids, *(a.id for a in naming))
    if not wide and naming and not all(any(c in a.categories for a in naming) for c in categories):
        return _no(s, *ids, *(a.id for a in naming))
    serving = [a for a in naming if any(c in a.categories for c in categories)]
    named = policy.activities.get(str(purpose))
    for activity in [named] if named is not None else serving:
        stop = covered(s, activity, categories) or s.objected.get(activity.name) or child_block(s, activity)
        if stop and len(serving) <= 1:
            return _no(s, *stop, *ids)
    stop = barred(s, categories)
    if stop and ground != "law":
        return _no(s, *stop, *ids)
    transfers = [i for g in policy.guards if g.on == "transfer" for i in (g.id, *g.cites)]
    return _yes(s, *ids, *(a.id for a in serving), *((named.id,) if named else ()), *transfers)
