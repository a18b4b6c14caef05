"""Read the settings: the only module that looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lineage.errors import BadCall
from lineage.policy_file import POLICIES


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is told from outside; times are seconds or milliseconds as their names say."""

    data: Path
    policies: Path
    host: str
    port: int
    settings_file: Path | None
    token: str | None
    batch_events_max: int
    flush_ms: int
    journal_events_max: int
    tick_seconds: float
    store_pages_max: int | None
    warn_attempts: int

    @property
    def file(self) -> Path:
        """Give the file that holds everything: the graph, the journal, the outbox."""
        return self.data / "lineage.sqlite"

    def per_controller(self) -> Mapping[str, Mapping[str, Any]]:
        """Read what the policies leave open, controller by controller; raise `BadCall` on a file that is none."""
        path = self.settings_file or self.data / "settings.yaml"
        if not path.exists():
            if self.settings_file is not None:
                msg = f"{path}: no such settings file"
                raise BadCall(msg)
            return {}
        try:
            content = yaml.safe_load(path.read_text("utf-8")) or {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            msg = f"{path}:{mark.line + 1 if mark else 1}: no valid YAML"
            raise BadCall(msg) from None
        if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
            msg = f"{path}: settings are a mapping of controllers to settings"
            raise BadCall(msg)
        return content


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    try:
        return int(text) if text else default
    except ValueError:
        msg = f"{name} must be a whole number"
        raise BadCall(msg) from None


def load(env: Mapping[str, str] | None = None) -> Settings:
    """Read the environment; raise `BadCall` naming the variable that is wrong.

    LINEAGE_DATA, LINEAGE_POLICIES, LINEAGE_HOST, LINEAGE_PORT, LINEAGE_SETTINGS, LINEAGE_TOKEN, LINEAGE_BATCH_EVENTS,
    LINEAGE_FLUSH_MS, LINEAGE_JOURNAL_EVENTS, LINEAGE_TICK_SECONDS, LINEAGE_STORE_PAGES, LINEAGE_WARN_ATTEMPTS.
    """
    env = os.environ if env is None else env
    pages = _number(env, "LINEAGE_STORE_PAGES", 0)
    return Settings(
        data=Path(env.get("LINEAGE_DATA") or "lineage-data"),
        policies=Path(env.get("LINEAGE_POLICIES") or POLICIES),
        host=env.get("LINEAGE_HOST") or "127.0.0.1",
        port=_number(env, "LINEAGE_PORT", 8787),
        settings_file=Path(env["LINEAGE_SETTINGS"]) if env.get("LINEAGE_SETTINGS") else None,
        token=env.get("LINEAGE_TOKEN") or None,
        batch_events_max=_number(env, "LINEAGE_BATCH_EVENTS", 50_000),
        flush_ms=_number(env, "LINEAGE_FLUSH_MS", 4),
        journal_events_max=_number(env, "LINEAGE_JOURNAL_EVENTS", 200_000),
        tick_seconds=_number(env, "LINEAGE_TICK_SECONDS", 2),
        store_pages_max=pages or None,
        warn_attempts=_number(env, "LINEAGE_WARN_ATTEMPTS", 5),
    )
