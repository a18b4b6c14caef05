"""Every scenario of the five policies holds, row by row."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineage import policy_file
from lineage.expectations import check
from lineage.rehearsal import Rehearsal
from lineage.scenario import Scenario, load
from lineage.sqlite_store import SQLiteStore

FILES = sorted((policy_file.POLICIES / "scenarios").glob("*.yaml"))
SCENARIOS = [s for file in FILES for s in load(file)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.id)
def test_scenario(scenario: Scenario) -> None:
    results = Rehearsal(scenario, SQLiteStore.open(":memory:")).run(check)
    failed = [
        f"row {r.row.number} ({r.row.outcome} {r.row.target or r.row.step or ''}): {r.found}" for r in results if not r.passed
    ]
    assert not failed, "\n".join([scenario.title, *failed])
    assert results


def test_every_controller_has_scenarios() -> None:
    named = {c for s in SCENARIOS for c in s.controllers}
    assert named == set(policy_file.controllers())
    assert len(SCENARIOS) > 112
    assert all(Path(f).stat().st_size for f in FILES)
