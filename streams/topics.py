"""Name the topics of the cluster, and say how each is laid out; the broker is asked elsewhere.

Events come on a topic per stream, keyed by data subject. Commands have a topic per target, so that access can be limited
per system. Names and layout are one table: `lineage topics` makes it so, a worker checks it when it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lineage.policy import Policy
from streams.taking import STREAMS

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_EVENT_DAYS = 7
"""So long events stay on their topic: enough to read them again after a bad week, no archive of personal data."""
_COMMAND_DAYS = 30
"""So long a command waits for its target (GDPR art. 12(3)); it carries identifiers, so it does not stay."""
_ALERT_DAYS = 90


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and how it is laid out; `config` in the broker's words."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of all topics under a prefix."""

    prefix: str = "lineage"

    @property
    def events(self) -> tuple[str, ...]:
        """Name the topics that events come on, a topic per stream."""
        return tuple(self.event(stream) for stream in STREAMS)

    def event(self, stream: str) -> str:
        """Name the topic of a stream of events."""
        return f"{self.prefix}.events.{stream}"

    @property
    def requests(self) -> str:
        """Name the topic that rights requests come on."""
        return f"{self.prefix}.requests"

    @property
    def receipts(self) -> str:
        """Name the topic that targets answer on."""
        return f"{self.prefix}.receipts"

    @property
    def dead_letters(self) -> str:
        """Name the topic that tells of events which could not become facts."""
        return f"{self.prefix}.dead-letters"

    @property
    def alerts(self) -> str:
        """Name the topic that tells people what needs them."""
        return f"{self.prefix}.alerts"

    def commands(self, controller: str, target: str) -> str:
        """Name the topic of the commands for a system or recipient."""
        return f"{self.prefix}.commands.{controller}.{target}"

    def all(self, policies: Iterable[Policy], partitions: int) -> tuple[Topic, ...]:
        """List every topic; events, requests and receipts get so many partitions, as many workers can share them."""
        found = [Topic(name, partitions, _kept(_EVENT_DAYS)) for name in self.events]
        found += [Topic(name, partitions, _kept(_COMMAND_DAYS) | _DATED) for name in (self.requests, self.receipts)]
        found += [Topic(name, 1, _kept(_ALERT_DAYS)) for name in (self.dead_letters, self.alerts)]
        for policy in policies:
            found += [
                Topic(self.commands(policy.id, target), 1, _COMPACTED) for target in sorted({*policy.systems, *policy.recipients})
            ]
        return tuple(found)


_COMPACTED = {
    "cleanup.policy": "compact,delete",
    "retention.ms": str(_COMMAND_DAYS * DAY_MS),
    "segment.ms": str(_HOUR_MS),
    "max.compaction.lag.ms": str(_HOUR_MS),
    "delete.retention.ms": str(_HOUR_MS),
    "min.cleanable.dirty.ratio": "0.01",
}
"""An answered command is replaced by nothing: the broker drops its bytes within hours."""


_DATED = {"message.timestamp.type": "LogAppendTime"}
"""A request was received, and a deadline runs (GDPR art. 12(3)), when the broker says so, not when the sender does."""


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS)}
