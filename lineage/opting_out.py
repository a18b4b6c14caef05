"""Let a person leave: withdraw a consent, object to an activity, be unsubscribed (GDPR art. 7(3), 21).

What arrives is the case, or an event that says the same; what leaves are consents that are gone, ended items, and the
entries that keep the person from being written to again.
"""

from __future__ import annotations

from collections.abc import Iterable

from lineage.ending import end, issue, target_ids, why
from lineage.policy import Activity, Basis, Ids
from lineage.restricting import balance
from lineage.rights import CHANNEL_TERM, marketing_of, right_ids, via_ids
from lineage.subject import Case, DoNotUse, Item, Reasons, Subject


def suppress(s: Subject, ids: Ids, case: str, *, channel: str | None = None, activity: str | None = None,
             scope: str | None = None, act: str = "withdrawal") -> None:  # fmt: skip
    """Write the do-not-use entries that follow an act: a withdrawal, an objection, an unsubscription, an erasure.

    Where no rule of the policy is for such an act, a hash is kept all the same, and nothing readable.
    """
    rules = [x for x in s.policy.suppression if x.keeps in ("hash", "list", "scope") and act in (x.after or (act,))]
    reasons = s.cite(*(x.id for x in rules if x.keeps != "scope" or x.activity == activity), *ids)
    s.do_not_use.append(DoNotUse(reasons, s.now, channel=channel, activity=activity, scope=scope, case=case))
    listed = next((x for x in rules if x.keeps == "list" and x.system), None)
    if listed is not None and listed.duration is not None and channel in (None, listed.channel):
        until = listed.duration.after(s.today)
        entry = DoNotUse(s.cite(listed.id, *listed.cites, *target_ids(s, listed.system or ""), *ids), s.now, channel=listed.channel,
                         target=listed.system, categories=(listed.category or "",), until=until, case=case)  # fmt: skip
        s.do_not_use.append(entry)


def end_activity(s: Subject, activity: Activity, ids: Ids, case: str, keep: Iterable[str] | None = None) -> None:
    """End what an activity holds (but for the categories in `keep`), at recipients too."""
    spared = frozenset(keep or ())
    items = [i for i in s.live() if i.activity == activity.name and i.category not in spared]
    end(s, items, {i.key: why(s, i, *ids, *activity.retention) for i in items}, case)
    if not spared and activity.needs_consent:
        _unjoin(s, activity)


def _unjoin(s: Subject, activity: Activity) -> None:
    """Part the person from the devices that were joined for what the activity did on consent."""
    if any(r.device in activity.events and r.since == "then" and not r.accepted for r in s.policy.links):
        s.devices.clear()


def channels_of(s: Subject, activity: Activity) -> dict[str, Ids]:
    """Give the channels that an activity uses, each with the categories that only it needs."""
    if activity.channels:
        return dict(activity.channels)
    found: dict[str, Ids] = {}
    for channel, term in CHANNEL_TERM.items():
        category = s.policy.by_term().get(term)
        if category is not None and category in activity.categories and channel != "post":
            found[channel] = (category,)
    return found


def withdraw_channel(s: Subject, channel: str, via: str, case: str = "") -> None:
    """Carry out an unsubscription from one channel; the last one withdraws the consent whole (GDPR art. 7(3))."""
    rights = [r for r in s.policy.rights if r.right == "withdrawal" and "direct_marketing" in r.scope]
    objection = [r for r in s.policy.rights if r.right == "objection" and r.effect == "tag"]
    own = [r.id for r in rights if r.channel == channel]
    ids = s.cite(*own, *(r.id for r in rights if r.channel is None), *(r.id for r in objection), *via_ids(s, via, "unsubscribe"))
    if not rights and not objection:
        ids = s.cite(s.policy.silent_rights or "", "gdpr:7")
    tagging = next((x for x in s.policy.suppression if x.keeps == "tag"), None)
    if tagging is not None:
        opt_out(s, ids, case, commanded=via != "link")
        return
    touched = False
    for activity in s.policy.activities.values():
        channels = channels_of(s, activity)
        agreed = any((g.activity, g.channel) == (activity.name, channel) for g in s.grants)
        if activity.marketing != "direct" or not (agreed or channel in channels):
            continue
        touched = touched or not _of_interest(activity)
        left = _channels_left(s, activity, channel)
        s.grants = [g for g in s.grants if not (g.activity == activity.name and (g.channel == channel or not left))]
        if left:
            keep = {c for k in left if k in channels for c in channels[k]}
            gone = set(channels.get(channel, ())) - keep
            end_activity(s, activity, ids, case, keep=set(activity.categories) - gone)
            continue
        end_activity(s, activity, ids, case)
        if _of_interest(activity):
            s.objected[activity.name] = ids
    if channel != "push":
        _end_with(s, (channel,), ids, case, last=touched)
        s.soft_closed = ids if touched else s.soft_closed
    suppress(s, ids, case, channel=channel, act="unsubscription")
    s.note("informed", (*ids, "param:answer_deadline"), about="unsubscribed", case=case)
    s.note("logged", ids, about="unsubscribed", case=case)


def _end_with(s: Subject, channels: Iterable[str], ids: Ids, case: str, *, last: bool) -> None:
    """End what rests on the consent to be written to by these channels; with the `last` one, all that the sign-up was for."""
    rights = [r for r in s.policy.rights if r.right == "withdrawal" and "direct_marketing" in r.scope]
    also = {a for r in rights for channel in channels for a in r.channel_ends.get(channel, ())}
    if last and not any(a.marketing == "direct" and _granted(s, a) for a in s.policy.activities.values()):
        also |= {a for r in rights if r.channel is None for a in r.ends}
    for name in sorted(also):
        s.grants = [g for g in s.grants if g.activity != name]
        end_activity(s, s.policy.activities[name], ids, case)


def _end_profiling_for(s: Subject, activity: Activity, ids: Ids, case: str) -> None:
    """End the profiling for a direct marketing that ends, as far as nothing else is left that it is for (GDPR art. 21(2))."""
    if activity.marketing == "direct" and activity.needs_consent:
        _end_with(s, channels_of(s, activity), ids, case, last=True)


def _of_interest(activity: Activity) -> bool:
    """Tell whether an activity rests on an interest alone: no consent is there to take back, and to stop it is to object."""
    return activity.kinds == {Basis.LEGITIMATE_INTEREST}


def _granted(s: Subject, activity: Activity) -> bool:
    return any(g.activity == activity.name for g in s.grants)


def _channels_left(s: Subject, activity: Activity, channel: str) -> set[str]:
    grants = [g for g in s.grants if g.activity == activity.name and not g.soft]
    left = {g.channel for g in grants if g.channel and g.channel != channel}
    if any(g.channel is None and g.kinds is None for g in grants):
        stopped = {d.channel for d in s.do_not_use if d.channel}
        left |= set(channels_of(s, activity)) - {channel} - stopped
    return left


def opt_out(s: Subject, ids: Ids, case: str, *, commanded: bool) -> None:
    """Tag the person as not wanting news where a policy keeps the contact; the partner is told unless it told us."""
    for rule in s.policy.suppression:
        if rule.keeps != "tag" or rule.activity is None:
            continue
        reasons = s.cite(rule.id, *rule.cites, *ids)
        activity = s.policy.activities[rule.activity]
        for item in s.live():
            if item.activity == rule.activity:
                item.tags.add("opt_out")
                item.cites.update(reasons)
        s.do_not_use.append(DoNotUse(reasons, s.now, activity=rule.activity, target=None, case=case))
        if rule.tag and rule.tag in activity.categories and s.erased_at is None:
            for system in activity.systems:
                _put_tag(s, system, rule.activity, rule.tag, reasons)
        held = {i.category for i in s.live() if i.target == rule.operator}
        if commanded and rule.operator and held:
            issue(s, "stop", rule.operator, {c: (*reasons, *target_ids(s, rule.operator)) for c in sorted(held)}, case)
        s.note("informed", reasons, about="opted out", case=case)
        s.note("logged", reasons, about="opted out", case=case)


def _put_tag(s: Subject, target: str, activity: str, category: str, reasons: Reasons) -> None:
    key = (target, activity, category, "")
    item = s.items.get(key)
    if item is None or not item.live:
        item = Item(*key, first=s.now, last=s.now)
    item.last = s.now
    item.cites.update(reasons)
    item.tags.add("opt_out")
    s.items[key] = item


def withdrawal(s: Subject, case: Case) -> None:
    """Take a consent back, for a channel or for what the scope names (GDPR art. 7(3))."""
    channel = case.body.get("channel")
    if isinstance(channel, str):
        withdraw_channel(s, channel, case.via, case.id)
        return
    for scope in case.scope or ("direct_marketing",):
        rules = [r for r in s.policy.rights if r.right == "withdrawal" and scope in r.scope and r.channel is None]
        tagging = [r.id for r in s.policy.rights if r.right == "objection" and r.effect == "tag" and scope in r.scope]
        if tagging and not rules:  # the policy tags whoever wants no news, however it is said
            opt_out(s, s.cite(*tagging, *via_ids(s, case.via, "communications_opt_out")), case.id, commanded=True)
            continue
        activities = [s.policy.activities[a] for r in rules for a in (r.asked_ends or r.ends)]
        activities = activities or marketing_of(s, scope)
        ids = right_ids(s, "withdrawal", scope)
        for activity in activities:
            s.grants = [g for g in s.grants if g.activity != activity.name]
            end_activity(s, activity, ids, case.id)
            if activity.marketing is None or _of_interest(activity):
                s.objected[activity.name] = ids
            s.soft_closed = ids if activity.marketing == "direct" else s.soft_closed
        if not rules:
            for activity in activities:
                _end_profiling_for(s, activity, ids, case.id)
        refuse(s, ids, case.id, scope, "withdrawal")


def refuse(s: Subject, ids: Ids, case: str, scope: str, act: str) -> None:
    """Write the do-not-use entry for what a scope names: for all direct marketing where the policy's words mean that by it."""
    rules = [r.scope for r in s.policy.rights if r.right == "withdrawal" and r.channel is None]
    whole = scope == "direct_marketing" or any(act == "withdrawal" and {scope, "direct_marketing"} <= set(r) for r in rules)
    if whole:
        suppress(s, ids, case, scope="direct_marketing", act=act)
    else:
        suppress(s, ids, case, activity=scope, scope=scope, act=act)


def objection(s: Subject, case: Case) -> None:
    """Stop direct marketing at once; weigh any other objection first (GDPR art. 21)."""
    if not case.scope and case.of:
        weighed = _interests(s, case.of)
        if weighed:
            balance(s, case, weighed, case.of)
        else:
            _decline(s, case, [])
        return
    balanced: list[Activity] = []
    beyond: list[Activity] = []
    for scope in case.scope or ("direct_marketing",):
        rules = [r for r in s.policy.rights if r.right == "objection" and scope in r.scope]
        if any(r.effect == "tag" for r in rules):
            opt_out(s, s.cite(*(r.id for r in rules), *via_ids(s, case.via, "communications_opt_out")), case.id,
                    commanded=True)  # fmt: skip
        elif any(r.effect == "suppress" for r in rules):
            suppress(s, tuple(r.id for r in rules), case.id, activity=rules[0].activity, scope=scope, act="objection")
        else:
            for activity in marketing_of(s, scope):
                if activity.marketing:
                    _object_to_marketing(s, activity, scope, case)
                elif activity.basis and all(g.kind in (Basis.CONTRACT, Basis.LEGAL_OBLIGATION) for g in activity.basis):
                    beyond.append(activity)
                else:
                    balanced.append(activity)
            if scope == "direct_marketing":
                suppress(s, _objection_ids(s, scope, None), case.id, scope="direct_marketing", act="objection")
    if balanced:
        balance(s, case, balanced, ())
    if beyond:
        _decline(s, case, beyond, wholly=len(beyond) == len(case.scope))


def _decline(s: Subject, case: Case, activities: list[Activity], *, wholly: bool = True) -> None:
    """Decline an objection to what rests on no interest that could be weighed: a contract, a legal duty (GDPR art. 21(1))."""
    general = [r.id for r in s.policy.rights if r.right == "objection" and "legitimate_interest" in r.scope]
    ids = s.cite(*(general or [s.policy.silent_rights or ""]), "gdpr:21", *(a.id for a in activities))
    if wholly:
        case.declined = ids
    for kind in ("informed", "logged"):
        s.note(kind, ids, about="declined", case=case.id)


def _objection_ids(s: Subject, scope: str, activity: Activity | None) -> Ids:
    names = {scope, "direct_marketing", *((activity.name,) if activity else ())}
    found = [r.id for r in s.policy.rights if r.right == "objection" and names & set(r.scope)]
    return s.cite(*(found or [s.policy.silent_rights or ""]), "gdpr:21")


def object_to(s: Subject, activity: Activity, via: str) -> None:
    """Carry out an objection to one marketing activity that no request, but an event, brought."""
    _object_to_marketing(s, activity, activity.name, Case("", "objection", s.now, via, ()))


def _object_to_marketing(s: Subject, activity: Activity, scope: str, case: Case) -> None:
    ids = _objection_ids(s, scope, activity)
    s.grants = [g for g in s.grants if g.activity != activity.name]
    s.objected[activity.name] = s.cite(*ids, activity.id)
    if activity.marketing == "direct":
        s.soft_closed = ids
    end_activity(s, activity, s.cite(*ids, *via_ids(s, case.via, "object")), case.id)
    if scope != "direct_marketing":
        _end_profiling_for(s, activity, ids, case.id)
        channel = next(iter(activity.channels)) if len(activity.channels) == 1 else None
        suppress(s, ids, case.id, activity=activity.name, scope=scope, channel=channel, act="objection")


def _interests(s: Subject, of: Ids) -> list[Activity]:
    """Give the activities that hold one of the categories on a legitimate interest, else those without a stated basis."""
    found = []
    for activity in s.policy.activities.values():
        grounds = [g for g in activity.basis if g.kind is Basis.LEGITIMATE_INTEREST]
        if any(set(of) & set(g.categories or activity.categories) for g in grounds):
            found.append(activity)
    unstated = [a for a in s.policy.activities.values() if not a.basis and set(of) & set(a.categories)]
    return found or unstated
