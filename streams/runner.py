"""Run the embedded pipeline: one process, one file. What `lineage up` does, from start to an orderly stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from lineage.deployment import missing_settings
from lineage.errors import LineageError, WorldError
from streams import settings as settings_module
from streams import wiring
from streams.api import Api
from streams.app import Agents
from streams.desk import Desk
from streams.feed import Feed
from streams.journal import Intake
from streams.outbox import Outbox, Webhooks
from streams.settings import Settings
from streams.timers import Timer

_TIDY_SECONDS = 3600

_DRAIN_SECONDS_MAX = 10.0
_STOP_SECONDS_MAX = 10
"""So long a call that is under way may take after the signal to stop."""


class Server(uvicorn.Server):
    """A server whose signals are ours."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield


async def serve(told: Settings, ready: asyncio.Event | None = None) -> None:
    """Run until a signal comes; then take no more events, write those that wait, and close the file."""
    engine = wiring.engine(told)
    store = engine.journal
    wiring.quiet_collector()
    desk, door = Desk(), Desk()
    try:
        intake = Intake(store, door, told.flush_ms, told.journal_events_max)
        agents = Agents(engine, desk)
        feed = Feed(store, desk, intake, agents.taker, told.batch_events_max)
        timer = Timer(engine, desk, agents.figures, lambda: intake.depth > 0)
        outbox = Outbox(engine, desk)
        webhooks = Webhooks(engine, desk, outbox)
        await agents.start()
        for service in (feed, timer, webhooks):
            await service.start()
        await listen(told, engine, desk, Api(engine, desk, intake, agents, outbox), ready)
        for service in (webhooks, timer, feed):
            await service.stop()
        await drain(feed)
        await agents.stop()
    finally:
        door.close()
        desk.close()
        store.checkpoint()
        engine.close()


async def listen(
    told: Settings, engine: wiring.Engine, desk: Desk, api: Api, ready: asyncio.Event | None = None,
) -> None:  # fmt: skip
    """Answer HTTP calls until a signal comes; then refuse new ones, and end those that are under way."""
    config = uvicorn.Config(api.app(), host=told.host, port=told.port, log_level="warning", access_log=False, lifespan="off",
                            timeout_graceful_shutdown=_STOP_SECONDS_MAX)  # fmt: skip
    server = Server(config)
    stop = signalled()
    listening = asyncio.create_task(server.serve())
    while not server.started and not listening.done():  # noqa: ASYNC110 - the server tells it in no other way
        await asyncio.sleep(0.01)
    if server.started:
        _announce(told, engine)
        if ready is not None:
            ready.set()
        tidying = asyncio.create_task(tidy(engine, desk))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, listening}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        tidying.cancel()
    api.close()
    server.should_exit = True
    await listening


def signalled() -> asyncio.Event:
    """Give the event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


async def drain(feed: Feed) -> None:
    """Write the events that wait, as long as it is quick; those that are left stay in the journal for the next start."""
    until = time.monotonic() + _DRAIN_SECONDS_MAX
    try:
        while time.monotonic() < until and await feed.step():
            pass
    except WorldError:
        return


async def tidy(engine: wiring.Engine, desk: Desk, seconds: float = _TIDY_SECONDS) -> None:
    """Once an hour look for cycles, which nobody else does, and forget the values of those whom another worker has erased."""
    while True:
        await asyncio.sleep(seconds)
        await desk.do(engine.pipeline.forget_values)
        gc.collect()


def _announce(told: Settings, engine: wiring.Engine) -> None:
    names = ", ".join(sorted(engine.pipeline.policies))
    if engine.fresh:
        print(f"token: {engine.token}  (shown this once; kept in {told.secrets})", flush=True)  # noqa: T201
    for policy in engine.pipeline.policies.values():
        missing = missing_settings(policy)
        if missing:
            print(  # noqa: T201
                f"{policy.id}: {len(missing)} settings are missing, so nothing that rests on them runs out by the clock; "
                f"`lineage check --deploy` names them",
                flush=True,
            )
    print(f"taking events for {names} at http://{told.host}:{told.port}", flush=True)  # noqa: T201


def run(told: Settings) -> int:
    """Run the pipeline; give the exit code. What is wrong at the start is one line on stderr."""
    return to_the_end(serve(told), f"{told.host}:{told.port} cannot be listened on; choose another port in LINEAGE_PORT")


def to_the_end(work: Coroutine[Any, Any, None], unheard: str = "") -> int:
    """Run a process's work; give the exit code. What is wrong is one line on stderr: `unheard` where the server has no port."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(work)
    except LineageError as error:
        print(f"lineage: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except SystemExit:
        print(f"lineage: {unheard}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run(settings_module.load()))
