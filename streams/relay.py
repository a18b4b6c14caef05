"""Bring what the graph decided onto Kafka's topics: commands, alerts, dead letters. The outbox is the truth, not the topic.

One worker at a time does it (the feed says which); two at once would publish the same record twice, under the same key,
and change nothing. What was published is noted in the graph after the broker has it, so a crash between the two repeats a
record and loses none. A command stays on its topic until it is answered; then a record without value takes its place, so
that compaction removes the identifiers that it carried (GDPR art. 5(1)(e)).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import aiokafka
import orjson
from aiokafka.errors import KafkaError
from mode import Service

from lineage.errors import StoreUnavailable, WorldError
from lineage.store import AuditRow, Batch, CommandRow, DeadLetter, Position
from streams import wire
from streams.desk import Desk
from streams.kafka import for_aiokafka
from streams.outbox import Outbox
from streams.settings import Kafka
from streams.taking import place
from streams.topics import Topics
from streams.wiring import Engine

_SOURCE = "lineage"
_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 600
"""A topic does not lose a command: it is published again only where no answer came for so long, then less and less often."""
_SOON_SECONDS = 15
_LETTERS_SECONDS = 5.0
"""So often dead letters are looked for: that is a question per partition, and nobody waits for them."""
_MOST = 500
_log = logging.getLogger("lineage.relay")


class Relay(Service):  # type: ignore[misc]
    """Publishes what waits, as long as it is this worker's to do."""

    def __init__(
        self, kafka: Kafka, engine: Engine, desk: Desk, outbox: Outbox, mine: Callable[[], bool],
        wire_id: Callable[[bytes], bytes] = lambda value: value,
    ) -> None:  # fmt: skip
        """Take the shared parts; `mine` tells whether this worker publishes, `wire_id` puts a registry's id for ours."""
        super().__init__()
        self._kafka, self._engine, self._desk, self._outbox, self._mine = kafka, engine, desk, outbox, mine
        self._wire_id = wire_id
        self.topics = Topics(kafka.prefix)
        self._elsewhere = {
            (controller, target)
            for controller, told in engine.settings.per_controller().items()
            for target in (*(told.get("webhooks") or {}), *(told.get("polling") or ()))
        }
        self._producer: Any = None
        self._letters_at = 0.0

    async def on_start(self) -> None:
        """Connect to the broker."""
        self._producer = aiokafka.AIOKafkaProducer(acks="all", enable_idempotence=True, linger_ms=5, **for_aiokafka(self._kafka))
        await self._producer.start()

    async def on_stop(self) -> None:
        """Let the broker have what was handed over."""
        await self._producer.stop()

    @Service.task  # type: ignore[untyped-decorator]
    async def _run(self) -> None:
        while not self.should_stop:
            try:
                worked = self._mine() and await self.step()
            except (WorldError, KafkaError) as error:
                worked = False
                _log.warning("what is to be published waits: %s", error if isinstance(error, WorldError) else type(error).__name__)
            except Exception as error:  # noqa: BLE001 - it is tried again; the text may show a value
                worked = False
                _log.error("what is to be published waits: internal error (%s)", place(error))
            if not worked:
                await self.sleep(_LOOK_SECONDS)

    async def step(self) -> bool:
        """Publish what waits, so many records at most; tell whether there was something."""
        worked = [await self._commands(), await self._alerts(), await self._dead_letters()]
        return any(worked)

    async def withdraw(self, row: CommandRow) -> None:
        """Take an answered command off its topic."""
        if (row.controller, row.target) in self._elsewhere:
            return
        try:
            await self._producer.send_and_wait(self.topics.commands(row.controller, row.target), key=row.id.encode(), value=None)
        except KafkaError as error:
            msg = f"Kafka: {type(error).__name__}"
            raise StoreUnavailable(msg) from None

    async def _publish(self, records: Sequence[tuple[str, bytes, bytes, list[tuple[str, bytes]]]]) -> None:
        """Hand records over and wait until the broker has all of them."""
        sent = [await self._producer.send(t, key=k, value=self._wire_id(v), headers=h) for t, k, v, h in records]
        await asyncio.gather(*sent)

    # -- commands ----------------------------------------------------------------------------------------------------

    async def _commands(self) -> bool:
        """Publish the commands that are due.

        That one is on its way is noted before and after: it comes again soon if this worker ends in between, and much later
        if it has arrived. A note changes nothing about a command that was answered meanwhile.
        """
        now = int(time.time())
        found, batch = await self._desk.do(lambda: self._due(now))
        if not found and not batch.command_states:
            return False
        records = []
        for c in found:
            headers = wire.headers(c["id"], _SOURCE, wire.COMMAND, c["issued"] * 1000)
            topic = self.topics.commands(c["controller"], c["target"])
            records.append((topic, c["id"].encode(), wire.encode_command(c), headers))
        soon = replace(batch, command_pauses={c["id"]: (now + _SOON_SECONDS, c["attempt"]) for c in found})
        await self._desk.do(lambda: self._engine.store.write(soon))
        await self._publish(records)
        await self._desk.do(lambda: self._engine.store.write(Batch(command_pauses=batch.command_pauses)))
        return bool(found)

    def _due(self, now: int) -> tuple[list[dict[str, Any]], Batch]:
        most = _MOST
        while True:
            rows = self._engine.store.commands(None, None, now, most)
            mine = [row for row in rows if (row.controller, row.target) not in self._elsewhere][:_MOST]
            if mine or len(rows) < most:
                return self._outbox.prepare(mine, now, seconds_min=_AGAIN_SECONDS)
            most *= 4  # Those of targets that do not fetch theirs must not hide the others.

    # -- alerts ------------------------------------------------------------------------------------------------------

    async def _alerts(self) -> bool:
        """Publish the lines of the audit log that warn; how far they are published stands in the graph."""
        cursor = f"{self.topics.alerts}#audit"
        rows: Sequence[AuditRow] = await self._desk.do(
            lambda: self._engine.store.audit(self._engine.store.positions(cursor).get(0, 0), _MOST),
        )
        if not rows:
            return False
        await self._publish([_alert(self.topics.alerts, row) for row in rows if row.kind == "warned"])
        await self._desk.do(lambda: self._engine.store.write(Batch(positions=[Position(cursor, 0, rows[-1].seq)])))
        return True

    # -- dead letters ------------------------------------------------------------------------------------------------

    async def _dead_letters(self) -> bool:
        if time.monotonic() < self._letters_at:
            return False
        worked = False
        for topic in (*self.topics.events, self.topics.requests, self.topics.receipts):
            letters = await self._desk.do(lambda t=topic: self._unpublished(t))  # type: ignore[misc]
            if letters:
                worked = True
                await self._publish([_letter(self.topics.dead_letters, letter) for letter in letters])
                last = {letter.partition: letter.offset + 1 for letter in letters}
                done = [Position(self._letters_cursor(topic), p, offset) for p, offset in last.items()]
                await self._desk.do(lambda d=done: self._engine.store.write(Batch(positions=d)))  # type: ignore[misc]
        if not worked:
            self._letters_at = time.monotonic() + _LETTERS_SECONDS
        return worked

    def _letters_cursor(self, topic: str) -> str:
        return f"{self.topics.dead_letters}#{topic}"

    def _unpublished(self, topic: str) -> list[DeadLetter]:
        """Read a topic's dead letters after the last that was published; a partition has them in order."""
        store, found = self._engine.store, list[DeadLetter]()
        done = store.positions(self._letters_cursor(topic))
        for partition in store.positions(topic):
            after = (topic, partition, done.get(partition, 0) - 1)
            found += [x for x in store.dead_letters(_MOST, after) if x[:2] == (topic, partition)]
        return found


def _alert(topic: str, row: AuditRow) -> tuple[str, bytes, bytes, list[tuple[str, bytes]]]:
    body: Mapping[str, Any] = orjson.loads(row.body)
    content = {
        "id": row.id, "time": row.at, "controller": row.controller, "kind": row.kind, "about": body["about"],
        "reasons": list(body.get("reasons", ())), "case": body.get("case"), "target": body.get("target"),
    }  # fmt: skip
    return topic, row.id.encode(), wire.encode_alert(content), wire.headers(row.id, _SOURCE, wire.ALERT, row.at * 1000)


def _letter(topic: str, letter: DeadLetter) -> tuple[str, bytes, bytes, list[tuple[str, bytes]]]:
    place_ = f"{letter.topic}/{letter.partition}/{letter.offset}"
    content = {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset, "schema_id": letter.schema_id,
               "reason": letter.reason, "time": letter.at}  # fmt: skip
    headers = wire.headers(place_, _SOURCE, wire.DEAD_LETTER, letter.at * 1000)
    return topic, place_.encode(), wire.encode_dead_letter(content), headers
