"""The systems and recipients around the pipeline, each with a SQLite file of its own and nothing else in common.

Each asks the pipeline for commands over HTTP, does what it is told in its own file, and answers with a receipt.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from demo.dispatch import Delivery

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    customer_number TEXT NOT NULL, activity TEXT NOT NULL, category TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (customer_number, activity, category, value)
) WITHOUT ROWID
"""
_AGAIN_SECONDS = 0.5
_WAIT_SECONDS = 2


class Service:
    """One target: a system of a shop, or somebody who gets data from it."""

    def __init__(self, controller: str, target: str, folder: Path) -> None:
        """Open the target's own file."""
        self.controller, self.target = controller, target
        self.file = folder / f"{controller}.{target}.sqlite"
        self.carried_out = 0
        # Erased rows must not stand in free pages, nor in the write-ahead log: `secure_delete`, and a checkpoint after.
        self._db = sqlite3.connect(self.file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(_SCHEMA)

    def keep(self, rows: Iterable[Delivery]) -> None:
        """File what arrives."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?)", [r[2:] for r in rows])
        self._db.execute("COMMIT")

    def rows(self, customer_number: str) -> list[tuple[str, str, str]]:
        """Give what is filed of a customer: activity, category, value."""
        sql = "SELECT activity, category, value FROM record WHERE customer_number = ? ORDER BY category, activity"
        return self._db.execute(sql, (customer_number,)).fetchall()

    def carry_out(self, command: Mapping[str, Any]) -> str:
        """Do what a command says; a command that comes again finds nothing left to do."""
        if command["kind"] not in ("erase", "expire_cookie"):
            return "done"
        activity = command["activity"] or ""
        self._db.execute("BEGIN")
        for number in command["identifiers"].get("customer_number", ()):
            for category in command["categories"]:
                self._db.execute(
                    "DELETE FROM record WHERE customer_number = ?1 AND category = ?2 AND (?3 = '' OR activity = ?3)",
                    (number, category, activity),
                )
        self._db.execute("COMMIT")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.carried_out += 1
        return "erased"

    async def serve(self, api: httpx.AsyncClient, delay_s: float = 0.0) -> None:
        """Ask for commands and answer them until cancelled; `delay_s` makes a slow one."""
        path = f"/v1/systems/{self.controller}/{self.target}/commands"
        while True:
            try:
                answer = await api.get(path, params={"wait": _WAIT_SECONDS, "max": 100}, timeout=_WAIT_SECONDS + 10)
                answer.raise_for_status()
                for command in answer.json()["commands"]:
                    await asyncio.sleep(delay_s)
                    receipt = {"command": command["id"], "outcome": self.carry_out(command)}
                    (await api.post("/v1/receipts", json=receipt)).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(_AGAIN_SECONDS)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
