"""Carry out what comes on the topics of requests and receipts: one record, and then its position.

A rights request is filed under its case id and a receipt under its command id, so a record that is read twice changes
nothing. What cannot be carried out goes to the dead letters, like an event that is none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from lineage.errors import BadCall, BadEvent, WorldError
from lineage.store import Batch, CommandRow, Position
from streams import wire
from streams.asking import rights_request
from streams.kafka_feed import Call
from streams.taking import Figures, place
from streams.topics import Topics
from streams.wiring import Engine


class Calls:
    """The way from a record to the agents of requests and receipts."""

    def __init__(
        self, engine: Engine, topics: Topics, ask: Callable[[str, Any], Awaitable[Any]], figures: Figures,
        answered: Callable[[CommandRow], Awaitable[None]],
    ) -> None:  # fmt: skip
        """Take the shared parts; `answered` is told of each command that needs no answer any more."""
        self._engine, self._topics, self._ask, self._figures, self._answered = engine, topics, ask, figures, answered

    async def carry_out(self, call: Call) -> None:
        """Carry out a record and move its position; raise a `WorldError` if it must be brought again."""
        if call.record.topic == self._topics.requests:
            await self._ask("requests", lambda: self._once(call, self._request))
            return
        row = await self._ask("receipts", lambda: self._once(call, self._receipt))
        if row is not None and row.state != "pending":
            await self._answered(row)

    def _once(self, call: Call, work: Callable[[Call], CommandRow | None]) -> CommandRow | None:
        record, store = call.record, self._engine.store
        batch = Batch(positions=[Position(record.topic, record.partition, record.offset + 1)])
        found: CommandRow | None = None
        if store.positions(record.topic).get(record.partition, 0) > record.offset:
            return None
        reason = ""
        try:
            if call.wrong is not None:
                raise call.wrong  # noqa: TRY301 - one ending for all that is wrong
            found = work(call)
        except WorldError:
            raise
        except (BadEvent, BadCall) as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not hold up the records after it
            self._figures.failures += 1
            reason = f"internal error ({place(error)})"
        if reason:
            self._figures.dead_letters += 1
            batch.dead_letters.append(self._engine.pipeline.intake.dead_letter(record, reason, int(time.time())))
        store.write(batch)
        return found

    def _request(self, call: Call) -> None:
        body = wire.decode_request(call.record.value)
        if self._engine.store.case(body["case"]) is None:
            identifier = (body["identifier"]["kind"], body["identifier"]["value"])
            filed = rights_request(body["case"], call.at, body)
            self._engine.pipeline.request(body["controller"], identifier, filed)

    def _receipt(self, call: Call) -> CommandRow | None:
        body = wire.decode_receipt(call.record.value)
        self._engine.pipeline.receipt(body["command"], body["outcome"], call.at, body["data"])
        return self._engine.store.command(body["command"])
