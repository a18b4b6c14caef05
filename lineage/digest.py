"""Hash the graph and the chains: what arrives are rows of any store, what leaves are hexadecimal SHA-256 digests.

Two stores that were given the same facts have the same graph digest, whatever the order, the batches and the
repetitions: every row is hashed on its own and the hashes are added modulo 2**256. (They are added and not
XORed so that a row that a broken store keeps twice is noticed.) The audit log and the certificates are chains:
every line's hash covers that of the line before, so a line that is changed, removed or put in shows.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from lineage.store import AuditRow, Identifier, Link, Observation, Shape

GENESIS = "0" * 64
"""What the first line of a chain names as the hash before it."""

_MODULUS = 1 << 256
_OBSERVATION = struct.Struct(">qqqq")
_LINK = struct.Struct(">qqq")


@dataclass(frozen=True, slots=True)
class ChainFault:
    """Where a chain breaks first, and why; without personal data."""

    seq: int
    reason: str


def line_hash(row: AuditRow, seq: int, previous: str) -> str:
    """Hash a line of a chain: SHA-256 over the hash before and the line as canonical JSON."""
    line = orjson.dumps([seq, row.id, row.at, row.controller, row.kind, row.body])
    return hashlib.sha256(previous.encode() + line).hexdigest()


def extend_chain(rows: Iterable[AuditRow], seq: int = 0, previous: str = GENESIS) -> Iterator[AuditRow]:
    """Chain the lines that follow line `seq`, whose hash is `previous`."""
    for row in rows:
        seq += 1
        digest = line_hash(row, seq, previous)
        yield row._replace(seq=seq, previous=previous, hash=digest)
        previous = digest


def verify_chain(rows: Iterable[AuditRow], seq: int = 0, previous: str = GENESIS) -> ChainFault | None:
    """Find the first line that is missing, moved or changed; None says that the chain holds.

    `seq` and `previous` are those of the line before the first of `rows`. Lines cut off at the end leave no
    mark in the rest: whoever wants to notice that keeps the last hash elsewhere.
    """
    for row in rows:
        seq += 1
        if row.seq != seq:
            return ChainFault(seq, f"line {seq} is missing, line {row.seq} stands in its place")
        if row.previous != previous:
            return ChainFault(seq, f"line {seq} does not follow the line before it")
        if row.hash != line_hash(row, seq, previous):
            return ChainFault(seq, f"line {seq} has been changed")
        previous = row.hash
    return None


def graph_digest(
    shapes: Iterable[Shape],
    identifiers: Iterable[Identifier],
    observations: Iterable[Observation],
    links: Iterable[Link],
    controller: str | None = None,
) -> str:
    """Hash what the graph says, of one controller or of all.

    Left out is what may differ between two graphs that say the same: the numbers of the shapes, the evidence
    (a log can be compacted or copied), the sealed values (they are encrypted with fresh randomness).
    """
    named = {0: b""} | {s.id: _shape_hash(s) for s in shapes if controller in (None, s.controller)}
    if controller is not None:
        identifiers = [i for i in identifiers if i.controller == controller]
        keys = {i.key for i in identifiers}
        observations = (o for o in observations if o.shape in named)
        # A link without a shape says by its ends whose it is.
        links = (link for link in links if (link.shape in named if link.shape else link.a in keys))
    total = (
        _sum(_identifier_hashes(identifiers)) + _sum(_observation_hashes(observations, named)) + _sum(_link_hashes(links, named))
    )
    return f"{total % _MODULUS:064x}"


def _sum(hashes: Iterator[bytes]) -> int:
    from_bytes = int.from_bytes
    return sum(from_bytes(h, "big") for h in hashes)


def _shape_hash(shape: Shape) -> bytes:
    return hashlib.sha256(orjson.dumps([shape.controller, shape.type, shape.body])).digest()


def _identifier_hashes(rows: Iterable[Identifier]) -> Iterator[bytes]:
    for key, check, controller, kind, _sealed in rows:
        yield hashlib.sha256(b"i" + orjson.dumps([key, check, controller, kind])).digest()


def _observation_hashes(rows: Iterable[Observation], shapes: Mapping[int, bytes]) -> Iterator[bytes]:
    pack, sha256 = _OBSERVATION.pack, hashlib.sha256
    for key, at, shape, matter, about, _evidence in rows:
        yield sha256(b"o" + shapes[shape] + pack(key, at, matter, about)).digest()


def _link_hashes(rows: Iterable[Link], shapes: Mapping[int, bytes]) -> Iterator[bytes]:
    for a, b, kind, shape, at in rows:
        yield hashlib.sha256(b"l" + shapes[shape] + _LINK.pack(a, b, at) + kind.encode()).digest()
