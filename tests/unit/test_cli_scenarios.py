"""`lineage test` and the frame around all commands: exit codes, one line for each error, no personal value."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams import cli_test
from streams.cli import cli

SCENARIO = """
scenarios:
- id: S-1
  title: A sign-up for the newsletter
  controllers: [pompdelux]
  steps:
  - {at: 2024-01-15, event: newsletter.subscribed, channel: email, express: true}
  expect:
  - {at: 2024-01-15, target: newsletter_system, categories: [email], outcome: held, because: [P-ACT-9]}
  - {at: 2024-01-15, target: newsletter_system, categories: [email], outcome: %s, because: [P-ACT-9], note: on 2024-01-15}
"""


def run(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(w) for w in words], input=text)


def scenario_file(folder: Path, outcome: str = "held") -> Path:
    file = folder / "s.yaml"
    file.write_text(SCENARIO % outcome)
    return file


def test_rows_that_hold_end_with_exit_code_0(tmp_path: Path) -> None:
    result = run("test", scenario_file(tmp_path))
    assert result.exit_code == 0
    assert "2 of 2 rows hold" in result.stdout


def test_a_row_that_fails_is_shown_with_what_was_expected_and_found(tmp_path: Path) -> None:
    result = run("test", scenario_file(tmp_path, "absent"))
    assert result.exit_code == 1
    assert "S-1" in result.stdout
    assert "row 2" in result.stdout
    assert "row 1 " not in result.stdout
    assert "expected  absent" in result.stdout
    assert "ordinary for marketing" in result.stdout


def test_json_has_a_line_for_each_row_and_one_of_totals(tmp_path: Path) -> None:
    result = run("test", "--json", scenario_file(tmp_path, "absent"))
    *rows, totals = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(r["scenario"], r["row"], r["passed"]) for r in rows] == [("S-1", 1, True), ("S-1", 2, False)]
    assert rows[0]["expected"] == {"at": "2024-01-15", "target": "newsletter_system", "categories": ["email"], "outcome": "held",
                                   "because": ["P-ACT-9"]}  # fmt: skip
    assert rows[1]["found"]
    assert totals.pop("seconds") > 0
    assert totals == {"scenarios": 1, "passed_scenarios": 0, "rows": 2, "passed": 1, "failed": 1}


def test_a_scenario_that_breaks_the_program_fails_its_own_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = scenario_file(tmp_path)
    text = file.read_text()
    file.write_text(text + text.replace("scenarios:\n", "").replace("S-1", "S-2"))
    check = cli_test.check

    def breaks(r, row, day):  # noqa: ANN202
        if r.scenario.id == "S-1":
            raise KeyError
        return check(r, row, day)

    monkeypatch.setattr(cli_test, "check", breaks)
    *rows, totals = [json.loads(line) for line in run("test", "--json", file).stdout.splitlines()]
    assert [r["passed"] for r in rows] == [False, False, True, True]
    assert rows[0]["found"].startswith("error: KeyError")
    assert totals["passed_scenarios"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("scenarios:", "scenario:"), "a list under `scenarios`"),
        (("outcome: held", "outcome: gone"), "scenario S-1: row 1: unknown outcome 'gone'"),
        (("newsletter.subscribed", "newsletter.burnt"), "scenario S-1: step 1: there is no event type"),
        (("[pompdelux]", "[nobody]"), "scenario S-1: there is no policy for controller 'nobody'"),
        (("event: newsletter", "deed: newsletter"), "scenario S-1: step 1 needs exactly one of"),
        (("{at: 2024-01-15, target", "{target"), "scenario S-1: 'at' is missing"),
        (("steps:", "steps: {"), "s.yaml:"),
    ],
)
def test_a_file_that_is_wrong_ends_with_one_line_that_says_where(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    file = scenario_file(tmp_path)
    file.write_text(file.read_text().replace(*change))
    result = run("test", file)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"lineage: {file}")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_ends_with_one_line() -> None:
    result = run("test", "nowhere.yaml")
    assert (result.exit_code, result.stderr) == (2, "lineage: nowhere.yaml: there is no such file\n")


@pytest.mark.parametrize(
    "words",
    [
        ["trace", "someone@example.org", "another@example.org", "-c", "pompdelux"],
        ["trace", "shoe:4512 7781", "-c", "pompdelux"],
        ["trace", "someone@example.org"],
        ["plan", "erasure", "someone@example.org", "-c", "pompdelux", "--at", "some day in 2024"],
        ["plan", "forgetting", "someone@example.org", "-c", "pompdelux"],
        ["trace", "email:", "-c", "pompdelux"],
        ["nothing"],
    ],
)
def test_a_wrong_call_ends_with_one_line_that_repeats_no_identifier(words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "someone@" not in result.output
    assert "another@" not in result.output
    assert "7781" not in result.output


def test_an_unexpected_error_is_one_line_and_debug_shows_where_it_came_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = "someone@example.org"

    def breaks(_files, _root):  # noqa: ANN202
        raise RuntimeError(address)

    monkeypatch.setattr(cli_test, "scenarios_of", breaks)
    result = run("test", scenario_file(tmp_path))
    assert result.exit_code == 2
    assert result.stderr == "lineage: internal error (RuntimeError): please report it with the output of --debug\n"
    assert "Traceback" in run("test", "--debug", scenario_file(tmp_path)).stderr


def test_days_and_nested_values_of_a_row_become_json() -> None:
    row = {
        "at": dt.date(2024, 1, 31),
        "when": dt.datetime(2024, 1, 31, 14, 30),  # noqa: DTZ001
        "x": [dt.date(2024, 2, 1), None, True],
        1: {"a": 2},
    }
    assert cli_test.plain(row) == {
        "at": "2024-01-31",
        "when": "2024-01-31T14:30:00",
        "x": ["2024-02-01", None, True],
        "1": {"a": 2},
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_LINEAGE_COMPLETE" in result.stdout
