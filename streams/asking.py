"""Read what callers ask, over HTTP or on a topic: fields are checked here, and an error names the field, never its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lineage.errors import BadCall
from lineage.rights import Request


def names(body: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """Read a name or a list of names; nothing is none. Raises `BadCall`."""
    value = body.get(field)
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        msg = f"{field} must be a name or a list of names"
        raise BadCall(msg)
    return tuple(value)


def text(body: Mapping[str, Any], field: str) -> str:
    """Read a string that is not empty; raises `BadCall`."""
    value = body[field]
    if not isinstance(value, str) or not value:
        msg = f"{field} must be a string that is not empty"
        raise BadCall(msg)
    return value


def rights_request(case: str, now: int, body: Mapping[str, Any]) -> Request:
    """Make a rights request of what a caller has told, over HTTP or on a topic."""
    return Request(
        case, now, text(body, "right"), scope=names(body, "scope"), of=names(body, "of"), correct=names(body, "correct"),
        remove=names(body, "remove"), contested=bool(body.get("contested")), proven=body.get("identity") != "unproven",
        **{k: text(body, k) for k in ("via", "channel", "ground", "by") if body.get(k)},  # type: ignore[arg-type]
    )  # fmt: skip
