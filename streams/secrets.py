"""Keep the secrets: a hash key for each controller, the key-encryption key, the token of the HTTP API.

They lie in one file beside the graph, readable by its owner only, and are made at the first start. Without them the
graph's keys mean nothing and nothing sealed opens: keep a copy elsewhere, never beside a backup of the graph.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage.errors import BadCall
from lineage.identity import SECRET_BYTES, KeyRing

_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one installation; `fresh` tells that they were made just now."""

    hash_keys: dict[str, bytes]
    kek: bytes
    token: str
    fresh: bool

    def ring(self) -> KeyRing:
        """Give the key ring."""
        return KeyRing(self.hash_keys, self.kek)


def load(path: Path, controllers: Iterable[str], random: Callable[[int], bytes], token: str | None = None) -> Secrets:
    """Read the secrets, make those that are missing (a new controller's), and keep them; raise `BadCall` if damaged.

    Several workers may start at once with the same file: one makes what is missing, the others read it.
    """
    names = tuple(controllers)
    found = _read(path)
    fresh = not found
    if fresh or any(c not in found["hash_keys"] for c in names):
        with _alone(path):
            found = _read(path) or {"hash_keys": {}, "kek": random(SECRET_BYTES).hex(), "token": random(SECRET_BYTES).hex()}
            missing = [c for c in names if c not in found["hash_keys"]]
            found["hash_keys"] |= {c: random(SECRET_BYTES).hex() for c in missing}
            _write(path, json.dumps(found, indent=1))
    try:
        keys = {c: bytes.fromhex(k) for c, k in found["hash_keys"].items()}
        return Secrets(keys, bytes.fromhex(found["kek"]), token or found["token"], fresh)
    except (ValueError, TypeError):
        raise _damaged(path) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if not isinstance(found["hash_keys"], dict) or not found["kek"] or not found["token"]:
            raise _damaged(path)
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None
    return found


def _damaged(path: Path) -> BadCall:
    return BadCall(f"{path}: the secrets cannot be read; restore them from their copy")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process makes secrets in this folder."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
