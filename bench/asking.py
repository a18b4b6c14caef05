"""Measure the gates: `python -m bench.asking [--persons N] [--asks N] [--json]`.

In one run, turn by turn: an answer of the pipeline in process, its line for the audit log included, against one durable
write of the same line into a plain SQLite file. The log's own writes, many lines each, fall into the same time. At the
end every answer must be in the log, and its chain whole.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import schemas
from lineage import policy_file
from lineage.digest import verify_chain
from lineage.guards import Question
from lineage.identity import KeyRing
from lineage.intake import Received
from lineage.pipeline import Pipeline
from lineage.sqlite_store import SQLiteStore
from lineage.store import AuditRow

NOW = 1_900_000_000
CONTROLLER = "pompdelux"
NEWS = Question("message", activity="marketing", channel="email")


def person(n: int) -> list[dict[str, Any]]:
    """Make the events of a customer of average business: a sign-up and two orders."""
    mail = f"p{n}@example.org"
    told: list[dict[str, Any]] = [
        {"type": "newsletter.subscribed", "channel": "email", "express": True, "data": {"email": mail, "subscription": "yes"}},
    ]
    for order in (f"{n}-1", f"{n}-2"):
        told += [
            {"type": "order.placed", "order": order, "data": {"name": "Ann", "address": "1 Mill Road", "email": mail}},
            {"type": "order.paid", "order": order, "data": {"name": "Ann", "payment_information": "card"}},
            {"type": "order.shipped", "order": order},
            {"type": "order.delivered", "order": order},
        ]
    head = {"source": "bench", "controller": CONTROLLER, "person": {"email": mail, "customer_number": f"C-{n}"}}
    return [{**head, **e, "id": f"{n}-{i}", "time": (NOW - 1000 + i) * 1000} for i, e in enumerate(told)]


def timed(work: Any) -> float:
    """Give the seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measured(persons: int, asks: int, folder: Path) -> dict[str, Any]:
    """Run both sides, turn by turn."""
    store = SQLiteStore.open(folder / "lineage.sqlite")
    pipeline = Pipeline(store, {CONTROLLER: policy_file.load(CONTROLLER)}, KeyRing({CONTROLLER: os.urandom(32)}, os.urandom(32)),
                        os.urandom)  # fmt: skip
    values = [schemas.registry().encode_json(e) for n in range(persons) for e in person(n)]
    pipeline.ingest([Received("bench", 0, n, v) for n, v in enumerate(values)], NOW)
    plain = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    plain.execute("PRAGMA journal_mode = WAL")
    plain.execute("PRAGMA synchronous = FULL")
    plain.execute("CREATE TABLE line (body TEXT)")

    def ask(n: int) -> None:
        pipeline.ask(CONTROLLER, ("email", f"p{n % persons}@example.org"), NEWS, NOW)

    first = [timed(lambda n=n: ask(n)) for n in range(persons)]
    line = json.dumps({"about": "ask:message", "allowed": True, "reasons": ["P-CON-1", "P-CON-2", "P-ACT-9"], "id": "x" * 40})
    answers, writes = [], []
    for n in range(asks):
        answers.append(timed(lambda n=n: ask(n)))
        if n % 20 == 0:
            writes.append(timed(lambda: plain.execute("INSERT INTO line VALUES (?)", (line,))))
    started = time.perf_counter()
    pipeline.answers.flush()
    rest = time.perf_counter() - started
    found: list[AuditRow] = []
    seq = logged = 0
    while lines := store.audit(seq, 10_000):
        seq = lines[-1].seq
        found += lines
        logged += sum(line.id.startswith("ask-") for line in lines)
    verify_chain(found)
    store.close()
    plain.close()
    answer_us, write_us = statistics.median(answers) * 1e6, statistics.median(writes) * 1e6
    return {
        "ask_us": round(answer_us, 1),
        "ask_p99_us": round(statistics.quantiles(answers, n=100)[98] * 1e6, 1),
        "first_ask_us": round(statistics.median(first) * 1e6, 1),
        "write_us": round(write_us, 1),
        "ask_to_write": round(answer_us / write_us, 4),
        "log_to_write": round((sum(answers) + rest) / asks * 1e6 / write_us, 4),
        "answers": asks + persons,
        "logged": logged,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every answer is in the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=200)
    parser.add_argument("--asks", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(told.persons, told.asks, Path(folder))
    if told.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:14} {value}")
    return 0 if figures["logged"] == figures["answers"] else 1


if __name__ == "__main__":
    sys.exit(main())
