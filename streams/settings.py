"""Read the settings: the only module that looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lineage.errors import BadCall
from lineage.policy_file import POLICIES

SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class Kafka:
    """Where the cluster's Kafka is, and how to get in; files are PEM."""

    bootstrap: str
    security: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    group: str = "lineage"
    prefix: str = "lineage"
    partitions: int = 6
    replicas: int = 1
    linger_ms: int = 200
    session_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Neo4j:
    """Where the cluster's graph is."""

    uri: str
    user: str = "neo4j"
    password: str = field(default="", repr=False)


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
    kafka: Kafka | None = None
    neo4j: Neo4j | None = None
    registry: str | None = None
    secrets_file: Path | None = None
    worker_port: int | None = None

    @property
    def secrets(self) -> Path:
        """Give the file that holds the secrets; the workers of a cluster share it."""
        return self.secrets_file or self.data / "secrets.json"

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


def _one_of(env: Mapping[str, str], name: str, among: tuple[str, ...]) -> str:
    text = env.get(name) or among[0]
    if text not in among:
        msg = f"{name} must be one of {', '.join(among)}"
        raise BadCall(msg)
    return text


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if env.get(name) else None


def _password(env: Mapping[str, str], name: str) -> str | None:
    """Read a password, or the file that NAME_FILE names: a container gets its secrets as files."""
    path = _path(env, f"{name}_FILE")
    if path is None:
        return env.get(name) or None
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        msg = f"{name}_FILE: {path}: {error.strerror}"
        raise BadCall(msg) from None


def _kafka(env: Mapping[str, str]) -> Kafka | None:
    bootstrap = env.get("LINEAGE_KAFKA")
    if not bootstrap:
        return None
    return Kafka(
        bootstrap,
        _one_of(env, "LINEAGE_KAFKA_SECURITY", SECURITY),
        _one_of(env, "LINEAGE_KAFKA_MECHANISM", MECHANISMS),
        env.get("LINEAGE_KAFKA_USER") or None,
        _password(env, "LINEAGE_KAFKA_PASSWORD"),
        _path(env, "LINEAGE_KAFKA_CA"),
        _path(env, "LINEAGE_KAFKA_CERTIFICATE"),
        _path(env, "LINEAGE_KAFKA_KEY"),
        env.get("LINEAGE_KAFKA_GROUP") or "lineage",
        env.get("LINEAGE_TOPICS") or "lineage",
        max(1, _number(env, "LINEAGE_KAFKA_PARTITIONS", 6)),
        max(1, _number(env, "LINEAGE_KAFKA_REPLICAS", 1)),
        _number(env, "LINEAGE_LINGER_MS", 200),
        max(1000, _number(env, "LINEAGE_KAFKA_SESSION_MS", 10_000)),
    )


def _neo4j(env: Mapping[str, str]) -> Neo4j | None:
    uri = env.get("LINEAGE_NEO4J")
    if not uri:
        return None
    return Neo4j(uri, env.get("LINEAGE_NEO4J_USER") or "neo4j", _password(env, "LINEAGE_NEO4J_PASSWORD") or "")


def load(env: Mapping[str, str] | None = None) -> Settings:
    """Read the environment; raise `BadCall` naming the variable that is wrong.

    LINEAGE_DATA, LINEAGE_POLICIES, LINEAGE_HOST, LINEAGE_PORT, LINEAGE_SETTINGS, LINEAGE_TOKEN, LINEAGE_BATCH_EVENTS,
    LINEAGE_FLUSH_MS, LINEAGE_JOURNAL_EVENTS, LINEAGE_TICK_SECONDS, LINEAGE_STORE_PAGES, LINEAGE_WARN_ATTEMPTS; of a cluster
    LINEAGE_KAFKA (host:port, …), LINEAGE_KAFKA_SECURITY, _MECHANISM, _USER, _PASSWORD, _CA, _CERTIFICATE, _KEY, _GROUP,
    _PARTITIONS, _REPLICAS, _SESSION_MS, LINEAGE_TOPICS (a prefix), LINEAGE_LINGER_MS, LINEAGE_NEO4J (bolt://host:port),
    LINEAGE_NEO4J_USER, LINEAGE_NEO4J_PASSWORD, LINEAGE_REGISTRY (a URL), LINEAGE_SECRETS, LINEAGE_WORKER_PORT. A password may
    be in the file that LINEAGE_KAFKA_PASSWORD_FILE or LINEAGE_NEO4J_PASSWORD_FILE names.
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
        kafka=_kafka(env),
        neo4j=_neo4j(env),
        registry=env.get("LINEAGE_REGISTRY") or None,
        secrets_file=_path(env, "LINEAGE_SECRETS"),
        worker_port=_number(env, "LINEAGE_WORKER_PORT", 0) or None,
    )
