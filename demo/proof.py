"""Look for values in files byte by byte: the proof does not ask the program that is to be proven."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.dispatch import Delivery
from demo.services import Service


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a value that a target held: `there` says whether the bytes are still in its files."""

    target: str
    category: str
    value: str
    expected: bool
    there: bool

    @property
    def proven(self) -> bool:
        """Tell whether it is as it should be."""
        return self.there == self.expected


def files_of(file: Path) -> list[Path]:
    """Give a SQLite file with the files that SQLite keeps beside it."""
    return [f for f in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-journal")) if f.exists()]


def contains(files: Iterable[Path], value: str) -> bool:
    """Tell whether the bytes of a value are anywhere in the files."""
    return any(value.encode() in f.read_bytes() for f in files)


def prove(services: Iterable[Service], given: Sequence[Delivery], kept: frozenset[tuple[str, str]]) -> list[Finding]:
    """Look for each value that a target was given; `kept` are the (target, category) that must still be there."""
    found = []
    for service in services:
        mine = [g for g in given if (g.controller, g.target) == (service.controller, service.target)]
        stays = {g.value for g in mine if (g.target, g.category) in kept}
        files = files_of(service.file)
        for category, value in sorted({(g.category, g.value) for g in mine}):
            expected = (service.target, category) in kept
            if not expected and value in stays:
                continue
            found.append(Finding(service.target, category, value, expected, contains(files, value)))
    return found
