"""Keep last days that have been worked out, and know which of them an event has made void.

What arrives are events and days, each under the group of items (of one activity and one matter) that it is of; what
leaves is the earliest of them. A later event elsewhere can only put off a day that is known, never bring it forward: so
such a day stands as the earliest that it can be, and is worked out again when it is about to come.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lineage.held import Group
from lineage.reading import Timing, matter_kind


class Days:
    """Days, each under a group, of which the earliest is asked for."""

    def __init__(self) -> None:
        """Start without any."""
        self._of: dict[Group, dt.date] = {}
        self._heap: list[tuple[dt.date, Group]] = []

    def put(self, group: Group, day: dt.date | None) -> None:
        """Put a group's day in the place of the one that it had; None leaves it without."""
        if day is None:
            self._of.pop(group, None)
        elif self._of.get(group) != day:
            self._of[group] = day
            heapq.heappush(self._heap, (day, group))

    def first(self) -> tuple[dt.date, Group] | None:
        """Give the earliest day and its group, None if there is none."""
        while self._heap:
            day, group = self._heap[0]
            if self._of.get(group) == day:
                return day, group
            heapq.heappop(self._heap)
        return None


@dataclass(slots=True)
class Worked:
    """What has been worked out of a group."""

    version: int
    last: dict[tuple[str, int], dt.date | None] = field(default_factory=dict)
    """The last day by the system and the last time collected, as far as these matter."""
    told: bool = False
    """Whether the earliest of them has been put down."""


class Deadlines:
    """The last days of all groups, and the days of which somebody is to be warned before."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self.ends, self.warnings = Days(), Days()
        self.stale: set[Group] = set()
        """Groups to be worked out again before the earliest day can be told."""
        self.matters: set[str] = set()
        """Matters whose holds have to be worked out again."""
        self.holds: dict[tuple[int, str], Latest] = {}
        """By the number of the hold in the policy, and for what it keeps at a recipient in its own way, by that."""
        self.state: tuple[object, ...] = ()
        """The conditions of the person that these days rest on."""
        self._worked: dict[Group, Worked] = {}
        self._of_matter: dict[str, set[Group]] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._unknown: dict[str, dict[str, set[Group]]] = {}
        """activity -> kind of matter -> the groups of which something has no last day yet"""

    def worked(self, group: Group) -> Worked:
        """Give what is known of a group, afresh if an event elsewhere has put its days off."""
        found = self._worked.get(group)
        if found is None:
            self._of_matter.setdefault(group[1], set()).add(group)
            self._unknown.setdefault(group[0], {}).setdefault(_kind(group), set())
        version = self._versions.get((group[0], _kind(group)), 0)
        if found is None or found.version != version:
            found = self._worked[group] = Worked(version)
        return found

    def put(self, group: Group, end: dt.date | None, warning: dt.date | None, *, unknown: bool) -> None:
        """Take down the days of a group that have just been worked out."""
        self.worked(group).told = True
        self.ends.put(group, end)
        self.warnings.put(group, warning)
        waiting = self._unknown[group[0]][_kind(group)]
        if unknown:
            waiting.add(group)
        else:
            waiting.discard(group)

    def stands(self, group: Group) -> bool:
        """Tell whether the days of a group are what they were when they were worked out."""
        found = self._worked.get(group)
        return found is not None and found.told and found.version == self._versions.get((group[0], _kind(group)), 0)

    def happened(self, type_: str, matters: Iterable[str], timing: Callable[[str], Timing], *, began: bool) -> None:
        """Let go of the days that an event about matters may change; `began` says that it was the first about one."""
        for matter in matters:
            self.matters.add(matter)
            for group in self._of_matter.get(matter, ()):
                if began or type_ in timing(group[0]).types:
                    self._worked.pop(group, None)
                    self.stale.add(group)
        kind = matter_kind(type_)
        for activity, kinds in self._unknown.items():
            its = timing(activity)
            if type_ in its.elsewhere:
                for other in kinds:
                    if other != kind or type_ in its.anywhere:
                        self._put_off(activity, other)

    def _put_off(self, activity: str, kind: str) -> None:
        self._versions[activity, kind] = self._versions.get((activity, kind), 0) + 1
        self.stale |= self._unknown[activity][kind]


class Latest:
    """The last days by one hold, each under a matter, of which the latest is asked for."""

    def __init__(self) -> None:
        """Start without any."""
        self._of: dict[str, dt.date] = {}
        self._latest: dt.date | None = None

    def put(self, matter: str, day: dt.date | None) -> None:
        """Put a matter's day in the place of the one that it had; None leaves it without."""
        old = self._of.pop(matter, None)
        if day is not None:
            self._of[matter] = day
        if day is not None and (self._latest is None or day >= self._latest):
            self._latest = day
        elif old is not None and old == self._latest:
            self._latest = max(self._of.values(), default=None)

    @property
    def latest(self) -> dt.date | None:
        """Give the latest day, None if there is none."""
        return self._latest


def _kind(group: Group) -> str:
    return group[1].partition(":")[0]
