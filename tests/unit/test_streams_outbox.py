"""The outbox: when a command goes out again, who is warned, and what becomes of one that nobody can be asked for any more."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from shop import Shop, at

from lineage.store import Batch
from streams.outbox import DAY, Outbox, backoff_seconds, signature

NOW = at("2024-03-03T12:00")


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    event = found.event("newsletter.subscribed", "2024-03-01", channel="email", express=True, data={"email": "buyer@example.org"})
    found.take(event, now="2024-03-02")
    found.request("erasure", "2024-03-03", via="email")
    yield found
    found.store.close()


@pytest.fixture
def outbox(shop: Shop) -> Outbox:
    engine: Any = SimpleNamespace(store=shop.store, pipeline=shop.pipeline, settings=SimpleNamespace(warn_attempts=3))
    nothing: Any = None
    return Outbox(engine, nothing)


def test_the_time_between_two_attempts_doubles_up_to_a_day() -> None:
    plain = [backoff_seconds(n, 0.5) for n in range(1, 30)]
    assert plain == sorted(plain)
    assert plain[0] <= 5
    assert all(backoff_seconds(n, j) <= DAY for n in range(40) for j in (0.0, 0.999))
    assert backoff_seconds(8, 0.0) < backoff_seconds(8, 0.999)


def test_a_command_that_was_fetched_waits_and_comes_again_with_the_same_id(shop: Shop, outbox: Outbox) -> None:
    first = outbox.take("pompdelux", "newsletter_system", NOW, 10)
    assert [c["kind"] for c in first] == ["erase"]
    assert outbox.take("pompdelux", "newsletter_system", NOW + 1, 10) == []
    again = outbox.take("pompdelux", "newsletter_system", NOW + DAY, 10)
    assert [c["id"] for c in again] == [c["id"] for c in first]
    assert again[0]["attempt"] == first[0]["attempt"] + 1


def test_people_are_warned_once_of_a_command_that_stays_unanswered(shop: Shop, outbox: Outbox) -> None:
    for n in range(10):
        outbox.take("pompdelux", "newsletter_system", NOW + n * DAY, 10)
    lines = [orjson.loads(line.body) for line in shop.store.audit() if line.id.startswith("alert-") and line.id.endswith("often")]
    assert [(x["about"], x["target"]) for x in lines] == [("unanswered after 3 attempts", "newsletter_system")]
    assert lines[0]["reasons"]


def test_people_are_warned_when_the_day_of_the_answer_is_near(shop: Shop, outbox: Outbox) -> None:
    outbox.take("pompdelux", "newsletter_system", NOW, 10)
    assert not any(line.id.endswith("near") for line in shop.store.audit())
    outbox.take("pompdelux", "newsletter_system", at("2024-03-30"), 10)
    assert sum(line.id.endswith("near") for line in shop.store.audit()) == 1


def test_a_command_carries_the_identifiers_and_the_audit_log_does_not(shop: Shop, outbox: Outbox) -> None:
    command = outbox.take("pompdelux", "newsletter_system", NOW, 10)[0]
    assert command["identifiers"] == {"email": ["buyer@example.org"], "customer_number": ["C-buyer"]}
    assert set(command["because"]) == set(command["categories"])
    assert "buyer" not in "".join(line.body for line in shop.store.audit())


def test_a_command_about_a_person_whom_the_graph_has_forgotten_is_not_sent_and_the_log_says_so(shop: Shop, outbox: Outbox) -> None:
    row = shop.commands("2024-03-03")[0]
    facts = shop.store.facts((row.key,))
    shop.store.write(Batch(forget_observations=list(facts.observations), forget_identifiers=list(facts.keys)))
    assert outbox.take("pompdelux", row.target, NOW, 10) == []
    found = shop.store.command(row.id)
    assert found is not None
    assert found.state == "dead"
    assert any(line.id == f"alert-{row.id}-gone" for line in shop.store.audit())


def test_a_signature_depends_on_the_secret_and_on_every_byte() -> None:
    assert len({signature("a", b"x"), signature("b", b"x"), signature("a", b"y")}) == 3
