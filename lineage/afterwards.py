"""Take what comes after an erasure: only what a hold or the law still needs comes in (GDPR art. 17(3)).

What arrives are events of an erased person, or of one who had a part erased; what leaves is a trace in the log, at most
items that are kept, and renewed commands to those whose acknowledgement cannot have been true.
"""

from __future__ import annotations

import schemas
from lineage.claims import breach, claim
from lineage.ending import distrust, issue, target_ids
from lineage.holding import Happening, put, reached, receives, systems_of, verdict
from lineage.keeping import covers, keeping_of, keepings, kept, might_keep
from lineage.kinds import EVERY_POLICY, date_of
from lineage.policy import Activity
from lineage.reading import matter_kind
from lineage.rights import marketing_of
from lineage.subject import Item, Reasons, Subject, Use


def parted(s: Subject, e: Happening) -> None:
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
            and (case.of or not any(g.activity == i.activity and g.at > case.at for g in s.grants))
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
    """Tell whether the person has given the category again since then: for a new matter, for the same activity, on a network."""
    if e.fields.get("network"):
        return True  # It is the person who did it there: the network only tells.
    matter = s.matters.get(item.matter)
    begun = matter.events[0] if matter is not None and matter.events else None
    if begun is not None and schemas.registry().types[begun[1]].act:
        return begun[0] > since
    return any((i.activity, i.category) == (item.activity, item.category) and since < i.first < e.at for i in s.live())


def after_erasure(s: Subject, e: Happening, waiting: frozenset[str], *, new_matter: bool) -> None:
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
    known = e.type.startswith(EVERY_POLICY)
    spec = schemas.registry().types[e.type]
    if e.type == "breach.reported":
        by = str(e.fields.get("by"))
        reasons = s.cite(*(g.id for g in s.policy.guards if g.on == "breach"), *target_ids(s, by), *case.reasons)
        breach(s, e)
        until = date_of(e.fields.get("until"))
        if until is None or s.erased_at is None or until >= s.policy.zone.day(s.erased_at):
            distrust(s, by, e.categories, reasons)
        return
    if e.type.startswith(("claim.", "preservation.")):
        claim(s, e)
        return
    if e.type == "person.died":
        s.died = e.at
        return
    happened_before = (e.occurred or e.at) <= s.erased_at if s.erased_at is not None else False
    if waiting and new_matter and not spec.act and any(e.type in h.opened_by for h in s.policy.holds if "erasure" in h.blocks):
        waiting = waited_for(s)  # What is still kept is kept by what begins now, too: a debt of which is told meanwhile.
    elif new_matter and not spec.act and e.matter and matter_kind(e.type) in ("order", "matter", "debt", "credit", "account"):
        s.matters.pop(e.matter, None)
        if happened_before:
            s.late.append(e)
        verdict(s, e, "quarantined", ids, "", sorted(e.categories) or ("",))
        s.note("logged", ids, about=f"quarantined after erasure: {e.type}", case=case.id)
        s.note("warned", ids, about=f"quarantined after erasure: {e.type}", case=case.id)
        return
    if new_matter and happened_before:
        _put_together(s, e)
    # What belongs to a matter that a statute keeps belongs to its record, whatever kind of event tells it.
    records = [
        a for a in s.policy.activities.values() if a.legal and e.matter and a not in listing and s.items.group(a.name, e.matter)
    ]
    let_in = _keep_needed(s, e, [*listing, *records], waiting, law_only=happened_before)
    if happened_before and e.matter:
        _late_again(s, e, let_in=let_in)
    arising = {c.id for c in s.policy.categories.values() if e.type in c.arises_from}
    for category in sorted(e.categories | arising) or [""]:
        verdict(s, e, "blocked", ids, "", (category,))
    if happened_before:
        _back_again(s, e, listing, ids)
    if let_in:
        s.note("logged", ids, about=f"taken into what is kept: {e.type}", case=case.id)
        return
    s.note("logged", ids, about=f"dropped after erasure: {e.type}", case=case.id)
    # The warehouse's report of an order is no evidence against those who send the news.
    if spec.report and not known and not e.type.startswith(("order.", "prize.")):
        for activity in listing:
            for name in (*activity.recipients, *activity.systems):
                recipient, system = s.policy.recipients.get(name), s.policy.systems.get(name)
                device = system is not None and not system.erasable and e.type.startswith("cookie.")
                if (recipient is not None and recipient.role.obeys and (activity.marketing or e.base == "cookie")) or device:
                    distrust(s, name, (), ids)


def _back_again(s: Subject, e: Happening, listing: list[Activity], ids: Reasons) -> None:
    """Command the systems that tell anew what was before an erasure: they have it still, or have it again.

    What they may keep is left to them, and what a statute may ask for once more is known of the matter.
    """
    books = might_keep(s)
    for name in dict.fromkeys(t for a in listing for t in a.systems if s.policy.systems[t].erasable):
        there = [a for a in listing if name in a.systems]
        told: dict[str, Reasons] = {}
        for category in sorted(e.categories):
            feeding = [a for a in there if category in a.categories]
            probes = [Item(name, a.name, category, e.matter, e.at, e.at) for a in there if a in feeding or a.legal]
            spared = s.items.left(name, category, None) or any(covers(s, k, p) for k in books for p in probes)
            if feeding and not spared:
                told[category] = s.cite(*ids, *target_ids(s, name))
        if not told:
            continue
        distrust(s, name, told, ids)
        asked = {c for x in s.commands.values() if (x.target, x.kind, x.state) == (name, "erase", "open") for c in x.why}
        new = {category: reasons for category, reasons in told.items() if category not in asked}
        if new:
            issue(s, "erase", name, new, s.erasure)
            s.note("warned", ids, about="resurrection", target=name, case=s.erasure)


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


def waited_for(s: Subject) -> frozenset[str]:
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
        systems = systems_of(activity, next((k.base for k in e.kinds if k.base in activity.events), ""))
        held = {i.category for i in s.items.group(activity.name, e.matter).values() if i.live} | categories
        targets = [(t, c) for t in systems for c in sorted(categories)]
        for recipient in reached(s.policy, activity, e.type) if e.categories else ():
            targets += [(recipient.name, c) for c in sorted(held) if receives(recipient, c)]
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
