"""Wire the program together: the one place where settings become a store, policies, secrets and a pipeline."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lineage import policy_file
from lineage.errors import BadCall, NotFound, PolicyError, StoreInUse
from lineage.landing import Landing, landings_of
from lineage.pipeline import Pipeline
from lineage.policy import Policy
from lineage.sqlite_store import SQLiteStore
from lineage.store import GraphStore, Shape
from streams import secrets, settings
from streams.cli_open import Remote
from streams.settings import Neo4j, Settings

_TURN_SECONDS = 0.001


def quiet_collector() -> None:
    """Let Python look for cycles only when told: the caches live long, the rest is freed by counting references.

    Left alone, the collector walks the caches over and over and takes a third of the time of a batch. Whoever calls
    this calls `gc.collect()` now and then, when there is nothing to do.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def take_turns(store: GraphStore) -> None:
    """Let threads take turns each millisecond instead of each five, where one talks to a server.

    While a server writes a batch the next one is tagged; whoever talks to the server has a word to say now and then, and would
    wait out the other's turn each time.
    """
    if store.shared:
        sys.setswitchinterval(_TURN_SECONDS)


@dataclass(frozen=True, slots=True)
class Engine:
    """What the parts of the shell share."""

    settings: Settings
    store: GraphStore
    pipeline: Pipeline
    token: str
    fresh: bool

    @property
    def journal(self) -> SQLiteStore:
        """Give the store of the embedded mode, which holds the journal too; raise `BadCall` in a cluster."""
        if not isinstance(self.store, SQLiteStore):
            msg = "the graph is in Neo4j (LINEAGE_NEO4J), where there is no journal: use `lineage worker` and `lineage serve`"
            raise BadCall(msg)
        return self.store

    def close(self) -> None:
        """Write the answers that wait, and close the store."""
        try:
            self.pipeline.answers.flush()
        finally:
            self.store.close()


def engine(told: Settings, *, readonly: bool = False) -> Engine:
    """Open everything; raise what is wrong with a policy, the settings, the secrets or the file."""
    policies = load_policies(told)
    told.data.mkdir(parents=True, exist_ok=True)
    store = _store(told, policies, readonly=readonly)
    try:
        kept = secrets.load(told.secrets, policies, os.urandom, told.token)
        pipeline = Pipeline(store, policies, kept.ring(), os.urandom)
        if not readonly:
            for policy in policies.values():
                pipeline.deploy(policy, int(time.time()))
    except BaseException:
        store.close()
        raise
    return Engine(told, store, pipeline, kept.token, kept.fresh)


def load_policies(told: Settings) -> dict[str, Policy]:
    """Read the policies of all controllers, with what the settings say; raise what is wrong with one."""
    per = told.per_controller()
    return {c: _policy(told, c, per.get(c)) for c in policy_file.controllers(told.policies)}


def _store(told: Settings, policies: Mapping[str, Policy], *, readonly: bool) -> GraphStore:
    """Open the graph: in Neo4j where the settings name one, else in the file."""
    if told.neo4j is not None:
        return _neo4j(told.neo4j, policies, readonly=readonly)
    if readonly and not told.file.exists():
        msg = f"{told.file}: there is no graph yet; start one with `lineage up`, or name the folder in LINEAGE_DATA"
        raise NotFound(msg)
    return SQLiteStore.open(told.file, readonly=readonly, pages_max=None if readonly else told.store_pages_max)


def _neo4j(told: Neo4j, policies: Mapping[str, Policy], *, readonly: bool) -> GraphStore:
    from lineage.neo4j_store import Neo4jStore  # noqa: PLC0415 - the driver takes its time to load

    def landings(shape: Shape) -> Iterable[Landing]:
        return landings_of(policies.get(shape.controller), shape)

    store = Neo4jStore.open(told.uri, told.user, told.password, landings=landings)
    if not readonly:
        store.draw()
    return store


def _policy(told: Settings, controller: str, given: Mapping[str, Any] | None) -> Policy:
    try:
        return policy_file.load(controller, given, told.policies)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"lacks {error.args[0]}" if isinstance(error, KeyError) and error.args else "is not laid out as a policy"
        msg = f"{told.policies / controller}.yaml: the file {what}; `lineage check` says more"
        raise PolicyError(msg) from None


@contextmanager
def reading() -> Iterator[Pipeline]:
    """Open the graph to read, beside a running pipeline."""
    opened = engine(settings.load(), readonly=True)
    try:
        yield opened.pipeline
    finally:
        opened.close()


@contextmanager
def writing() -> Iterator[Pipeline | Remote]:
    """Open the graph to write, or reach the running pipeline that has it open."""
    told = settings.load()
    try:
        opened = engine(told)
    except StoreInUse:
        token = secrets.load(told.secrets, (), os.urandom, told.token).token
        remote = Remote(f"http://{told.host}:{told.port}", token)
        try:
            yield remote
        finally:
            remote.close()
        return
    try:
        yield opened.pipeline
    finally:
        opened.close()
