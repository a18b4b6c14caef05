"""The errors of the project, by what the shell does about them.

    LineageError
    ├── BadEvent            the event is wrong: it goes to the dead letters, the rest goes on
    │   ├── Undecodable     no schema id, unknown schema id, bytes that do not fit the schema
    │   └── Refused         well formed, but the policy lets nothing of it in (a missing mandatory field, …)
    ├── BadCall             the caller is wrong: HTTP 4xx, or exit code 2 and one line
    │   ├── NotFound
    │   └── PolicyError     a policy file is wrong: file, line, reason
    └── WorldError          the world is wrong: stop taking events, keep them, try again
        ├── StoreUnavailable
        │   └── TooMuch     one transaction takes longer than the store allows: write less at once
        ├── StoreInUse      another process has the file
        ├── Conflict        another worker was faster: work it out again
        └── IdentifierCollision

No message of these carries a personal value.
"""


class LineageError(Exception):
    """The root: whoever catches it has caught all of ours."""


class BadEvent(LineageError):
    """The event cannot become facts; `reason` is safe to show."""


class Undecodable(BadEvent):
    """The bytes are no event of ours."""


class Refused(BadEvent):
    """The policy refuses the event as a whole; `rules` are the policy's ids that say so."""

    def __init__(self, reason: str, rules: tuple[str, ...] = ()) -> None:
        """Take the reason, and the rules that it rests on."""
        super().__init__(reason)
        self.rules = rules


class BadCall(LineageError):
    """The caller asked for something that does not make sense."""


class NotFound(BadCall):
    """There is no such case, controller, target or data subject."""


class PolicyError(BadCall):
    """A policy file is wrong; `rules` are the policy's ids concerned."""

    def __init__(self, reason: str, rules: tuple[str, ...] = ()) -> None:
        """Take the reason, and the rules that it rests on."""
        super().__init__(reason)
        self.rules = rules


class WorldError(LineageError):
    """Something outside is not as it must be; nothing was lost, try again."""


class StoreUnavailable(WorldError):
    """The store cannot be read or written now (full disk, locked, connection gone)."""


class TooMuch(StoreUnavailable):
    """A transaction took longer than the store allows; half of it may not."""


class StoreInUse(WorldError):
    """Another process has the store open for writing."""


class Conflict(WorldError):
    """Another worker has changed the facts that a batch was worked out from; nothing of the batch was written."""


class IdentifierCollision(WorldError):
    """Two different values share a 64-bit key; the controller's hash key must be rotated."""
