"""Several pipelines over one Neo4j at once, like the workers of a cluster: what they come to is what one alone comes to."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import neo4j
import pytest
from servers.fixtures import Neo4jAt
from shop import ORDER, Shop, at

from lineage import policy_file
from lineage.digest import verify_chain
from lineage.intake import Received
from lineage.landing import landings_of
from lineage.neo4j_store import Neo4jStore
from lineage.rights import Request
from lineage.store import Batch

pytestmark = pytest.mark.process
NOW = "2024-06-01T12:00"
WORKERS = 3
PERSONS = [f"p{n}" for n in range(6)]


@pytest.fixture
def workers(neo4j_clean: Neo4jAt) -> Iterator[list[Shop]]:
    """Give as many pipelines as there are workers, each with a connection of its own."""
    policy = policy_file.load("pompdelux")
    server = neo4j_clean
    stores = [
        Neo4jStore.open(server.uri, server.user, server.password, landings=lambda s: landings_of(policy, s)) for _ in range(WORKERS)
    ]
    yield [Shop("pompdelux", store=store) for store in stores]
    for store in stores:
        store.close()


def told(shop: Shop, who: str) -> list[bytes]:
    """Tell the story of one person."""
    data = {"email": "x", "name": "x"}
    return [
        shop.event("order.placed", "2024-03-04T10:00", who, order=f"o-{who}", lines=1, payment="card", data=ORDER),
        shop.event("order.paid", "2024-03-04T10:05", who, order=f"o-{who}"),
        shop.event("order.shipped", "2024-03-05T10:00", who, order=f"o-{who}", lines=1),
        shop.event("order.delivered", "2024-03-07T10:00", who, order=f"o-{who}"),
        shop.event("newsletter.subscribed", "2024-03-06T10:00", who, channel="email", data=data),
        shop.event("newsletter.unsubscribed", "2024-04-06T10:00", who, channel="email"),
    ]


def batches(values: list[bytes], chance: random.Random) -> list[list[bytes]]:
    """Mix the events, a few of them twice, and cut them into batches."""
    again = [*values, *chance.choices(values, k=len(values) // 4)]
    chance.shuffle(again)
    return [again[n : n + 4] for n in range(0, len(again), 4)]


def feed(shop: Shop, partition: int, parts: list[list[bytes]]) -> None:
    """Feed batches as a worker does: what the next one needs of the graph is read before this one is written."""
    pipeline, offset, ready = shop.pipeline, 0, list[Callable[[], object]]()
    for part in parts:
        records = [Received("orders", partition, offset + n, value) for n, value in enumerate(part)]
        offset += len(part)
        found = [pipeline.prepare(r) for r in records]
        ahead = pipeline.look_ahead(found)
        ready.append(lambda r=records, f=found, a=ahead: pipeline.ingest(r, at(NOW), f, ahead=a))  # type: ignore[misc]
        if len(ready) > 1:
            ready.pop(0)()
    for last in ready:
        last()


def commands(shop: Shop, who: str) -> list[object]:
    """Say what a person's story makes the controller ask for; what was sent on the way to it depends on the way."""
    key = shop.pipeline.current("pompdelux", "email", f"{who}@example.org")
    subject = shop.pipeline.look((key,), "pompdelux", at(NOW))
    return sorted((c.about, sorted((category, sorted(why)) for category, why in c.why.items())) for c in subject.commands.values())


def at_once(*works: Callable[[], object]) -> None:
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        barrier.wait(30)
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(run, work) for work in works]:
            future.result()


def test_workers_come_to_the_graph_and_the_decisions_that_one_alone_comes_to(workers: list[Shop]) -> None:
    chance = random.Random(3)
    with closing((alone := Shop("pompdelux")).store):
        values = [value for who in PERSONS for value in told(alone, who)]
        feed(alone, 0, batches(values, chance))
        alone.pipeline.tick(at(NOW))
        parts = [values[n::WORKERS] + values[n + 1 :: WORKERS] for n in range(WORKERS)]
        at_once(*(lambda n=n, shop=shop: feed(shop, n, batches(parts[n], chance)) for n, shop in enumerate(workers)))
        at_once(*(lambda shop=shop: shop.pipeline.tick(at(NOW)) for shop in workers))
        store = workers[0].store
        assert store.digest() == alone.store.digest()
        for who in PERSONS:
            assert workers[1].items(NOW, who) == alone.items(NOW, who)
            assert commands(workers[2], who) == commands(alone, who)
        assert verify_chain(store.audit()) is None
        assert not store.due(at(NOW), 10)


def test_what_is_erased_while_others_write_stays_erased(workers: list[Shop], neo4j_clean: Neo4jAt) -> None:
    """One worker is told of requests and answers while the others are still fed what happened before them."""
    chance = random.Random(4)
    data = {"email": "x", "name": "x"}
    office, *others = workers
    months = [
        office.event("newsletter.subscribed", f"2024-0{month}-06T10:00", who, channel="email", data=data)
        for who in PERSONS
        for month in (1, 2, 3, 4)
    ]
    feed(office, 0, batches(months[::4], chance))

    def erase() -> None:
        for who in PERSONS:
            request = Request(f"case-{who}", at("2024-05-01T10:00"), "erasure")
            office.pipeline.request("pompdelux", ("email", f"{who}@example.org"), request)
            office.acknowledge_all(NOW)

    at_once(erase, *(lambda n=n, shop=shop: feed(shop, n, batches(months, chance)) for n, shop in enumerate(others, 1)))
    for shop in workers:
        shop.pipeline.tick(at(NOW))
        shop.acknowledge_all("2024-06-02T12:00")
    office.pipeline.tick(at("2024-06-03T12:00"))
    store = office.store
    assert {c.state for c in store.cases()} == {"closed"}
    assert office.commands("2024-06-03T12:00") == []
    assert {line.id for line in store.certificates()} >= {f"case-{who}" for who in PERSONS}
    assert len(store.certificates()) == len(store.cases())
    assert verify_chain(store.certificates()) is None
    assert verify_chain(store.audit()) is None
    assert store.counts()["tombstones"] == 2 * len(PERSONS), "an e-mail address and a customer number each"
    auth = (neo4j_clean.user, neo4j_clean.password)
    with neo4j.GraphDatabase.driver(neo4j_clean.uri, auth=auth) as driver:
        left = driver.execute_query("MATCH (k:Key) RETURN count(k)", database_="neo4j").records[0].value()
    assert left == 0, "the graph has forgotten all of them, and nothing has brought one back"


@pytest.mark.parametrize("fed", [0, 1], ids=["unknown to this worker", "known to this worker"])
@pytest.mark.parametrize("month", [3, 4], ids=["the same event again", "another event from before"])
@pytest.mark.parametrize("early", [False, True], ids=["looked for then", "looked for ahead"])
def test_an_event_on_its_way_while_the_graph_forgets_its_person_leaves_nothing_there(
    workers: list[Shop], neo4j_clean: Neo4jAt, monkeypatch: pytest.MonkeyPatch, month: int, fed: int, *, early: bool
) -> None:
    """The event was routed while the person was still there; when it is written, the last answer has come, and nobody is."""
    office, other, _ = workers
    data = {"email": "x", "name": "x"}
    first, late = (
        office.event("newsletter.subscribed", f"2024-0{m}-06T10:00", "ann", channel="email", data=data) for m in (3, month)
    )
    feed(office, 0, [[first]])
    feed(other, 2, [[first]] * fed)
    record = Received("orders", 1, 0, late)
    found = [other.pipeline.prepare(record)]
    ahead = other.pipeline.look_ahead(found) if early else None
    assert (ahead is not None) is early
    office.pipeline.request("pompdelux", ("email", "ann@example.org"), Request("case-1", at("2024-05-01T10:00"), "erasure"))
    assert office.store.tombstones([office.pipeline.keys.key("pompdelux", "email", "ann@example.org")[0]])
    write, waiting = other.store.write, [True]

    def after_the_last_answer(batch: Batch) -> int:
        if batch.positions and waiting:
            waiting.clear()
            office.acknowledge_all(NOW)
            assert office.store.counts()["identifiers"] == 0, "the graph has forgotten the person"
        return write(batch)

    monkeypatch.setattr(other.store, "write", after_the_last_answer)
    other.pipeline.ingest([record], at(NOW), found, ahead=ahead)
    assert not waiting
    assert other.store.positions("orders") == {0: 1, 1: 1, **({2: 1} if fed else {})}
    assert other.store.counts()["observations"] == 0
    [again] = office.acknowledge_all(NOW)
    assert (again.target, again.case == "case-1") == ("newsletter_system", False), "it is for the system to erase what it has sent"
    assert other.store.counts()["watched"] == 0
    assert other.store.next_due() is None
    auth = (neo4j_clean.user, neo4j_clean.password)
    with neo4j.GraphDatabase.driver(neo4j_clean.uri, auth=auth) as driver:
        assert driver.execute_query("MATCH (k:Key) RETURN count(k)", database_="neo4j").records[0].value() == 0


@pytest.mark.parametrize("early", [False, True], ids=["looked for then", "looked for ahead"])
@pytest.mark.parametrize("joined", [False, True], ids=["under the same identifier", "under a new one of hers"])
def test_an_event_on_its_way_while_another_worker_is_told_of_a_request_is_looked_at(
    workers: list[Shop], monkeypatch: pytest.MonkeyPatch, *, early: bool, joined: bool
) -> None:
    """The event sets nothing off by itself; that her events are looked at one by one was said after it had been routed."""
    office, other, _ = workers
    placed = office.event("order.placed", "2024-03-04T10:00", "ann", order="o1", lines=1, payment="card", data=ORDER)
    feed(office, 0, [[placed]])
    office.pipeline.tick(at(NOW))
    person = {"email": "ann@example.org", "customer_number": "C-new" if joined else "C-ann"}
    record = Received("orders", 1, 0, office.event("order.delivered", "2024-03-07T10:00", "ann", order="o1", person=person))
    found = [other.pipeline.prepare(record)]
    ahead = other.pipeline.look_ahead(found) if early else None
    write, waiting = other.store.write, [True]

    def after_the_request(batch: Batch) -> int:
        if waiting:
            waiting.clear()
            request = Request("case-1", at("2024-05-01T10:00"), "withdrawal", via="email")
            office.pipeline.request("pompdelux", ("email", "ann@example.org"), request)
            assert not office.store.due(at(NOW), 10)
        return write(batch)

    monkeypatch.setattr(other.store, "write", after_the_request)
    other.pipeline.ingest([record], at(NOW), found, ahead=ahead)
    assert not waiting
    assert other.store.due(at(NOW), 10), "somebody looks at it soon"
    assert office.pipeline.tick(at(NOW)) >= 1
    assert not other.store.due(at(NOW), 10)
