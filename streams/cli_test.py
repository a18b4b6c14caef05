"""`lineage test`: run scenario files through the code of production, and say row by row what differs.

What arrives are scenario files; what leaves are lines of text or JSON, and 1 if a row failed. One scenario that breaks
the program fails its own rows only.
"""

from __future__ import annotations

import datetime as dt
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
import orjson

import schemas
from lineage import scenario
from lineage.errors import BadCall, LineageError
from lineage.expectations import check
from lineage.rehearsal import Rehearsal, Result
from lineage.scenario import Scenario
from lineage.sqlite_store import SQLiteStore
from streams import settings
from streams.cli_words import json_option, progress
from streams.render import print_scenarios

_SCENARIO_SECONDS_MAX = 120


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def test(ctx: click.Context, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Run scenario FILES, unit tests for a privacy policy (default: all that come with the policies).

    Exit code 0 if every row holds, 1 if one does not, 2 if a file is wrong.
    """
    root = settings.load().policies
    found = scenarios_of(files or tuple(sorted((root / "scenarios").glob("*.yaml"))), root)
    if not found:
        msg = "there are no scenario files; name some, or put them into policies/scenarios"
        raise BadCall(msg)
    started = time.monotonic()
    ran: list[tuple[Scenario, list[Result]]] = []
    with progress("scenarios", len(found)) as step:
        for s in found:
            results = rehearse(s, root)
            ran.append((s, results))
            if as_json:
                for result in results:
                    click.echo(orjson.dumps(_row(result), option=orjson.OPT_NON_STR_KEYS))
            step(1)
    totals = _totals(ran, time.monotonic() - started)
    if as_json:
        click.echo(orjson.dumps(totals))
    else:
        print_scenarios(ran, totals)
    ctx.exit(1 if totals["failed"] else 0)


def scenarios_of(files: Sequence[Path], root: Path) -> list[Scenario]:
    """Read all files before anything runs; raise `BadCall` at the first that is wrong."""
    found = []
    for file in files:
        if not file.is_file():
            msg = f"{file}: there is no such file"
            raise BadCall(msg)
        for s in scenario.load(file):
            _expect_known(file, s, root)
            found.append(s)
    return found


def _expect_known(file: Path, s: Scenario, root: Path) -> None:
    for controller in {*s.controllers, *(x.controller for x in s.steps), *(r.controller for r in s.rows)}:
        if controller not in s.controllers:
            msg = f"{file}: scenario {s.id}: {controller!r} is not among its controllers"
            raise BadCall(msg)
        if not (root / f"{controller}.yaml").is_file():
            msg = f"{file}: scenario {s.id}: there is no policy for controller {controller!r}"
            raise BadCall(msg)
    for step in s.steps:
        if step.kind == "event" and step.what not in schemas.registry().types:
            msg = f"{file}: scenario {s.id}: step {step.number}: there is no event type {step.what!r}"
            raise BadCall(msg)


def rehearse(s: Scenario, root: Path) -> list[Result]:
    """Run a scenario on a fresh store; what breaks it becomes the finding of all its rows."""
    try:
        with _time_limit(_SCENARIO_SECONDS_MAX):
            store = SQLiteStore.open(":memory:")
            try:
                return Rehearsal(s, store, root).run(check)
            finally:
                store.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, the other scenarios must run
        what = str(error) if isinstance(error, LineageError | TimeoutError) else f"{type(error).__name__}: {error}"
        return [Result(s.id, row, passed=False, found=f"error: {what}") for row in s.rows]


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        msg = f"the scenario did not end within {seconds} seconds"
        raise TimeoutError(msg)

    before: Callable[[int, FrameType | None], Any] | int | None = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _row(result: Result) -> dict[str, object]:
    return {"scenario": result.scenario, "row": result.row.number, "passed": result.passed,
            "expected": plain(result.row.raw), "found": result.found}  # fmt: skip


def plain(value: object) -> object:
    """Turn a value of a YAML file into one of JSON: days and moments become text."""
    match value:
        case dt.datetime() | dt.date():
            return value.isoformat()
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _totals(ran: Sequence[tuple[Scenario, Sequence[Result]]], seconds: float) -> dict[str, Any]:
    rows = [r for _, results in ran for r in results]
    passed = sum(r.passed for r in rows)
    return {"scenarios": len(ran), "passed_scenarios": sum(all(r.passed for r in results) for _, results in ran),
            "rows": len(rows), "passed": passed, "failed": len(rows) - passed, "seconds": round(seconds, 3)}  # fmt: skip


COMMANDS = (test,)
