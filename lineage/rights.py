"""Carry out the rights of the data subject: what arrives is a request or a decision, what leaves are its effects.

Erasure, withdrawal and objection end holdings; restriction and hiding lay a cover over them; rectification corrects
them where they may be rewritten; access and portability collect an answer. Every effect names the rules it rests on;
where a policy says nothing of a right, the GDPR applies directly and its article is the reason (art. 7(3), 15 to 22).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lineage.calendar import Duration, next_working_day
from lineage.clocks import keeping_of, keepings
from lineage.ending import end, issue, target_ids, why
from lineage.policy import Activity, Basis, Ids, Role
from lineage.subject import Case, Change, DoNotUse, Item, Reasons, Restriction, Subject, Use

ARTICLE = {"access": 15, "rectification": 16, "erasure": 17, "restriction": 18, "portability": 20, "objection": 21,
           "withdrawal": 7, "complaint": 77, "hiding": 18}  # fmt: skip
CHANNEL_TERM = {"email": "email", "sms": "phone", "phone": "phone", "push": "push_token", "post": "address"}


@dataclass(frozen=True, slots=True)
class Request:
    """A rights request as it came in; `scope` names activities or `direct_marketing`, `of` categories."""

    id: str
    at: int
    right: str
    via: str = ""
    scope: Ids = ()
    of: Ids = ()
    channel: str | None = None
    correct: Ids = ()
    remove: Ids = ()
    contested: bool = False
    ground: str | None = None
    proven: bool = True
    by: str | None = None
    facts: dict[str, object] = field(default_factory=dict)


def right_ids(s: Subject, right: str, *scope: str) -> Ids:
    """Give the policy's rules on a right (those of a scope, if the scope has any), or the article of the GDPR."""
    rules = [r for r in s.policy.rights if r.right == right]
    scoped = [r for r in rules if set(r.scope) & set(scope)]
    found = [r.id for r in scoped or ([] if scope and any(r.scope for r in rules) else rules)]
    if not found:
        found = [s.policy.silent_rights or "", f"gdpr:{ARTICLE[right]}"]
    if s.policy.silent_rights:
        found += s.policy.cited_with_of("right:any")
    return s.cite(*found, *s.policy.cited_with_of(f"right:{right}"))


def via_ids(s: Subject, via: str, right: str) -> Ids:
    """Give the channel's rules, and where the channel does not serve the right, those of the channels that do."""
    policy = s.policy
    alike = {"form": ("support_form", "phone_or_form"), "social": ("social_media",), "profile": ("account", "online_profile"),
             "link": ("newsletter_link", "email_footer", "newsletter_unsubscribe")}.get(via, (via,))  # fmt: skip
    used = [str(c["id"]) for c in policy.channels if c["kind"] in alike]
    serving = [str(c["id"]) for c in policy.channels if right in _serves(c.get("serves"))]
    content = [str(c["id"]) for c in policy.channels if c["kind"] in ("request_content", "email_match")]
    return (*used, *policy.cited_with_of(f"via:{via}"), *policy.cited_with_of("via:any"), *serving, *content)


def _serves(value: object) -> Iterable[str]:
    return value if isinstance(value, list) else ()


def request(s: Subject, r: Request) -> Case:
    """Take a request: open its case and, unless something has to be proven or decided first, carry it out."""
    s.now = r.at
    ids = right_ids(s, r.right, *r.scope) if r.right in ("objection", "withdrawal") else right_ids(s, r.right)
    case = Case(r.id, r.right, r.at, r.via, s.cite(*ids), r.scope, r.of, correct=r.correct, remove=r.remove)
    case.body = {"channel": r.channel, "ground": r.ground, "contested": r.contested}
    s.cases[r.id] = case
    channel = via_ids(s, r.via, r.right)
    s.note("logged", (*case.reasons, *channel), about=f"request:{r.right}", case=r.id)
    if not r.proven:
        checks = [str(c["id"]) for c in s.policy.channels if c["kind"] in ("identity_check", "email_match")]
        case.waits = s.cite(*(checks or ["gdpr:12"]), *channel)
        s.note("informed", case.waits, about="identity", case=r.id)
        return case
    carry_out(s, case)
    return case


def carry_out(s: Subject, case: Case) -> None:
    """Do what the request asks for, as far as it may be done today."""
    handlers: dict[str, Callable[[Subject, Case], None]] = {
        "erasure": _erasure, "withdrawal": _withdrawal, "objection": _objection, "restriction": _restriction,
        "rectification": _rectification, "hiding": _hiding, "access": _access, "portability": _portability,
        "complaint": _complaint,
    }  # fmt: skip
    handlers[case.right](s, case)
    channel = via_ids(s, case.via, case.right)
    told = [i for n in s.notes if n.case == case.id and n.kind == "logged" for i in n.reasons]
    s.note("informed", (*case.reasons, *channel, *told, "param:answer_deadline"), about=case.right, case=case.id)


def _erasure_in_part(s: Subject, case: Case) -> None:
    """Erase the activities or the categories that the request names; the person stays, and so does the rest."""
    named = [a for scope in case.scope for a in marketing_of(s, scope)]
    ids = (*case.reasons, *via_ids(s, case.via, "erasure"))
    ending: list[Item] = []
    active = keepings(s, "erasure", s.today)
    for item in list(s.live()):
        if (named and item.activity not in {a.name for a in named}) or (case.of and item.category not in case.of):
            continue
        kept = keeping_of(s, item, active, s.today)
        waits = [r for r in s.restrictions if r.waits and r.covers(item)]
        if waits or kept is not None:
            s.items.turn(item, Use.KEPT)
            item.asked = case.id
            item.why = s.cite(*waits[0].reasons) if waits else kept.reasons if kept else ()
        else:
            ending.append(item)
    end(s, ending, {i.key: why(s, i, *ids) for i in ending}, case.id)
    for activity in () if case.of else named:
        s.grants = [g for g in s.grants if g.activity != activity.name]
        if activity.marketing:
            s.objected[activity.name] = s.cite(*ids)
            suppress(s, ids, case.id, activity=activity.name, scope=activity.name, act="erasure")


def _erasure(s: Subject, case: Case) -> None:
    if case.in_part:
        _erasure_in_part(s, case)
        return
    first = s.erased_at is None
    s.erased_at, s.erasure = s.now, case.id
    s.restrictions = [r for r in s.restrictions if r.waits]
    ids = (*case.reasons, *via_ids(s, case.via, "erasure"))
    ending: list[Item] = []
    told: dict[tuple[str, Reasons], None] = {}
    active = keepings(s, "erasure", s.today)
    for item in list(s.live()):
        kept = keeping_of(s, item, active, s.today)
        waits = [r for r in s.restrictions if r.covers(item)]
        if waits:
            s.items.turn(item, Use.KEPT)
            item.why = s.cite(*waits[0].reasons)
        elif kept is not None:
            s.items.turn(item, Use.KEPT)
            item.why = kept.reasons
            told[item.target, kept.reasons] = None
        else:
            ending.append(item)
    for target, reasons in told:
        s.note("logged", reasons, about="retained", target=target, case=case.id)
    end(s, ending, {i.key: why(s, i, *ids, *_unlawful(s)) for i in ending}, case.id)
    s.grants.clear()
    s.uses.clear()
    s.quarantine.clear()
    s.soft_closed = s.cite(*ids)
    if first:
        hashes = [x.id for x in s.policy.suppression if x.keeps == "hash"]
        s.do_not_use = [d for d in s.do_not_use if d.target and not d.hidden]
        s.do_not_use.append(DoNotUse(s.cite(*hashes, *ids), s.now, scope="direct_marketing", case=case.id))
    outside = [s.policy.recipients[t].id for t in sorted(s.uncontrolled | s.sources) if t in s.policy.recipients]
    devices = [g.id for g in s.policy.guards if g.on == "device"] if s.devices else []
    third = [g.id for g in s.policy.guards if g.on == "third_party_cookie"] if s.uncontrolled else []
    for target in sorted(s.uncontrolled | s.sources):
        s.note("informed", s.cite(*target_ids(s, target)), about="outside our control", target=target, case=case.id)
    if third:
        s.note("logged", s.cite(*third), about="uncontrolled recipient: no command", case=case.id)
    s.note("informed", s.cite(*outside, *devices, *third), about="outside our control", case=case.id)


def _unlawful(s: Subject) -> Ids:
    return s.policy.restriction.get("unlawful", ()) if any(c.right == "restriction" for c in s.cases.values()) else ()


def marketing_of(s: Subject, scope: str) -> list[Activity]:
    """Give the activities that a scope of a marketing request means."""
    acts = s.policy.activities
    if scope != "direct_marketing":
        return [acts[scope]] if scope in acts else []
    named = {a for r in s.policy.rights if r.right == "objection" and "direct_marketing" in r.scope for a in r.ends}
    return [a for a in acts.values() if a.name in named or (not named and a.marketing in ("direct", "profiling"))]


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
    general = [r for r in rights if r.channel is None]
    ids = s.cite(*own, *(r.id for r in general), *(r.id for r in objection), *via_ids(s, via, "unsubscribe"))
    if not rights and not objection:
        ids = s.cite(s.policy.silent_rights or "", "gdpr:7")
    tagging = next((x for x in s.policy.suppression if x.keeps == "tag"), None)
    if tagging is not None:
        opt_out(s, ids, case, commanded=via != "link")
        return
    touched = False
    for activity in s.policy.activities.values():
        channels = channels_of(s, activity)
        if activity.marketing != "direct" or channel not in channels:
            continue
        touched = True
        left = _channels_left(s, activity, channel)
        s.grants = [g for g in s.grants if not (g.activity == activity.name and (g.channel == channel or not left))]
        if left:
            keep = {c for k in left if k in channels for c in channels[k]}
            gone = set(channels[channel]) - keep
            end_activity(s, activity, ids, case, keep=set(activity.categories) - gone)
        else:
            end_activity(s, activity, ids, case)
    also = {a for r in rights for a in r.channel_ends.get(channel, ())}
    if touched and not any(a.marketing == "direct" and _granted(s, a) for a in s.policy.activities.values()):
        also |= {a for r in general for a in r.ends}
    if channel == "push":
        also = set()
    for name in sorted(also):
        s.grants = [g for g in s.grants if g.activity != name]
        end_activity(s, s.policy.activities[name], ids, case)
    if touched and channel != "push":
        s.soft_closed = ids
    suppress(s, ids, case, channel=channel, act="unsubscription")
    s.note("informed", (*ids, "param:answer_deadline"), about="unsubscribed", case=case)
    s.note("logged", ids, about="unsubscribed", case=case)


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
        if rule.tag and rule.tag in activity.categories:
            for system in activity.systems:
                _put_tag(s, system, rule.activity, rule.tag, reasons)
        held = {i.category for i in s.live() if i.target == rule.operator}
        if commanded and rule.operator and held:
            issue(s, "stop", rule.operator, {c: (*reasons, *target_ids(s, rule.operator)) for c in sorted(held)}, case)
        s.note("informed", reasons, about="opted out", case=case)
        s.note("logged", reasons, about="opted out", case=case)


def _put_tag(s: Subject, target: str, activity: str, category: str, reasons: Reasons) -> None:
    key = (target, activity, category, "")
    item = s.items.get(key) or Item(*key, first=s.now, last=s.now)
    item.last = s.now
    item.cites.update(reasons)
    item.tags.add("opt_out")
    s.items[key] = item


def _withdrawal(s: Subject, case: Case) -> None:
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
            if activity.marketing is None:
                s.objected[activity.name] = ids
            s.soft_closed = ids if activity.marketing == "direct" else s.soft_closed
        direct = any(a.marketing == "direct" for a in activities)
        suppress(s, ids, case.id, scope="direct_marketing" if direct else None, activity=None if direct else scope)


def _objection(s: Subject, case: Case) -> None:
    if not case.scope and case.of:
        _balance(s, case, _interests(s, case.of), case.of)
        return
    balanced: list[Activity] = []
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
                else:
                    balanced.append(activity)
            if scope == "direct_marketing":
                suppress(s, _objection_ids(s, scope, None), case.id, scope="direct_marketing", act="objection")
    if balanced:
        _balance(s, case, balanced, ())


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
        channel = "post" if activity.name.endswith("postal") else None
        suppress(s, ids, case.id, activity=activity.name, scope=scope, channel=channel, act="objection")


def _interests(s: Subject, of: Ids) -> list[Activity]:
    """Give the activities that hold one of the categories on a legitimate interest."""
    found = []
    for activity in s.policy.activities.values():
        grounds = [g for g in activity.basis if g.kind is Basis.LEGITIMATE_INTEREST]
        if any(set(of) & set(g.categories or activity.categories) for g in grounds):
            found.append(activity)
    return found


def _balance(s: Subject, case: Case, activities: list[Activity], of: Ids) -> None:
    """Restrict what is objected to until a person has weighed the grounds (GDPR art. 21(1), 18(1)(d))."""
    own = [r.id for r in s.policy.rights if r.right == "objection"
           and (set(r.scope) & {a.name for a in activities} or "legitimate_interest" in r.scope)]  # fmt: skip
    rules = s.policy.restriction.get("objection", ())
    ids = s.cite(*rules, *own, "gdpr:21", "gdpr:18", *(a.id for a in activities))
    case.reasons = s.cite(*own, *case.reasons)
    case.acts = [a.name for a in activities]
    case.waits = ids
    cover = Restriction(case.id, "objection", ids, s.now, frozenset(case.acts), frozenset(of) or None, waits=True)
    lay(s, cover)


def lay(s: Subject, cover: Restriction) -> None:
    """Put a restriction over the items it covers and command it at each target (GDPR art. 18, 19)."""
    s.restrictions.append(cover)
    _tell(s, "restrict", [i for i in s.live() if cover.covers(i)], cover.reasons, cover.case)


def _tell(s: Subject, kind: str, items: Iterable[Item], ids: Reasons, case: str) -> None:
    by_target: dict[str, dict[str, Reasons]] = {}
    for item in items:
        recipient, system = s.policy.recipients.get(item.target), s.policy.systems.get(item.target)
        if recipient is not None and recipient.role in (Role.AUTHORITY, Role.SOURCE, Role.UNCONTROLLED):
            continue
        if system is not None and not system.erasable:
            continue
        by_target.setdefault(item.target, {})[item.category] = why(s, item, *ids)
    for target, because in sorted(by_target.items()):
        issue(s, kind, target, because, case)


def _restriction(s: Subject, case: Case) -> None:
    ground = case.body.get("ground") or "asked"
    rules = s.policy.restriction.get(str(ground)) or s.policy.restriction.get("asked") or ()
    ids = s.cite(*rules, *((s.policy.silent_rights or "", "gdpr:18") if not rules else ()),
                 *via_ids(s, case.via, "restriction"))  # fmt: skip
    activities = frozenset(a.name for scope in case.scope for a in marketing_of(s, scope)) or None
    waits = ground in ("accuracy", "objection")
    if waits:
        case.waits = ids
    lay(s, Restriction(case.id, str(ground), ids, s.now, activities, frozenset(case.of) or None, waits=waits))


def _rectification(s: Subject, case: Case) -> None:
    if case.body.get("contested") and case.correct:
        ids = s.cite(*(s.policy.restriction.get("accuracy") or (s.policy.silent_rights or "", "gdpr:18")))
        case.waits = ids
        lay(s, Restriction(case.id, "accuracy", ids, s.now, None, frozenset(case.correct), waits=True))
        return
    correct(s, case)


def correct(s: Subject, case: Case) -> None:
    """Correct or remove what the request names, everywhere but in what is booked; what a hold blocks waits."""
    ids = (*case.reasons, *via_ids(s, case.via, "rectification"))
    active = keepings(s, "rectification", s.today)
    booked: list[str] = []
    corrected: list[Item] = []
    removed: list[Item] = []
    waits: list[str] = []
    for item in list(s.live()):
        activity = s.policy.activities.get(item.activity)
        if item.category not in (*case.correct, *case.remove) or f"{item.key}" in case.acts:
            continue
        if activity is not None and activity.legal:
            booked += (activity.id, *activity.retention)
            continue
        kept = keeping_of(s, item, active, s.today)
        if kept is not None and not kept.claim:
            waits += kept.reasons
            continue
        case.acts.append(f"{item.key}")
        (corrected if item.category in case.correct else removed).append(item)
    case.waits = tuple(dict.fromkeys(waits))
    if corrected:
        _tell(s, "correct", corrected, ids, case.id)
    for item in corrected:
        s.changes.append(Change(s.now, "corrected", item.target, item.category, item.activity, why(s, item, *ids)))
    end(s, removed, {i.key: why(s, i, *ids) for i in removed}, case.id)
    if booked:
        s.note("informed", s.cite(*booked), about="booked documents are not rewritten", case=case.id)


def _hiding(s: Subject, case: Case) -> None:
    ids = s.cite(*case.reasons, *via_ids(s, case.via, "suppress"))
    s.do_not_use.append(DoNotUse(ids, s.now, categories=case.of, hidden=True, case=case.id))


def _complaint(s: Subject, case: Case) -> None:
    channels = [str(c["id"]) for c in s.policy.channels if "complaint" in _serves(c.get("serves"))]
    ids = s.cite(*channels, "gdpr:77")
    case.reasons = s.cite(*case.reasons, *ids)
    s.note("logged", ids, about="complaint", case=case.id)
    s.note("informed", ids, about="complaint", case=case.id)


def _access(s: Subject, case: Case) -> None:
    limit = next((r for r in s.policy.rights if r.right == "access" and r.limit is not None), None)
    last = s.last_copy.get("access")
    if limit is not None and limit.limit is not None and last is not None:
        free = limit.limit.after(s.policy.zone.day(last))
        if s.today < free:
            case.declined = s.cite(limit.id)
            case.body["next_free"] = free.isoformat()
            for kind in ("informed", "warned", "logged"):
                s.note(kind, case.declined, about=f"next free copy: {free}", case=case.id)
            return
    s.last_copy["access"] = s.now
    _collect(s, case, lambda _item: None)
    given = [i for i in s.live() if i.target in s.policy.recipients]
    recipients = sorted({i.target for i in given if "reported" not in i.tags or "named" in i.tags})
    for item in given:
        if item.target not in recipients:
            case.unnamed[item.target] = s.cite(*(g.id for g in s.policy.guards if g.on == "aml_report"))
    along = s.policy.cited_with_of("access:recipients")
    for target in recipients:
        s.note("informed", s.cite(*target_ids(s, target), *along), about="recipient", target=target, case=case.id)


def _collect(s: Subject, case: Case, refuse: Callable[[Item], Reasons | None]) -> None:
    hidden = {c: g.id for g in s.policy.guards if g.on == "export" for c in g.omits}
    for item in s.live():
        if item.target in s.policy.recipients and item.target not in s.policy.systems:
            continue
        no = s.cite(hidden[item.category], *case.reasons) if item.category in hidden else refuse(item)
        if no is not None:
            case.omitted[item.category] = no
            continue
        found = case.answer.setdefault(item.category, set())
        found.add(item.target)
        if item.source:
            found.add(item.source)
    for category in case.answer:
        case.omitted.pop(category, None)
    _fetch(s, case)


def _fetch(s: Subject, case: Case) -> None:
    """Ask the systems for the values: the graph has none, so they come through the channel that commands take."""
    by_target: dict[str, dict[str, Reasons]] = {}
    for category, places in case.answer.items():
        for place in places:
            system = s.policy.systems.get(place)
            if system is not None and system.erasable:
                by_target.setdefault(place, {})[category] = case.reasons
    for target, because in sorted(by_target.items()):
        issue(s, "export", target, because, case.id)


def _portability(s: Subject, case: Case) -> None:
    """Collect only what the person provided, on consent or contract (GDPR art. 20(1))."""

    def refuse(item: Item) -> Reasons | None:
        activity = s.policy.activities.get(item.activity)
        category = s.policy.categories.get(item.category)
        if category is None or category.provenance != "provided":
            return s.cite(*case.reasons, "gdpr:20")
        grounds = activity.basis if activity is not None else ()
        own = [g for g in grounds if item.category in g.categories] or [g for g in grounds if not g.categories]
        granted = any(g.kind in (Basis.CONSENT, Basis.CONTRACT) for g in own)
        return None if granted else s.cite(*case.reasons, activity.id if activity else "", "gdpr:20")

    _collect(s, case, refuse)


def decide(s: Subject, at: int, question: str, case_id: str) -> None:
    """Carry out what a person at the controller has decided about a request."""
    s.now = at
    case = s.cases[case_id]
    s.note("logged", case.waits or case.reasons, about=f"decided:{question}", case=case_id)
    cover = next((r for r in s.restrictions if r.case == case_id), None)
    if question == "identity_proven":
        case.waits = ()
        carry_out(s, case)
        return
    ids = s.cite(*case.reasons, *case.waits, *(cover.reasons if cover else ()))
    if question == "extended":
        case.extended = True
        s.note("informed", (*ids, "param:answer_deadline"), about="the answer takes longer", case=case_id)
        return
    case.waits = ()
    if question == "restriction_lifted":
        s.do_not_use = [d for d in s.do_not_use if not (d.hidden and d.case == case_id)]
    s.note("informed", ids, about=f"decided:{question}", case=case_id)
    covered = [i for i in s.live() if cover is not None and cover.covers(i)]
    s.restrictions = [r for r in s.restrictions if r.case != case_id]
    if question == "no_overriding_ground":
        for name in case.acts:
            if not case.of:
                s.objected[name] = s.cite(*ids)
        end(s, covered, {i.key: why(s, i, *ids) for i in covered}, case_id)
    elif question == "inaccurate":
        correct(s, case)
    else:
        if question == "accurate":
            case.declined = ids
        if question == "overriding_ground":
            case.declined = ids
        for item in covered:
            item.cites.update(ids)
        _tell(s, "resume", covered, ids, case_id)


def answer_day(s: Subject, case: Case) -> dt.date:
    """Give the last day for the answer: a calendar month after receipt, or as extended, and then a working day.

    The same day of the next month, its last where there is none, the next working day where that is none (GDPR
    art. 12(3), Regulation 1182/71 art. 3). The setting `first_day_counts` lets the month begin on the day of receipt.
    """
    parameter = s.policy.parameters["answer_deadline"]
    assert parameter.duration is not None  # part of the shipped parameters
    received = s.policy.zone.day(case.at)
    if s.policy.settings.get("first_day_counts") is True:
        received -= dt.timedelta(days=1)
    last = parameter.duration.after(received)
    if case.extended and parameter.extension is not None:
        months = Duration(parameter.duration.months + parameter.extension.months, 0)
        last = months.after(received)
    return next_working_day(last, s.policy.jurisdiction)
