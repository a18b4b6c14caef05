"""`lineage schemas`: what is printed, exit codes, and a password that is never shown."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_streams_schema_registry import InMemory

from streams import cli_schemas
from streams.cli import cli
from streams.schema_registry import SchemaRegistry, shipped

SECRET = "secret-password"
URL = "http://registry.example.org"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    found = InMemory()

    def reach(url: str, **more: Any) -> SchemaRegistry:
        return SchemaRegistry(url, transport=found, **more)

    monkeypatch.setattr(cli_schemas, "SchemaRegistry", reach)
    return found


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["schemas", *words])


def test_schemas_are_missing_then_registered_then_there(world: InMemory) -> None:
    missing = run("check", "--url", URL)
    assert missing.exit_code == 1
    assert f"{len(shipped())} problems" in missing.stdout
    done = run("register", "--url", URL)
    assert done.exit_code == 0, done.output
    assert f"{len(shipped())} registered, 0 were there" in done.stdout
    assert f"0 registered, {len(shipped())} were there" in run("register", "--url", URL).stdout
    assert (run("check", "--url", URL).exit_code, run("check", "--url", URL).stdout) == (0, "0 problems\n")


def test_the_answers_are_there_for_programs_too(world: InMemory) -> None:
    found = json.loads(run("register", "--url", URL, "--topics", "shop", "--json").stdout)
    assert found[0] == {"subject": "shop.events.order-lineage.events.OrderPlaced", "own_id": 1, "id": 100, "new": True}
    world.subjects.clear()
    problem = json.loads(run("check", "--url", URL, "--json").stdout)[0]
    assert (problem["subject"], problem["missing"]) == ("lineage.events.OrderPlaced", True)


def test_the_registry_is_that_of_the_settings(world: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAGE_REGISTRY", URL)
    monkeypatch.setenv("LINEAGE_REGISTRY_PASSWORD", SECRET)
    assert run("check", "--user", "ann").exit_code == 1
    assert world.authorization.startswith("Basic ")


def test_without_a_registry_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LINEAGE_REGISTRY", raising=False)
    result = run("check")
    assert result.exit_code == 2
    assert "LINEAGE_REGISTRY" in result.stderr
