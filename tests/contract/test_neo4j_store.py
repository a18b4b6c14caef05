"""The cluster's store keeps the contract against a real Neo4j, and what only a shared store has to promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import neo4j
import pytest
from graph_store import GraphStoreContract
from servers.fixtures import Neo4jAt, empty_neo4j

from lineage.neo4j_store import Neo4jStore

KINDS: dict[str, LiteralString] = {
    "identifiers": "MATCH (n:Identifier) RETURN n.key, n.check, n.controller, n.kind, n.sealed",
    "observations": "MATCH (n)-[o:OBSERVED]->(s) RETURN n.key, o.at, s.id, o.matter, o.about, o.evidence",
    "links": "MATCH (a)-[l:SAME_PERSON|USES_DEVICE]->(b)"
    " RETURN a.key, b.key, CASE type(l) WHEN 'SAME_PERSON' THEN 'same' ELSE 'device' END, l.shape, l.at",
    "shapes": "MATCH (n:Shape) RETURN n.id, n.controller, n.type, n.body",
    "entries": "MATCH (n:Entry) RETURN n.key, n.id, n.at, n.kind, n.body",
    "cases": "MATCH (n:Case) RETURN n.id, n.key, n.controller, n.right, n.opened, n.state, n.body",
    "commands": "MATCH (n:Command) RETURN n.id, n.key, n.controller, n.target, n.case, n.kind, n.body, n.issued, n.due,"
    " n.state, n.attempts",
    "audit": "MATCH (n:AuditLine) RETURN n.seq, n.id, n.at, n.controller, n.kind, n.body, n.previous, n.hash",
    "certificates": "MATCH (n:Certificate) RETURN n.seq, n.id, n.body, n.previous, n.hash",
    "dead_letters": "MATCH (n:DeadLetter) RETURN n.topic, n.partition, n.offset, n.schema_id, n.reason, n.at, n.sealed",
    "positions": "MATCH (n:Position) RETURN n.topic, n.partition, n.offset",
    "due": "MATCH (n) WHERE n.due IS NOT NULL AND NOT n:Command RETURN n.key, n.due",
}


class Cypher:
    """A session of the test's own, past the store."""

    def __init__(self, server: Neo4jAt) -> None:
        self._driver = neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password), notifications_min_severity="OFF")

    def __call__(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._driver.session(database="neo4j") as session:
            return [tuple(record.values()) for record in session.run(statement, values)]

    def close(self) -> None:
        self._driver.close()


@pytest.fixture
def cypher(neo4j_clean: Neo4jAt) -> Iterator[Cypher]:
    session = Cypher(neo4j_clean)
    yield session
    session.close()


@pytest.mark.process
class TestNeo4jStore(GraphStoreContract):
    """Neo4j Community has one database: a place other than the one opened before is that database, emptied."""

    @pytest.fixture(autouse=True)
    def _server(self, neo4j_clean: Neo4jAt, cypher: Cypher) -> None:
        self.server, self.cypher = neo4j_clean, cypher
        self.opened: Path | None = None

    def open_store(self, place: Path) -> Neo4jStore:
        if self.opened not in (None, place):
            empty_neo4j(self.server)
        self.opened = place
        return Neo4jStore.open(self.server.uri, self.server.user, self.server.password)

    def raw(self, place: Path, kind: str) -> list[tuple[Any, ...]]:
        assert place == self.opened
        return sorted(self.cypher(KINDS[kind]))
