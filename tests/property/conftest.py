"""What properties share: Neo4j, empty whenever an example asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import neo4j
import pytest
from places import Emptied
from servers.fixtures import Neo4jAt

from lineage.neo4j_store import Neo4jStore


@pytest.fixture
def emptied(neo4j_clean: Neo4jAt) -> Iterator[Emptied]:
    """Give a function that empties the store, of all but what says which schema it has, and gives it."""
    at = neo4j_clean
    with (
        closing(Neo4jStore.open(at.uri, at.user, at.password)) as store,
        neo4j.GraphDatabase.driver(at.uri, auth=(at.user, at.password)) as driver,
    ):

        def empty() -> Neo4jStore:
            driver.execute_query("MATCH (n) WHERE NOT n:Migration DETACH DELETE n", database_="neo4j")
            return store

        yield empty
