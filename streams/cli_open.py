"""Ask a running pipeline over HTTP: what a command would do to the file itself, the process that has it open does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from lineage.errors import BadCall, NotFound, StoreUnavailable
from lineage.pipeline import Pipeline
from lineage.policy import Policy

_SECONDS_MAX = 60


class Remote:
    """A running pipeline: where it listens, and the token that it wants."""

    def __init__(self, url: str, token: str) -> None:
        """Take the address and the token."""
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_SECONDS_MAX)

    def post(
        self, path: str, *, json: object = None, content: bytes | None = None, kind: str = "application/json"
    ) -> Mapping[str, Any]:
        """Post to the pipeline; raise `BadCall` if it refuses, `StoreUnavailable` if it does not answer."""
        headers = {"Content-Type": kind}
        try:
            answer = (
                self._client.post(path, json=json) if content is None else self._client.post(path, content=content, headers=headers)
            )
        except httpx.HTTPError as error:
            msg = f"the running pipeline does not answer ({type(error).__name__}); are LINEAGE_HOST and LINEAGE_PORT those it has?"
            raise StoreUnavailable(msg) from None
        found = answer.json() if answer.content else {}
        if answer.is_error and "bad" not in found:
            detail = found.get("detail") or found.get("title") or answer.reason_phrase
            raise (StoreUnavailable if answer.is_server_error else BadCall)(str(detail))
        return found if isinstance(found, Mapping) else {}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def policy_of(pipeline: Pipeline, controller: str) -> Policy:
    """Give a controller's policy; raise `NotFound` if it has none."""
    if controller not in pipeline.policies:
        msg = f"there is no policy for controller {controller!r}: have {', '.join(sorted(pipeline.policies))}"
        raise NotFound(msg)
    return pipeline.policies[controller]
