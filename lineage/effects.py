"""Work out what has to be written after a data subject was folded: the difference between its state and the store.

Commands, cases, log lines and certificates have ids derived from what they are about, so writing them again changes
nothing. Where an erasure is through and nothing is kept any longer, the graph forgets the person: what stays are the
tombstones of the identifiers and the certificate, neither with personal data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from lineage.children import is_child
from lineage.fold import keepings_of_case, next_due, pending_because
from lineage.holding import Happening
from lineage.reactions import NO_CLOCKS, Clocks
from lineage.rights import answer_day
from lineage.store import AuditRow, Batch, CaseRow, CommandRow, Facts, Identifier, Key, Tombstone
from lineage.subject import Command, Note, Subject

ANSWER_SECONDS_MAX = 30 * 86_400
"""How long the graph remembers a person for a notice that nobody answers (GDPR art. 19), or for a cookie on a device."""
_NO_END = 1 << 40
_STATES = {"open": "pending", "done": "acknowledged", "refused": "refused", "retained": "pending", "failed": "pending",
           "unsupported": "pending"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effects:
    """What to write, whether the person's events must be looked at one by one, whether the graph forgets the person."""

    batch: Batch
    watched: bool
    forget: bool


def dump(value: object) -> str:
    """Write canonical JSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def effects(s: Subject, facts: Facts, now: int, successor: Callable[[Identifier], Key],
            shared: frozenset[Key] = frozenset(), *, forgets: bool = True, clocks: Clocks = NO_CLOCKS) -> Effects:  # fmt: skip
    """Compare a folded state with what the store has of it.

    `shared` are devices that another person uses too; `clocks` says what may run out for it, whatever comes.
    """
    batch = Batch()
    key, controller = facts.keys[0], s.policy.id
    _commands(s, facts, batch, key, now)
    for case in s.cases.values():
        batch.cases.append(CaseRow(case.id, key, controller, case.right, case.at, state_of(s, case.id), case_body(s, case.id)))
        if case.done and case.right == "erasure":
            batch.certificates.append((case.id, certificate(s, case.id)))
    batch.audit = [_line(key, controller, n) for n in s.notes]
    through = s.erased_at is not None and s.cases[s.erasure].done
    if s.erased_at is not None:
        batch.tombstones = [
            Tombstone(i.key, controller, s.erased_at, successor(i)) for i in facts.identifiers if i.key not in shared
        ]
    waits = _waiting(s, now) if through and not s.items else None
    if forgets and through and not s.items and waits is None:
        batch.forget_observations = [o for o in facts.observations if o.key not in shared]
        batch.forget_identifiers = [k for k in facts.keys if k not in shared]
        batch.forget_entries = [e.id for e in facts.entries]
        return Effects(batch, watched=False, forget=True)
    due = next_due(s)
    at = s.policy.zone.midnight(due) if due is not None else None
    if at is None and waits is not None and waits < _NO_END and forgets:
        at = waits
    # Once something has ended, any event may bring what has to end at once: it is not left to wait for a day.
    watched = bool(clocks.out or s.cases or s.changes or s.do_not_use or s.objected or s.restrictions) or is_child(s)
    if not watched and clocks.next is not None:
        at = min(at, clocks.next) if at is not None else clocks.next
    for identifier in facts.identifiers:
        batch.due_exact[identifier.key] = at if identifier.key == key else None
        batch.watched[identifier.key] = watched
    return Effects(batch, watched, forget=False)


def _waiting(s: Subject, now: int) -> int | None:
    """Give until when the graph must remember the person for a target's answer; None if nobody has to answer any more.

    A command is waited for without end, a notice and a cookie on a device (which the person may never use again) for so
    many days only. As long it is remembered what came too late of an order that nobody has paid: its payment may be late too.
    """
    ends = [e.at + ANSWER_SECONDS_MAX for e in s.late if isinstance(e, Happening)]
    until = max((end for end in ends if end > now), default=None)
    for command in s.commands.values():
        if command.state in ("done", "refused"):
            continue
        patient = command.notice or command.kind == "expire_cookie"
        end = command.issued + ANSWER_SECONDS_MAX if patient else _NO_END
        if end > now:
            until = end if until is None else max(until, end)
    return until


def _commands(s: Subject, facts: Facts, batch: Batch, key: Key, now: int) -> None:
    sent: dict[tuple[str, str, str, str, int], set[str]] = {}
    rows: dict[tuple[str, str, str, str, int], list[CommandRow]] = {}
    for row in facts.commands:
        body = orjson.loads(row.body)
        about = (row.case, row.target, row.kind, body["activity"], row.issued)
        sent.setdefault(about, set()).update(body["reasons"])
        rows.setdefault(about, []).append(row)
    for command in s.commands.values():
        new = [c for c in command.why if c not in sent.get(command.about, ())]
        if new or command.about not in sent:
            batch.commands.append(_row(s, command, key, tuple(new), first=command.about not in sent))
        wanted = _STATES[command.state]
        for row in rows.get(command.about, ()):
            if row.state != wanted:
                due = now if wanted == "pending" else row.due
                batch.command_states[row.id] = (wanted, due, row.attempts)


def _row(s: Subject, command: Command, key: Key, categories: tuple[str, ...], *, first: bool) -> CommandRow:
    more = hashlib.sha256("\x1f".join(sorted(categories)).encode()).hexdigest()[:6]
    case = s.cases.get(command.case)
    body = {
        "base": command.id,
        "activity": command.activity,
        "notice": command.notice,
        "reasons": {c: command.why[c] for c in (command.why if first else categories)},
        "deadline": answer_day(s, case).isoformat() if case is not None else None,
    }
    id_ = command.id if first else f"{command.id}-{more}"
    return CommandRow(id_, key, s.policy.id, command.target, command.case, command.kind, dump(body), command.issued,
                      command.issued, _STATES[command.state], 0)  # fmt: skip


def _line(key: Key, controller: str, note: Note) -> AuditRow:
    parts = (key, note.at, note.kind, note.about, note.target, note.case, *note.reasons)
    id_ = hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:24]
    body = {"about": note.about, "target": note.target, "case": note.case, "reasons": note.reasons}
    return AuditRow(id_, note.at, controller, note.kind, dump({k: v for k, v in body.items() if v}))


def state_of(s: Subject, case: str) -> str:
    """Give the state of a case as the outside sees it."""
    if s.cases[case].declined:
        return "declined"
    return "open" if pending_because(s, case) else "closed"


def case_body(s: Subject, id_: str) -> str:
    """Describe a case without personal data: why it is open, what each target was told, what is kept until when."""
    case = s.cases[id_]
    return dump(
        {
            "reasons": case.reasons,
            "via": case.via,
            "scope": case.scope,
            "of": case.of,
            "pending": pending_because(s, id_),
            "declined": case.declined,
            "deadline": answer_day(s, case).isoformat(),
            "answer": {c: sorted(t) for c, t in sorted(case.answer.items())},
            "omitted": dict(sorted(case.omitted.items())),
            "targets": outcomes(s, id_),
        },
    )


def outcomes(s: Subject, case: str) -> list[dict[str, object]]:
    """List, per target and category, what is known of the command: never more than has been confirmed."""
    found: list[dict[str, object]] = []
    for command in s.commands.values():
        if not s.cases[case].waits_for(command):
            continue
        outcome = {"done": "erased" if command.kind in ("erase", "expire_cookie") else command.kind, "open": "unconfirmed"}.get(
            command.state, command.state
        )
        for category, reasons in command.why.items():
            found.append({"target": command.target, "category": category, "command": command.kind, "outcome": outcome,
                          "because": reasons, "issued": command.issued, "acknowledged": command.acknowledged})  # fmt: skip
    if case == s.erasure or (s.cases[case].right == "erasure" and s.cases[case].in_part):
        found += keepings_of_case(s, case)
    return found


def certificate(s: Subject, case: str) -> str:
    """Write what was done for a closed case; its hash is chained to the certificate before it by the store."""
    c = s.cases[case]
    return dump({"case": case, "controller": s.policy.id, "policy_version": s.policy.version, "right": c.right, "received": c.at,
                 "reasons": c.reasons, "targets": outcomes(s, case)})  # fmt: skip
