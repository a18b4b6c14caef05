"""Hold the items of one data subject, so that those of an activity and a matter are found without looking at the rest.

What arrives are items under their keys, and changes of what they may be used for; what leaves are the items in the order
in which they came, the group that an activity has of a matter, and whether anything is left of a category at a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineage.subject import Item, Use

Key = tuple[str, str, str, str]
"""Target, activity, category, matter."""
Group = tuple[str, str]
"""Activity and matter."""
_NOTHING: Mapping[Key, Item] = MappingProxyType({})


class Held(dict[Key, "Item"]):
    """The items by their keys; what changes is noted in `moved` for those who work something out per group."""

    def __init__(self) -> None:
        """Start with nothing held."""
        super().__init__()
        self.groups: dict[str, dict[str, dict[Key, Item]]] = {}
        """activity -> matter -> the items by their keys"""
        self.moved: set[Group] = set()
        """Groups of which an item has come, gone or been turned to another use."""
        self.version = 0
        """Counts the changes."""
        self.kept = 0
        """How many items are kept for a hold."""
        self._came = 0
        self._live: dict[tuple[str, str], dict[str, int]] = {}
        """target and category -> activity -> how many items of it are not on their way out"""

    def __setitem__(self, key: Key, item: Item) -> None:
        """Put an item in; one that takes the place of another takes its place in the order too."""
        old = self.get(key)
        if old is None:
            self._came += 1
            item.number = self._came
        elif old is not item:
            item.number = old.number
            self._count(old, -1)
        dict.__setitem__(self, key, item)
        if old is not item:
            self.groups.setdefault(item.activity, {}).setdefault(item.matter, {})[key] = item
            self._count(item, 1)
        self._moved(item)

    def __delitem__(self, key: Key) -> None:
        """Take an item out."""
        item = self[key]
        dict.__delitem__(self, key)
        del self.groups[item.activity][item.matter][key]
        self._count(item, -1)
        self._moved(item)

    def turn(self, item: Item, use: Use) -> None:
        """Let an item serve another use from now on."""
        live, kept = item.live, item.kept
        item.use = use
        if self.get(item.key) is not item:
            return
        self.kept += item.kept - kept
        if item.live is not live:
            self._count_live(item, item.live - live)
        self._moved(item)

    def group(self, activity: str, matter: str) -> Mapping[Key, Item]:
        """Give what an activity has of a matter."""
        matters = self.groups.get(activity)
        return matters.get(matter, _NOTHING) if matters is not None else _NOTHING

    def of(self, activity: str) -> Iterator[Item]:
        """Give what an activity has, matter by matter."""
        for group in self.groups.get(activity, {}).values():
            yield from group.values()

    def left(self, target: str, category: str, activity: str | None = None) -> bool:
        """Tell whether a target still holds a category, for any activity or for one; what is on its way out does not count."""
        found = self._live.get((target, category))
        if found is None:
            return False
        return any(found.values()) if activity is None else found.get(activity, 0) > 0

    def _count(self, item: Item, by: int) -> None:
        if item.kept:
            self.kept += by
        if item.live:
            self._count_live(item, by)

    def _count_live(self, item: Item, by: int) -> None:
        place = item.target, item.category
        found = self._live.get(place)
        if found is None:
            found = self._live[place] = {}
        found[item.activity] = found.get(item.activity, 0) + by

    def _moved(self, item: Item) -> None:
        self.version += 1
        self.moved.add((item.activity, item.matter))
