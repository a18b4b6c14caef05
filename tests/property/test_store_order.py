"""Facts commute: any order, repetition and splitting into batches gives the same graph."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ON_NEO4J, Emptied

from lineage.digest import extend_chain, graph_digest, verify_chain
from lineage.sqlite_store import SQLiteStore
from lineage.store import AuditRow, Batch, Facts, GraphStore, Identifier, Link, Observation, Shape

KEYS = (-(2**63), -3, -1, 1, 2, 5, 8, 2**63 - 1)
SHAPES = [Shape(n, controller, f"t{n}", "{}") for n, controller in ((1, "acme"), (2, "acme"), (3, "other"))]
IDENTIFIERS = [Identifier(k, k ^ 9, "acme" if k % 2 else "other", "email", b"s") for k in KEYS]

keys = st.sampled_from(KEYS)
numbers = st.integers(1, 3)
observations = st.builds(
    Observation,
    keys,
    st.integers(0, 4),
    numbers,
    st.sampled_from((0, 7, -8)),
    st.sampled_from((0, 4)),
    st.integers(0, 99),
)
links = st.builds(Link, keys, keys, st.sampled_from(("same", "device")), st.integers(0, 3), st.integers(0, 9))
facts = st.lists(st.one_of(observations, links, st.sampled_from(IDENTIFIERS)), min_size=1, max_size=40)


def batch_of(rows: Sequence[Any], renumber: dict[int, int]) -> Batch:
    batch = Batch(shapes=[s._replace(id=renumber[s.id]) for s in SHAPES])
    for row in rows:
        if isinstance(row, Identifier):
            batch.identifiers.append(row)
        elif isinstance(row, Link):
            batch.links.append(row._replace(shape=renumber.get(row.shape, 0)))
        else:
            batch.observations.append(row._replace(shape=renumber[row.shape]))
    return batch


def shuffled(rows: Sequence[Any], chance: random.Random) -> list[list[Any]]:
    """Repeat some rows, mix all, and cut them into batches."""
    mixed = [*rows, *chance.choices(rows, k=chance.randrange(len(rows) + 1))]
    chance.shuffle(mixed)
    cuts = sorted(chance.randrange(len(mixed) + 1) for _ in range(chance.randrange(5)))
    return [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]


def named(facts: Facts, renumber: dict[int, int]) -> tuple[Any, ...]:
    """Give the shapes their own numbers back, so that facts of two stores can be compared."""
    back = {new: old for old, new in renumber.items()}
    rows = sorted(o._replace(shape=back[o.shape]) for o in facts.observations)
    return facts.identifiers, sorted(k._replace(shape=back.get(k.shape, 0)) for k in facts.links), rows


chances = st.randoms(use_true_random=False)
orders = st.permutations([1, 2, 3])


@settings(deadline=None, max_examples=150)
@given(rows=facts, chance=chances, order=orders)
def test_any_order_repetition_and_splitting_gives_the_same_graph(rows: list[Any], chance: random.Random, order: list[int]) -> None:
    with closing(SQLiteStore.open(":memory:")) as two:
        same_graph(two, rows, chance, order)


@pytest.mark.process
@ON_NEO4J
@given(rows=facts, chance=chances, order=orders)
def test_any_order_gives_the_same_graph_in_neo4j(
    emptied: Emptied, rows: list[Any], chance: random.Random, order: list[int]
) -> None:
    same_graph(emptied(), rows, chance, order)


def same_graph(two: GraphStore, rows: list[Any], chance: random.Random, order: list[int]) -> None:
    """Write the rows as they are into a file, and in any order into the other store."""
    plain, renumber = {1: 1, 2: 2, 3: 3}, dict(zip((1, 2, 3), order, strict=True))
    with closing(SQLiteStore.open(":memory:")) as one:
        one.write(batch_of(rows, plain))
        for part in shuffled(rows, chance):
            two.write(batch_of(part, renumber))
        here, there = one.counts(), two.counts()
        assert {kind: here[kind] for kind in here.keys() & there.keys()} == {k: there[k] for k in here.keys() & there.keys()}
        for controller in (None, "acme", "other"):
            assert one.digest(controller) == two.digest(controller)
        for key in KEYS:
            assert named(one.facts([key]), plain) == named(two.facts([key]), renumber)


@settings(deadline=None, max_examples=100)
@given(rows=facts)
def test_facts_are_those_of_a_search_by_hand(rows: list[Any]) -> None:
    with closing(SQLiteStore.open(":memory:")) as store:
        facts_by_hand(store, rows)


@pytest.mark.process
@ON_NEO4J
@given(rows=facts)
def test_facts_in_neo4j_are_those_of_a_search_by_hand(emptied: Emptied, rows: list[Any]) -> None:
    facts_by_hand(emptied(), rows)


def facts_by_hand(store: GraphStore, rows: list[Any]) -> None:
    """The component and the observations, against sets and loops over the plain rows."""
    store.write(batch_of([*rows, *IDENTIFIERS], {1: 1, 2: 2, 3: 3}))
    joined = [r[:2] for r in rows if isinstance(r, Link) and r.kind == "same"]
    devices = [r[:2] for r in rows if isinstance(r, Link) and r.kind == "device"]
    for start in KEYS:
        members = {start}
        for _ in KEYS:
            members |= {end for pair in joined if members & set(pair) for end in pair}
        among = members | {b for a, b in devices if a in members}
        found = store.facts([start])
        assert set(found.keys) == among
        assert {o[:5] for o in found.observations} == {r[:5] for r in rows if isinstance(r, Observation) and r.key in among}
        assert {key for key, _ in found.version} == (among if store.shared else set())


@settings(deadline=None, max_examples=100)
@given(rows=facts, which=st.integers(0, 10_000))
def test_a_digest_notices_any_row_that_is_missing(rows: list[Any], which: int) -> None:
    whole = {r[:5]: r for r in rows}
    gone = list(whole)[which % len(whole)]
    rest = [r for name, r in whole.items() if name != gone]

    def digest(of: Sequence[Any]) -> str:
        batch = batch_of(of, {1: 1, 2: 2, 3: 3})
        return graph_digest(SHAPES, batch.identifiers, batch.observations, batch.links)

    assert digest(list(whole.values())) != digest(rest)


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [(Observation(1, 2, 1, 4, 5, 6), f, v) for f, v in zip(Observation._fields, (9, 9, 2, 9, 9, None), strict=True)]
    + [(Link(1, 2, "same", 1, 5), f, v) for f, v in zip(Link._fields, (9, 9, "device", 2, 9), strict=True)]
    + [(IDENTIFIERS[1], f, v) for f, v in zip(Identifier._fields, (9, 9, "other", "phone", None), strict=True)],
)
def test_a_digest_covers_every_field_that_says_something(row: Any, field: str, value: Any) -> None:
    def digest(of: Any) -> str:
        batch = batch_of([of], {1: 1, 2: 2, 3: 3})
        return graph_digest(SHAPES, batch.identifiers, batch.observations, batch.links)

    if value is None:
        assert digest(row._replace(**{field: b"" if field == "sealed" else 0})) == digest(row)
    else:
        assert digest(row._replace(**{field: value})) != digest(row)


lines = st.lists(st.builds(AuditRow, st.uuids().map(str), st.integers(0, 99), st.just("acme"), st.text(), st.text()), min_size=1)


@given(rows=lines, which=st.integers(0, 10_000), data=st.data())
def test_a_chain_holds_until_any_line_is_changed_moved_or_taken_out(rows: list[AuditRow], which: int, data: st.DataObject) -> None:
    chain = list(extend_chain(rows))
    assert verify_chain(chain) is None
    n = which % len(chain)
    forged = data.draw(st.sampled_from(("id", "at", "controller", "kind", "body", "hash", "previous")))
    value = 100 if forged == "at" else getattr(chain[n], forged) + "x"
    changed = [*chain[:n], chain[n]._replace(**{forged: value}), *chain[n + 1 :]]
    fault = verify_chain(changed)
    assert fault is not None
    assert fault.seq == n + 1
    if n + 1 < len(chain):
        assert verify_chain(chain[:n] + chain[n + 1 :]) is not None
        swapped = [*chain[:n], chain[n + 1], chain[n], *chain[n + 2 :]]
        assert verify_chain(swapped) is not None
