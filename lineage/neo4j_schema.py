"""Lay out the graph of the cluster's store: constraints and indexes, brought up to date by numbered migrations.

    (:Key:Identifier:DataSubject|:Device)-[:OBSERVED]->(:Shape)-[:KEPT_FOR]->(:Activity)-[:HELD_IN]->(:Target:System)
                                                                    (:Activity)-[:DISCLOSED_TO]->(:Target:Recipient)
    (:Key)-[:SAME_PERSON]->(:Key)   (:Key)-[:USES_DEVICE]->(:Key)   (:Key)-[:TOLD]->(:Entry)
    (:Case)-[:ABOUT]->(:Key)   (:Case)-[:CERTIFIED_BY]->(:Certificate)
    (:Command)-[:ABOUT]->(:Key)   (:Command)-[:TO]->(:Target)   (:Command)-[:OF]->(:Case)
    (:AuditLine)   (:DeadLetter)   (:Tombstone)   (:Position)   (:ChainHead)   (:Migration)

A `:Key` is whatever facts hang on; it is an `:Identifier` once its row is there. What other nodes say of a key stands in
their property `key` too, since they outlive the identifier; the relationships are for whoever looks at the graph. Of a key's
properties, `version` goes up with each write, `latest` is when the newest happened that was observed of it (nobody need look
for an edge that is newer), `due` when it is looked at next, and `watched` says that its events are looked at one by one.
Every migration can be run again and by several processes at once; one that was released is never changed.
"""

from __future__ import annotations

from typing import LiteralString

from lineage.errors import StoreUnavailable
from lineage.neo4j_server import Neo4jServer, Transaction, ask

_FIRST: tuple[LiteralString, ...] = (
    "CREATE CONSTRAINT key_key IF NOT EXISTS FOR (n:Key) REQUIRE n.key IS UNIQUE",
    "CREATE CONSTRAINT shape_id IF NOT EXISTS FOR (n:Shape) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT activity_id IF NOT EXISTS FOR (n:Activity) REQUIRE (n.controller, n.id) IS UNIQUE",
    "CREATE CONSTRAINT target_id IF NOT EXISTS FOR (n:Target) REQUIRE (n.controller, n.id) IS UNIQUE",
    "CREATE CONSTRAINT entry_id IF NOT EXISTS FOR (n:Entry) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT command_id IF NOT EXISTS FOR (n:Command) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT case_id IF NOT EXISTS FOR (n:Case) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT audit_id IF NOT EXISTS FOR (n:AuditLine) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT audit_seq IF NOT EXISTS FOR (n:AuditLine) REQUIRE n.seq IS UNIQUE",
    "CREATE CONSTRAINT certificate_id IF NOT EXISTS FOR (n:Certificate) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT certificate_seq IF NOT EXISTS FOR (n:Certificate) REQUIRE n.seq IS UNIQUE",
    "CREATE CONSTRAINT dead_letter_at IF NOT EXISTS FOR (n:DeadLetter) REQUIRE (n.topic, n.partition, n.offset) IS UNIQUE",
    "CREATE CONSTRAINT tombstone_key IF NOT EXISTS FOR (n:Tombstone) REQUIRE n.key IS UNIQUE",
    "CREATE CONSTRAINT position_of IF NOT EXISTS FOR (n:Position) REQUIRE (n.topic, n.partition) IS UNIQUE",
    "CREATE CONSTRAINT chain_name IF NOT EXISTS FOR (n:ChainHead) REQUIRE n.name IS UNIQUE",
    "CREATE INDEX key_due IF NOT EXISTS FOR (n:Key) ON (n.due, n.key)",
    "CREATE INDEX key_watched IF NOT EXISTS FOR (n:Key) ON (n.watched)",
    "CREATE INDEX command_pending IF NOT EXISTS FOR (n:Pending) ON (n.due, n.issued, n.id)",
    "CREATE INDEX command_key IF NOT EXISTS FOR (n:Command) ON (n.key)",
    "CREATE INDEX entry_key IF NOT EXISTS FOR (n:Entry) ON (n.key)",
    "CREATE INDEX case_key IF NOT EXISTS FOR (n:Case) ON (n.key)",
    "CREATE INDEX case_state IF NOT EXISTS FOR (n:Case) ON (n.state, n.controller)",
    "CREATE INDEX case_controller IF NOT EXISTS FOR (n:Case) ON (n.controller)",
)
MIGRATIONS: tuple[tuple[LiteralString, ...], ...] = (_FIRST,)
"""The statements of each migration; the first has number 1."""
_MIGRATION: LiteralString = "CREATE CONSTRAINT migration_version IF NOT EXISTS FOR (n:Migration) REQUIRE n.version IS UNIQUE"
_INDEXES_SECONDS_MAX = 25


def migrate(server: Neo4jServer) -> None:
    """Bring the database up to date; raises `StoreUnavailable` if a newer release has been at it."""
    server.arrange(_MIGRATION)
    done = server.read(_done)
    if done > len(MIGRATIONS):
        msg = f"the graph has version {done}, newer than this release ({len(MIGRATIONS)})"
        raise StoreUnavailable(msg)
    for version in range(done + 1, len(MIGRATIONS) + 1):
        for statement in MIGRATIONS[version - 1]:
            server.arrange(statement)
        server.write(_online)
        server.write(lambda tx, version=version: _note(tx, version))  # type: ignore[misc]


async def _done(tx: Transaction) -> int:
    rows = await ask(tx, "MATCH (m:Migration) RETURN coalesce(max(m.version), 0)")
    return int(rows[0][0])


async def _online(tx: Transaction) -> None:
    await ask(tx, "CALL db.awaitIndexes($seconds)", seconds=_INDEXES_SECONDS_MAX)


async def _note(tx: Transaction, version: int) -> None:
    await ask(tx, "MERGE (m:Migration {version: $version}) ON CREATE SET m.at = datetime()", version=version)
