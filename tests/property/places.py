"""An empty Neo4j for every example of a property: opened once, emptied again and again."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, settings

from lineage.neo4j_store import Neo4jStore

Emptied = Callable[[], Neo4jStore]
ON_NEO4J = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""Fewer examples than in a file: an example takes a second here. What a store does in any order, the file has shown."""
