"""The guide's blocks, put together, are a policy that passes, deploys and does what the guide says it does."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
import yaml

from lineage import policy_file
from lineage.expectations import check as judge
from lineage.policy_check import check, check_statutory
from lineage.rehearsal import Rehearsal
from lineage.rights import answer_day
from lineage.scenario import load
from lineage.scenario_check import check_scenarios
from lineage.sqlite_store import SQLiteStore
from lineage.subject import Case, Subject

GUIDE = (policy_file.POLICIES / "README.md").read_text("utf-8")


def blocks(kind: str) -> str:
    return "\n".join(re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bookshop.yaml").write_text(blocks("yaml"), "utf-8")
    (tmp_path / "statutory.yaml").write_text(blocks("yaml statutory"), "utf-8")
    (tmp_path / "scenario.yaml.txt").write_text(blocks("yaml scenario"), "utf-8")
    return tmp_path


def test_the_guides_policy_passes_without_a_warning_and_is_deployable_with_its_settings(folder: Path) -> None:
    settings = yaml.safe_load(blocks("yaml settings"))["bookshop"]
    assert check(folder / "bookshop.yaml", settings, deployable=True) == []


def test_the_guides_policy_is_not_deployed_on_a_guess(folder: Path) -> None:
    found = check(folder / "bookshop.yaml", deployable=True)
    assert [f.rule for f in found] == ["BK-RET-1"]


def failing(file: Path, folder: Path) -> list[tuple[str, int, str]]:
    return [
        (s.id, r.row.number, r.found)
        for s in load(file)
        for r in Rehearsal(s, SQLiteStore.open(":memory:"), folder).run(judge)
        if not r.passed
    ]


def test_the_guides_scenarios_hold_under_the_guides_policy(folder: Path) -> None:
    file = folder / "scenario.yaml.txt"
    assert check_scenarios(file, folder) == []
    assert [s.id for s in load(file)] == ["S-BK1", "S-BK2", "S-BK3"]
    assert failing(file, folder) == []


def test_the_guides_shop_follows_the_law_the_clock_and_the_holidays_of_its_country(folder: Path) -> None:
    assert check_statutory(folder / "statutory.yaml") == []
    policy = policy_file.load("bookshop", None, folder)
    assert (policy.jurisdiction, policy.parameters["bookkeeping"].years) == ("IE", 6)
    assert policy.parameters["answer_deadline"].source == "GDPR art. 12(3)"
    danish = policy_file.load("pompdelux")
    asked = policy.zone.midnight(dt.date(2025, 2, 17))
    assert danish.zone.day(asked - 1) == dt.date(2025, 2, 17) != policy.zone.day(asked - 1)
    saint_patrick = dt.date(2025, 3, 17)
    assert answer_day(Subject(policy), Case("r1", "access", asked, "email", ())) == saint_patrick + dt.timedelta(days=1)
    assert answer_day(Subject(danish), Case("r1", "access", asked, "email", ())) == saint_patrick


def test_the_guides_scenarios_fail_where_home_is_elsewhere(folder: Path) -> None:
    file = folder / "bookshop.yaml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("jurisdiction: IE", "jurisdiction: DK"), "utf-8")
    assert {s for s, _, _ in failing(folder / "scenario.yaml.txt", folder)} == {"S-BK1"}


def test_a_folder_or_a_controller_may_bring_statutory_parameters_of_its_own(folder: Path) -> None:
    (folder / "statutory.yaml").unlink()
    assert "bookkeeping" not in policy_file.load("bookshop", None, folder).parameters
    found = [f for f in check(folder / "bookshop.yaml") if "parameter bookkeeping of IE is missing" in f.message]
    assert {f.rule for f in found} == {"BK-RET-2", "BK-HOLD-1"}
    assert all(f.warning for f in found)
    settings = yaml.safe_load(blocks("yaml settings"))["bookshop"]
    assert not all(f.warning for f in check(folder / "bookshop.yaml", settings, deployable=True))
    own = {**settings, "statutory": {"bookkeeping": {"years_after_financial_year": 7}}}
    assert check(folder / "bookshop.yaml", own, deployable=True) == []
    assert policy_file.load("bookshop", own, folder).parameters["bookkeeping"].years == 7


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{name: aml, jurisdiction: IE, duration: five years, source: x}", "'five years' is no duration"),
        ("{name: aml, jurisdiction: IE, source: x}", "one of the two"),
        ("{name: aml, jurisdiction: Ireland, duration: P5Y, source: x}", "'Ireland' is no country"),
        ("{name: aml, jurisdiction: IE, duration: P5Y}", "source is missing"),
        ("{name: aml, jurisdiction: IE, duration: P5Y, source: x, ancor: order.paid}", "did you mean anchor?"),
        ("{name: aml, jurisdiction: IE, duration: P5Y, source: x, anchor: order.gone}", "'order.gone' is no type of event"),
        ("{name: bookkeeping, jurisdiction: IE, duration: P5Y, source: x}", "there are two parameters bookkeeping of IE"),
    ],
)
def test_a_mistake_in_a_statutory_parameter_is_named_with_its_line(folder: Path, row: str, says: str) -> None:
    file = folder / "statutory.yaml"
    file.write_text(f"{file.read_text('utf-8')}- {row}\n", "utf-8")
    (found,) = check_statutory(file)
    assert says in found.message
    assert found.line == 5


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("jurisdiction: IE", "jurisdiction: ie", "'ie' is no country: write its two letters (ISO 3166), such as IE"),
        ("Europe/Dublin", "Europe/Dubln", "did you mean Europe/Dublin?"),
        ("Europe/Dublin", "Europe/Copenhagen", "warning: Europe/Copenhagen is no time zone of IE: Europe/Dublin"),
        ("jurisdiction: IE", "jurisdiction: null", "warning: without a jurisdiction"),
        ("id: bookshop", "id: bokshop", "the file is bookshop.yaml, so the id must be bookshop"),
        ("kind: order, carries", "kind: ordr, carries", "no type of event belongs to the kind 'ordr'; did you mean order?"),
        ("role: independent", "role: independant", "did you mean independent?"),
        ("may_refuse: true", "may_refuze: true", "did you mean may_refuse?"),
        ("{id: BK-HOLD-3", "{id: BX-HOLD-3", "BX-HOLD-3 does not begin with the file's key: BK-HOLD-3"),
    ],
)
def test_a_mistake_in_the_guides_policy_is_named_with_its_line(folder: Path, old: str, new: str, says: str) -> None:
    file = folder / "bookshop.yaml"
    text = file.read_text("utf-8")
    file.write_text(text.replace(old, new), "utf-8")
    line = next(n for n, content in enumerate(text.splitlines(), 1) if old in content)
    assert any(says in str(f) and f.line == line for f in check(file)), [str(f) for f in check(file)]
