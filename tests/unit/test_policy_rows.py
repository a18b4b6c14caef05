"""Every rule of the five policies has its row, in plain words, and every purpose its place in the vocabularies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fideslang.default_taxonomy import DEFAULT_TAXONOMY

import schemas
from lineage import policy_file
from lineage.policy_check import RULE, home_ids

IDS = {
    line.split()[0]: line.split()[1:]
    for line in (Path(__file__).parent.parent / "data" / "policy_ids.txt").read_text("utf-8").splitlines()
}
RAW: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((policy_file.POLICIES / f"{name}.yaml").read_text("utf-8")) for name in policy_file.controllers()
}
TWO_HOMES = {"channels": "guards", "systems": "guards", "holds": "rights", "suppression": "rights", "restriction": "rights"}
"""A rule may be read by two parts of the engine: then each has a row for it."""

PURPOSES = frozenset(
    [
        "FulfilmentOfContractualObligation",
        "CustomerOrderManagement",
        "DeliveryOfGoods",
        "PaymentManagement",
        "DirectMarketing",
        "Marketing",
        "PersonalisedAdvertising",
        "ServicePersonalisation",
        "ServiceUsageAnalytics",
        "CustomerCare",
        "CommunicationForCustomerCare",
        "FraudPreventionAndDetection",
        "LegalCompliance",
        "RecordManagement",
    ],
)


def rows(name: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (section, row) for section, value in RAW[name].items() if isinstance(value, list) for row in value if isinstance(row, dict)
    ]


@pytest.mark.parametrize("name", RAW)
def test_every_rule_of_a_policy_has_a_row_and_no_row_invents_one(name: str) -> None:
    assert {i for i in home_ids(RAW[name]) if RULE.match(i)} == set(IDS[name])


@pytest.mark.parametrize("name", RAW)
def test_no_rule_is_at_home_in_two_sections_but_where_two_parts_of_the_engine_read_it(name: str) -> None:
    homes: dict[str, set[str]] = {}
    for section, row in rows(name):
        if RULE.match(row["id"]) and section not in ("readings", "notes"):
            homes.setdefault(row["id"], set()).add(section)
    more = {i: s for i, s in homes.items() if len(s) > 1}
    pairs = [{a, b} for a, b in TWO_HOMES.items()] + [{"rights", "guards"}]
    assert [i for i, sections in more.items() if sections not in pairs] == []


@pytest.mark.parametrize("name", RAW)
def test_every_rule_says_in_one_short_sentence_what_it_means(name: str) -> None:
    said = {row["id"]: row.get("says") or row.get("reading") for _, row in rows(name) if row.get("says") or row.get("reading")}
    assert [i for i in IDS[name] if i not in said] == []
    assert [text for _, row in rows(name) if (text := row.get("says")) and (len(text.split()) > 20 or not text.endswith("."))] == []


@pytest.mark.parametrize("name", RAW)
def test_every_activity_has_a_data_use_and_a_purpose_that_exist(name: str) -> None:
    uses = {str(u.fides_key) for u in DEFAULT_TAXONOMY.data_use or ()}
    for row in RAW[name]["activities"]:
        assert row["use"] in uses, row["id"]
        assert {t.removeprefix("dpv:") for t in row["dpv"]} <= PURPOSES, row["id"]


@pytest.mark.parametrize("name", RAW)
def test_every_category_has_a_label_of_its_own_or_of_its_term(name: str) -> None:
    terms = schemas.registry().terms
    assert [c["id"] for c in RAW[name]["categories"] if not (c.get("label") or terms[c["term"]].label)] == []


def test_the_schema_of_policies_is_a_schema_and_lets_nothing_unknown_in() -> None:
    import jsonschema

    schema = json.loads((policy_file.POLICIES / "policy.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    raw = json.loads(json.dumps(RAW["littlesteps"], default=str))
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(raw)
    for section, value in raw.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value[0]["surprise"] = 1
            assert not validator.is_valid(raw), section
            del value[0]["surprise"]


@pytest.mark.parametrize("name", RAW)
def test_an_editor_finds_the_schema(name: str) -> None:
    first = (policy_file.POLICIES / f"{name}.yaml").read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=policy.schema.json"
