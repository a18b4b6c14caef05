"""Keep the answers given to services that asked first: many of them reach the audit log in one durable write.

What arrives are lines for the log; what leaves is one `Batch` for many. A line is durable once `flush` has returned, and
at the latest `wait_seconds` after it was added: a crash before that loses the line, so whoever must not answer before the
log has it (the HTTP API) calls `flush` first. A write that fails keeps its lines for the next one.

Beside it, the states that were asked about are remembered: one is good for the next question as long as the store says
that no facts were written since, or as long as the person's facts are the same.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING

import orjson

from lineage.errors import StoreUnavailable
from lineage.store import AuditRow, Batch, Facts, GraphStore, Key

if TYPE_CHECKING:
    from lineage.guards import Answer, Question
    from lineage.policy import Policy
    from lineage.subject import Subject

WAIT_SECONDS = 0.02
LINES_MAX = 1000
"""So many lines are written at once by whoever adds the last of them."""
_STATES_MAX = 512


class Answers:
    """Lines that wait to be written. Any thread may add and flush."""

    def __init__(self, store: GraphStore, wait_seconds: float = WAIT_SECONDS, lines_max: int = LINES_MAX) -> None:
        """Write into a store: at once where `lines_max` wait, else at the latest after `wait_seconds`.

        Where the store is shared by several processes, no timer runs: whoever asks there flushes.
        """
        self._store, self._wait, self._most = store, wait_seconds, lines_max
        self._run = os.urandom(6).hex()
        self._numbers = itertools.count(1)
        self._lines: list[AuditRow] = []
        self._adding, self._writing = threading.Lock(), threading.Lock()
        self._timer: threading.Timer | None = None

    def add(self, key: Key, controller: str, question: Question, answer: Answer, extra: tuple[str, ...], now: int) -> None:
        """Add an answer's line. Two answers to the same question are two lines; what is asked about in words is left out."""
        body = {"about": f"ask:{question.gate}", "allowed": answer.allowed, "reasons": [*answer.reasons, *extra]}
        id_ = f"ask-{key}-{now}-{self._run}-{next(self._numbers)}"
        line = AuditRow(id_, now, controller, "logged", orjson.dumps(body).decode())
        with self._adding:
            self._lines.append(line)
            full = len(self._lines) >= self._most
            if self._timer is None and not full and not self._store.shared:
                self._timer = threading.Timer(self._wait, self._time_is_up)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self.flush()

    @property
    def waiting(self) -> int:
        """Count the lines that no write has taken yet."""
        return len(self._lines)

    def flush(self) -> int:
        """Write what waits, in one transaction; when this returns, every line added before is durable. Count them."""
        with self._writing:
            with self._adding:
                lines, self._lines = self._lines, []
                timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if not lines:
                return 0
            try:
                self._store.write(Batch(audit=lines))
            except BaseException:
                with self._adding:
                    self._lines = lines + self._lines
                raise
            return len(lines)

    def _time_is_up(self) -> None:
        try:
            self.flush()
        except StoreUnavailable:
            return  # The lines wait for the next write; whoever flushes learns what is wrong.


class States:
    """The states of those who were asked about last."""

    def __init__(self, store: GraphStore) -> None:
        """Remember states of persons in a store."""
        self._store = store
        self._states: dict[tuple[str, str, str], tuple[int | None, Facts, Key, Subject]] = {}

    def clear(self) -> None:
        """Forget them all: somebody was erased, and nothing readable stays in memory."""
        self._states.clear()

    @property
    def stamp(self) -> int | None:
        """Give what changes whenever facts are written; None where others may write them, too."""
        stamp: int | None = getattr(self._store, "stamp", None)
        return stamp

    def fresh(self, name: tuple[str, str, str], policy: Policy | None, now: int) -> tuple[Key, Subject] | None:
        """Give a person's state where no facts were written since it was worked out, on the same day."""
        found = self._states.get(name)
        if found is None or found[0] is None or found[0] != self.stamp or not _good(found[3], policy, now):
            return None
        found[3].now = now
        return found[2:]

    def same(self, name: tuple[str, str, str], policy: Policy, key: Key, facts: Facts, now: int) -> Subject | None:
        """Give a person's state where it was worked out from the same facts, on the same day."""
        found = self._states.get(name)
        if found is None or found[2] != key or found[1] != facts or not _good(found[3], policy, now):
            return None
        found[3].now = now
        return found[3]

    def keep(self, name: tuple[str, str, str], stamp: int | None, key: Key, facts: Facts, subject: Subject) -> None:
        """Remember a state worked out from what the store had at `stamp`; forget the one asked about longest ago."""
        self._states.pop(name, None)
        if len(self._states) >= _STATES_MAX:
            self._states.pop(next(iter(self._states)))
        self._states[name] = (stamp, facts, key, subject)


def _good(s: Subject, policy: Policy | None, now: int) -> bool:
    return s.policy is policy and s.now <= now and s.today == s.policy.zone.day(now)
