"""Find the line on which a value of a YAML file stands: text arrives, paths and their lines leave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

Path = tuple[Any, ...]
"""The keys and positions that lead to a value."""


class Lines:
    """The lines of a YAML file's values, found by their paths, and the keys that it gives twice."""

    def __init__(self, text: str) -> None:
        """Read the file's nodes."""
        self.repeated: list[Path] = []
        self._lines: dict[Path, int] = {}
        self._walk(yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), ())

    def _walk(self, node: yaml.Node | None, path: Path) -> None:
        if node is None:
            return
        if path in self._lines:
            self.repeated.append(path)
        self._lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for n, value in enumerate(node.value):
                self._walk(value, (*path, n))

    def of(self, path: Iterable[Any]) -> int:
        """Give the line of a path, or of the nearest that is above it."""
        steps = tuple(path)
        while steps and steps not in self._lines:
            steps = steps[:-1]
        return self._lines.get(steps, 1)
