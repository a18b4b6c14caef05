"""A small web shop as a service of its own on Kafka: it emits what happens, and erases on command.

    python -m demo.kafka_service --kafka localhost:9092 --folder shop-data < orders.jsonl

Orders come as JSON lines, are kept in the shop's own SQLite file, and leave as events. Two things in it are worth copying:
an order and its event are written in one transaction and the event goes when Kafka has it, so neither is there without the
other; and what an erasure did is noted in the transaction that did it, so a crash can neither lose nor double it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lineage.errors import LineageError
from streams.emitter import Delivered, Emitter, NotDelivered
from streams.handler import Answer, Command, Service, handler
from streams.topics import Topics

CONTROLLER, TARGET = "pompdelux", "customer_database"
COLUMNS = ("name", "email", "phone", "address")
"""Categories of the policy that are columns here; purchases have a table of their own."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS customer (
    number TEXT PRIMARY KEY, name TEXT, email TEXT, phone TEXT, address TEXT, restricted INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS purchase (id TEXT PRIMARY KEY, customer TEXT NOT NULL, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answered (
    command TEXT PRIMARY KEY, outcome TEXT NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL
);
"""


class Shop:
    """The shop's file: customers, purchases, events that Kafka does not have yet, answers to commands."""

    def __init__(self, folder: Path) -> None:
        """Open the file or make it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "shop.sqlite"
        with self._open() as db:
            db.executescript(_SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give a connection for one transaction; what is erased leaves no bytes behind."""
        with closing(sqlite3.connect(self.file)) as db:
            db.execute("PRAGMA secure_delete = ON")
            with db:
                yield db

    # -- orders and their events -----------------------------------------------------------------------------------

    def order(self, order: Mapping[str, str]) -> dict[str, Any]:
        """Keep an order and its event together."""
        number, id_ = order["customer_number"], order["order"]
        event = {
            "id": f"shop-order-{id_}", "source": "demo/kafka_service", "type": "order.placed", "controller": CONTROLLER,
            "order": id_, "time": dt.datetime.now(dt.UTC).isoformat(),
            "person": {"email": order["email"], "customer_number": number},
            "data": {**{column: order[column] for column in COLUMNS}, "order_content": order["content"]},
        }  # fmt: skip
        with self._open() as db:
            values = [order[column] for column in COLUMNS]
            db.execute(
                "INSERT OR REPLACE INTO customer (number, name, email, phone, address) VALUES (?, ?, ?, ?, ?)", [number, *values]
            )
            db.execute("INSERT OR REPLACE INTO purchase VALUES (?, ?, ?)", [id_, number, order["content"]])
            db.execute("INSERT OR REPLACE INTO event VALUES (?, ?)", [event["id"], json.dumps(event)])
        return event

    def waiting(self) -> list[dict[str, Any]]:
        """Give the events that Kafka does not have: a start sends them again, under the same ids."""
        with self._open() as db:
            return [json.loads(body) for (body,) in db.execute("SELECT body FROM event ORDER BY rowid")]

    def told(self, id_: str, result: Delivered | NotDelivered) -> None:
        """Let go of an event that Kafka has."""
        if isinstance(result, Delivered):
            with self._open() as db:
                db.execute("DELETE FROM event WHERE id = ?", [id_])

    # -- commands --------------------------------------------------------------------------------------------------

    def erase(self, command: Command) -> str:
        """Erase the categories of a person, and note in the same transaction that it was done."""
        with self._open() as db:
            numbers = self._numbers(db, command)
            for number in numbers:
                for column in set(COLUMNS) & set(command.categories):
                    db.execute(f"UPDATE customer SET {column} = NULL WHERE number = ?", [number])
                if "purchase" in command.categories:
                    db.execute("DELETE FROM purchase WHERE customer = ?", [number])
                nothing = " AND ".join(f"{column} IS NULL" for column in COLUMNS)
                db.execute(f"DELETE FROM customer WHERE number = ? AND {nothing}", [number])
                db.execute("DELETE FROM event WHERE json_extract(body, '$.person.customer_number') = ?", [number])
            outcome = "erased" if numbers else "no_data"
            self._note(db, command.id, Answer(outcome, command.attempt, int(dt.datetime.now(dt.UTC).timestamp())))
        return outcome

    def restrict(self, command: Command) -> str:
        """Lock a person's row, or unlock it."""
        with self._open() as db:
            for number in self._numbers(db, command):
                db.execute("UPDATE customer SET restricted = ? WHERE number = ?", [command.kind == "restrict", number])
        return "done"

    def export(self, command: Command) -> dict[str, object]:
        """Give what is held of a person, category by category."""
        found: dict[str, object] = {}
        with self._open() as db:
            for number in self._numbers(db, command):
                row = db.execute("SELECT name, email, phone, address FROM customer WHERE number = ?", [number]).fetchone()
                found |= {c: value for c, value in zip(COLUMNS, row, strict=True) if value is not None and c in command.categories}
                bought = [
                    content for (content,) in db.execute("SELECT content FROM purchase WHERE customer = ? ORDER BY id", [number])
                ]
                if bought and "purchase" in command.categories:
                    found["purchase"] = bought
        return found

    def _numbers(self, db: sqlite3.Connection, command: Command) -> list[str]:
        """Give the customer numbers that a command is about: those it names, and those known by its e-mail addresses."""
        known = [*command.identifiers.get("customer_number", ()), *command.identifiers.get("email", ())]
        marks = ", ".join("?" * len(known))
        sql = f"SELECT number FROM customer WHERE number IN ({marks}) OR email COLLATE NOCASE IN ({marks})"
        return [number for (number,) in db.execute(sql, [*known, *known])]

    # -- what was answered (`Answered`) ------------------------------------------------------------------------------

    def get(self, command: str) -> Answer | None:
        """Give the answer to a command."""
        with self._open() as db:
            row = db.execute("SELECT outcome, attempt, at FROM answered WHERE command = ?", [command]).fetchone()
        return Answer(*row) if row else None

    def put(self, command: str, answer: Answer) -> None:
        """Keep an answer; that to an erasure is there already."""
        with self._open() as db:
            self._note(db, command, answer)

    def _note(self, db: sqlite3.Connection, command: str, answer: Answer) -> None:
        db.execute("INSERT OR REPLACE INTO answered VALUES (?, ?, ?, ?)", [command, *answer])

    def close(self) -> None:
        """Nothing is open between two transactions."""


def serve(bootstrap: str, topics: Topics, shop: Shop, lines: Iterator[str]) -> None:
    """Take orders and commands until a signal comes."""

    @handler("erase")
    def erase(command: Command) -> str:
        return shop.erase(command)

    @handler("restrict", "resume")
    def restrict(command: Command) -> str:
        return shop.restrict(command)

    @handler("export")
    def export(command: Command) -> dict[str, object]:
        return shop.export(command)

    def take_orders() -> None:
        for line in lines:
            try:
                emitter.emit(shop.order(json.loads(line)))
            except (LineageError, KeyError, ValueError) as error:
                print(f"order not taken: {error if isinstance(error, LineageError) else type(error).__name__}", file=sys.stderr)

    service = Service(CONTROLLER, TARGET, erase, restrict, export, bootstrap_servers=bootstrap, answered=shop, topics=topics)
    with Emitter(bootstrap, topics=topics, told=shop.told) as emitter:
        for event in shop.waiting():
            emitter.emit(event)
        threading.Thread(target=take_orders, daemon=True).start()
        service.run()


def main() -> None:
    """Run the service as its arguments say."""
    parser = argparse.ArgumentParser(prog="python -m demo.kafka_service", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kafka", required=True, metavar="HOST:PORT")
    parser.add_argument("--topics", default="lineage", metavar="PREFIX")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    try:
        serve(given.kafka, Topics(given.topics), Shop(given.folder), iter(sys.stdin))
    except LineageError as error:
        print(f"shop: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
