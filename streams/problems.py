"""Turn errors into answers: problem documents (RFC 9457) that say what to do, without any value that was sent."""

from __future__ import annotations

import logging

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import schemas
from lineage.errors import BadCall, BadEvent, NotFound, WorldError

_log = logging.getLogger("lineage.api")


def problem(status: int, title: str, detail: str = "", **more: object) -> Response:
    """Make a problem document."""
    body = {"title": title, "status": status, **({"detail": detail} if detail else {}), **more}
    headers = {"Retry-After": "2"} if status == 503 else {}  # noqa: PLR2004
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body), status, headers, "application/problem+json")


async def answer(request: Request, error: Exception) -> Response:
    """Answer an error of ours."""
    match error:
        case HTTPException():
            return problem(error.status_code, error.detail)
        case schemas.InvalidEvent():
            return problem(400, "the event is not valid", str(error))
        case NotFound():
            return problem(404, "not found", str(error))
        case BadCall() | BadEvent():
            return problem(400, "the call is not valid", str(error))
        case WorldError():
            return problem(503, "not now", str(error))
        case _:
            _log.error("internal error at %s: %s", request.url.path, type(error).__name__)
            return problem(500, "internal error", "it has been logged; nothing that was acknowledged is lost")
