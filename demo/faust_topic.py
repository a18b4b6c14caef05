"""Feed the graph from Faust's own topics: for a service that runs on Faust anyway and wants no second consumer.

    python -m demo.faust_topic --kafka localhost:9092

The project's own workers read Kafka themselves and hand whole batches to their agents, which is 30 times faster
(`streams/kafka_feed.py`). This is the other way: an agent on `app.topic(…)` that calls the same functions. Faust loses
events in five places, which are avoided here:

1. An exception in an agent acknowledges the event. So do `take` and a cancelled stream, for the whole batch. Here,
   `noack_take` gives the events, and each is acknowledged after the transaction that wrote it, never before.
2. `noack_take` switches acknowledging on again when it ends, however it ends, while a task in the background reads on:
   what that reads is acknowledged and seen by nobody. Here it is off for the stream, for good.
3. `noack` with acknowledgements out of order lets the commit step over a hole. Here one agent, one at a time,
   acknowledges a batch in its order, or none of it.
4. A value that cannot be decoded is logged and acknowledged. Here values are raw bytes; the pipeline decodes them, and what
   is no event becomes a dead letter.
5. `processing_guarantee="exactly_once"` commits wrongly on gaps and rebalances. Here it is at least once, and the
   positions that count are written with the facts: what comes twice changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import faust

from lineage.errors import BadEvent, LineageError, WorldError
from lineage.intake import Received
from streams import settings, wiring
from streams.app import tag_all
from streams.desk import Desk
from streams.schema_registry import Ids
from streams.taking import place
from streams.topics import Topics

_PAUSE_SECONDS_MAX = 30.0
_log = logging.getLogger("lineage.faust")


class Feeding:
    """The Faust app with its agent, over an engine."""

    def __init__(
        self, engine: wiring.Engine, bootstrap: str, topics: Topics, ids: Ids | None = None, *,
        batch_events_max: int = 2000, within_seconds: float = 0.05, tick_seconds: float = 2.0,
    ) -> None:  # fmt: skip
        """Make the app; nothing is connected before it is started."""
        self.engine, self._ids, self._desk = engine, ids or Ids(), Desk()
        self.app = faust.App(
            f"{topics.prefix}-faust", broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False,
            key_serializer="raw", value_serializer="raw", consumer_auto_offset_reset="earliest",
            # The topics are there already, with a layout of their own, and this app has no tables.
            topic_allow_declare=False, topic_disable_leader=True,
            broker_session_timeout=10.0, broker_rebalance_timeout=15.0,
        )  # fmt: skip
        topic = self.app.topic(*topics.events, key_type=bytes, value_type=bytes)

        @self.app.agent(topic, concurrency=1)  # type: ignore[untyped-decorator]
        async def lineage(stream: Any) -> None:  # noqa: ANN401 - Faust's own type lacks `noack_take`
            stream.enable_acks = False
            async for events in stream.noack_take(batch_events_max, within=within_seconds):
                try:
                    await self._write([_received(event.message) for event in events])
                except Exception as error:
                    # Nothing of the batch is acknowledged. The app ends, so that nothing after it can be either.
                    _log.error("a batch cannot be written: internal error (%s)", place(error))
                    await self.app.crash(error)
                    raise
                for event in events:
                    await stream.ack(event)

        @self.app.timer(interval=tick_seconds)  # type: ignore[untyped-decorator]
        async def due() -> None:
            try:
                await self._desk.do(lambda: engine.pipeline.tick(int(time.time())))
            except WorldError as error:
                _log.warning("what is due waits: %s", error)

    async def _write(self, records: Sequence[Received]) -> None:
        """Write a batch; where the world is wrong, try until it is right again: the batch is kept, and so are those after it."""
        pause = 0.2
        while True:
            try:
                await self._desk.do(lambda: self._once(records))
            except WorldError as error:
                if self.app.should_stop:
                    raise
                _log.warning("a batch waits: %s", error)
                await asyncio.sleep(pause * (0.5 + random.random() / 2))
                pause = min(_PAUSE_SECONDS_MAX, pause * 2)
            else:
                return

    def _once(self, records: Sequence[Received]) -> None:
        """Tag a batch and write it, with the bytes as they came: a dead letter shows which schema they claim."""
        known = [self._own(record) for record in records]
        tagged = iter(tag_all(self.engine, [k for k in known if isinstance(k, Received)]))
        found = [next(tagged) if isinstance(k, Received) else k for k in known]
        self.engine.pipeline.ingest(records, int(time.time()), found)

    def _own(self, record: Received) -> Received | BadEvent:
        """Put our schema id into a record, or say why there is none."""
        try:
            return record._replace(value=self._ids.inbound(record.value))
        except BadEvent as error:
            return error


def _received(message: Any) -> Received:  # noqa: ANN401 - Faust's message
    return Received(message.topic, message.partition, message.offset, message.value or b"")


def main() -> None:
    """Run a worker as the arguments and the environment say, until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m demo.faust_topic", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kafka", required=True, metavar="HOST:PORT")
    parser.add_argument("--topics", default="lineage", metavar="PREFIX")
    given = parser.parse_args()
    try:
        engine = wiring.engine(settings.load())
    except LineageError as error:
        print(f"faust: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    feeding = Feeding(engine, given.kafka, Topics(given.topics))
    try:
        faust.Worker(feeding.app, loglevel="WARN").execute_from_commandline()
    finally:
        engine.close()


if __name__ == "__main__":
    main()
