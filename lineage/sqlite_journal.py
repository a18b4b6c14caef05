"""Keep incoming events until their facts are written: what arrives are bytes, what leaves are the same, numbered.

The journal lies in the graph's file. The transaction that writes the facts of events moves the journal's position past
them, so an event is always in exactly one of the two. Events that came together are one row, a block: a block is one
write, one read and one deletion, and goes when its last event is consumed. Personal data is in here in the clear; what
is deleted is overwritten, in the write-ahead log from the next checkpoint on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from lineage.sqlite_file import Connection

JOURNAL = ("journal", 0)
"""Topic and partition by which a position speaks of the journal."""
BLOCK_EVENTS = 1000
"""So many events at most are in one block, and wait for each other to be deleted."""


def append(db: Connection, values: Sequence[bytes], at: int) -> range:
    """Add events, in a transaction of the caller's, and return their offsets."""
    _, end = _bounds(db)
    offsets = range(end, end + len(values))
    for n in range(0, len(values), BLOCK_EVENTS):
        block = values[n : n + BLOCK_EVENTS]
        sizes = orjson.dumps([len(v) for v in block]).decode()
        db.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", (end + n, end + n + len(block), at, sizes, b"".join(block)))
    return offsets


def read(db: Connection, after_offset: int, limit: int) -> list[tuple[int, bytes]]:
    """Read at most `limit` events that are not consumed and have an offset > `after_offset`, in order."""
    start, end = _bounds(db)
    start = max(start, after_offset + 1)
    end = min(end, start + limit)
    blocks = db.execute("SELECT offset, sizes, value FROM journal WHERE offset < ? AND upto > ? ORDER BY offset", (end, start))
    found: list[tuple[int, bytes]] = []
    for first, sizes, value in blocks:
        position = 0
        for offset, size in enumerate(orjson.loads(sizes), first):
            if start <= offset < end:
                found.append((offset, value[position : position + size]))
            position += size
    return found


def depth(db: Connection) -> int:
    """Count the events that are not consumed."""
    start, end = _bounds(db)
    return end - start


def drop_until(db: Connection, offset: int) -> None:
    """Delete the blocks whose events all have an offset < `offset`."""
    db.execute("DELETE FROM journal WHERE offset < ?1 AND upto <= ?1", (offset,))


def _bounds(db: Connection) -> tuple[int, int]:
    """Tell the next offset to consume and the next to give: neither ever goes back, even when all blocks are gone."""
    start, end = db.execute(
        "SELECT coalesce((SELECT offset FROM position WHERE topic = ? AND partition = ?), 0),"
        " coalesce((SELECT upto FROM journal ORDER BY offset DESC LIMIT 1), 0)",
        JOURNAL,
    ).fetchone()
    return start, max(start, end)
