"""Four known faults of Faust's own consumer, which our feed does not have: each named by its number in Faust's tracker.

#606 commits a wrong offset where offsets have gaps; #517 gives duplicates under `exactly_once`; #323 crashes and doubles
events in a rebalance; #502 processes again, after a rebalance, what had been processed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import httpx
import pytest
from cluster import Cluster, Targets, Worker, orders, subscriber
from running import free_port

from lineage.store import GraphStore

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def cluster(tmp_path: Path, kafka_server, neo4j_clean, unique) -> Iterator[Cluster]:
    found = Cluster(tmp_path, kafka_server.bootstrap, unique("issue"), neo4j_clean).make_topics()
    yield found
    found.close()


def start(cluster: Cluster) -> tuple[Worker, int]:
    port = free_port()
    cluster.env["LINEAGE_WORKER_PORT"] = str(port)
    return cluster.start()[0], port


def processed(port: int) -> int:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    return int(float(re.search(r"^lineage_events_total (\S+)$", text, re.MULTILINE)[1]))


async def in_transactions(cluster: Cluster, values: list[bytes]) -> None:
    """Send events in transactions of ten, every third of which is aborted: the log has gaps where markers lie."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, transactional_id=cluster.topics.prefix)
    await producer.start()
    for n in range(0, len(values), 10):
        await producer.begin_transaction()
        for value in values[n : n + 10]:
            await producer.send_and_wait(cluster.topics.event("order"), value, partition=0)
        await (producer.abort_transaction() if n % 30 == 20 else producer.commit_transaction())
    await producer.stop()


def test_606_gaps_between_offsets_are_no_events_and_hide_none(cluster: Cluster) -> None:
    worker, _ = start(cluster)
    events = list(dict.fromkeys(orders(300, seed=6)))
    asyncio.run(in_transactions(cluster, events))
    committed = [v for n, v in enumerate(events) if n // 10 % 3 != 2]
    store = cluster.store()
    topic = cluster.topics.event("order")
    last = max(r.offset for r in asyncio.run(visible(cluster)))
    cluster.wait_for("that all is consumed", lambda: store.positions(topic).get(0, 0) == last + 1)
    worker.kill()
    cluster.remove(worker)
    start(cluster)
    asyncio.run(in_transactions(cluster, orders(30, seed=7)))
    end = max(r.offset for r in asyncio.run(visible(cluster)))
    cluster.wait_for("that all is consumed", lambda: store.positions(topic).get(0, 0) == end + 1)
    committed += [v for n, v in enumerate(orders(30, seed=7)) if n // 10 % 3 != 2]
    replay = cluster.replayed()
    assert replay.counts()["observations"] > 100
    assert store.digest() == replay.digest()
    assert len(asyncio.run(visible(cluster))) == len(committed)


async def visible(cluster: Cluster) -> list[aiokafka.ConsumerRecord]:
    """Read what a reader of committed records sees."""
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=cluster.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    partition = aiokafka.TopicPartition(cluster.topics.event("order"), 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    found = []
    while records := (await consumer.getmany(timeout_ms=1500)).get(partition):
        found += records
    await consumer.stop()
    return found


def test_517_what_is_read_twice_is_done_once(cluster: Cluster) -> None:
    targets = Targets(cluster).start()
    store = cluster.store()
    email, events = subscriber(1, 517)
    start(cluster)
    cluster.emit(events)
    cluster.wait_until_consumed(store)
    for n in range(3):
        # The worker dies as soon as the request has had an effect, wherever its position is then.
        cluster.request("case-517", email)
        cluster.wait_for("the case", lambda: store.case("case-517") is not None)
        cluster.workers[0].kill()
        cluster.remove(cluster.workers[0])
        start(cluster)
        cluster.emit(orders(50, seed=n))
    cluster.wait_until_consumed(store)
    cluster.wait_for("the end of the case", lambda: store.case("case-517").state == "closed")
    assert [c.id for c in store.cases()] == ["case-517"]
    assert len({c["id"] for c in targets.commands}) == len({(c["target"], c["activity"], c["kind"]) for c in targets.commands})
    assert len([row for row in store.certificates() if row.id == "case-517"]) == 1
    assert store.digest() == cluster.replayed(frozenset([email])).digest()


def test_323_a_rebalance_under_load_ends_no_worker_and_doubles_nothing(cluster: Cluster) -> None:
    store = cluster.store()
    first, _ = start(cluster)
    events = orders(1500, seed=323)
    for n in range(3):
        cluster.emit(events[n * 500 : (n + 1) * 500])
        other, _ = start(cluster)
        time.sleep(0.3)
        assert other.stop() == 0
        cluster.remove(other)
        assert first.process.poll() is None
    cluster.wait_until_consumed(store)
    assert store.digest() == cluster.replayed().digest()
    assert "Traceback" not in cluster.logs()
    assert "internal error" not in cluster.logs()


def test_502_nothing_that_was_processed_is_processed_again_after_a_rebalance(cluster: Cluster) -> None:
    store = cluster.store()
    _, one = start(cluster)
    _emit_and_wait(cluster, store, 0)
    _, two = start(cluster)
    _emit_and_wait(cluster, store, 1)
    third, three = start(cluster)
    _emit_and_wait(cluster, store, 2)
    counted = processed(one) + processed(two) + processed(three)
    assert third.stop() == 0
    cluster.remove(third)
    _emit_and_wait(cluster, store, 3)
    total = sum(store.positions(topic).get(p, 0) for topic in cluster.topics.events for p in range(3))
    assert total == 4 * 400
    assert counted == 3 * 400, "a record was processed twice"
    assert min(processed(one), processed(two)) > 0, "both had their share"


def _emit_and_wait(cluster: Cluster, store: GraphStore, seed: int) -> None:
    cluster.emit(orders(400, seed=seed))
    cluster.wait_until_consumed(store)
    time.sleep(0.3)  # The figures are written a moment after the positions.
