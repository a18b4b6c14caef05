"""What is wrong with a policy is found before it runs, with file, line and reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lineage import policy_file
from lineage.errors import NotFound, PolicyError
from lineage.policy_check import check, check_schemas, home_ids
from lineage.scenario_check import check_scenarios

SHIPPED = policy_file.controllers()
EXAMPLE = yaml.safe_load((policy_file.POLICIES / "settings.example.yaml").read_text())
TEXT = (policy_file.POLICIES / "littlesteps.yaml").read_text("utf-8")


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Change a shipped policy in one place, and give what is found, without the file's name."""

    def change(old: str, new: str) -> list[str]:
        assert TEXT.count(old) >= 1, old
        file = tmp_path / "littlesteps.yaml"
        file.write_text(TEXT.replace(old, new, 1), "utf-8")
        return [str(f).removeprefix(f"{file}:") for f in check(file) if not f.warning]

    return change


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(TEXT.splitlines(), 1) if text in line)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_policies_pass_and_are_deployable_with_the_example_settings(name: str) -> None:
    found = [str(f) for f in check(policy_file.POLICIES / f"{name}.yaml", EXAMPLE[name], deployable=True) if not f.warning]
    assert found == []


@pytest.mark.parametrize("name", SHIPPED)
def test_without_settings_a_deployment_says_which_are_missing(name: str) -> None:
    found = [f for f in check(policy_file.POLICIES / f"{name}.yaml", deployable=True) if not f.warning]
    assert found
    assert all("is missing" in f.message for f in found)


def test_the_shipped_scenarios_name_nothing_that_is_not_there() -> None:
    files = sorted((policy_file.POLICIES / "scenarios").glob("*.yaml"))
    assert files
    assert [str(f) for file in files for f in check_scenarios(file)] == []


def test_the_schemas_pass() -> None:
    assert check_schemas() == []


def test_every_row_of_a_policy_has_one_home() -> None:
    for name in SHIPPED:
        ids = list(home_ids(policy_file.read(policy_file.POLICIES / f"{name}.yaml")))
        assert len(set(ids)) > 30


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("systems: [support_store]", "systems: [suport_store]", "'suport_store' is not among the systems"),
        ("recipients: [mailchimp]", "recipients: [mailchump]", "'mailchump' is not among the recipients"),
        ("categories: [purchase_history], events", "categories: [purchases], events", "'purchases' is not among the categories"),
        ("retention: [L-RET-2]", "retention: [L-RET-9]", "'L-RET-9' is not among the retention"),
        ("events: [return]", "events: [retrun]", "'retrun' is not among the kinds of event"),
        ("role: processor, receives: [email", "receives: [email", "'role' is a required property"),
        ("term: campaign_details", "term: campaign_detail", "'campaign_detail' is no term of the schemas"),
        ("opened_by: [order.returned", "opened_by: [order.sent_back", "'order.sent_back' is not among the types of event"),
        ("cites: [L-EVT-1, L-SYS-1]", "cites: [L-EVT-77, L-SYS-1]", "L-EVT-77 is cited, and no row has this id"),
        ("[legal_obligations], parameter: bookkeeping", "[legal_obligations]", "a retention needs an anchor"),
        ("carries: [support_inquiry]", "carries: [support_inquiry, payment_information]", "claims payment_information"),
        ("format: 1", "format: 2", "1 was expected"),
        ("key: L\n", "", "'key' is a required property"),
    ],
)
def test_a_mistake_is_found_at_its_line(changed: Callable[[str, str], list[str]], old: str, new: str, says: str) -> None:
    found = changed(old, new)
    assert any(says in f for f in found), found
    if "\n" not in old and "key" not in old:
        assert any(f.startswith(f"{line_of(old)}:") for f in found), found


def test_a_category_that_nothing_carries_is_found(changed: Callable[[str, str], list[str]]) -> None:
    found = changed(
        "- {id: marketing_consent", "- {id: shoe_size, term: preferences, provenance: provided}\n- {id: marketing_consent"
    )
    assert any("no event carries shoe_size" in f for f in found), found


def test_what_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text("format: 1\nid: [shop\n")
    with pytest.raises(PolicyError, match=r"shop\.yaml:3: "):
        check(file)
    with pytest.raises(NotFound, match="no such policy file"):
        check(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("event: order.placed", "event: order.plaiced", "'order.plaiced' is no type of event"),
        ("target: shop", "target: shoop", "'shoop' is neither a system nor a recipient"),
        ("because: [L-ACT-1]", "because: [L-ACT-99]", "'L-ACT-99' is no rule of the policy"),
        ("outcome: held", "outcome: kept", "'kept' is no outcome"),
        ("categories: [name]", "categories: [nome]", "'nome' is no category of the policy"),
        ("order: X-1}", "parcel: X-1}", "order.placed has no parcel"),
    ],
)
def test_a_mistake_in_a_scenario_is_found_at_its_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = """scenarios:
- id: S-1
  title: A sale
  controllers: [littlesteps]
  steps:
  - {at: 2024-02-01, event: order.placed, order: X-1}
  expect:
  - {at: 2024-02-01, target: webshop_orders, categories: [name], outcome: held, because: [L-ACT-1]}
"""
    if old == "target: shop":
        old, new = "target: webshop_orders", "target: shoop"
    assert old in text
    file = tmp_path / "s.yaml"
    file.write_text(text.replace(old, new))
    found = check_scenarios(file)
    assert [f.message for f in found] == [says]
    assert found[0].line == next(n for n, line in enumerate(text.splitlines(), 1) if old in line)
