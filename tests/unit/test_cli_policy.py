"""Commands about policies: the record of processing, and a new policy that loads as it is written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lineage import policy_file
from streams.cli import cli


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(w) for w in words])


@pytest.mark.parametrize("controller", ["apof", "littlesteps", "pompdelux", "valeur", "webco"])
def test_the_record_of_processing_has_every_activity(controller: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAGE_DATA", str(tmp_path))
    policy = policy_file.load(controller)
    found = json.loads(run("register", controller, "--json").stdout)
    assert [a["activity"] for a in found["activities"]] == list(policy.activities)
    assert all(a["retention"] for a, own in zip(found["activities"], policy.activities.values(), strict=True) if own.retention)
    text = run("register", controller)
    assert text.exit_code == 0
    assert "GDPR art. 30" in text.stdout


def test_a_setting_shows_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAGE_DATA", str(tmp_path))
    (tmp_path / "settings.yaml").write_text("pompdelux: {P-RET-1: {marketing: {anchor: newsletter.opened, duration: P2Y}}}")
    found = json.loads(run("register", "pompdelux", "--json").stdout)
    row = next(a for a in found["activities"] if a["activity"] == "marketing")
    assert row["retention"] == ["P-RET-1: 2 years after newsletter.opened"]


def test_a_new_policy_loads_and_is_not_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("policy", "new", "bakery").exit_code == 0
    (tmp_path / "policies" / "statutory.yaml").write_text((policy_file.POLICIES / "statutory.yaml").read_text())
    policy = policy_file.load("bakery", root=tmp_path / "policies")
    assert policy.id == "bakery"
    assert set(policy.activities) == {"purchase", "bookkeeping", "marketing"}
    before = (tmp_path / "policies" / "bakery.yaml").read_text()
    again = run("policy", "new", "bakery")
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "policies" / "bakery.yaml").read_text() == before


@pytest.mark.parametrize("name", ["../escape", "Bakery", "statutory", "a b", ""])
def test_a_policy_has_a_plain_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("policy", "new", name).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_registered_without_a_policy() -> None:
    result = run("register", "nobody")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_a_new_policy_is_at_home_in_any_country(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = json.loads(run("policy", "new", "boekhandel", "--country", "nl", "--json").stdout)
    assert told["files"] == ["policies/boekhandel.yaml", "policies/statutory.yaml"]
    assert told["lacking"] == ["bookkeeping"]
    law = tmp_path / "policies" / "statutory.yaml"
    result = run("check", "policies/boekhandel.yaml", law)
    assert result.exit_code == 1
    assert "boekhandel.yaml:53: warning: the statutory parameter bookkeeping of NL is missing" in result.stdout
    assert "statutory.yaml:6: error: source is missing" in result.stdout
    filled = (
        law.read_text().replace("# years_after_financial_year: 6", "years_after_financial_year: 7").replace("null", "AWR art. 52")
    )
    law.write_text(filled)
    result = run("check", "policies/boekhandel.yaml", law)
    assert (result.exit_code, result.stdout) == (0, "0 errors, 0 warnings\n")
    policy = policy_file.load("boekhandel", root=tmp_path / "policies")
    assert (policy.jurisdiction, policy.parameters["bookkeeping"].years) == ("NL", 7)
    assert run("policy", "new", "winkel", "--country", "NL").stdout.count("\n") == 1
    assert law.read_text() == filled


SCENARIO = """
scenarios:
- id: S-1
  title: An erasure leaves what the law of the country asks for, as long as it says
  controllers: [shop]
  settings: {shop: {SHO-RET-1: {purchase: {anchor: order.delivered, duration: P1Y}}}}
  steps:
  - {at: 2024-03-01, event: newsletter.subscribed, channel: email, express: true}
  - {at: 2024-03-02, event: order.placed, order: O-1}
  - {at: 2024-03-02, event: order.paid, order: O-1}
  - {at: 2024-03-03, request: erasure, via: email, as: r1}
  - {at: 2024-03-04, event: order.shipped, order: O-1}
  - {at: 2024-03-06, event: order.delivered, order: O-1}
  expect:
  - {at: 2024-03-03, target: newsletter_system, categories: [email], outcome: erased, because: [SHO-ERA-1]}
  - {at: 2024-03-03, until: 2024-03-06, step: r1, outcome: pending, because: [SHO-HOLD-2]}
  - {at: 2024-03-07, target: order_system, categories: [email], outcome: erased, because: [SHO-ERA-1]}
  - {at: 2024-03-07, target: shipping_agent, categories: [address], outcome: commanded, because: [SHO-ERA-1]}
  - {at: 2024-03-07, until: LAST, foreseen: true, target: order_system, categories: [name, purchase], outcome: retained, because: [SHO-HOLD-1]}
"""


@pytest.mark.parametrize(("country", "years", "last"), [("NL", 7, "2031-12-31"), ("DE", 8, "2032-12-31"), ("CH", 10, "2034-12-31")])
def test_a_new_policy_runs_its_scenario_under_the_law_of_its_country(
    country: str, years: int, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run("policy", "new", "shop", "--country", country).exit_code == 0
    law = tmp_path / "policies" / "statutory.yaml"
    filled = law.read_text().replace("# years_after_financial_year: 6", f"years_after_financial_year: {years}")
    law.write_text(filled.replace("source: null", "source: the law"))
    (tmp_path / "scenario.yaml").write_text(SCENARIO.replace("LAST", last))
    monkeypatch.setenv("LINEAGE_POLICIES", str(tmp_path / "policies"))
    assert run("check", "scenario.yaml").stdout == "0 errors, 0 warnings\n"
    result = run("test", "scenario.yaml")
    assert (result.exit_code, "5 of 5 rows hold" in result.stdout) == (0, True), result.stdout


def test_a_new_policy_of_nowhere_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("policy", "new", "kiosk").exit_code == 0
    result = run("check", "policies/kiosk.yaml")
    assert result.exit_code == 0
    assert "warning: without a jurisdiction" in result.stdout
    refused = run("policy", "new", "other", "--country", "Ireland")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "policies" / "other.yaml").exists()
