"""Serve the HTTP API of a cluster: events go onto the topics, everything else is asked of the graph. What `lineage serve` does.

It may run more than once: the graph has no single writer. Requests and receipts that come over HTTP are carried out here,
at once; those that come on topics, by the workers.
"""

from __future__ import annotations

import asyncio

from aiokafka.errors import KafkaError

from lineage.errors import BadCall, StoreUnavailable
from streams import kafka, wiring
from streams.api import Api
from streams.app import Agents
from streams.desk import Desk
from streams.intake_kafka import KafkaIntake
from streams.outbox import Outbox, Webhooks
from streams.runner import listen, to_the_end
from streams.settings import Settings
from streams.worker import check_topics


async def serve(told: Settings) -> None:
    """Run until a signal comes."""
    own = kafka.told(told)
    if told.neo4j is None:
        msg = "LINEAGE_NEO4J is not set: `lineage serve` needs a graph that workers share; without one use `lineage up`"
        raise BadCall(msg)
    engine = wiring.engine(told)
    desk = Desk()
    try:
        await asyncio.to_thread(check_topics, told, engine)
        agents = Agents(engine, desk)
        intake = KafkaIntake(own, engine.store, desk, told.journal_events_max, kafka.wire_ids(told).outbound)
        outbox = Outbox(engine, desk)
        webhooks = Webhooks(engine, desk, outbox)
        try:
            await intake.start()
        except KafkaError as error:
            msg = f"the Kafka at {own.bootstrap} does not answer ({type(error).__name__}); is LINEAGE_KAFKA right?"
            raise StoreUnavailable(msg) from None
        await agents.start()
        await webhooks.start()
        await listen(told, engine, desk, Api(engine, desk, intake, agents, outbox))
        await webhooks.stop()
        await agents.stop()
        await intake.stop()
    finally:
        desk.close()
        engine.close()


def run(told: Settings) -> int:
    """Serve; give the exit code. What is wrong at the start is one line on stderr."""
    kafka.quiet_clients()
    return to_the_end(serve(told), f"{told.host}:{told.port} cannot be listened on; choose another port in LINEAGE_PORT")
