"""Lay out the file of the embedded store: one table per row type of `lineage.store`, columns in its order.

Tables that are found by what they say and not by a number are WITHOUT ROWID: half the bytes, and what belongs to
one data subject lies together. Tables with an integer key have it as rowid. Nothing refers by foreign key: facts
arrive in any order.
"""

from __future__ import annotations

APPLICATION_ID = 0x4C4E4731
"""`LNG1` in ASCII: what a file of ours is told by."""
VERSION = 1
PAGE_BYTES = 4096

_SCHEMA = """
CREATE TABLE shape (
    id INTEGER PRIMARY KEY, controller TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (controller, type, body)
) STRICT;

CREATE TABLE identifier (
    key INTEGER PRIMARY KEY, "check" INTEGER NOT NULL, controller TEXT NOT NULL, kind TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE observation (
    key INTEGER NOT NULL, at INTEGER NOT NULL, shape INTEGER NOT NULL, matter INTEGER NOT NULL,
    about INTEGER NOT NULL, evidence INTEGER NOT NULL,
    PRIMARY KEY (key, at, shape, matter, about)
) STRICT, WITHOUT ROWID;

CREATE TABLE link (
    a INTEGER NOT NULL, b INTEGER NOT NULL, kind TEXT NOT NULL, shape INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (a, b, kind, shape)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_backwards ON link (b);

CREATE TABLE entry (
    key INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX entry_by_key ON entry (key);

CREATE TABLE due (key INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
CREATE INDEX due_by_time ON due (at);

CREATE TABLE watched (key INTEGER PRIMARY KEY) STRICT;

CREATE TABLE command (
    id TEXT NOT NULL UNIQUE, key INTEGER NOT NULL, controller TEXT NOT NULL, target TEXT NOT NULL,
    "case" TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, issued INTEGER NOT NULL, due INTEGER NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL
) STRICT;
CREATE INDEX command_by_key ON command (key);
-- Commands that are done are many, and nobody looks for them by time.
CREATE INDEX command_pending ON command (due) WHERE state = 'pending';

CREATE TABLE "case" (
    id TEXT NOT NULL UNIQUE, key INTEGER NOT NULL, controller TEXT NOT NULL, "right" TEXT NOT NULL,
    opened INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX case_by_state ON "case" (state, controller);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, controller TEXT NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;

CREATE TABLE certificate (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;

CREATE TABLE dead_letter (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, schema_id INTEGER NOT NULL,
    reason TEXT NOT NULL, at INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (topic, partition, offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE tombstone (
    key INTEGER PRIMARY KEY, controller TEXT NOT NULL, at INTEGER NOT NULL, next INTEGER NOT NULL
) STRICT;

CREATE TABLE position (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    offset INTEGER PRIMARY KEY, upto INTEGER NOT NULL, at INTEGER NOT NULL, sizes TEXT NOT NULL, value BLOB NOT NULL
) STRICT;
"""

SCHEMA = tuple(statement for part in _SCHEMA.split(";") if (statement := part.strip()))

COUNTS = """
SELECT 'identifiers', count(*) FROM identifier UNION ALL
SELECT 'observations', count(*) FROM observation UNION ALL
SELECT 'links', count(*) FROM link UNION ALL
SELECT 'shapes', count(*) FROM shape UNION ALL
SELECT 'entries', count(*) FROM entry UNION ALL
SELECT 'cases', count(*) FROM "case" UNION ALL
SELECT 'commands', count(*) FROM command UNION ALL
SELECT 'audit', count(*) FROM audit UNION ALL
SELECT 'certificates', count(*) FROM certificate UNION ALL
SELECT 'dead_letters', count(*) FROM dead_letter UNION ALL
SELECT 'tombstones', count(*) FROM tombstone UNION ALL
SELECT 'due', count(*) FROM due UNION ALL
SELECT 'watched', count(*) FROM watched UNION ALL
SELECT 'journal_blocks', count(*) FROM journal
"""
