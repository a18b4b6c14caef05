"""Give Neo4j many whole numbers as one text: what arrives are rows, what leaves is a value and the Cypher that reads it.

The driver packs a list number by number in Python, at some 2 µs each: for a batch of ten thousand events that is more
than all else that is done for it outside the server. A text is one value, and the server reads the numbers out of it in a
fifth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import LiteralString

import orjson

_ROW: LiteralString = "toIntegerList(split(line, ',')) AS r "
ROWS: LiteralString = "UNWIND split($rows, '],[') AS line WITH " + _ROW
"""Begins a statement: `r` is each row of `$rows` (`lines`)."""
SEALED_ROWS: LiteralString = (
    "WITH split($rows, '],[') AS lines UNWIND range(0, size(lines) - 1) AS n"
    " WITH $sealed[n] AS sealed, lines[n] AS line WITH sealed, " + _ROW
)
"""Begins a statement: `r` is each row of `$rows` (`lines`), `sealed` what stands at its place in `$sealed`."""
SHAPE_ROWS: LiteralString = (
    "UNWIND $groups AS g MATCH (s:Shape {id: g[0]}) USING INDEX SEEK s:Shape(id) UNWIND split(g[1], '],[') AS line WITH s, " + _ROW
)
"""Begins a statement: `r` is each row (`lines`) of each of `$groups`, [shape, rows], and `s` the shape."""
KEYS: LiteralString = "UNWIND toIntegerList(split($keys, ',')) AS key "
"""Begins a statement: `key` is each number of `$keys` (`line`)."""

OF_ROW: LiteralString = "MATCH (k:Key {key: r[0]}) USING INDEX SEEK k:Key(key) "
"""Finds the key `k` of a row. The planner is told how: left alone it plans for the few nodes that it last counted, and where
that were none it scans the index, once for each row, for as long as the plan is kept."""
OF_KEY: LiteralString = "MATCH (k:Key {key: key}) USING INDEX SEEK k:Key(key) "
"""Finds the key `k` of a number."""


def lines(rows: Sequence[Sequence[int | None]]) -> str:
    """Write rows of numbers between -2^63 and 2^63 - 1, at least one; None is read as null."""
    return orjson.dumps(rows)[2:-2].decode()


def line(numbers: Iterable[int]) -> str:
    """Write numbers, at least one."""
    return orjson.dumps(list(numbers))[1:-1].decode()
