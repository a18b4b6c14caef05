"""Let time pass: what is due (a hold that ends, a retention that runs out, a deadline) is carried out by itself.

A data subject whose state the engine cannot work out must not hold up the others: it is put off for an hour, and a line
of the audit log says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import orjson
from mode import Service

from lineage.errors import NotFound, WorldError
from lineage.pipeline import Pipeline
from lineage.store import AuditRow, Batch, Key
from streams.desk import Desk
from streams.taking import Figures, place
from streams.wiring import Engine

_PUT_OFF_SECONDS = 3600
_LIMIT = 100
_SLICE_SECONDS = 0.05
"""So long the timer holds the store: events, requests and targets get their turn between two slices."""
_GIVE_WAY_SECONDS = 0.1
"""So long it leaves the store to events that wait."""
_log = logging.getLogger("lineage.timer")


def carry_out(pipeline: Pipeline, now: int, figures: Figures, seconds_max: float = _SLICE_SECONDS) -> bool:
    """Do what is due for so long; tell whether more is. Where the engine fails on one data subject, do the others."""
    until = time.monotonic() + seconds_max
    try:
        pipeline.tick(now, _LIMIT, go_on=lambda: time.monotonic() < until)
    except WorldError:
        raise
    except Exception as error:  # noqa: BLE001 - one data subject must not hold up all
        _log.error("what is due is done one by one: %s", place(error))
        figures.failures += 1
        for key in pipeline.store.due(now, _LIMIT):
            _carry_out_one(pipeline, key, now)
    return bool(pipeline.store.due(now, 1))


def _carry_out_one(pipeline: Pipeline, key: Key, now: int) -> None:
    try:
        pipeline.advance((key,), now)
    except WorldError:
        raise
    except NotFound:
        pipeline.store.write(Batch(due_exact={key: None}))
    except Exception as error:  # noqa: BLE001 - as above
        found = pipeline.store.facts((key,)).identifiers
        controller = found[0].controller if found else ""
        body = orjson.dumps({"about": f"put off: internal error ({place(error)})", "reasons": []}).decode()
        line = AuditRow(f"put-off-{key}-{now // _PUT_OFF_SECONDS}", now, controller, "warned", body)
        pipeline.store.write(Batch(due_exact={key: now + _PUT_OFF_SECONDS}, audit=[line]))


class Timer(Service):  # type: ignore[misc]
    """Looks every few seconds at what is due."""

    def __init__(
        self, engine: Engine, desk: Desk, figures: Figures, busy: Callable[[], bool], mine: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        """Take the shared parts; `busy` tells whether events wait, `mine` whether it is this process that looks."""
        super().__init__()
        self._engine, self._desk, self._figures, self._busy, self._mine = engine, desk, figures, busy, mine

    @Service.task  # type: ignore[untyped-decorator]
    async def _run(self) -> None:
        while not self.should_stop:
            try:
                while self._mine() and await self._desk.do(self._slice) and not self.should_stop:
                    if self._busy():
                        await self.sleep(_GIVE_WAY_SECONDS)
            except WorldError as error:
                _log.warning("what is due waits: %s", error)
            except Exception as error:  # noqa: BLE001 - time goes on
                _log.error("what is due waits: %s", place(error))
            await self.sleep(self._engine.settings.tick_seconds)

    def _slice(self) -> bool:
        return carry_out(self._engine.pipeline, int(time.time()), self._figures)
