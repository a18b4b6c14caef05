"""Real servers for tests: `kafka_server`, `neo4j_server`, `registry_server`, started once per run when first asked for.

An address in the environment (LINEAGE_TEST_KAFKA, LINEAGE_TEST_NEO4J with LINEAGE_TEST_NEO4J_PASSWORD,
LINEAGE_TEST_REGISTRY) is used instead; else Maven fetches the programs and they run as child processes. `own_kafka` and
`own_neo4j` give a test a server that it may kill, pause and restart.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from streams.local_servers import Kafka, LocalServer, Neo4j, Registry
from streams.server_files import CACHE, ProgramMissing, Sources

S = TypeVar("S", bound=LocalServer)
HOW = "install Java 17 and Maven, or name a running one with {}"


@dataclass(frozen=True)
class KafkaAt:
    bootstrap: str


@dataclass(frozen=True)
class Neo4jAt:
    uri: str
    user: str
    password: str


@dataclass(frozen=True)
class RegistryAt:
    url: str


def sources() -> Sources:
    """Say where programs come from: what the environment of the tests wants."""
    java_home = os.environ.get("JAVA_HOME")
    return Sources(Path(os.environ.get("LINEAGE_SERVERS_CACHE") or CACHE), java_home=Path(java_home) if java_home else None)


@pytest.fixture(scope="session")
def _start(needed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[type[S], str], S]]:
    """Give a function that starts a server; all are gone at the end, their data too."""
    started: list[LocalServer] = []

    def start(kind: type[S], variable: str) -> S:
        server = kind(tmp_path_factory.mktemp(kind.name), sources())
        try:
            server.launch()
        except ProgramMissing as error:
            needed(f"a {kind.name} server", f"{HOW.format(variable)} ({error})")
        started.append(server)
        server.wait()
        return server

    yield start
    for server in started:
        server.kill()
        shutil.rmtree(server.folder / "data", ignore_errors=True)


@pytest.fixture(scope="session")
def kafka_server(request: pytest.FixtureRequest) -> KafkaAt:
    """Give a Kafka that all tests of this run share; topics and groups need names of their own (`unique`)."""
    if address := os.environ.get("LINEAGE_TEST_KAFKA"):
        return KafkaAt(address)
    return KafkaAt(request.getfixturevalue("_start")(Kafka, "LINEAGE_TEST_KAFKA").bootstrap)


@pytest.fixture(scope="session")
def neo4j_server(request: pytest.FixtureRequest) -> Neo4jAt:
    """Give a Neo4j that all tests of this run share; it has one database, so see `neo4j_clean`."""
    if address := os.environ.get("LINEAGE_TEST_NEO4J"):
        return Neo4jAt(
            address, os.environ.get("LINEAGE_TEST_NEO4J_USER", "neo4j"), os.environ.get("LINEAGE_TEST_NEO4J_PASSWORD", "")
        )
    server = request.getfixturevalue("_start")(Neo4j, "LINEAGE_TEST_NEO4J")
    return Neo4jAt(server.uri, server.user, server.password)


@pytest.fixture(scope="session")
def registry_server(request: pytest.FixtureRequest) -> RegistryAt:
    """Give a schema registry that all tests of this run share: `url` is where the paths of Confluent's begin."""
    if address := os.environ.get("LINEAGE_TEST_REGISTRY"):
        return RegistryAt(address)
    return RegistryAt(request.getfixturevalue("_start")(Registry, "LINEAGE_TEST_REGISTRY").url)


@pytest.fixture
def own_kafka(_start) -> Iterator[Callable[[], Kafka]]:
    """Give a function that starts a Kafka of the test's own, with `kill`, `pause`, `resume`, `start`, `restart`."""
    yield from _own(_start, Kafka)


@pytest.fixture
def own_neo4j(_start) -> Iterator[Callable[[], Neo4j]]:
    """Give a function that starts a Neo4j of the test's own, with `kill`, `pause`, `resume`, `start`, `restart`."""
    yield from _own(_start, Neo4j)


def _own(start: Callable[[type[S], str], S], kind: type[S]) -> Iterator[Callable[[], S]]:
    mine: list[S] = []

    def one() -> S:
        mine.append(start(kind, "none: this test breaks its own"))
        return mine[-1]

    yield one
    for server in mine:
        server.kill()


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Give a function that makes a name nobody else has: for topics, consumer groups, schema subjects."""
    return lambda name: f"{name}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def neo4j_clean(neo4j_server: Neo4jAt) -> Neo4jAt:
    """Give the shared Neo4j without nodes; constraints and indexes stay."""
    empty_neo4j(neo4j_server)
    return neo4j_server


def empty_neo4j(server: Neo4jAt | Neo4j, *, schema: bool = False) -> None:
    """Delete all nodes and relationships, and constraints and indexes too if `schema`."""
    import neo4j

    with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver, driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS").consume()
        if schema:
            for name in session.run("SHOW CONSTRAINTS YIELD name").value():
                session.run(f"DROP CONSTRAINT `{name}`").consume()
            for name in session.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'").value():
                session.run(f"DROP INDEX `{name}`").consume()
