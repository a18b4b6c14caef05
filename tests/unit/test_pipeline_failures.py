"""The pipeline over a store that cannot write for a while: nothing is lost, nothing is doubled."""

from __future__ import annotations

import pytest
from shop import ORDER, Shop

from lineage.errors import StoreUnavailable
from lineage.sqlite_store import SQLiteStore
from lineage.store import Batch


class Failing(SQLiteStore):
    """The real store, but for a switch that refuses to write."""

    full = False

    def write(self, batch: Batch) -> int:
        if self.full:
            msg = "the disk is full"
            raise StoreUnavailable(msg)
        return super().write(batch)


def shop_that_fails() -> tuple[Shop, Failing]:
    store = Failing.open(":memory:")
    return Shop(store=store), store


def test_a_batch_that_could_not_be_written_is_written_whole_the_second_time() -> None:
    shop, store = shop_that_fails()
    events = [shop.event("order.placed", "2024-03-01", order="1", lines=1, data=ORDER),
              shop.event("account.created", "2024-03-02", who="other", account="a-1")]  # fmt: skip
    store.full = True
    with pytest.raises(StoreUnavailable):
        shop.take(*events, now="2024-03-03")
    store.full, shop.offset = False, 0
    shop.take(*events, now="2024-03-03")
    clean = Shop()
    clean.take(*events, now="2024-03-03")
    assert store.digest() == clean.store.digest()
    assert store.counts()["identifiers"] == clean.store.counts()["identifiers"] > 0


def test_shapes_that_could_not_be_written_reach_the_store_with_the_next_batch() -> None:
    shop, store = shop_that_fails()
    event = shop.event("order.placed", "2024-03-01", order="1", lines=1, data=ORDER)
    store.full = True
    with pytest.raises(StoreUnavailable):
        shop.take(event, now="2024-03-03")
    store.full, shop.offset = False, 0
    shop.take(event, now="2024-03-03")
    assert {o.shape for o in store.facts((shop.pipeline.current("pompdelux", "email", "buyer@example.org"),)).observations} <= {
        s.id for s in store.shapes()
    }


def test_a_request_that_could_not_be_written_can_be_made_again() -> None:
    shop, store = shop_that_fails()
    store.full = True
    with pytest.raises(StoreUnavailable):
        shop.request("access", "2024-03-04", who="stranger")
    store.full = False
    case = shop.request("access", "2024-03-04", who="stranger")
    assert store.case(case) is not None


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_graph_does_not_depend_on_how_events_are_split_into_batches(size: int) -> None:
    # The same two identifiers seen together on three days, the latest first, by events of different shapes.
    shop = Shop()
    events = [
        shop.event(type_, day, **more)
        for day in ("2024-03-09", "2024-03-02", "2024-03-05")
        for type_, more in (("order.placed", {"order": day, "lines": 1, "cookie": "ck", "data": ORDER}),
                            ("newsletter.clicked", {"cookie": "ck"}))
    ]  # fmt: skip
    for start in range(0, len(events), size):
        shop.take(*events[start : start + size], now="2024-03-10")
    whole = Shop()
    whole.take(*reversed(events), now="2024-03-10")
    assert shop.store.digest() == whole.store.digest()


def test_an_event_from_before_an_erasure_leaves_no_dead_letter() -> None:
    shop = Shop()
    shop.take(shop.event("newsletter.subscribed", "2024-03-01", channel="email", express=True, data={"email": "buyer@example.org"}),
              now="2024-03-02")  # fmt: skip
    shop.request("erasure", "2024-03-03", via="email")
    shop.acknowledge_all("2024-03-03")
    assert shop.store.counts()["identifiers"] == 0, "the graph has not forgotten the person"
    shop.take(shop.event("newsletter.subscribed", "2024-03-01", channel="sms", express=True, data={"email": "buyer@example.org"}),
              now="2024-03-05")  # fmt: skip
    assert shop.store.dead_letters() == []
    assert shop.acknowledge_all("2024-03-06")
    assert shop.store.counts()["identifiers"] == 0
