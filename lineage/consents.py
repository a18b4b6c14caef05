"""Read events as consents given and taken back (GDPR art. 7, Directive 2002/58 art. 13).

What arrives is an event; what leaves are grants, do-not-use entries that are lifted, and activities that are ended.
"""

from __future__ import annotations

from lineage.children import is_child
from lineage.holding import Happening, consented, verdict
from lineage.opting_out import end_activity, object_to, objection, refuse, withdraw_channel
from lineage.policy import Activity, Basis
from lineage.subject import Case, DoNotUse, Grant, Subject


def grant(s: Subject, e: Happening, activity: Activity, **how: object) -> None:
    """Record a consent."""
    s.grants.append(Grant(activity.name, e.at, **how))  # type: ignore[arg-type]
    if how.get("kinds") is None and not how.get("soft"):
        s.objected.pop(activity.name, None)
        if not (activity.marketing and how.get("parent") and is_child(s)):
            s.do_not_use = [d for d in s.do_not_use if d.activity != activity.name or d.channel or d.target or d.hidden]


def consent(s: Subject, e: Happening) -> list[Activity]:
    """Record what an event says of consents; give the activities that a parent has agreed to with it."""
    gated = [a for a in s.reading.on_consent if a.name not in e.closed]
    bases = {k.base for k in e.kinds}
    match e.type:
        case "newsletter.subscribed":
            news = "newsletter" in bases
            _sign_up(s, e, [a for a in gated if bases & set(a.events) or (news and a.marketing == "profiling")])
        case "consent.given":
            return _consent_given(s, e)
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
                if bases & set(activity.events) and activity.marketing not in _NEWS:
                    grant(s, e, activity)
            for activity in s.policy.activities.values():
                if activity.marketing and activity.marketing not in _NEWS and bases & set(activity.events):
                    _let_in_again(s, activity)
        case "order.placed":
            _soft_opt_in(s, e)
            _checkout(s, e)
        case _:
            pass
    return []


_NEWS = ("direct", "profiling")
"""The marketing that a sign-up for news consents to: the news and the analysis for them."""


def _let_in_again(s: Subject, activity: Activity) -> None:
    """Let the person's own act bring back an activity that an erasure had ended, where it needs no consent."""
    erasures = {c.id for c in s.cases.values() if c.right == "erasure"}
    ended = [d for d in s.do_not_use if d.activity == activity.name and d.case in erasures]
    if ended:
        s.objected.pop(activity.name, None)
        s.do_not_use = [d for d in s.do_not_use if d not in ended]


def _sign_up(s: Subject, e: Happening, activities: list[Activity]) -> None:
    channel = str(e.fields.get("channel") or "email")
    express, proof = e.fields.get("express") is not False, e.fields.get("proof")
    handed = [r.id for r in s.policy.rights if r.right == "handed_over"]
    valid = proof is not False
    for activity in activities:
        consents = [r for r in s.policy.rights if r.right == "consent"
                    and (r.activities == "consent" or activity.name in r.activities)]  # fmt: skip
        ids = [r.id for r in consents]
        if proof is False or (not express and any(r.express for r in consents)):
            reasons = s.cite(*(handed if proof is False else ()), *ids, activity.id)
            for target in activity.systems:
                verdict(s, e, "blocked", reasons, target, sorted(e.categories))
            s.note("logged", reasons, about="consent not valid")
            valid = False
            continue
        grant(s, e, activity, channel=channel, proof=proof is True)
        for system in activity.systems:
            fits = sorted(e.categories & set(activity.categories))
            verdict(s, e, "allowed", s.cite(*(handed if proof else ()), *ids, activity.id), system, fits)
    if valid:
        bases = {k.base for k in e.kinds}
        news = {a.name for a in s.policy.activities.values() if a.marketing in _NEWS and bases & set(a.events)} - e.closed
        for name in news - s.reading.needing_consent:
            s.objected.pop(name, None)
        lift(s, channel, news)


def lift(s: Subject, channel: str, news: set[str]) -> None:
    """Lift what a sign-up lifts: the do-not-use entries for its channel, for the news themselves, and for all marketing."""

    def stays(d: DoNotUse) -> bool:
        other_channel = d.channel is not None and d.channel != channel
        other_activity = d.activity is not None and d.activity not in news
        return d.hidden or other_channel or other_activity or (d.target is not None and d.channel != channel)

    s.do_not_use = [d for d in s.do_not_use if stays(d)]


def _consent_given(s: Subject, e: Happening) -> list[Activity]:
    """Record the consent; give the activity that a parent has agreed to with it for a child."""
    use, name = e.fields.get("use"), e.fields.get("activity")
    if use:
        s.uses[f"{use}:{e.fields['to']}" if e.fields.get("to") else str(use)] = e.at
    if not name or str(name) not in s.policy.activities:
        return []
    activity = s.policy.activities[str(name)]
    express_needed = any(r.express and r.right == "consent" and (r.activities == "consent" or activity.name in r.activities)
                         for r in s.policy.rights)  # fmt: skip
    if (express_needed and e.fields.get("express") is False) or e.fields.get("proof") is False:
        return []
    parent = e.fields.get("by") == "parent"
    grant(s, e, activity, parent=parent)
    if activity.marketing == "direct" and not (parent and is_child(s)):
        s.do_not_use = [d for d in s.do_not_use if d.hidden or d.target or d.activity not in (None, activity.name)]
    return [activity] if parent and is_child(s) else []


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
    """Carry out an objection at the checkout to direct marketing (GDPR art. 21(2)); one to a soft opt-in ends that alone."""
    if e.fields.get("objects_to_marketing") is True and s.policy.soft_opt_in is None:
        objection(s, Case("", "objection", s.now, "", ()))


def _end_soft(s: Subject, activity: Activity) -> None:
    """End what an earlier purchase opened, unless the person has asked for it as well."""
    granted = [g for g in s.grants if g.activity == activity.name]
    s.grants = [g for g in s.grants if not (g.soft and g.activity == activity.name)]
    if any(g.soft for g in granted) and all(g.soft for g in granted):
        ids = [r.id for r in s.policy.rights if r.right == "objection" and activity.name in r.ends]
        end_activity(s, activity, s.cite(s.policy.soft_opt_in or "", *ids), "")


def take_back(s: Subject, e: Happening) -> None:
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
            if activity.marketing:
                refuse(s, s.cite(*ids), "", activity.name, "withdrawal")


def _no_more_post(s: Subject, e: Happening) -> None:
    """Read an unsubscription from post as an objection to it: post rests on no consent."""
    for activity in s.policy.activities.values():
        by_post = "address" in {s.policy.categories[c].term for c in activity.categories}
        if activity.marketing == "direct" and by_post and not activity.needs_consent:
            object_to(s, activity, str(e.fields.get("via") or ""))
            return
    withdraw_channel(s, "post", str(e.fields.get("via") or ""))
