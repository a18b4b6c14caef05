"""Commands that work on the data themselves, without a running pipeline: what `emit` takes in, the others show."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import cli

PERSON = {"email": "anna@example.org", "customer_number": "K-77"}
DATA = {"name": "Anna Holm", "address": "Engvej 7", "email": "anna@example.org", "order_content": "rain suit"}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINEAGE_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("LINEAGE_SETTINGS", raising=False)
    return tmp_path / "data"


def run(*words: object, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(w) for w in words], input=text)


def json_of(*words: object) -> object:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def event(number: int, type_: str, **fields: object) -> dict[str, object]:
    day = f"2024-10-{number:02d}T09:00:00Z"
    return {"type": type_, "id": f"e{number}", "source": "shop", "time": day, "controller": "pompdelux", "person": PERSON, **fields}


ORDER = [
    event(1, "order.placed", order="P-1", lines=1, data=DATA),
    event(2, "order.paid", order="P-1"),
    event(3, "order.shipped", order="P-1", lines=1, data={"name": "Anna Holm", "address": "Engvej 7"}),
    event(4, "order.delivered", order="P-1"),
]


def emit_order() -> None:
    result = run("emit", "-", text="\n".join(json.dumps(e) for e in ORDER))
    assert (result.exit_code, result.stdout) == (0, "4 events taken\n"), result.output


def test_what_was_emitted_is_traced_without_a_value() -> None:
    emit_order()
    result = run("trace", "anna@example.org", "-c", "pompdelux")
    assert result.exit_code == 0, result.output
    assert "order system" in result.stdout
    assert "purchase and return: address, email, identity verification, name, purchase" in result.stdout
    assert "shipping agent processor" in result.stdout
    assert "anna@" not in result.stdout
    rows = json_of("trace", "customer_number:K-77", "-c", "pompdelux")
    assert isinstance(rows, dict)
    assert rows["holdings"][0].keys() >= {"target", "activity", "category", "since", "until", "why", "recipients"}


def test_an_array_in_a_file_is_taken_too_and_twice_is_once(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text(json.dumps(ORDER))
    run("emit", file)
    once = json_of("trace", "K-77", "-c", "pompdelux")
    run("emit", file)
    assert json_of("trace", "K-77", "-c", "pompdelux") == once


def test_of_a_batch_with_bad_events_the_good_ones_are_taken_and_each_bad_one_is_said() -> None:
    bad = [{**ORDER[0], "lines": "Anna Holm"}, {**ORDER[1], "type": "order.burnt"}]
    result = run("emit", "-", text="\n".join(json.dumps(e) for e in [ORDER[0], *bad, ORDER[1]]))
    assert result.exit_code == 2
    assert result.stdout == "2 events taken\n"
    first, second = result.stderr.splitlines()
    assert first.startswith("lineage: event 2: lines: ")
    assert second.startswith("lineage: event 3: type: ")
    assert "Anna" not in result.output


@pytest.mark.parametrize("text", ["{", "[{]", '{"a": 1}\nno json'])
def test_what_is_no_json_ends_with_one_line_and_nothing_is_taken(text: str) -> None:
    result = run("emit", "-", text=text)
    assert result.exit_code == 2
    assert result.stderr.startswith("lineage: standard input:")
    assert result.stderr.count("\n") == 1


def test_a_picture_is_drawn_on_demand(tmp_path: Path) -> None:
    emit_order()
    file = tmp_path / "lineage.html"
    assert run("trace", "anna@example.org", "-c", "pompdelux", "--html", file).exit_code == 0
    assert "order system" in file.read_text()


def test_a_request_does_what_the_plan_said_and_the_case_shows_it() -> None:
    emit_order()
    plan = json_of("plan", "erasure", "anna@example.org", "-c", "pompdelux")
    assert isinstance(plan, dict)
    told = {d["target"] for d in plan["decisions"] if d["decision"] == "erase"}
    assert "order_system" in told
    assert {(d["target"], d["until"]) for d in plan["decisions"] if d["decision"] == "retain"} >= {("order_system", "2029-12-31")}
    asked = json_of("request", "erasure", "anna@example.org", "-c", "pompdelux", "--via", "form")
    assert isinstance(asked, dict)
    case = json_of("case", asked["case"])
    assert isinstance(case, dict)
    assert case["state"] == "open"
    assert {t["target"] for t in case["targets"] if t["outcome"] == "unconfirmed"} == told
    assert case["certificate"] is None
    listed = run("case", "--open")
    assert asked["case"] in listed.stdout
    assert "anna@" not in listed.stdout


def test_a_breach_names_whom_it_touches_and_only_on_demand_by_what_they_are_known() -> None:
    emit_order()
    result = run("impact", "shipping_agent", "-c", "pompdelux", "--since", "2024-10-01", "--until", "2024-10-31")
    assert result.exit_code == 0, result.output
    assert "1 person" in result.stdout
    assert "anna@" not in result.stdout
    assert "anna@" in run("impact", "shipping_agent", "-c", "pompdelux", "--identifiers").stdout
    early = json_of("impact", "shipping_agent", "-c", "pompdelux", "--until", "2024-09-01")
    assert isinstance(early, dict)
    assert early["persons"] == []


def test_the_chains_are_verified_and_a_change_in_the_file_is_noticed(data: Path) -> None:
    import sqlite3

    emit_order()
    asked = json_of("request", "erasure", "anna@example.org", "-c", "pompdelux")
    assert asked
    assert run("verify").exit_code == 0
    file = next(f for f in data.rglob("*") if f.is_file() and f.read_bytes()[:15] == b"SQLite format 3")
    with sqlite3.connect(file) as db:
        db.execute("DELETE FROM audit WHERE seq = 2")
    db.close()
    result = run("verify")
    assert result.exit_code == 1
    assert "broken" in result.stdout


def test_tick_carries_out_what_a_later_day_brings() -> None:
    emit_order()
    asked = json_of("request", "erasure", "anna@example.org", "-c", "pompdelux")
    assert asked
    looked = json_of("tick", "--at", "2030-01-01")
    assert isinstance(looked, dict)
    assert looked["looked_at"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ["trace", "anna@example.org", "-c", "nobody"],
        ["plan", "erasure", "anna@example.org", "-c", "nobody"],
        ["case", "no-such-case"],
        ["decide", "no-such-case", "identity_proven"],
        ["impact", "nobody", "-c", "pompdelux"],
    ],
)
def test_who_or_what_is_unknown_ends_with_one_line(words: list[str]) -> None:
    emit_order()
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("lineage: there is no ") or "is no recipient or system" in result.stderr
    assert result.stderr.count("\n") == 1


def test_reading_before_anything_was_written_ends_with_one_line() -> None:
    result = run("trace", "anna@example.org", "-c", "pompdelux")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
