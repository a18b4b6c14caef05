"""The Cypher queries of the README, each asked of a graph that the pipeline has filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import neo4j
import pytest
from servers.fixtures import Neo4jAt
from shop import ORDER, Shop, at

from lineage import policy_file
from lineage.landing import landings_of
from lineage.neo4j_store import Neo4jStore
from streams import views

pytestmark = pytest.mark.process
PAGE = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^\*\*([^\n]+)\*\*\n(?:(?!^\*\*)[^`]|`(?!``))*```cypher\n(.*?)```", re.MULTILINE | re.DOTALL)
QUERIES = dict(BLOCK.findall(PAGE.read_text()))
CARRIER = "shipping_agent"
NOW = "2024-03-08T09:00"


class Asked:
    """A shop over Neo4j with two customers, one of whom has had a parcel, and a way to ask the page's queries."""

    def __init__(self, store: Neo4jStore, driver: neo4j.Driver) -> None:
        self.shop = shop = Shop("pompdelux", store=store)
        self._driver = driver
        placed = {"lines": 1, "payment": "card"}
        shop.take(
            shop.event("order.placed", "2024-03-04T10:00", order="o1", data=ORDER, **placed),
            shop.event("order.paid", "2024-03-04T10:05", order="o1"),
            shop.event("order.placed", "2024-03-04T11:00", "other", order="o2", data=ORDER, **placed),
            now="2024-03-04T12:00",
        )
        shop.take(
            shop.event("order.shipped", "2024-03-05T10:05", order="o1", lines=1),
            shop.event("newsletter.subscribed", "2024-03-06T10:00", channel="email", data={"email": "x", "name": "x"}),
            now="2024-03-07",
        )

    def key(self, who: str) -> int:
        return self.shop.pipeline.current("pompdelux", "email", f"{who}@example.org")

    def ask(self, title: str, **values: Any) -> list[dict[str, Any]]:
        return [record.data() for record in self._driver.execute_query(QUERIES[title], values, database_="neo4j").records]


@pytest.fixture
def asked(neo4j_clean: Neo4jAt) -> Iterator[Asked]:
    policy = policy_file.load("pompdelux")
    server = neo4j_clean
    with (
        closing(Neo4jStore.open(server.uri, server.user, server.password, landings=lambda s: landings_of(policy, s))) as store,
        neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver,
    ):
        yield Asked(store, driver)


def test_the_page_has_five_queries() -> None:
    assert len(QUERIES) == PAGE.read_text().count("```cypher") == 5


@pytest.mark.parametrize("who", ["buyer", "other"])
def test_who_holds_what_covers_all_that_the_fold_holds(asked: Asked, who: str) -> None:
    shown = views.lineage_of(asked.shop.pipeline, "pompdelux", ("email", f"{who}@example.org"), at(NOW))
    assert shown.key == str(asked.key(who)), "the page says to take it from there"
    rows = asked.ask("Who holds what of a data subject", key=int(shown.key))
    found = {(r["target"], r["purpose"], c) for r in rows for c in r["categories"]}
    held = asked.shop.items(NOW, who)
    assert held
    assert held <= found
    assert {purpose for _, purpose, _ in found - held} == {"marketing_analysis"}, "which waits for a consent"
    assert {r["role"] for r in rows} >= {"system", "processor"}
    assert all(r["first"].to_native().isoformat() >= "2024-03-04T09:00" for r in rows)


def test_any_identifier_of_a_data_subject_gives_the_same_answer(asked: Asked) -> None:
    number = asked.shop.pipeline.current("pompdelux", "customer_number", "C-buyer")
    by_mail, by_number = (asked.ask("Who holds what of a data subject", key=k) for k in (asked.key("buyer"), number))
    assert by_mail == by_number


def test_recipients_of_a_category(asked: Asked) -> None:
    rows = {r["recipient"]: r for r in asked.ask("Which recipients got a category", controller="pompdelux", category="address")}
    assert rows.keys() >= {CARRIER, "storage_partner", "identity_verification_partner"}
    assert "payment_partner" not in rows, "which gets the name only"
    assert rows[CARRIER]["identifiers"] == 1
    assert rows["storage_partner"]["identifiers"] == 2
    held = {(t, c) for who in ("buyer", "other") for t, _, c in asked.shop.items(NOW, who)}
    assert {t for t, c in held if c == "address" and t in asked.shop.pipeline.policies["pompdelux"].recipients} == rows.keys()


def test_a_breach_at_a_recipient_touches_those_whose_data_had_reached_it(asked: Asked) -> None:
    title = "Whom a breach at a recipient touches"
    facts = asked.shop.store.facts([asked.key("buyer")])
    touched = asked.ask(title, controller="pompdelux", recipient=CARRIER, until=at(NOW))
    assert [r["data_subject"] for r in touched] == [min(facts.keys)]
    assert {"address", "name"} <= set(touched[0]["categories"])
    assert asked.ask(title, controller="pompdelux", recipient=CARRIER, until=at("2024-03-05T10:00")) == []
    both = asked.ask(title, controller="pompdelux", recipient="storage_partner", until=at(NOW))
    others = asked.shop.store.facts([asked.key("other")])
    assert {r["data_subject"] for r in both} == {min(facts.keys), min(others.keys)}


def test_open_commands_and_what_a_case_did(asked: Asked) -> None:
    case = asked.shop.request("erasure", NOW)
    waiting = asked.shop.commands(NOW)
    assert waiting
    rows = asked.ask("Commands that nobody has answered, by system")
    assert {(r["target"], r["kind"]) for r in rows} == {(c.target, c.kind) for c in waiting}
    assert sum(r["open"] for r in rows) == len(waiting)
    did = asked.ask("What a case did", case=case)
    assert [(r["right"], r["state"]) for r in did] == [("erasure", "open")] * len(waiting)
    assert {(r["target"], r["answer"]) for r in did} == {(c.target, "pending") for c in waiting}
    asked.shop.acknowledge_all(NOW)
    assert asked.ask("Commands that nobody has answered, by system") == []
    assert {r["answer"] for r in asked.ask("What a case did", case=case)} == {"acknowledged"}
