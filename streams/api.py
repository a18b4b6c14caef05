"""The HTTP API: what arrives are events, requests, receipts and questions; what leaves are JSON documents.

An identifier never stands in an address, only in a body; everything but the health needs the token. An event is
acknowledged once it is durable. Errors are problem documents that say what to do and never show a value.
"""

from __future__ import annotations

import datetime as dt
import hmac
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import schemas
from lineage import exports
from lineage.errors import BadCall, LineageError, NotFound
from lineage.guards import Question
from lineage.rights import ARTICLE
from streams import planning, views
from streams.app import Agents
from streams.asking import names, rights_request, text
from streams.cli_words import seconds
from streams.desk import Desk
from streams.intake_kafka import KafkaIntake
from streams.journal import Intake
from streams.metrics import exposition
from streams.openapi import document
from streams.outbox import Outbox
from streams.problems import answer, problem
from streams.settling import Settling
from streams.wiring import Engine

AVRO = "application/vnd.lineage.avro"
_EVENTS_MAX = 10_000
_BODY_BYTES_MAX = 16 * 1024 * 1024
_WAIT_SECONDS_MAX = 30.0
_CAUGHT_UP_SECONDS_MAX = 5.0
_SECOND_MAX = 253_402_300_799
_NO_POLICY = "there is no policy for this controller here"
GATES = ("message", "disclosure", "sale", "read", "use")
DECISIONS = (
    "identity_proven", "extended", "restriction_lifted", "no_overriding_ground", "overriding_ground", "accurate", "inaccurate",
)  # fmt: skip
_CASE = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPEN = frozenset({"/health"})


def reply(value: object, status: int = 200) -> Response:
    """Make a JSON answer."""
    return Response(orjson.dumps(value, default=_plain), status, media_type="application/json")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


class Token:
    """Lets only those in who know the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        """Guard an app."""
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the token of a request."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                refused = problem(
                    401, "a token is needed", "send the header Authorization: Bearer TOKEN; the first start printed it"
                )
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _json(request: Request) -> Any:  # noqa: ANN401
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        msg = "the body is no JSON"
        raise BadCall(msg) from None


async def _object(request: Request, *needed: str) -> Mapping[str, Any]:
    body = await _json(request)
    if not isinstance(body, dict):
        msg = "the body must be a JSON object"
        raise BadCall(msg)
    missing = [n for n in needed if n not in body]
    if missing:
        msg = f"the body lacks {', '.join(missing)}"
        raise BadCall(msg)
    return body


def _identifier(body: Mapping[str, Any]) -> tuple[str, str]:
    given = body["identifier"]
    if not isinstance(given, dict) or given.get("kind") not in schemas.IDENTIFIER_KINDS or not isinstance(given.get("value"), str):
        msg = f"identifier must be {{kind, value}}, kind one of {', '.join(schemas.IDENTIFIER_KINDS)}"
        raise BadCall(msg)
    return given["kind"], given["value"]


def _whole(given: Mapping[str, Any], field: str, default: int, most: int) -> int:
    """Read a whole number from a body or an address."""
    value = given.get(field)
    try:
        number = default if value is None else int(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= most:
        msg = f"{field} must be a whole number from 0 to {most}"
        raise BadCall(msg)
    return number


def _question(body: Mapping[str, Any]) -> Question:
    fields = {k: v for k, v in body.items() if k in Question.__dataclass_fields__ and k != "categories"}
    for field, value in fields.items():
        if not isinstance(value, str | bool | None):
            msg = f"{field} must be a string, true or false"
            raise BadCall(msg)
    if fields["gate"] not in GATES:
        msg = f"gate must be one of {', '.join(GATES)}"
        raise BadCall(msg)
    return Question(**fields, categories=names(body, "categories"))


class Api:
    """The handlers, over the shared parts."""

    def __init__(self, engine: Engine, desk: Desk, intake: Intake | KafkaIntake, agents: Agents, outbox: Outbox) -> None:
        """Take the shared parts."""
        self._engine, self._desk, self._intake, self._agents, self._outbox = engine, desk, intake, agents, outbox
        self._pipeline, self._store = engine.pipeline, engine.store
        self._answers = Settling(desk, engine.pipeline.answers.flush)

    def close(self) -> None:
        """Take no more events, and let go of the targets that wait for commands."""
        self._intake.open = False
        self._outbox.close()

    # -- events ------------------------------------------------------------------------------------------------

    async def events(self, request: Request) -> Response:
        """Take one event or many; the good ones are durable when this answers, the bad ones are listed by position."""
        body = await request.body()
        if len(body) > _BODY_BYTES_MAX:
            return problem(413, "too large", f"at most {_BODY_BYTES_MAX} bytes a call: send smaller batches")
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
        values: list[bytes] = []
        bad: list[dict[str, Any]] = []
        if kind == AVRO:
            values.append(body)
        else:
            for n, (event, reason) in enumerate(_events(body, kind)):
                try:
                    if event is None:
                        raise BadCall(reason)  # noqa: TRY301
                    values.append(schemas.registry().encode_json(event))
                    if event["controller"] not in self._pipeline.policies:
                        values.pop()
                        raise schemas.InvalidEvent(_NO_POLICY, "controller")  # noqa: TRY301
                except (schemas.InvalidEvent, BadCall) as error:
                    bad.append({"index": n, "reason": str(error), "field": getattr(error, "field", None)})
        if len(values) > _EVENTS_MAX:
            return problem(413, "too many", f"at most {_EVENTS_MAX} events a call: send smaller batches")
        offsets = await self._intake.take(values) if values else None
        found: dict[str, Any] = {"taken": len(values), "first": offsets.start if offsets else None, "bad": bad}
        if bad and not values:
            return problem(400, "no event of these is valid", bad[0]["reason"], **found)
        return reply(found, 207 if bad else 202)

    # -- rights ------------------------------------------------------------------------------------------------

    async def requests(self, request: Request) -> Response:
        """File a rights request: what is decided at once stands in the answer, the rest follows in the case."""
        body = await _object(request, "controller", "right", "identifier")
        right = text(body, "right")
        if right not in ARTICLE:
            msg = f"right must be one of {', '.join(ARTICLE)}"
            raise BadCall(msg)
        case = text(body, "case") if "case" in body else str(uuid.uuid4())
        if not _CASE.fullmatch(case):
            msg = "case must be 1 to 64 letters, digits, dots, dashes or underscores"
            raise BadCall(msg)
        if await self._desk.do(lambda: self._store.case(case)) is not None:
            # The same request again, because its answer was lost: it is filed once.
            return reply(await self._case(case))
        filed = rights_request(case, int(time.time()), body)
        identifier, controller = _identifier(body), text(body, "controller")
        # Events that were acknowledged before the request are in the graph before it is decided. Where they take
        # long, the request is not kept waiting: what comes after it is treated as late.
        await self._intake.caught_up(_CAUGHT_UP_SECONDS_MAX)
        await self._agents.ask("requests", lambda: self._pipeline.request(controller, identifier, filed))
        return reply(await self._case(case), 202)

    async def _case(self, id_: str) -> dict[str, Any]:
        row = await self._desk.do(lambda: self._store.case(id_))
        if row is None:
            msg = "there is no such case"
            raise NotFound(msg)
        head = {"case": row.id, "controller": row.controller, "right": row.right, "received": row.opened, "state": row.state}
        return {**head, **orjson.loads(row.body)}

    async def case(self, request: Request) -> Response:
        """Give a case: its state, why it is open, what each target has answered."""
        return reply(await self._case(request.path_params["case"]))

    async def cases(self, request: Request) -> Response:
        """List the cases, by controller and state."""
        q = request.query_params
        rows = await self._desk.do(lambda: self._store.cases(q.get("controller"), q.get("state")))
        return reply(
            [{"case": r.id, "controller": r.controller, "right": r.right, "received": r.opened, "state": r.state} for r in rows]
        )

    async def decisions(self, request: Request) -> Response:
        """Take a decision of a person at the controller about a case."""
        body = await _object(request, "question")
        case, question = request.path_params["case"], text(body, "question")
        if question not in DECISIONS:
            msg = f"question must be one of {', '.join(DECISIONS)}"
            raise BadCall(msg)
        await self._agents.ask("requests", lambda: self._pipeline.decide(case, question, int(time.time())))
        return reply(await self._case(case))

    async def certificate(self, request: Request) -> Response:
        """Give the certificate of a closed case."""
        text = await self._desk.do(lambda: self._store.certificate(request.path_params["case"]))
        if text is None:
            msg = "there is no certificate: a case gets one when nothing of it is unconfirmed"
            raise NotFound(msg)
        return Response(text, media_type="application/json")

    async def export(self, request: Request) -> Response:
        """Hand over the values for an access or portability request; with `final=true` the sealed copies are destroyed."""
        take = exports.take_export if request.query_params.get("final") == "true" else exports.export
        return reply(await self._desk.do(lambda: take(self._store, self._pipeline.keys, request.path_params["case"])))

    # -- questions ---------------------------------------------------------------------------------------------

    async def lineage(self, request: Request) -> Response:
        """Tell what is held of a person: where, for what, since when, until when, and who got it."""
        body = await _object(request, "controller", "identifier")
        identifier, controller = _identifier(body), text(body, "controller")
        return reply(await self._desk.do(lambda: views.lineage_of(self._pipeline, controller, identifier, int(time.time()))))

    async def plan(self, request: Request) -> Response:
        """Tell what a request would do on a day, without doing it."""
        body = await _object(request, "controller", "identifier", "right")
        identifier = _identifier(body)
        controller, right = text(body, "controller"), text(body, "right")
        more = {k: text(body, k) for k in ("via", "channel", "ground") if body.get(k)}
        at = self._moment(controller, body)
        found = await self._desk.do(
            lambda: planning.plan(self._pipeline, controller, identifier, right, at, scope=names(body, "scope"),
                               of=names(body, "of"), **more),
        )  # fmt: skip
        return reply(found)

    def _moment(self, controller: str, body: Mapping[str, Any]) -> int:
        """Read `at`: a second, or a day (or moment) on the controller's clock, such as 2026-12-01; now where there is none."""
        given = body.get("at")
        if isinstance(given, str) and controller in self._pipeline.policies:
            try:
                moment = dt.datetime.fromisoformat(given)
                return int(moment.timestamp()) if moment.tzinfo else seconds(self._pipeline.policies[controller], moment)
            except (ValueError, OverflowError):
                msg = "at must be a day such as 2026-12-01, a moment such as 2026-12-01T10:00, or seconds since the epoch"
                raise BadCall(msg) from None
        return _whole(body, "at", int(time.time()), _SECOND_MAX)

    async def ask(self, request: Request) -> Response:
        """Answer a service that asks first; the answer is in the audit log when this answers."""
        body = await _object(request, "controller", "identifier", "gate")
        identifier = _identifier(body)
        controller, question = text(body, "controller"), _question(body)
        found = await self._desk.do(lambda: self._pipeline.ask(controller, identifier, question, int(time.time())))
        await self._answers.settled()
        return reply({"allowed": found.allowed, "because": found.reasons})

    async def audit(self, request: Request) -> Response:
        """Give lines of the audit log after a sequence number."""
        since = _whole(request.query_params, "since", 0, 1 << 62)
        rows = await self._desk.do(lambda: self._store.audit(since, 1000))
        return reply([{**r._asdict(), "body": orjson.loads(r.body)} for r in rows])

    async def dead_letters(self, _request: Request) -> Response:
        """List the dead letters: position, schema and reason, never the payload."""
        rows = await self._desk.do(lambda: self._store.dead_letters(1000))
        return reply([{k: v for k, v in r._asdict().items() if k != "sealed"} for r in rows])

    # -- systems -----------------------------------------------------------------------------------------------

    async def commands(self, request: Request) -> Response:
        """Give a target the commands that wait for it; hold the line until there is one, or the wait is over."""
        q = request.query_params
        wait = min(_whole(q, "wait", 0, 1 << 30), _WAIT_SECONDS_MAX)
        controller, target = request.path_params["controller"], request.path_params["target"]
        if controller not in self._pipeline.policies:
            msg = "there is no such controller"
            raise NotFound(msg)
        return reply({"commands": await self._outbox.fetch(controller, target, min(_whole(q, "max", 100, 1 << 30), 1000), wait)})

    async def receipts(self, request: Request) -> Response:
        """Take a target's answer to a command; the same answer again changes nothing."""
        body = await _object(request, "command", "outcome")
        data = body.get("data")
        if data is not None and not isinstance(data, dict):
            msg = "data must be an object of categories and their values"
            raise BadCall(msg)
        command, outcome = text(body, "command"), text(body, "outcome")
        work = lambda: self._pipeline.receipt(command, outcome, int(time.time()), data)  # noqa: E731
        await self._agents.ask("receipts", work)
        return reply({"taken": True}, 202)

    # -- operation ---------------------------------------------------------------------------------------------

    async def health(self, _request: Request) -> Response:
        """Say whether events are taken, and how many wait."""
        trouble = self._agents.figures.trouble
        status = "stopping" if not self._intake.open else "waiting" if trouble else "ok"
        return reply({"status": status, "waiting": self._intake.depth, **({"because": trouble} if trouble else {})})

    async def metrics(self, _request: Request) -> Response:
        """Give the figures in Prometheus' format."""
        counts = await self._desk.do(self._store.counts)
        return Response(exposition(self._agents.figures, counts, self._intake.depth), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _request: Request) -> Response:
        """Describe this API."""
        return reply(document())

    def routes(self) -> list[Route]:
        """List the routes."""
        h: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("POST", "/v1/events", self.events), ("POST", "/v1/requests", self.requests), ("GET", "/v1/cases", self.cases),
            ("GET", "/v1/cases/{case}", self.case), ("POST", "/v1/cases/{case}/decisions", self.decisions),
            ("GET", "/v1/cases/{case}/certificate", self.certificate), ("GET", "/v1/cases/{case}/export", self.export),
            ("POST", "/v1/lineage", self.lineage), ("POST", "/v1/plan", self.plan), ("POST", "/v1/ask", self.ask),
            ("GET", "/v1/audit", self.audit), ("GET", "/v1/dead-letters", self.dead_letters),
            ("GET", "/v1/systems/{controller}/{target}/commands", self.commands), ("POST", "/v1/receipts", self.receipts),
            ("GET", "/health", self.health), ("GET", "/metrics", self.metrics), ("GET", "/openapi.json", self.openapi),
        ]  # fmt: skip
        return [Route(path, handler, methods=[method]) for method, path, handler in h]

    def app(self) -> Starlette:
        """Make the ASGI app."""
        handlers: Any = {Exception: answer, LineageError: answer, schemas.InvalidEvent: answer, 404: answer, 405: answer}
        return Starlette(
            routes=self.routes(), exception_handlers=handlers, middleware=[Middleware(Token, token=self._engine.token)]
        )


def _events(body: bytes, kind: str) -> list[tuple[Any, str]]:
    """Split a body into events: a JSON object, an array of them, or a line each; what is no JSON has its reason."""
    if kind == "application/x-ndjson":
        found: list[tuple[Any, str]] = []
        for line in body.splitlines():
            if line.strip():
                try:
                    found.append((orjson.loads(line), ""))
                except orjson.JSONDecodeError:
                    found.append((None, "the line is no JSON"))
        return found
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return [(None, "the body is no JSON")]
    return [(e, "") for e in (content if isinstance(content, list) else [content])]
