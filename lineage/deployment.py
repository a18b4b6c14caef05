"""Say whether a policy may be deployed, and whom its changes concern.

What arrives is a policy with its settings; what leaves are the settings that are missing (the engine refuses to guess),
what the controller must be warned of, and what the persons must be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lineage.policy import Ids, Policy
from lineage.store import AuditRow


@dataclass(frozen=True, slots=True)
class Missing:
    """A setting without which the policy does not run, and the rules that ask for it."""

    what: str
    rules: Ids


@dataclass(frozen=True, slots=True)
class Deployment:
    """The result of loading a policy: refused if something is missing."""

    missing: tuple[Missing, ...]
    lines: tuple[AuditRow, ...]

    @property
    def refused(self) -> bool:
        """Tell whether the policy is refused."""
        return bool(self.missing)

    @property
    def rules(self) -> Ids:
        """Give the rules that the missing settings belong to."""
        return tuple(dict.fromkeys(i for m in self.missing for i in m.rules))


def missing_settings(policy: Policy) -> list[Missing]:
    """List what the policy leaves open and no setting fills; a policy marked incomplete may lack anything."""
    found = []
    if not policy.settings.get("incomplete"):
        for rule in policy.retention.values():
            for activity in policy.activities.values():
                if rule.needs_setting and rule.id in activity.retention and (rule.id, activity.name) not in policy.clocks:
                    what = f"settings.{rule.id}.{activity.name}: an anchor and a duration"
                    found.append(Missing(what, (rule.id, *policy.cited_with_of(rule.id))))
        for guard in policy.guards:
            if guard.on == "deploy" and not _fulfilled(policy, guard.needs or ""):
                found.append(Missing(f"{guard.needs}".replace("_", " "), (guard.id, *guard.cites)))
    return found


def _fulfilled(policy: Policy, need: str) -> bool:
    if need == "controller_and_channel":
        return policy.name is not None and any(c.get("value") for c in policy.channels)
    if need == "jurisdiction":
        return policy.jurisdiction is not None
    return need in policy.settings


def deployment(policy: Policy, changes: Iterable[Mapping[str, Any]], version: object, now: int) -> Deployment:
    """Judge a deployment at `now`; `changes` are what differs from the version before."""
    lines = []
    marked = policy.settings.get("incomplete")
    changed = list(changes)

    def line(kind: str, ids: Ids, about: str) -> None:
        body = orjson.dumps({"about": about, "reasons": ids}).decode()
        id_ = hashlib.sha256(f"{policy.id}{version}{kind}{about}{now}".encode()).hexdigest()[:24]
        lines.append(AuditRow(id_, now, policy.id, kind, body))

    if marked:
        for guard in policy.guards:
            if guard.on == "deploy" and not _fulfilled(policy, guard.needs or ""):
                line("warned", (guard.id, *guard.cites), "deployed though incomplete")
    for change in changed:
        if "purpose" in change:
            ids = tuple(g.id for g in policy.guards if g.on == "purpose_change") or ("gdpr:13",)
            line("informed", ids, f"purpose of {change['activity']} changes")
            line("logged", ids, f"version {version}: earlier events stay under the version of their date")
        if change.get("mandatory") and not change.get("told"):
            ids = tuple(g.id for g in policy.guards if g.on == "mandatory_field") or ("gdpr:13",)
            line("warned", ids, f"mandatory field {change.get('field')} without the statement that it is")
    missing = [] if changed else missing_settings(policy)
    return Deployment(tuple(missing), tuple(lines))
