"""Bring commands to the systems and recipients, and follow each one up until it is answered.

A target fetches its commands (long poll), or has them sent to its address (webhook); a command that is not answered is
due again after a while, at least once a day, and people are warned when it has been sent often or its day is near.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import hmac
import logging
import random
import time
from collections.abc import Sequence
from typing import Any

import httpx
import orjson
from mode import Service

from lineage.errors import LineageError, WorldError
from lineage.store import AuditRow, Batch, CommandRow
from streams.desk import Desk
from streams.taking import place
from streams.wiring import Engine

DAY = 86_400
_FIRST_SECONDS = 2
_NEAR_DAYS = 7
_LOOK_SECONDS = 0.2
_WEBHOOK_SECONDS_MAX = 30.0
_log = logging.getLogger("lineage.outbox")


def backoff_seconds(attempts: int, jitter: float) -> int:
    """Say how long to wait for an answer: 2 s doubled at each attempt, a day at most; `jitter` is from 0 to 1."""
    plain = min(DAY * 0.8, _FIRST_SECONDS * 2 ** min(attempts, 16))
    return int(plain * (0.8 + 0.4 * jitter)) + 1


class Outbox:
    """What waits for the targets."""

    def __init__(self, engine: Engine, desk: Desk) -> None:
        """Take the shared parts."""
        self._engine, self._desk = engine, desk
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Let go of the targets that wait: the process stops."""
        self._closed.set()

    async def fetch(self, controller: str, target: str, most: int, wait_seconds: float) -> list[dict[str, Any]]:
        """Give the commands that are due for a target; wait for some if there are none."""
        until = time.monotonic() + wait_seconds
        while True:
            found = await self._desk.do(lambda: self.take(controller, target, int(time.time()), most))
            if found or time.monotonic() >= until or self._closed.is_set():
                return found
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), _LOOK_SECONDS)

    def take(self, controller: str | None, target: str | None, now: int, most: int) -> list[dict[str, Any]]:
        """Take due commands, and let each be due again later: a target that dies with one gets it once more."""
        store = self._engine.store
        found, batch = self.prepare(store.commands(controller, target, now, most), now)
        if batch.command_pauses or batch.command_states:
            store.write(batch)
        return found

    def prepare(self, rows: Sequence[CommandRow], now: int, *, seconds_min: int = 0) -> tuple[list[dict[str, Any]], Batch]:
        """Make commands as their targets get them, and what to write once they have; due again in `seconds_min` or more."""
        batch = Batch()
        found = []
        for row in rows:
            command = self.describe(row)
            if not command["identifiers"]:
                # The graph has forgotten the person: nobody can be told any more whom this is about.
                batch.command_states[row.id] = ("dead", row.due, row.attempts)
                batch.audit.append(_line(row, now, "gone", "unanswered when the graph forgot the person: not sent again"))
                continue
            found.append(command)
            pause = backoff_seconds(row.attempts, random.random())  # noqa: S311 - spreads retries, hides nothing
            later = now + max(pause, seconds_min)
            batch.command_pauses[row.id] = (later, row.attempts + 1)
            batch.audit += self._warnings(row, now)
        return found, batch

    def describe(self, row: CommandRow) -> dict[str, Any]:
        """Make the command as a target gets it: with the person's identifiers in the clear."""
        body = orjson.loads(row.body)
        facts = self._engine.store.facts((row.key,))
        opened = [self._engine.pipeline.keys.open(i.sealed) for i in facts.identifiers]
        identifiers: dict[str, list[str]] = {}
        for kind, value in opened:
            identifiers.setdefault(kind, []).append(value)
        return {
            "id": row.id, "case": row.case, "controller": row.controller, "target": row.target, "kind": row.kind,
            "notice": body["notice"], "activity": body["activity"].strip("-") or None, "categories": sorted(body["reasons"]),
            "because": body["reasons"], "identifiers": identifiers, "issued": row.issued, "deadline": body["deadline"],
            "attempt": row.attempts + 1,
        }  # fmt: skip

    def _warnings(self, row: CommandRow, now: int) -> list[AuditRow]:
        """Warn people of a command that stays unanswered: after some attempts, and when its day is near."""
        body = orjson.loads(row.body)
        near = body["deadline"] and dt.date.fromisoformat(body["deadline"]) <= dt.date.fromtimestamp(now) + dt.timedelta(_NEAR_DAYS)  # noqa: DTZ012
        often = row.attempts == self._engine.settings.warn_attempts
        if not often and not (near and row.attempts):
            return []
        why = f"unanswered after {row.attempts} attempts" if often else "unanswered, and its day is near"
        return [_line(row, now, "often" if often else "near", why)]


def _line(row: CommandRow, now: int, name: str, about: str) -> AuditRow:
    """Make a warning about a command; the same one is written once."""
    ids = sorted({i for reasons in orjson.loads(row.body)["reasons"].values() for i in reasons})
    text = orjson.dumps({"about": about, "target": row.target, "case": row.case, "reasons": ids}).decode()
    return AuditRow(f"alert-{row.id}-{name}", now, row.controller, "warned", text)


def signature(secret: str, body: bytes) -> str:
    """Sign a webhook's body: HMAC-SHA256 in hexadecimal, so that the target knows who sent it."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Webhooks(Service):  # type: ignore[misc]
    """Sends commands to the targets that have an address in the settings (`webhooks`, by target)."""

    def __init__(self, engine: Engine, desk: Desk, outbox: Outbox) -> None:
        """Take the shared parts."""
        super().__init__()
        self._engine, self._desk, self._outbox = engine, desk, outbox
        self.targets = [
            (controller, target, str(where["url"]), str(where.get("secret", "")))
            for controller, told in engine.settings.per_controller().items()
            for target, where in (told.get("webhooks") or {}).items()
        ]

    @Service.task  # type: ignore[untyped-decorator]
    async def _run(self) -> None:
        if not self.targets:
            return
        async with httpx.AsyncClient(timeout=_WEBHOOK_SECONDS_MAX) as client:
            await asyncio.gather(*(self._serve(client, *target) for target in self.targets))

    async def _serve(self, client: httpx.AsyncClient, controller: str, target: str, url: str, secret: str) -> None:
        """Look after one target: one that is slow or gone holds up no other."""
        while not self.should_stop:
            try:
                await self._send(client, controller, target, url, secret)
            except LineageError as error:
                _log.warning("webhook %s: %s", target, error)
            except Exception as error:  # noqa: BLE001 - the target is tried again; the text may show a value
                _log.error("webhook %s: internal error (%s)", target, place(error))
            await self.sleep(1.0)

    async def _send(self, client: httpx.AsyncClient, controller: str, target: str, url: str, secret: str) -> None:
        commands = await self._desk.do(lambda: self._outbox.take(controller, target, int(time.time()), 20))
        for command in commands:
            body = orjson.dumps(command)
            headers = {"Content-Type": "application/json", "X-Lineage-Signature": signature(secret, body)}
            try:
                answer = await client.post(url, content=body, headers=headers)
            except httpx.HTTPError as error:
                _log.warning("webhook %s does not answer (%s)", target, type(error).__name__)
                continue
            outcome = _outcome(answer)
            if outcome is not None:
                id_, data = str(command["id"]), outcome.get("data")
                kept = str(outcome["outcome"])
                await self._desk.do(lambda i=id_, o=kept, d=data: self._engine.pipeline.receipt(i, o, int(time.time()), d))  # type: ignore[misc]


def _outcome(answer: httpx.Response) -> dict[str, Any] | None:
    """Read a receipt from a webhook's answer; none (only taken, or an error) lets the command be sent again."""
    if answer.status_code != httpx.codes.OK or not answer.content:
        return None
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("outcome"), str) else None


__all__ = ["Outbox", "Webhooks", "WorldError", "backoff_seconds", "signature"]
