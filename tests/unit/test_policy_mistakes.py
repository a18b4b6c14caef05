"""Mistakes that would pass unseen (a doubled key, a row that hides another, a setting that nobody reads) are found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import schemas
from lineage import policy_file
from lineage.policy_check import check, check_schemas
from lineage.scenario_check import check_scenarios

TEXT = (policy_file.POLICIES / "valeur.yaml").read_text("utf-8")
SCHEMAS = Path(schemas.__file__).parent


@pytest.fixture
def errors(tmp_path: Path) -> Callable[..., list[str]]:
    """Change a shipped policy in one place, and give the errors that are found, without the file's name."""

    def change(old: str = "", new: str = "", settings: dict[str, Any] | None = None) -> list[str]:
        assert old in TEXT, old
        file = tmp_path / "valeur.yaml"
        file.write_text(TEXT.replace(old, new, 1) if old else TEXT, "utf-8")
        return [str(f).removeprefix(f"{file}:") for f in check(file, settings) if not f.warning]

    return change


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(TEXT.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: order_system, stated: false", "name: crm, stated: false", "there are two systems with the name 'crm'"),
        ("{id: V-EVT-7, kind: survey", "{id: V-EVT-7, kind: competition", "there are two events with the kind 'competition'"),
        ("name: market_research, categories", "name: market_research, name: x, categories", "the key 'name' stands here twice"),
        ("omits: [password]", "omits: [passwort]", "'passwort' is not among the categories; did you mean password?"),
        ("exempt: [personal_communication]", "exempt: [chat]", "'chat' is not among the activities"),
        ("to: third_party_advertiser, needs", "to: advertiser, needs", "'advertiser' is not among the recipients and roles"),
        ("duration: ['param:legal_warranty', P2Y]", "duration: [two years]", "'two years'"),
        ("last: {parameter: bookkeeping}", "last: {parameter: bookeeping}", "'bookeeping' is not among the statutory parameters"),
        ("then: V-RET-2", "then: V-RET-9", "'V-RET-9' is not among the retention"),
        ("use: marketing.communications.email", "use: marketing.pigeon", "'marketing.pigeon' is not among the fideslang data uses"),
        ("'dpv:PersonalisedAdvertising'", "PersonalisedAdvertising", "does not match"),
        ("system: suppression_list, category", "system: supression_list, category", "'supression_list' is not among the systems"),
        ("reader: commercial_updates", "reader: comercial_updates", "'comercial_updates' is not among the activities"),
        ("'on': breach", "'on': breech", "'breech' is not one of"),
        ("age: 16, marketing", "age: 16, marketting", "'marketting' was unexpected"),
        ("V-DIS-4: [V-RCP-6]", "V-DIS-4: [affiliate]", "'affiliate' is neither an id nor a selector"),
    ],
)
def test_a_mistake_is_found_on_its_line(errors: Callable[..., list[str]], old: str, new: str, says: str) -> None:
    found = [f for f in errors(old, new) if says in f]
    assert found, errors(old, new)
    assert found[0].startswith(f"{line_of(old)}:")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"V-RET-77": {}}, "there is no retention V-RET-77"),
        ({"V-RET-0": {"website_securty": {"anchor": "cookie.page_viewed", "duration": "P1M"}}}, "'website_securty' is not among"),
        ({"V-RET-0": {"website_security": {"anchor": "cookie.seen", "duration": "P1M"}}}, "'cookie.seen' is not among the types"),
        ({"V-RET-0": {"website_security": {"anchor": "cookie.page_viewed"}}}, "'duration' is missing"),
        ({"V-RET-0": {"website_security": {"anchor": "cookie.page_viewed", "duration": "a month"}}}, "a month"),
    ],
)
def test_a_wrong_setting_is_named(errors: Callable[..., list[str]], settings: dict[str, Any], says: str) -> None:
    assert errors() == []
    assert any(says in f for f in errors(settings=settings)), errors(settings=settings)


def test_a_setting_that_is_no_retention_is_left_alone(errors: Callable[..., list[str]]) -> None:
    assert errors(settings={"deny_children_grace": "P30D", "anything": 1}) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"category": "user.name", "confluent:tags": ["PII"]', '"confluent:tags": ["PII"]', "personal data without a `category`"),
        ('"category": "user.name"', '"category": "user.nickname"', "'user.nickname' is no fideslang data category"),
        ('"category": "user.name", "confluent:tags": ["PII"]', '"category": "user.name"', "without `confluent:tags`"),
        ('"category": "user.name", "confluent:tags": ["PII"]', '"category": "user.name", "confluent:tags": "PII"', "a list"),
    ],
)
def test_a_personal_data_field_without_annotation_is_found(tmp_path: Path, old: str, new: str, says: str) -> None:
    root = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    assert check_schemas(root) == []
    file = root / "order" / "order.placed.avsc"
    text = file.read_text("utf-8")
    file.write_text(text.replace(old, new, 1), "utf-8")
    found = [f for f in check_schemas(root) if f.file == str(file)]
    assert [f.rule for f in found] == ["name"]
    assert says in found[0].message
    assert f'"{found[0].rule}"' in text.splitlines()[found[0].line - 1]


SCENARIO = """scenarios:
- id: S-1
  title: An order
  controllers: [valeur]
  settings: {valeur: {V-RET-0: {website_security: {anchor: cookie.page_viewed, duration: P1M}}}}
  steps:
  - {at: 2024-02-01, event: order.placed, order: X-1, as: s1}
  - {at: 2024-02-02, request: erasure, as: s2}
  - {at: 2024-02-03, decide: identity_proven, about: s2}
  expect:
  - {at: 2024-02-02, step: s2, outcome: pending, because: [V-HOLD-1]}
  - {at: 2024-02-02, target: order_system, categories: [name], activity: agreement, outcome: retained, because: [V-HOLD-1]}
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("about: s2", "about: s9", "no step is named 's9'"),
        ("as: s1", "as: s2", "two steps are named 's2'"),
        ("step: s2", "step: s3", "no step is named 's3'"),
        ("activity: agreement", "activity: agreements", "'agreements' is no activity of the policy"),
        ("order: X-1,", "controller: webco,", "'webco' is not among the scenario's controllers"),
        ("anchor: cookie.page_viewed", "anchor: cookie.seen", "'cookie.seen' is not among the types of event"),
        ("controllers: [valeur]", "controllers: [valour]", "there is no policy 'valour'"),
        ("title: An order", "title: An order\n  title: Another", "the key 'title' stands here twice"),
        ("decide: identity_proven, ", "", "a step has exactly one of"),
    ],
)
def test_a_mistake_in_a_scenario_is_found(tmp_path: Path, old: str, new: str, says: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO, "utf-8")
    assert check_scenarios(file) == []
    assert old in SCENARIO
    file.write_text(SCENARIO.replace(old, new, 1), "utf-8")
    found = [f for f in check_scenarios(file) if says in f.message]
    assert found, check_scenarios(file)
    line = next(n for n, text in enumerate(SCENARIO.splitlines(), 1) if old in text)
    assert abs(found[0].line - line) <= 1


def test_a_scenario_that_is_there_twice_is_found(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO + SCENARIO.removeprefix("scenarios:\n"), "utf-8")
    assert [f.message for f in check_scenarios(file)] == ["there are two scenarios with this id"]
