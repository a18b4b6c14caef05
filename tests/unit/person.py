"""A data subject to test with: a small policy written in the test, events told day by day, the fold of production."""

from __future__ import annotations

import datetime as dt
from typing import Any

from lineage import policy_file
from lineage.calendar import COPENHAGEN
from lineage.fold import Decision, Event, Receipt, apply, run_until
from lineage.guards import Answer, Question, ask
from lineage.policy import Policy
from lineage.rights import Request
from lineage.subject import Case, Command, Item, Subject, Use

SKELETON: dict[str, Any] = {
    "id": "corner_shop", "key": "S", "version": 1, "time_zone": "Europe/Copenhagen", "identifiers": ["email"],
    "controller": {"name": "Corner Shop", "jurisdiction": "DK"},
    "categories": [{"id": t, "term": t, "provenance": "provided"} for t in ("name", "email", "phone", "address", "message")],
    "events": [
        {"id": "E-ORDER", "kind": "order", "carries": ["name", "email"]},
        {"id": "E-SUPPORT", "kind": "support", "carries": ["email", "message"]},
        {"id": "E-NEWS", "kind": "newsletter", "carries": ["email"]},
        {"id": "E-ACCOUNT", "kind": "account", "carries": ["name"]},
    ],
    "systems": [{"id": "Y-SHOP", "name": "shop"}, {"id": "Y-DESK", "name": "desk"}],
    "recipients": [], "activities": [], "retention": [], "holds": [], "suppression": [], "restriction": [], "rights": [],
    "links": [], "guards": [], "channels": [],
}  # fmt: skip


def activity(name: str, **more: Any) -> dict[str, Any]:
    """Give a policy's row of an activity: by default it sells, on a contract, in the system `shop`."""
    basis = [{"kind": k} for k in (more.pop("basis", "contract"),)]
    row = {"id": f"T-{name}", "name": name, "categories": ["name", "email"], "events": ["order"], "systems": ["shop"]}
    return {**row, "recipients": [], "retention": [], "basis": basis, **more}


def recipient(name: str, role: str = "processor", **more: Any) -> dict[str, Any]:
    return {"id": f"R-{name}", "name": name, "role": role, "receives": "any", **more}


def policy(settings: dict[str, Any] | None = None, **rows: Any) -> Policy:
    return policy_file.build({**SKELETON, **rows}, settings)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def second(text: str) -> int:
    """Give the second of a local time; a day alone means its noon."""
    return COPENHAGEN.at(dt.datetime.fromisoformat(text if "T" in text else f"{text}T12:00"))


class Person:
    """What happened to one person, told in order; `policy` is a policy, or the name of a shipped one."""

    def __init__(self, policy: Policy | str, settings: dict[str, Any] | None = None) -> None:
        self.s = Subject(policy_file.load(policy, settings) if isinstance(policy, str) else policy, "p")
        self.requests = 0

    def event(self, type_: str, when: str, matter: str = "", terms: str = "name email", about: str = "", **fields: Any) -> Person:
        known = tuple(fields.items())
        apply(self.s, Event(self._at(when), type_, tuple(terms.split()), known, matter, about))
        return self

    def request(self, right: str, when: str, **more: Any) -> Case:
        self.requests += 1
        apply(self.s, Request(f"case-{self.requests}", self._at(when), right, **more))
        return self.s.cases[f"case-{self.requests}"]

    def decide(self, question: str, when: str, case: Case) -> Person:
        apply(self.s, Decision(self._at(when), question, case.id))
        return self

    def answer(self, when: str, outcome: str = "erased", target: str | None = None) -> Person:
        """Let the targets answer all that is open."""
        for c in [c for c in self.s.commands.values() if c.state == "open" and target in (None, c.target)]:
            apply(self.s, Receipt(self._at(when), outcome, *c.about))
        return self

    def on(self, when: str) -> Person:
        """Let time pass, up to 00:00 of a day."""
        run_until(self.s, day(when))
        return self

    def ask(self, gate: str, **more: Any) -> Answer:
        return ask(self.s, Question(gate, **more))

    def held(self, use: Use | None = None) -> set[tuple[str, str, str]]:
        return {(i.target, i.activity, i.category) for i in self.s.live() if use in (None, i.use)}

    def item(self, target: str, activity: str, category: str, matter: str | None = None) -> Item:
        found = [i for i in self.s.items.values() if (i.target, i.activity, i.category) == (target, activity, category)]
        (one,) = [i for i in found if matter in (None, i.matter)]
        return one

    def commands(self, kind: str = "erase") -> dict[str, Command]:
        """Give the commands of a kind by their targets; the later wins."""
        return {c.target: c for c in self.s.commands.values() if c.kind == kind}

    def notes(self, about: str) -> list[Any]:
        return [n for n in self.s.notes if n.about == about]

    def _at(self, when: str) -> int:
        return max(second(when), self.s.now)
