"""End holdings: take items out of use, and say which target is commanded or notified of what.

A system is told when nothing of a category is left for it to hold; a recipient is told of each activity that ends,
with what it got for that activity; a recipient that operates a system is told when the system is (GDPR art. 17, 19, 28).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from lineage.policy import Ids, Role
from lineage.subject import Change, Command, Item, Reasons, Subject, Use


def target_ids(s: Subject, target: str) -> Ids:
    """Give the policy's ids of a target, as a recipient and as a system."""
    recipient, system = s.policy.recipients.get(target), s.policy.systems.get(target)
    return tuple(x.id for x in (recipient, system) if x is not None)


def why(s: Subject, item: Item, *first: str) -> Reasons:
    """Give reasons for something done to an item: the deciding rules, then what the item rests on."""
    activity = s.policy.activities.get(item.activity)
    ids = target_ids(s, item.target)
    return s.cite(*first, activity.id if activity else "", *ids, *sorted(item.cites))


def command_id(*parts: object) -> str:
    """Derive a command's id from what it is about, so that sending it again is the same command."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:20]


def issue(
    s: Subject,
    kind: str,
    target: str,
    because: Mapping[str, Reasons],
    case: str = "",
    activity: str = "",
) -> Command:
    """Put a command (or, to an independent recipient, a notice) into the outbox."""
    recipient = s.policy.recipients.get(target)
    notice = recipient is not None and recipient.role is Role.INDEPENDENT
    device = target in s.policy.systems and not s.policy.systems[target].erasable
    id_ = command_id(s.policy.id, s.name, case, target, kind, activity, s.now)
    command = Command(
        id_,
        case,
        kind,
        target,
        s.now,
        dict(because),
        activity,
        notice,
        keeps_open=not notice and not device,
        sent=[s.now],
    )
    known = s.commands.setdefault(id_, command)
    for category, reasons in because.items():
        known.why[category] = tuple(dict.fromkeys((*known.why.get(category, ()), *reasons)))
    ids = dict.fromkeys(i for reasons in because.values() for i in reasons)
    s.note("logged", ids, about=kind, target=target, case=case)
    return s.commands[id_]


def end(s: Subject, items: Iterable[Item], because: Mapping[tuple[str, str, str, str], Reasons], case: str = "") -> None:
    """End the items and issue what follows; `because` gives the reasons by the items' keys."""
    ended = [i for i in items if i.use is not Use.ENDING]
    for item in ended:
        s.items.turn(item, Use.ENDING)
    groups: dict[tuple[str, str, str], list[Item]] = {}
    for item in ended:
        kind, activity = _way(s, item)
        if not kind:
            del s.items[item.key]
            continue
        if s.items.left(item.target, item.category, item.activity if activity else None):
            del s.items[item.key]
            s.changes.append(Change(s.now, "ended", item.target, item.category, item.activity, because[item.key]))
            continue
        groups.setdefault((kind, item.target, activity), []).append(item)
    for (kind, target, activity), group in groups.items():
        reasons: dict[str, Reasons] = {}
        for item in group:
            reasons[item.category] = tuple(dict.fromkeys((*reasons.get(item.category, ()), *because[item.key])))
        command = issue(s, kind, target, reasons, case, activity)
        for item in group:
            item.command = command.id
            if kind == "expire_cookie":
                del s.items[item.key]
                s.changes.append(Change(s.now, "unlinked", target, item.category, item.activity, because[item.key]))


def _way(s: Subject, item: Item) -> tuple[str, str]:
    """Say how a target is told: the kind of command (empty: not at all), and the activity it is told about."""
    system, recipient = s.policy.systems.get(item.target), s.policy.recipients.get(item.target)
    if system is not None:
        return ("expire_cookie", "") if not system.erasable else ("erase", "")
    if recipient is None:
        return "erase", item.activity
    if recipient.role in (Role.AUTHORITY, Role.SOURCE, Role.UNCONTROLLED):
        return "", ""
    if recipient.operates:
        return "erase", ""
    return "erase", item.activity or "-"


def acknowledge(s: Subject, command: Command, outcome: str) -> None:
    """Take a target's answer: what it erased is gone, and the pseudonym key with it when nothing is left there."""
    if outcome in ("failed", "unsupported", "retained") or (outcome == "refused" and not command.notice):
        command.state = "failed" if outcome == "refused" else outcome
        return
    command.state = "refused" if outcome == "refused" else "done"
    command.acknowledged = s.now
    if command.kind != "erase":
        return
    gone = [i for i in s.items.values() if i.command == command.id and i.use is Use.ENDING]
    for item in gone:
        del s.items[item.key]
        reasons = command.why.get(item.category, ())
        s.changes.append(Change(s.now, "erased", item.target, item.category, item.activity, reasons, item.first))
    system = s.policy.systems.get(command.target)
    if gone and system is not None and system.pseudonymised and not any(i.target == command.target for i in s.items.values()):
        ids = dict.fromkeys(i for reasons in command.why.values() for i in reasons)
        reasons = s.cite(*ids, system.id)
        s.changes.append(Change(s.now, "key_destroyed", command.target, "", "", reasons))
        s.note("logged", reasons, about="key_destroyed", target=command.target)


def distrust(s: Subject, target: str, categories: Iterable[str], reasons: Reasons) -> bool:
    """Mark the acknowledgements of a target as false and command it again; tell whether there were any."""
    wanted = set(categories)
    found = False
    for command in list(s.commands.values()):
        if command.target != target or command.kind not in ("erase", "expire_cookie") or command.state != "done":
            continue
        if wanted and not wanted & set(command.why):
            continue
        found = True
        command.state = "open"
        command.acknowledged = None
        command.sent.append(s.now)
        for category in command.why:
            command.why[category] = tuple(dict.fromkeys((*command.why[category], *reasons)))
    if found:
        s.note("logged", reasons, about="acknowledgement was false", target=target)
        s.note("warned", reasons, about="resurrection", target=target)
    return found
