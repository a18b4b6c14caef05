"""A worker on a real Kafka: events, requests, commands, receipts, alerts and dead letters, with either store behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from cluster import Cluster, Targets, orders, subscriber
from kafka import KafkaConsumer
from kafka import TopicPartition as Partition

import schemas
from lineage.digest import verify_chain
from streams import wire

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(params=["sqlite", "neo4j"])
def cluster(request, tmp_path: Path, kafka_server, unique) -> Iterator[Cluster]:
    graph = request.getfixturevalue("neo4j_clean") if request.param == "neo4j" else None
    found = Cluster(tmp_path, kafka_server.bootstrap, unique("worker"), graph).make_topics()
    yield found
    found.close()


def read_all(cluster: Cluster, topic: str) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap)
    partition = Partition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end, found = consumer.end_offsets([partition])[partition], []
    while consumer.position(partition) < end:
        for records in consumer.poll(timeout_ms=500).values():
            found += [(r.key, r.value, dict(r.headers)) for r in records]
    consumer.close()
    return found


def test_events_become_the_graph_that_a_replay_of_the_log_gives(cluster: Cluster) -> None:
    cluster.start()
    cluster.emit(orders(1500, seed=1))
    store = cluster.store()
    cluster.wait_until_consumed(store)
    replay = cluster.replayed()
    assert replay.counts()["observations"] > 1000
    assert store.digest() == replay.digest()
    assert store.counts()["dead_letters"] == 0


def test_an_erasure_goes_through_topics_to_every_target_and_back_and_is_certified(cluster: Cluster) -> None:
    targets = Targets(cluster).start()
    cluster.start()
    email, events = subscriber(1, 0)
    other, others = subscriber(2, 0)
    cluster.emit([*events, *others])
    store = cluster.store()
    cluster.wait_until_consumed(store)
    cluster.request("case-1", email)
    cluster.wait_for("the end of the case", lambda: (c := store.case("case-1")) is not None and c.state == "closed")
    told = {c["target"] for c in targets.commands if c["case"] == "case-1"}
    assert {"newsletter_system"} <= told
    assert all(c["identifiers"] == {"email": [email]} for c in targets.commands)
    certificate = orjson.loads(store.certificate("case-1"))
    assert {t["outcome"] for t in certificate["targets"]} == {"erased"}
    assert {t["target"] for t in certificate["targets"]} == told
    # The graph forgets the person, and keeps the other one.
    cluster.wait_for("that the graph forgets", lambda: store.counts()["identifiers"] == 1)
    assert store.counts()["tombstones"] == 1
    assert store.digest() == cluster.replayed(frozenset([email])).digest()
    # What was answered leaves its topic: a record without value takes its place.
    cluster.wait_for("that answered commands are withdrawn", lambda: {c["id"] for c in targets.commands} <= targets.withdrawn)
    # The same events again, late, bring nothing back: their system is commanded again, and when it has answered all is forgotten.
    cluster.emit(events)
    cluster.wait_until_consumed(store)
    cluster.wait_for("that the graph forgets again", lambda: store.counts()["watched"] == 0)
    assert {c["target"] for c in targets.commands if c["case"] != "case-1"} == {"newsletter_system"}
    assert {c.state for c in store.cases()} == {"closed"}
    assert store.digest() == cluster.replayed(frozenset([email])).digest()
    # Whoever was erased may ask again, and is told that nothing is held.
    cluster.request("case-2", email, "access")
    cluster.wait_for("the second case", lambda: (c := store.case("case-2")) is not None and c.state == "closed")
    assert orjson.loads(store.case("case-2").body)["answer"] == {}
    assert verify_chain(store.audit(0, 100_000)) is None
    assert email not in cluster.logs()
    assert other not in cluster.logs()


def test_what_is_no_event_goes_to_the_dead_letters_once_and_the_rest_goes_on(cluster: Cluster) -> None:
    cluster.start()
    good = orders(20, seed=2)
    cluster.emit(good[:10])
    secret = b"anna-canary@example.org"
    topic = cluster.topics.event("order")
    for bad in (b"", secret, schemas.HEADER.pack(0, 999_999) + secret, good[0][:-3], wire.encode_receipt("c", "erased")):
        cluster.send(topic, bad)
    cluster.send(topic, None, b"a key and nothing else")
    cluster.send(cluster.topics.requests, b"\0\0\0\0\1nonsense")
    cluster.send(cluster.topics.receipts, wire.encode_receipt("no-such-command", "erased"))
    cluster.emit(good[10:])
    store = cluster.store()
    cluster.wait_until_consumed(store)
    letters = store.dead_letters()
    assert len(letters) == 8
    assert all(secret not in letter.reason.encode() and secret not in letter.sealed for letter in letters)
    cluster.wait_for("the dead letters on their topic", lambda: len(read_all(cluster, cluster.topics.dead_letters)) == 8)
    told = read_all(cluster, cluster.topics.dead_letters)
    places = {(x["topic"], x["partition"], x["offset"]) for x in (wire.decode_dead_letter(v) for _, v, _ in told)}
    assert places == {letter[:3] for letter in letters}
    assert all(secret not in value for _, value, _ in told)
    assert store.counts()["observations"] == cluster.replayed().counts()["observations"]


def test_alerts_go_onto_their_topic(cluster: Cluster) -> None:
    cluster.start()
    store = cluster.store()
    # Gaps in the policies are warned of when they are put into force.
    warned = [row for row in store.audit(0, 1000) if row.kind == "warned"]
    assert warned
    cluster.wait_for("the alerts", lambda: len(read_all(cluster, cluster.topics.alerts)) >= len(warned))
    time.sleep(1)
    told = read_all(cluster, cluster.topics.alerts)
    assert {key.decode() for key, _, _ in told} == {row.id for row in warned}
    alerts = {a["id"]: a for a in (wire.decode_alert(value) for _, value, _ in told)}
    assert all(alerts[row.id]["about"] == orjson.loads(row.body)["about"] for row in warned)
    assert {headers["ce_type"] for _, _, headers in told} == {wire.ALERT.encode()}


def test_a_worker_that_is_stopped_writes_what_it_has_and_the_next_goes_on(cluster: Cluster) -> None:
    worker = cluster.start()[0]
    events = orders(3000, seed=3)
    cluster.emit(events[:1500])
    assert worker.stop() == 0
    cluster.remove(worker)
    cluster.emit(events[1500:])
    cluster.start()
    store = cluster.store()
    cluster.wait_until_consumed(store)
    assert store.digest() == cluster.replayed().digest()
    assert "Traceback" not in cluster.logs()


def test_a_worker_says_in_one_line_what_it_lacks(tmp_path: Path, kafka_server, unique) -> None:
    cluster = Cluster(tmp_path, kafka_server.bootstrap, unique("lacking"))
    found = cluster.lineage("worker")
    assert found.returncode == 2
    assert "run `lineage topics`" in found.stderr
    assert found.stderr.count("\n") == 1
    cluster.env["LINEAGE_KAFKA"] = "127.0.0.1:9"
    found = cluster.lineage("worker")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "LINEAGE_KAFKA" in found.stderr
    del cluster.env["LINEAGE_KAFKA"]
    found = cluster.lineage("worker")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert found.stderr.startswith("lineage: LINEAGE_KAFKA is not set")
