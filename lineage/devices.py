"""Join devices to the person, and take what their cookies bring, where the policy says when.

What arrives are events of a cookie and events that name a device; what leaves are joins and the items that they let in.
"""

from __future__ import annotations

from lineage.ending import end, target_ids, why
from lineage.holding import Happening, feed, put, stopped, verdict
from lineage.subject import Subject


def join(s: Subject, e: Happening) -> None:
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


def cookie(s: Subject, e: Happening) -> None:
    """Take what a cookie brings, as far as its device is joined to the person."""
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
