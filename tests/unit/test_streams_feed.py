"""The feed and the timer where the engine itself fails: one event or one data subject never holds up the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from shop import ORDER, Shop, at

from lineage.errors import StoreUnavailable, TooMuch
from lineage.intake import Received, Taken
from lineage.store import Key
from lineage.subject import Subject
from streams.desk import Desk
from streams.taking import Figures, Taker, place
from streams.timers import carry_out

NOW = at("2024-03-10")
DEFECT = "secret@example.org"


class Broken:
    """A pipeline with a defect: it fails on some orders, before or after their facts are written."""

    def __init__(self, shop: Shop, before: str = "", after: str = "") -> None:
        self.real, self.before, self.after = shop.pipeline, before.encode(), after.encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def ingest(self, records: Sequence[Received], now: int, found: Any = None, writing: Any = None, ahead: Any = None) -> Taken:
        if self.before and any(self.before in r.value for r in records):
            raise KeyError(DEFECT)
        taken = self.real.ingest(records, now, found)
        if self.after and any(self.after in r.value for r in records):
            raise KeyError(DEFECT)
        return taken


class Slow:
    """A pipeline over a store that is too slow for many records in one transaction."""

    def __init__(self, shop: Shop, most: int) -> None:
        self.real, self.most, self.sizes = shop.pipeline, most, list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def ingest(self, records: Sequence[Received], now: int, found: Any = None, writing: Any = None, ahead: Any = None) -> Taken:
        self.sizes.append(len(records))
        if len(records) > self.most:
            raise TooMuch
        return self.real.ingest(records, now, found)


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    yield found
    found.store.close()


def write(shop: Shop, pipeline: Any, *orders: str) -> tuple[Taker, Taken]:
    values = [shop.event("order.placed", "2024-03-01", who=o, order=o, lines=1, data=ORDER) for o in orders]
    offsets = shop.store.journal_append(values, NOW)
    records = [Received("journal", 0, o, v) for o, v in zip(offsets, values, strict=True)]
    engine: Any = SimpleNamespace(store=shop.store, pipeline=pipeline)
    nothing: Any = None
    taker = Taker(engine, nothing, nothing, Figures())
    return taker, taker.write(records, [pipeline.prepare(r) for r in records], NOW)


def test_what_is_too_much_for_one_transaction_is_written_in_halves(shop: Shop) -> None:
    slow = Slow(shop, 2)
    _, taken = write(shop, slow, *(f"a{n}" for n in range(7)))
    assert slow.sizes == [7, 3, 1, 2, 4, 2, 2]
    assert (taken.events, taken.dead) == (7, 0)
    assert taken.rows > 0
    assert shop.store.counts()["observations"] == 7
    with pytest.raises(TooMuch):
        write(shop, Slow(shop, 0), "b1")


def test_an_event_that_the_engine_fails_on_ends_in_the_dead_letters_and_the_others_in_the_graph(shop: Shop) -> None:
    _, taken = write(shop, Broken(shop, before="poison"), "a1", "poison", "a2")
    assert (taken.events, taken.dead) == (3, 1)
    letters = shop.store.dead_letters()
    assert [le.offset for le in letters] == [1]
    assert letters[0].reason.startswith("internal error (KeyError")
    assert "secret" not in letters[0].reason
    assert shop.store.counts()["observations"] == 2
    assert shop.store.journal_depth() == 0


def test_an_event_whose_facts_are_written_is_no_dead_letter_though_the_engine_fails_after_it(shop: Shop) -> None:
    taker, taken = write(shop, Broken(shop, after="late"), "a1", "late", "a2")
    assert taken.dead == 0
    assert shop.store.dead_letters() == []
    assert shop.store.counts()["observations"] == 3
    assert taker.figures.failures == 0, "the facts of the whole batch were written at the first try"


def test_a_batch_is_tagged_while_the_one_before_is_written_and_not_while_it_is_made(shop: Shop) -> None:
    """Both are Python: at the same time each would only slow the other down."""

    class Gated(Broken):
        made, written = threading.Event(), threading.Event()

        def ingest(self, records: Sequence[Received], now: int, found: Any = None, writing: Any = None, ahead: Any = None) -> Taken:
            self.made.wait()
            writing()
            self.written.wait()
            return self.real.ingest(records, now, found)

    gated = Gated(shop)
    record = Received("journal", 0, 0, shop.event("order.placed", "2024-03-01", order="a1", lines=1, data=ORDER))

    async def ask(_stream: str, records: Sequence[Received]) -> list[Any]:
        return [gated.prepare(r) for r in records]

    async def run() -> list[str]:
        desk, order = Desk(), list[str]()
        engine: Any = SimpleNamespace(store=shop.store, pipeline=gated)
        taker = Taker(engine, desk, ask, Figures())
        putting = asyncio.create_task(taker.put([record], await taker.tag([record])))

        async def next_one() -> None:
            await taker.leisure()
            await taker.tag([record])

        tagging = asyncio.create_task(next_one())
        await asyncio.wait({tagging}, timeout=0.2)
        order.append("tagged" if tagging.done() else "made first")
        gated.made.set()
        await tagging
        order.append("written" if putting.done() else "tagged")
        gated.written.set()
        assert (await putting).rows > 0
        await taker.leisure()
        desk.close()
        return order

    assert asyncio.run(run()) == ["made first", "tagged"]


def test_a_batch_that_cannot_be_made_lets_the_next_be_tagged(shop: Shop) -> None:
    async def ask(_stream: str, records: Sequence[Received]) -> list[Any]:
        return list(records)

    async def run() -> None:
        desk = Desk()
        engine: Any = SimpleNamespace(store=shop.store, pipeline=Slow(shop, 0))
        taker = Taker(engine, desk, ask, Figures())
        with pytest.raises(TooMuch):
            await taker.put([Received("journal", 0, 0, b"")], [])
        await asyncio.wait_for(taker.leisure(), 5)
        desk.close()

    asyncio.run(run())


def test_a_world_that_is_wrong_is_no_defect_and_keeps_the_batch(shop: Shop) -> None:
    class Full(Broken):
        def ingest(self, records: Sequence[Received], now: int, found: Any = None, writing: Any = None, ahead: Any = None) -> Taken:
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        write(shop, Full(shop), "a1")
    assert shop.store.journal_depth() == 1
    assert shop.store.dead_letters() == []


def test_a_data_subject_that_the_engine_fails_on_is_put_off_and_the_others_are_looked_at(shop: Shop) -> None:
    for who in ("ann", "bob"):
        shop.take(shop.event("order.placed", "2008-03-01", who=who, order=who, lines=1, data=ORDER), now="2008-03-02")
    due = shop.store.due(NOW, 10)
    assert len(due) == 2
    real, bad = shop.pipeline.advance, set(shop.store.facts(due[:1]).keys)

    def advance(keys: tuple[Key, ...], now: int) -> Subject:
        if bad & set(keys):
            raise KeyError(DEFECT)
        return real(keys, now)

    shop.pipeline.advance = advance  # type: ignore[method-assign, assignment]
    assert not carry_out(shop.pipeline, NOW, Figures())
    assert shop.store.due(NOW, 10) == []
    assert bad & set(shop.store.due(NOW + 3601, 10))
    lines = [line for line in shop.store.audit() if line.id.startswith("put-off")]
    assert len(lines) == 1
    assert "secret" not in lines[0].body


def test_what_is_due_is_done_in_slices(shop: Shop) -> None:
    for n in range(5):
        shop.take(shop.event("order.placed", "2008-03-01", who=f"p{n}", order=f"o{n}", lines=1, data=ORDER), now="2008-03-02")
    assert carry_out(shop.pipeline, NOW, Figures(), seconds_max=0.0), "no time: all is left"
    assert len(shop.store.due(NOW, 10)) == 5
    assert not carry_out(shop.pipeline, NOW, Figures(), seconds_max=60.0)
    assert shop.store.due(NOW, 10) == []


def test_the_place_of_a_defect_shows_no_text() -> None:
    with pytest.raises(ValueError, match=DEFECT) as caught:
        float(DEFECT)
    assert place(caught.value).startswith("ValueError at test_the_place")
    assert "secret" not in place(caught.value)
