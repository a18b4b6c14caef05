"""A cluster under test: workers as processes of their own, targets that answer, a log that is read again from its start.

What a test may break is broken from outside (signals, servers); what it checks is what the graph says afterwards,
against a single-threaded replay of the log into a store of its own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as Partition
from running import ROOT

import schemas
from lineage import policy_file
from lineage.identity import KeyRing
from lineage.intake import Received
from lineage.pipeline import Pipeline
from lineage.sqlite_store import SQLiteStore
from lineage.store import GraphStore
from streams import secrets, wire
from streams.taking import stream_of
from streams.topics import Topics

START_SECONDS_MAX = 60
HEAL_SECONDS_MAX = 120
CONTROLLER = "pompdelux"


class Worker:
    """A worker process."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "streams.worker"], cwd=ROOT, env=env, stdout=out, stderr=out)

    def wait_until_started(self) -> Worker:
        until = time.monotonic() + START_SECONDS_MAX
        while b"working for group" not in self.log.read_bytes():
            assert self.process.poll() is None, f"the worker ended: {self.log.read_text()}"
            assert time.monotonic() < until, f"the worker does not start: {self.log.read_text()}"
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


class Cluster:
    """Topics, workers and a graph of one test's own."""

    def __init__(self, folder: Path, bootstrap: str, prefix: str, neo4j: Any = None, **env: str) -> None:
        self.folder, self.bootstrap, self.topics, self.neo4j = folder, bootstrap, Topics(prefix), neo4j
        self.env = {
            **os.environ, "LINEAGE_DATA": str(folder), "LINEAGE_KAFKA": bootstrap, "LINEAGE_TOPICS": prefix,
            "LINEAGE_KAFKA_GROUP": prefix, "LINEAGE_KAFKA_PARTITIONS": "3", "LINEAGE_TICK_SECONDS": "1", "LINEAGE_LINGER_MS": "50",
        }  # fmt: skip
        self.env.pop("LINEAGE_NEO4J", None)
        if neo4j is not None:
            self.env |= {"LINEAGE_NEO4J": neo4j.uri, "LINEAGE_NEO4J_USER": neo4j.user, "LINEAGE_NEO4J_PASSWORD": neo4j.password}
        self.env |= env
        self.workers: list[Worker] = []
        self.started = 0
        self._producer: Any = None
        self._stores: list[GraphStore] = []
        self.targets: Targets | None = None

    def lineage(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "streams.cli", *words], cwd=ROOT, env=self.env, text=True, capture_output=True)

    def make_topics(self) -> Cluster:
        made = self.lineage("topics", "--json")
        assert made.returncode == 0, made.stderr
        return self

    def start(self, count: int = 1) -> list[Worker]:
        fresh = []
        for _ in range(count):
            self.started += 1
            fresh.append(Worker(self.env, self.folder / f"worker-{self.started}.log"))
        self.workers += fresh
        return [w.wait_until_started() for w in fresh]

    def remove(self, worker: Worker) -> None:
        self.workers.remove(worker)

    # -- events ------------------------------------------------------------------------------------------------------

    @property
    def producer(self) -> Any:
        if self._producer is None:
            self._producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=5, max_block_ms=120_000)
        return self._producer

    def emit(self, values: Iterable[bytes]) -> None:
        """Send events and wait until the broker has all of them."""
        sent = []
        for value in values:
            kind, record = schemas.registry().decode(value)
            key = wire.event_key(record["controller"], record["person"] or {})
            sent.append(self.producer.send(self.topics.event(stream_of(value)), key=key, value=value))
            assert kind.stream == stream_of(value)
        for one in sent:
            one.get(timeout=120)

    def send(self, topic: str, value: bytes | None, key: bytes | None = None) -> None:
        self.producer.send(topic, key=key, value=value).get(timeout=120)

    def request(self, case: str, email: str, right: str = "erasure", via: str = "phone") -> None:
        told = {"case": case, "controller": CONTROLLER, "right": right, "identifier": {"kind": "email", "value": email}, "via": via}
        self.send(self.topics.requests, wire.encode_request(told))

    # -- what came of it ---------------------------------------------------------------------------------------------

    def store(self) -> GraphStore:
        """Open the graph to look at it; `close` closes it."""
        if self.neo4j is None:
            found: GraphStore = SQLiteStore.open(self.folder / "lineage.sqlite", readonly=True)
        else:
            from lineage.neo4j_store import Neo4jStore

            found = Neo4jStore.open(self.neo4j.uri, self.neo4j.user, self.neo4j.password)
        self._stores.append(found)
        return found

    @property
    def spoken(self) -> tuple[str, ...]:
        return (*self.topics.events, self.topics.requests, self.topics.receipts)

    def ends(self) -> dict[Partition, int]:
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        try:
            partitions = [Partition(t, p) for t in self.spoken for p in consumer.partitions_for_topic(t) or ()]
            return dict(consumer.end_offsets(partitions))
        finally:
            consumer.close()

    def wait_until_consumed(self, store: GraphStore, seconds_max: float = HEAL_SECONDS_MAX) -> None:
        """Wait until the graph has consumed all that is on the topics now."""
        ends, until = self.ends(), time.monotonic() + seconds_max
        while True:
            done = {t: store.positions(t) for t in self.spoken}
            behind = {
                p: end - done[p.topic].get(p.partition, 0) for p, end in ends.items() if done[p.topic].get(p.partition, 0) < end
            }
            if not behind:
                return
            assert time.monotonic() < until, f"not consumed: {behind}\n{self.logs()}"
            time.sleep(0.1)

    def wait_for(self, what: str, condition: Any, seconds_max: float = HEAL_SECONDS_MAX) -> None:
        until = time.monotonic() + seconds_max
        while not condition():
            assert time.monotonic() < until, f"{what} does not come about\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(f"--- {p.name}\n{p.read_text()}" for p in sorted(self.folder.glob("worker-*.log")))

    def log_of_events(self) -> list[Received]:
        """Read all events again from the first, partition by partition."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed")
        found: list[Received] = []
        try:
            partitions = [Partition(t, p) for t in self.topics.events for p in consumer.partitions_for_topic(t) or ()]
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            while any(consumer.position(p) < end for p, end in ends.items()):
                for partition, records in consumer.poll(timeout_ms=500, max_records=5000).items():
                    found += [Received(partition.topic, partition.partition, r.offset, r.value or b"") for r in records]
        finally:
            consumer.close()
        return found

    def ring(self) -> KeyRing:
        return secrets.load(self.folder / "secrets.json", (), os.urandom).ring()

    def replayed(self, without: frozenset[str] = frozenset()) -> SQLiteStore:
        """Replay the log into a store in memory, one event after another, without what certain persons' events say."""
        store = SQLiteStore.open(":memory:")
        policies = {c: policy_file.load(c, None) for c in policy_file.controllers()}
        pipeline = Pipeline(store, policies, self.ring(), random.Random(0).randbytes)
        records = [r for r in self.log_of_events() if not _is_of(r.value, without)]
        for n in range(0, len(records), 500):
            pipeline.ingest(records[n : n + 500], int(time.time()))
        return store

    def close(self) -> None:
        if self.targets is not None:
            self.targets.stop()
        for worker in self.workers:
            worker.resume()
            worker.kill()
        if self._producer is not None:
            self._producer.close(timeout=5)
        for store in self._stores:
            store.close()


def _is_of(value: bytes, persons: frozenset[str]) -> bool:
    try:
        _, record = schemas.registry().decode(value)
    except schemas.DecodeError:
        return False
    return (record["person"] or {}).get("email") in persons


class Targets:
    """The systems and recipients of a controller: each command that comes is answered, at once and again when it comes again."""

    def __init__(self, cluster: Cluster, controller: str = CONTROLLER) -> None:
        self.cluster, self.commands, self.withdrawn = cluster, list[dict[str, Any]](), set[str]()
        policy = policy_file.load(controller, None)
        self.names = sorted({*policy.systems, *policy.recipients})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        cluster.targets = self

    def start(self) -> Targets:
        self._thread.start()
        return self

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        topics = [self.cluster.topics.commands(CONTROLLER, name) for name in self.names]
        consumer = KafkaConsumer(bootstrap_servers=self.cluster.bootstrap)
        consumer.assign([Partition(t, 0) for t in topics])
        consumer.seek_to_beginning(*consumer.assignment())
        producer = KafkaProducer(bootstrap_servers=self.cluster.bootstrap, acks="all", max_block_ms=120_000)
        while not self._stop.is_set():
            for records in consumer.poll(timeout_ms=200).values():
                for record in records:
                    if record.value is None:
                        self.withdrawn.add(record.key.decode())
                        continue
                    command = wire.decode_command(record.value)
                    self.commands.append(command)
                    outcome = "erased" if command["kind"] == "erase" else "done"
                    producer.send(
                        self.cluster.topics.receipts, key=command["id"].encode(), value=wire.encode_receipt(command["id"], outcome)
                    )
            producer.flush()
        consumer.close()
        producer.close(timeout=5)


def subscriber(n: int, window: int, at: str = "2026-11-20T10:00:00Z") -> tuple[str, list[bytes]]:
    """Give a person who only has the newsletter, and the events that told so."""
    email = f"canary-{window}-{n}@example.org"
    base = {"source": "web-shop", "controller": CONTROLLER, "person": {"email": email}}
    events = [
        {**base, "id": f"s-{window}-{n}", "type": "newsletter.subscribed", "time": at, "channel": "email", "express": True,
         "data": {"email": email, "subscription": "yes"}},
    ]  # fmt: skip
    return email, [schemas.registry().encode_json(e) for e in events]


def orders(count: int, seed: int) -> list[bytes]:
    """Give events of customers who order, pay and get what they ordered; few customers, many orders."""
    rng, found = random.Random(seed), []
    for n in range(count):
        who = rng.randrange(max(4, count // 6))
        email, number, order = f"customer-{seed}-{who}@example.org", f"c-{seed}-{who}", f"o-{seed}-{rng.randrange(count)}"
        person = rng.choice([{"email": email, "customer_number": number}, {"email": email}, {"customer_number": number}])
        kind, data = rng.choice(_KINDS)
        event = {"id": f"e-{seed}-{n}", "source": "web-shop", "type": kind, "controller": CONTROLLER, "person": person, "order": order,
                 "time": f"2026-11-{rng.randrange(1, 21):02}T{rng.randrange(24):02}:00:00Z", "data": data}  # fmt: skip
        if kind == "order.placed":
            event["lines"] = 1
        found.append(schemas.registry().encode_json(event))
    return found


_KINDS: Sequence[tuple[str, dict[str, str]]] = (
    ("order.placed", {"name": "Ann Krogh", "address": "1 Mill Road", "email": "ann@example.org", "order_content": "a dress"}),
    ("order.paid", {"name": "Ann Krogh", "payment_information": "card"}),
    ("order.shipped", {"name": "Ann Krogh", "address": "1 Mill Road"}),
    ("order.delivered", {}),
)


def body(text: str) -> Any:
    return orjson.loads(text)


__all__ = ["CONTROLLER", "Cluster", "Targets", "Worker", "body", "json", "orders", "subscriber"]
