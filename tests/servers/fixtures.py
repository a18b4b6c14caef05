"""Real servers for tests: `kafka_server`, `neo4j_server`, `registry_server`, started once per run when first asked for.

An address in the environment (LINEAGE_TEST_KAFKA, LINEAGE_TEST_NEO4J with LINEAGE_TEST_NEO4J_PASSWORD,
LINEAGE_TEST_REGISTRY) is used instead. Else Maven fetches the programs and they run as child processes; where that is not
possible, in containers if there is an engine; else the test is skipped, or fails where nothing may be skipped.
`own_kafka`, `own_neo4j` and `own_registry` give a test a server that it may kill, pause and restart.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from servers import containers

from streams.local_process import LocalServer
from streams.local_servers import Kafka, Neo4j, Registry
from streams.server_files import CACHE, ProgramMissing, Sources

KINDS: dict[str, type[LocalServer]] = {kind.name: kind for kind in (Kafka, Neo4j, Registry)}


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
def start_server(needed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Any]]:
    """Give a function that starts a server of a kind; all are gone at the end, their data too."""
    local: list[LocalServer] = []
    contained: list[containers.Container] = []

    def start(name: str, variable: str = "") -> Any:
        server = KINDS[name](tmp_path_factory.mktemp(name), sources(), quick=True)
        try:
            server.launch()
        except ProgramMissing as error:
            engine = containers.engine()
            if engine is None:
                named = f", or name a running one with {variable}" if variable else ""
                needed(f"a server ({name})", f"install Java and Maven, or start Docker{named} ({error})")
            contained.append(containers.KINDS[name](engine))
            contained[-1].start()
            return contained[-1]
        local.append(server)
        server.wait()
        return server

    yield start
    for server in local:
        server.kill()
        shutil.rmtree(server.folder / "data", ignore_errors=True)
    for container in contained:
        container.remove()


@pytest.fixture(scope="session")
def kafka_server(request: pytest.FixtureRequest) -> KafkaAt:
    """Give a Kafka that all tests of this run share; topics and groups need names of their own (`unique`)."""
    if address := os.environ.get("LINEAGE_TEST_KAFKA"):
        return KafkaAt(address)
    return KafkaAt(request.getfixturevalue("start_server")("kafka", "LINEAGE_TEST_KAFKA").bootstrap)


@pytest.fixture(scope="session")
def neo4j_server(request: pytest.FixtureRequest) -> Neo4jAt:
    """Give a Neo4j that all tests of this run share; it has one database, so see `neo4j_clean`."""
    if address := os.environ.get("LINEAGE_TEST_NEO4J"):
        user = os.environ.get("LINEAGE_TEST_NEO4J_USER", "neo4j")
        return Neo4jAt(address, user, os.environ.get("LINEAGE_TEST_NEO4J_PASSWORD", ""))
    server = request.getfixturevalue("start_server")("neo4j", "LINEAGE_TEST_NEO4J")
    return Neo4jAt(server.uri, server.user, server.password)


@pytest.fixture(scope="session")
def registry_server(request: pytest.FixtureRequest) -> RegistryAt:
    """Give a schema registry that all tests of this run share: `url` is where the paths of Confluent's begin."""
    if address := os.environ.get("LINEAGE_TEST_REGISTRY"):
        return RegistryAt(address)
    return RegistryAt(request.getfixturevalue("start_server")("registry", "LINEAGE_TEST_REGISTRY").url)


def _own(start: Callable[[str], Any], name: str) -> Iterator[Callable[[], Any]]:
    mine: list[Any] = []

    def one() -> Any:
        mine.append(start(name))
        return mine[-1]

    yield one
    for server in mine:
        (server.kill if isinstance(server, LocalServer) else server.remove)()


@pytest.fixture
def own_kafka(start_server) -> Iterator[Callable[[], Kafka]]:
    """Give a function that starts a Kafka of the test's own, with `kill`, `pause`, `resume`, `start`, `stop`, `restart`."""
    yield from _own(start_server, "kafka")


@pytest.fixture
def own_neo4j(start_server) -> Iterator[Callable[[], Neo4j]]:
    """Give a function that starts a Neo4j of the test's own; the same calls."""
    yield from _own(start_server, "neo4j")


@pytest.fixture
def own_registry(start_server) -> Iterator[Callable[[], Registry]]:
    """Give a function that starts a schema registry of the test's own; the same calls."""
    yield from _own(start_server, "registry")


@pytest.fixture
def have_program(needed) -> Callable[[str], None]:
    """Give a function for tests that start servers themselves: it fetches a kind's program, or skips the test."""

    def have(name: str) -> None:
        try:
            sources().java(KINDS[name].java_least)
            sources().server(name)
        except ProgramMissing as error:
            needed(f"the program of a server ({name})", f"install Java and Maven ({error})")

    return have


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
