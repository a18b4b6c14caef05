"""Keep the secrets: a hash key for each controller, the key-encryption key, the token of the HTTP API.

They lie in one file beside the graph, readable by its owner only, and are made at the first start. Without them the
graph's keys mean nothing and nothing sealed opens: keep a copy elsewhere, never beside a backup of the graph.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

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
    """Read the secrets, make those that are missing (a new controller's), and keep them; raise `BadCall` if damaged."""
    fresh = not path.exists()
    try:
        raw = {} if fresh else json.loads(path.read_text("utf-8"))
        keys = {c: bytes.fromhex(k) for c, k in raw.get("hash_keys", {}).items()}
        kek = bytes.fromhex(raw["kek"]) if "kek" in raw else random(SECRET_BYTES)
        own = raw.get("token") or random(SECRET_BYTES).hex()
    except (ValueError, AttributeError, TypeError):
        msg = f"{path}: the secrets cannot be read; restore them from their copy"
        raise BadCall(msg) from None
    missing = [c for c in controllers if c not in keys]
    for controller in missing:
        keys[controller] = random(SECRET_BYTES)
    if fresh or missing:
        content = {"hash_keys": {c: k.hex() for c, k in keys.items()}, "kek": kek.hex(), "token": own}
        _write(path, json.dumps(content, indent=1))
    return Secrets(keys, kek, token or own, fresh)


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
