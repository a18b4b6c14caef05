"""Commands that change something: `up`, `emit`, `request`, `decide`, `tick`.

Where `lineage up` runs on the data, they ask it over HTTP; else they open the file themselves.
"""

from __future__ import annotations

import datetime as dt
import itertools
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import orjson

import schemas
from lineage.errors import BadCall, StoreInUse
from lineage.intake import Received
from lineage.pipeline import Pipeline
from lineage.rights import ARTICLE, Request
from lineage.sqlite_store import SQLiteStore
from schemas.errors import InvalidEvent
from streams.cli_open import Remote, policy_of
from streams.cli_words import DayType, IdentifierType, controller_option, echo_json, json_option, progress, seconds
from streams.wiring import writing

if TYPE_CHECKING:
    from streams.emitter import Emitter
    from streams.settings import Settings

_BATCH = 1000
_SHOWN_MAX = 20
Bad = tuple[int, str, str]
"""Number of the event (from 1), field, reason."""


@click.command()
@click.pass_context
def up(ctx: click.Context) -> None:
    """Start the pipeline: HTTP API, agents, timers, in one process over one file. Ctrl-C or SIGTERM ends it in order."""
    from streams import runner, settings  # noqa: PLC0415 - Faust takes its time to load, and only this command needs it

    ctx.exit(runner.run(settings.load()))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
@click.pass_context
def emit(ctx: click.Context, file: Path, *, as_json: bool) -> None:
    """Send the events of FILE (JSON lines or a JSON array; - is standard input).

    The good ones are taken; for each bad one a line on stderr says what is wrong, and the exit code is 2.
    """
    events = read_events(file)
    taken, bad = 0, list[Bad]()
    with _door() as door, progress("events", len(events)) as step:
        for start in range(0, len(events), _BATCH):
            part = events[start : start + _BATCH]
            wrong = door(part)
            bad += [(start + n, field, reason) for n, field, reason in wrong]
            taken += len(part) - len(wrong)
            step(len(part))
    if as_json:
        echo_json({"taken": taken, "bad": [{"event": n, "field": f, "reason": r} for n, f, r in bad]})
    else:
        click.echo(f"{taken} event{'' if taken == 1 else 's'} taken")
    for number, field, reason in itertools.islice(bad, _SHOWN_MAX):
        click.echo(f"lineage: event {number}: {field + ': ' if field else ''}{reason}", err=True)
    if len(bad) > _SHOWN_MAX:
        click.echo(f"lineage: {len(bad) - _SHOWN_MAX} more events are wrong", err=True)
    ctx.exit(2 if bad else 0)


@contextmanager
def _door() -> Iterator[Callable[[list[Any]], list[Bad]]]:
    """Give the way for events: onto the cluster's topics, to the pipeline that runs, or into the file itself."""
    from streams.settings import load  # noqa: PLC0415 - only here and in `up`

    told = load()
    if told.kafka is not None:
        with _emitter(told) as emitter:
            yield lambda part: _produce(emitter, part)
        return
    with writing() as door:
        yield lambda part: _send(door, part) if isinstance(door, Remote) else _take(door, part)


def _emitter(told: Settings) -> Emitter:
    from streams import kafka  # noqa: PLC0415 - only a cluster needs Kafka's client
    from streams.emitter import Emitter  # noqa: PLC0415
    from streams.topics import Topics  # noqa: PLC0415

    own = kafka.told(told)
    kafka.quiet_clients()
    return Emitter(topics=Topics(own.prefix), ids=kafka.wire_ids(told), **kafka.for_kafka_python(own))


def _produce(emitter: Emitter, events: list[Any]) -> list[Bad]:
    """Put events on their topics, and wait until the broker has them."""
    bad: list[Bad] = []
    for number, event in enumerate(events, 1):
        try:
            schemas.registry().from_json(event)
        except InvalidEvent as error:
            bad.append((number, error.field, error.reason))
            continue
        emitter.emit(event)
    emitter.flush()
    return bad


def read_events(file: Path) -> list[Any]:
    """Read events; raise `BadCall` if the file is neither JSON lines nor an array."""
    if str(file) == "-":
        return list(_parse(sys.stdin.buffer, "standard input"))
    try:
        with file.open("rb") as stream:
            return list(_parse(stream, str(file)))
    except OSError as error:
        msg = f"{file}: {error.strerror}"
        raise BadCall(msg) from None


def _parse(stream: IO[bytes], name: str) -> Iterator[Any]:
    text = stream.read()
    if text.lstrip()[:1] == b"[":
        try:
            yield from orjson.loads(text)
        except orjson.JSONDecodeError as error:
            msg = f"{name}:{error.lineno}: this is no JSON array"
            raise BadCall(msg) from None
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                msg = f"{name}:{number}: this line is no JSON; a file has one event per line, or is one array"
                raise BadCall(msg) from None


def _take(pipeline: Pipeline, events: Iterable[Any]) -> list[Bad]:
    """Write events through the journal of the file, as a running instance would, and then their facts."""
    assert isinstance(pipeline.store, SQLiteStore)
    good, bad = [], []
    for number, event in enumerate(events, 1):
        try:
            good.append(schemas.registry().encode_json(event))
        except InvalidEvent as error:
            bad.append((number, error.field, error.reason))
    now = int(time.time())
    if good:
        pipeline.store.journal_append(good, now)
    drain(pipeline, now)
    return bad


def drain(pipeline: Pipeline, now: int) -> None:
    """Turn what waits in the journal into facts; a cluster has none."""
    if not isinstance(pipeline.store, SQLiteStore):
        return
    while rows := pipeline.store.journal_read(-1, _BATCH):
        pipeline.ingest([Received("journal", 0, offset, value) for offset, value in rows], now)


def _send(remote: Remote, events: list[Any]) -> list[Bad]:
    lines = b"\n".join(orjson.dumps(e) for e in events)
    answer = remote.post("/v1/events", content=lines, kind="application/x-ndjson")
    return [(int(b["index"]) + 1, str(b.get("field") or ""), str(b["reason"])) for b in answer.get("bad", ())]


@click.command()
@click.argument("right", type=click.Choice(list(ARTICLE)))
@click.argument("identifier", type=IdentifierType())
@controller_option
@click.option("--via", default="", help="The channel: email, phone, form, link, profile, sms, post, …")
@click.option("--scope", multiple=True, help="An activity, or direct_marketing; may be given again.")
@click.option("--of", multiple=True, help="A category; may be given again.")
@click.option("--channel", help="The channel that a withdrawal is about: email, sms, push, phone, post.")
@json_option
def request(right: str, identifier: tuple[str, str], controller: str, via: str, scope: tuple[str, ...], of: tuple[str, ...],
            channel: str | None, *, as_json: bool) -> None:  # fmt: skip
    """File a request of a data subject; what it sets off goes out to systems and recipients at once."""
    with writing() as door:
        if isinstance(door, Remote):
            asked = {"controller": controller, "right": right, "identifier": {"kind": identifier[0], "value": identifier[1]},
                     "via": via, "scope": list(scope), "of": list(of), "channel": channel}  # fmt: skip
            case = str(door.post("/v1/requests", json={k: v for k, v in asked.items() if v})["case"])
        else:
            case = uuid.uuid4().hex[:12]
            door.request(controller, identifier, Request(case, int(time.time()), right, via, scope, of, channel))
    if as_json:
        echo_json({"case": case})
    else:
        click.echo(f"case {case}: `lineage case {case}` shows how far it is")


@click.command()
@click.argument("case_id", metavar="CASE")
@click.argument("question")
@json_option
def decide(case_id: str, question: str, *, as_json: bool) -> None:
    """Record what a person at the controller decided about a CASE.

    QUESTION: identity_proven, overriding_ground, no_overriding_ground, accurate, inaccurate or restriction_lifted.
    """
    with writing() as door:
        if isinstance(door, Remote):
            door.post(f"/v1/cases/{case_id}/decisions", json={"question": question})
        else:
            door.decide(case_id, question, int(time.time()))
    if as_json:
        echo_json({"case": case_id, "decided": question})
    else:
        click.echo(f"case {case_id}: {question.replace('_', ' ')}")


@click.command()
@click.option("--at", type=DayType(), help="As on this day (default: now).")
@json_option
def tick(at: dt.datetime | None, *, as_json: bool) -> None:
    """Carry out what is due: holds that have ended, retention, deadlines. `lineage up` does it by itself."""
    with writing() as door:
        if isinstance(door, Remote):
            msg = "`lineage up` is running on these data and does by itself what is due"
            raise StoreInUse(msg)
        now = int(time.time())
        if at is not None:
            now = max(seconds(policy_of(door, c), at) for c in door.policies)
        drain(door, now)
        looked = door.tick(now)
    if as_json:
        echo_json({"looked_at": looked})
    else:
        click.echo(f"{looked} person{'' if looked == 1 else 's'} looked at")


COMMANDS = (up, emit, request, decide, tick)
