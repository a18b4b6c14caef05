"""`lineage check`: exit codes, findings with file and line, and a new policy that passes as it is written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lineage import policy_file
from streams.cli import cli

SETTINGS = policy_file.POLICIES / "settings.example.yaml"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAGE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(w) for w in words])


def test_what_comes_with_the_program_has_no_error() -> None:
    result = run("check")
    assert result.exit_code == 0, result.stdout
    assert "0 errors" in result.stdout


def test_a_deployment_fails_on_a_missing_setting_and_says_which() -> None:
    file = policy_file.POLICIES / "pompdelux.yaml"
    result = run("check", file, "--deploy")
    assert result.exit_code == 1
    assert "P-RET-1.marketing" in result.stdout
    assert run("check", file, "--deploy", "--settings", SETTINGS).exit_code == 0


def test_a_finding_has_its_file_its_line_and_its_rule(tmp_path: Path) -> None:
    text = (policy_file.POLICIES / "pompdelux.yaml").read_text().replace("systems: [support_inbox]", "systems: [support_outbox]")
    file = tmp_path / "pompdelux.yaml"
    file.write_text(text)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "support_outbox" in row)
    result = run("check", "--json", file)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    finding = next(f for f in found["findings"] if "support_outbox" in f["message"])
    assert (finding["file"], finding["line"], finding["rule"], finding["severity"]) == (str(file), line, "P-ACT-6", "error")
    assert f"pompdelux.yaml:{line}: error: " in run("check", file).stdout


def test_a_warning_that_many_rules_share_is_printed_once_and_is_no_error() -> None:
    file = policy_file.POLICIES / "webco.yaml"
    result = run("check", file)
    basis = [row for row in result.stdout.splitlines() if "no legal basis is stated" in row]
    assert len(basis) == 1
    assert "(W-ACT-1, W-ACT-4, " in basis[0]
    assert result.stdout.splitlines()[-1].startswith(f"0 errors, {len(result.stdout.splitlines()) - 1} warnings: ")
    found = json.loads(run("check", "--json", file).stdout)["findings"]
    assert [f["rule"] for f in found if f["message"] == "no legal basis is stated"][:2] == ["W-ACT-1", "W-ACT-4"]


def test_a_new_policy_passes_as_it_is_written() -> None:
    assert run("policy", "new", "bakery", "--country", "DK").exit_code == 0
    result = run("check", "policies/bakery.yaml")
    assert (result.exit_code, result.stdout) == (0, "0 errors, 0 warnings\n")


@pytest.mark.parametrize("text", ["scenarios: 3\n", "scenarios:\n- {id: X}\n", "scenarios: [3]\n", "- 1\n", "text\n"])
def test_a_file_of_another_form_is_an_error_with_a_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(text)
    result = run("check", file)
    assert result.exit_code == 1, result.output
    assert "other.yaml:" in result.stdout
    assert "0 errors" not in result.stdout


@pytest.mark.parametrize("words", [["check", "nowhere.yaml"], ["check", "--settings", "nowhere.yaml"], ["check", "broken.yaml"]])
def test_what_cannot_be_read_ends_with_one_line(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    result = run(*words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_a_day_that_the_calendar_does_not_have_is_an_error_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "leap.yaml"
    file.write_text("scenarios:\n- id: T-1\n  steps:\n  - {at: 2024-02-29}\n  - {at: 2023-02-29}\n")
    for command in ("check", "test"):
        result = run(command, file)
        assert result.exit_code == 2
        assert result.stderr == f"lineage: {file}:5: there is no day 2023-02-29\n"


def test_names_in_a_scenario_that_the_policy_does_not_have_are_found(tmp_path: Path) -> None:
    file = tmp_path / "names.yaml"
    file.write_text("""scenarios:
- id: T-1
  controllers: [littlesteps]
  downstream: {nowhere: {answers: never}}
  steps:
  - {at: 2024-02-21, request: erasure, via: email, as: r1}
  - {at: 2024-02-21, ask: message, activity: nothing, channel: email}
  - {at: 2024-02-22, receipt: erased, from: nobody, about: r1}
  - {at: 2024-02-22, receipt: erased, from: mailchimp, about: r2}
  expect:
  - {at: 2024-03-01, step: r1, outcome: closed, because: [L-ACT-1]}
""")
    found = [row.partition(".yaml:")[2] or row for row in run("check", file).stdout.splitlines()]
    assert found == [
        "4: error: 'nowhere' is neither a system nor a recipient (T-1)",
        "7: error: 'nothing' is no activity of the policy (T-1)",
        "8: error: 'nobody' is neither a system nor a recipient (T-1)",
        "9: error: no step is named 'r2' (T-1)",
        "4 errors, 0 warnings",
    ]
