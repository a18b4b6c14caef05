"""Run one worker of a cluster: the agents, fed by Kafka's topics, over the graph. What `lineage worker` does.

Workers are alike; start as many as there are partitions to share. The one that has the first partition of the requests
also looks at what is due and publishes commands, alerts and dead letters; when it goes, another takes that over.
"""

from __future__ import annotations

import asyncio
import sys

from aiokafka.errors import KafkaError
from prometheus_client import CONTENT_TYPE_LATEST

from lineage.errors import BadCall, StoreUnavailable
from streams import kafka, wiring
from streams import settings as settings_module
from streams.app import Agents
from streams.calls import Calls
from streams.desk import Desk
from streams.kafka_feed import KafkaFeed
from streams.metrics import exposition
from streams.outbox import Outbox
from streams.relay import Relay
from streams.runner import signalled, tidy, to_the_end
from streams.settings import Settings
from streams.timers import Timer
from streams.topics import Topics
from streams.topics_admin import admin, look

_LINE_BYTES_MAX = 4096
_MISSING_SHOWN = 3


def check_topics(told: Settings, engine: wiring.Engine) -> None:
    """Raise `BadCall` where the cluster lacks topics: a worker that waits for a topic nobody made would wait for ever."""
    own = kafka.told(told)
    with admin(own) as client:
        found = look(client, Topics(own.prefix).all(engine.pipeline.policies.values(), own.partitions))
    lacking = [f"{f.topic.name} {f.lacks}" for f in found if f.lacks]
    if lacking:
        more = f" (and {len(lacking) - _MISSING_SHOWN} more)" if len(lacking) > _MISSING_SHOWN else ""
        msg = f"{'; '.join(lacking[:_MISSING_SHOWN])}{more}: run `lineage topics`"
        raise BadCall(msg)


async def work(told: Settings) -> None:
    """Run until a signal comes; then write the batch that is under way, and leave the group."""
    own = kafka.told(told)
    engine = wiring.engine(told)
    wiring.quiet_collector()
    wiring.take_turns(engine.store)
    desk = Desk()
    try:
        await asyncio.to_thread(check_topics, told, engine)
        ids = kafka.wire_ids(told)
        agents = Agents(engine, desk)
        outbox = Outbox(engine, desk)
        relay = Relay(own, engine, desk, outbox, lambda: feed.leads, ids.outbound)
        calls = Calls(engine, Topics(own.prefix), agents.ask, agents.figures, relay.withdraw)
        inbound = ids.inbound if told.registry else None
        feed = KafkaFeed(own, engine.store, desk, agents.taker, calls.carry_out, told.batch_events_max, inbound)
        timer = Timer(engine, desk, agents.figures, lambda: feed.waiting, lambda: feed.leads)
        stop = signalled()
        await agents.start()
        try:
            for service in (relay, feed, timer):
                await service.start()
        except KafkaError as error:
            msg = f"the Kafka at {own.bootstrap} does not answer ({type(error).__name__}); is LINEAGE_KAFKA right?"
            raise StoreUnavailable(msg) from None
        watched = await _watched(told, engine, desk, agents, feed)
        print(f"working for group {own.group} at {own.bootstrap}", flush=True)  # noqa: T201
        tidying = asyncio.create_task(tidy(engine, desk))
        await stop.wait()
        tidying.cancel()
        if watched is not None:
            watched.close()
        for service in (timer, feed, relay):
            await service.stop()
        await agents.stop()
    finally:
        desk.close()
        engine.close()


async def _watched(told: Settings, engine: wiring.Engine, desk: Desk, agents: Agents, feed: KafkaFeed) -> asyncio.Server | None:
    """Answer `/health` and `/metrics` on the worker's own port, where it was given one; nothing else can be asked there."""
    if told.worker_port is None:
        return None

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = (await reader.readline()).split()
        path = words[1] if len(words) > 1 and words[0] == b"GET" else b""
        kind, status, body = "text/plain", "404 Not Found", b"GET /health or /metrics\n"
        if path == b"/health":
            status, body = "200 OK", (agents.figures.trouble or "ok").encode() + b"\n"
        elif path == b"/metrics":
            counts = await desk.do(engine.store.counts)
            kind, status, body = CONTENT_TYPE_LATEST, "200 OK", exposition(agents.figures, counts, feed.lag)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    try:
        return await asyncio.start_server(answer, told.host, told.worker_port, limit=_LINE_BYTES_MAX)
    except OSError:
        msg = f"{told.host}:{told.worker_port} cannot be listened on; choose another port in LINEAGE_WORKER_PORT"
        raise BadCall(msg) from None


def run(told: Settings) -> int:
    """Run a worker; give the exit code. What is wrong at the start is one line on stderr."""
    kafka.quiet_clients()
    return to_the_end(work(told))


if __name__ == "__main__":
    sys.exit(run(settings_module.load()))
