"""The Faust app: agents for the six streams, for requests and for receipts, on channels of batches.

A feed (the journal's or Kafka's) gives each stream's part of a batch to the agent of that stream, which tags it and makes
its facts; those of all of them are written with the consumed positions in one transaction. Whole batches go through a
channel, not events: an event through a Faust topic costs more than all the work on it. An agent never swallows an error:
whoever gave it the batch is told, and keeps it until it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.types.channels import ChannelT

from lineage.errors import BadEvent, Undecodable
from lineage.intake import Prepared, Received
from streams.desk import Desk
from streams.taking import STREAMS, Figures, Taker, place
from streams.wiring import Engine


@dataclass(slots=True)
class Work:
    """A part of a batch for one agent, and where its answer goes."""

    content: Any
    done: asyncio.Future[Any]


class Boot(BootStrategy):  # type: ignore[misc]
    """A Faust app that reads no topic by itself: channels in memory, and a feed of ours that fills them."""

    enable_kafka = False
    enable_kafka_consumer = False
    enable_kafka_producer = False
    enable_web = False
    enable_sensors = False


class Fed(faust.App):  # type: ignore[misc]
    """The app class with our boot strategy."""

    BootStrategy = Boot


class Agents:
    """The app with its agents, and the way to give them work."""

    def __init__(self, engine: Engine, desk: Desk) -> None:
        """Make the app: an agent per stream that tags, one for requests, one for receipts."""
        self.figures = Figures()
        self.app = Fed("lineage", broker="kafka://127.0.0.1:9", store="memory://", web_enabled=False)
        self._channels: dict[str, ChannelT[Work]] = {}
        for stream in STREAMS:
            self._agent(stream, lambda records: tag_all(engine, records), None)
        self._agent("requests", lambda call: call(), desk)
        self._agent("receipts", lambda call: call(), desk)
        self.taker = Taker(engine, desk, self.ask, self.figures)

    def _agent(self, name: str, work: Callable[[Any], Any], desk: Desk | None) -> None:
        channel = self.app.channel(maxsize=4)
        self._channels[name] = channel

        async def agent(stream: faust.Stream[Work]) -> None:
            async for item in stream:
                try:
                    answer = await desk.do(partial(work, item.content)) if desk is not None else work(item.content)
                except Exception as error:  # noqa: BLE001 - whoever asked is told, and keeps the batch
                    if not item.done.done():
                        item.done.set_exception(error)
                except BaseException:
                    item.done.cancel()
                    raise
                else:
                    if not item.done.done():
                        item.done.set_result(answer)

        agent.__name__ = name
        self.app.agent(channel, name=f"lineage.{name}")(agent)

    async def ask(self, name: str, content: Any) -> Any:  # noqa: ANN401
        """Put work on an agent's channel and wait for its answer."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._channels[name].put(Work(content, done))
        return await done

    async def start(self) -> None:
        """Start the agents; what feeds them is started after them."""
        await self.app.start()
        self.app.flow_control.resume()

    async def stop(self) -> None:
        """Stop the agents; what feeds them is stopped before them."""
        await self.app.stop()


def tag_all(engine: Engine, records: Sequence[Received]) -> list[Prepared | BadEvent]:
    """Tag a part of a batch and make its facts: for each event what it says, or why it is none."""
    found: list[Prepared | BadEvent] = []
    for record in records:
        try:
            found.append(engine.pipeline.prepare(record))
        except BadEvent as error:
            found.append(error)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not hold up the other events
            found.append(Undecodable(f"internal error ({place(error)})"))
    return found
