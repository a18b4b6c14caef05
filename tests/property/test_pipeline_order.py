"""However events are ordered, repeated and cut into batches, the pipeline comes to the same graph and the same decisions."""

from __future__ import annotations

import random
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import CONTROLLERS, encode, lives
from places import ON_NEO4J, Emptied
from shop import Shop, at

import schemas
from lineage.sqlite_store import SQLiteStore
from lineage.store import GraphStore
from lineage.subject import Subject

NOW = "2025-07-31T12:00"
PERSONS = 2
# A type that sets something off at once is in every life: what it sets off must not depend on what came before it.
UNSUBSCRIBED = [("newsletter.unsubscribed", "2024-02-03T10:00", n, {"channel": "email"}) for n in range(PERSONS)]
told_to = st.sampled_from(CONTROLLERS)
stories = st.lists(st.tuples(told_to, lives(most=6, persons=PERSONS)), min_size=1, max_size=4)


def values_of(shop: Shop, told: list) -> list[bytes]:
    """Encode the events, each for its controller, with unsubscriptions where the controller sends newsletters."""
    values = []
    for controller, life in told:
        policy = shop.pipeline.policies[controller]
        values += [encode(shop, policy, event) for event in (*life, *UNSUBSCRIBED)]
    return values


def take(shop: Shop, batches: list[list[bytes]]) -> None:
    for batch in batches:
        shop.take(*batch, now=NOW)
    shop.pipeline.tick(at(NOW))


def mixed(values: list[bytes], chance: random.Random) -> list[list[bytes]]:
    """Repeat some events, mix all, and cut them into batches."""
    again = [*values, *chance.choices(values, k=chance.randrange(len(values)))]
    chance.shuffle(again)
    cuts = sorted(chance.randrange(len(again) + 1) for _ in range(chance.randrange(6)))
    return [again[a:b] for a, b in zip([0, *cuts], [*cuts, len(again)], strict=True) if a < b]


def decided(s: Subject) -> tuple[object, ...]:
    """Say what is held, what has been commanded and what must not be done, without numbers that the order gives."""
    items = sorted((i.target, i.activity, i.category, i.matter, i.first, i.last, i.use, sorted(i.tags)) for i in s.items.values())
    commands = sorted((c.about, sorted((k, sorted(why)) for k, why in c.why.items())) for c in s.commands.values())
    stops = sorted((d.since, d.channel or "", d.activity or "", d.scope or "", d.target or "") for d in s.do_not_use)
    return items, commands, stops


def outbox(shop: Shop) -> list[tuple[object, ...]]:
    """Read the commands that systems would get."""
    return sorted((c.controller, c.key, c.target, c.kind, c.issued, c.state, c.body) for c in shop.commands(NOW))


def states(shop: Shop) -> dict[tuple[str, int], tuple[object, ...]]:
    found = {}
    for controller in CONTROLLERS:
        for person in range(PERSONS):
            key = shop.pipeline.current(controller, "email", f"p{person}@example.org")
            found[controller, person] = decided(shop.pipeline.look((key,), controller, at(NOW)))
    return found


def test_an_unsubscription_is_an_event_of_every_controller_that_these_lives_are_about() -> None:
    """Otherwise the property below would say less than its name."""
    assert "channel" in schemas.registry().types["newsletter.unsubscribed"].fields
    with closing((shop := Shop(*CONTROLLERS)).store):
        take(shop, [values_of(shop, [(controller, []) for controller in CONTROLLERS])])
        assert shop.store.counts()["observations"] == len(CONTROLLERS) * PERSONS
        assert not shop.store.dead_letters()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(told=stories, chance=st.randoms(use_true_random=False))
def test_any_order_repetition_and_splitting_gives_the_same_graph_and_the_same_decisions(told: list, chance: random.Random) -> None:
    with closing((one := Shop(*CONTROLLERS)).store), closing((two := Shop(*CONTROLLERS)).store):
        values = values_of(one, told)
        take(one, [values])
        take(two, mixed(values, chance))
        assert one.store.digest() == two.store.digest()
        for controller in CONTROLLERS:
            assert one.store.digest(controller) == two.store.digest(controller)
        assert states(one) == states(two)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(told=stories, chance=st.randoms(use_true_random=False))
def test_a_start_between_any_two_batches_changes_nothing(told: list, chance: random.Random) -> None:
    """What the pipeline remembers between batches only spares work: a fresh one over the same store goes on alike."""
    with closing(SQLiteStore.open(":memory:")) as store:
        goes_on_alike(store, told, chance)


@pytest.mark.process
@settings(ON_NEO4J, max_examples=8)
@given(told=stories, chance=st.randoms(use_true_random=False))
def test_a_pipeline_over_neo4j_decides_what_one_over_a_file_does(emptied: Emptied, told: list, chance: random.Random) -> None:
    """Started anew before each batch, as workers of a cluster are that take a partition over from each other."""
    goes_on_alike(emptied(), told, chance)


def goes_on_alike(store: GraphStore, told: list, chance: random.Random) -> None:
    """Take the same batches with one pipeline into a file, and with one each into the store."""
    with closing((one := Shop(*CONTROLLERS)).store):
        batches = mixed(values_of(one, told), chance)
        take(one, batches)
        offset = 0
        for batch in batches:
            two = Shop(*CONTROLLERS, store=store)
            two.offset = offset
            two.take(*batch, now=NOW)
            offset = two.offset
        two.pipeline.tick(at(NOW))
        assert one.store.digest() == store.digest()
        here, there = one.store.counts(), store.counts()
        assert {kind: here[kind] for kind in here.keys() & there.keys()} == {k: there[k] for k in here.keys() & there.keys()}
        assert states(one) == states(two)
        assert outbox(one) == outbox(two)
        assert [line[1:5] for line in one.store.audit()] == [line[1:5] for line in store.audit()]
