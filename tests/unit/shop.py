"""A shop to test with: a pipeline over an in-memory store, events in a line each, a clock that the test owns."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from typing import Any

import schemas
from lineage import policy_file
from lineage.calendar import COPENHAGEN
from lineage.identity import KeyRing
from lineage.intake import Received, Taken
from lineage.pipeline import Pipeline
from lineage.rights import Request
from lineage.sqlite_store import SQLiteStore
from lineage.store import Batch, CommandRow


def at(text: str) -> int:
    """Give the second of a local time such as 2024-03-04 or 2024-03-04T10:00."""
    return COPENHAGEN.at(dt.datetime.fromisoformat(text))


class Shop:
    def __init__(self, *controllers: str, settings: dict[str, Any] | None = None, store: SQLiteStore | None = None) -> None:
        self.store = store or SQLiteStore.open(":memory:")
        self.controllers = controllers or ("pompdelux",)
        policies = {c: policy_file.load(c, (settings or {}).get(c)) for c in self.controllers}
        keys = KeyRing({c: hashlib.sha256(c.encode()).digest() for c in policies}, hashlib.sha256(b"kek").digest())
        seed = itertools.count()
        self.pipeline = Pipeline(self.store, policies, keys, lambda n: hashlib.shake_128(b"%d" % next(seed)).digest(n))
        self.offset = 0
        self.numbers = itertools.count(1)

    def event(self, type_: str, when: str, who: str | None = "buyer", **fields: Any) -> bytes:
        person = {"email": f"{who}@example.org", "customer_number": f"C-{who}"} if who else {}
        data = fields.pop("data", None)
        event = {
            "id": f"e-{next(self.numbers)}",
            "source": "test",
            "type": type_,
            "time": at(when) * 1000,
            "controller": fields.pop("controller", self.controllers[0]),
            "person": person,
            **fields,
        }
        if data is not None:
            event["data"] = data
        return schemas.registry().encode_json(event)

    def take(self, *values: bytes, now: str) -> Taken:
        records = [Received("journal", 0, self.offset + n, v) for n, v in enumerate(values)]
        self.offset += len(values)
        return self.pipeline.ingest(records, at(now))

    def request(self, right: str, when: str, who: str = "buyer", **more: Any) -> str:
        case = f"case-{next(self.numbers)}"
        self.pipeline.request(self.controllers[0], ("email", f"{who}@example.org"), Request(case, at(when), right, **more))
        return case

    def commands(self, now: str) -> list[CommandRow]:
        return list(self.store.commands(None, None, at(now), 10_000))

    def acknowledge_all(self, now: str, outcome: str = "erased") -> list[CommandRow]:
        """Send what is due, and answer it: an answer is told apart from the one before by how often the command was sent."""
        rows = self.commands(now)
        self.store.write(Batch(command_pauses={row.id: (at(now) + 3600, row.attempts + 1) for row in rows}))
        for n, row in enumerate(rows):
            self.pipeline.receipt(row.id, outcome, at(now) + 1 + n)
        return rows

    def deliver_and_answer(self, delivered: str, answered: str) -> set[str]:
        rows = self.commands(delivered)
        self.deliver_without_answer(delivered)
        for row in rows:
            self.pipeline.receipt(row.id, "erased", at(answered))
        return {row.target for row in rows}

    def deliver_without_answer(self, now: str) -> None:
        for row in self.commands(now):
            self.store.write(Batch(command_states={row.id: ("pending", at(now) + 3600, row.attempts + 1)}))

    def items(self, now: str, who: str = "buyer", controller: str | None = None) -> set[tuple[str, str, str]]:
        name = controller or self.controllers[0]
        key = self.pipeline.current(name, "email", f"{who}@example.org")
        return {(i.target, i.activity, i.category) for i in self.pipeline.look((key,), name, at(now)).live()}


ORDER = {"name": "Ann Buyer", "address": "1 Road", "email": "buyer@example.org", "phone": "12345678", "order_content": "a dress"}
