"""The guide's blocks, put together, are a policy that passes, deploys and does what the guide says it does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from lineage import policy_file
from lineage.expectations import check as judge
from lineage.policy_check import check
from lineage.rehearsal import Rehearsal
from lineage.scenario import load
from lineage.scenario_check import check_scenarios
from lineage.sqlite_store import SQLiteStore

GUIDE = (policy_file.POLICIES / "README.md").read_text("utf-8")


def blocks(kind: str) -> str:
    return "\n".join(re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bookshop.yaml").write_text(blocks("yaml"), "utf-8")
    (tmp_path / "scenario.yaml.txt").write_text(blocks("yaml scenario"), "utf-8")
    return tmp_path


def test_the_guides_policy_passes_without_a_warning_and_is_deployable_with_its_settings(folder: Path) -> None:
    settings = yaml.safe_load(blocks("yaml settings"))["bookshop"]
    assert check(folder / "bookshop.yaml", settings, deployable=True) == []


def test_the_guides_policy_is_not_deployed_on_a_guess(folder: Path) -> None:
    found = check(folder / "bookshop.yaml", deployable=True)
    assert [f.rule for f in found] == ["BK-RET-1"]


def test_the_guides_scenario_holds_under_the_guides_policy(folder: Path) -> None:
    file = folder / "scenario.yaml.txt"
    assert check_scenarios(file, folder) == []
    (scenario,) = load(file)
    results = Rehearsal(scenario, SQLiteStore.open(":memory:"), folder).run(judge)
    assert [(r.row.number, r.found) for r in results if not r.passed] == []
    assert len(results) == len(scenario.rows)


def test_a_folder_may_bring_statutory_parameters_of_its_own(folder: Path) -> None:
    shutil.copy(policy_file.POLICIES / "statutory.yaml", folder)
    text = (folder / "statutory.yaml").read_text("utf-8")
    (folder / "statutory.yaml").write_text(text.replace("years_after_financial_year: 5", "years_after_financial_year: 7"), "utf-8")
    assert policy_file.load("bookshop", None, folder).parameters["bookkeeping"].years == 7
