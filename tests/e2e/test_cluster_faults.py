"""What breaks in a cluster, and what must be true afterwards; every fault ten times, each with its own randomness.

Checked after every window, from a clean replay of the log in one thread: the graph has the same digest (nothing lost,
nothing doubled, nothing of an erased person back), every bad event is one dead letter, every erasure has come to its end
with each target told under one id, and what was erased changes nothing about anybody else.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Targets, orders, subscriber
from kafka import KafkaConsumer
from kafka import TopicPartition as Partition

from lineage.digest import verify_chain
from lineage.store import GraphStore

pytestmark = [pytest.mark.process, pytest.mark.slow]

SEEDS = range(10)
EVENTS = 180
SESSION_MS = 3000
"""A worker that is silent for longer has lost its partitions."""
Fault = Callable[[Cluster, random.Random], None]


@pytest.fixture
def cluster(tmp_path: Path, kafka_server, neo4j_clean, unique) -> Iterator[Cluster]:
    found = Cluster(tmp_path, kafka_server.bootstrap, unique("faults"), neo4j_clean, LINEAGE_KAFKA_SESSION_MS=str(SESSION_MS))
    Targets(found.make_topics()).start()
    yield found
    found.close()


class Check:
    """What all windows of a test have in common: the erased so far, the bad events so far."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.store = cluster, cluster.store()
        self.erased, self.cases, self.bad = set[str](), list[str](), 0

    def window(self, seed: int, fault: Fault, *, poison: int = 0) -> None:
        """Send events, break something meanwhile, send more, and check everything when all has been consumed."""
        cluster, rng = self.cluster, random.Random(seed)
        events = orders(EVENTS, seed)
        events += rng.sample(events, EVENTS // 20)
        persons = [subscriber(n, seed) for n in range(2)]
        told = [value for _, values in persons for value in values]
        first, second, third = (events[n::3] for n in range(3))
        cluster.emit([*told, *first])
        breaking = threading.Thread(target=fault, args=(cluster, rng))
        breaking.start()
        cluster.emit(second)
        for n, (email, _) in enumerate(persons):
            cluster.request(f"case-{seed}-{n}", email)
            self.erased.add(email)
            self.cases.append(f"case-{seed}-{n}")
        for _ in range(poison):
            cluster.send(cluster.topics.event(rng.choice(("order", "cookie", "support"))), rng.randbytes(rng.randrange(60)))
        self.bad += poison
        cluster.emit([*third, *told])
        breaking.join()
        self.check(seed)

    def check(self, seed: int) -> None:
        cluster, store = self.cluster, self.store
        cluster.wait_until_consumed(store)
        try:
            cluster.wait_for(f"seed {seed}: the end of all cases", lambda: all(_closed(store, c) for c in self.cases))
        except AssertionError as error:
            raise AssertionError(self.what_waits()) from error
        cluster.wait_for(f"seed {seed}: that the graph forgets", lambda: store.counts()["watched"] == 0)
        replay = cluster.replayed(frozenset(self.erased))
        counts, expected = store.counts(), replay.counts()
        assert counts["observations"] == expected["observations"], f"seed {seed}"
        assert store.digest() == replay.digest(), f"seed {seed}"
        letters = store.dead_letters(10_000)
        assert len(letters) == self.bad, f"seed {seed}"
        assert [x[:3] for x in letters] == [x[:3] for x in replay.dead_letters(10_000)], f"seed {seed}"
        assert verify_chain(store.audit(0, 1_000_000)) is None
        assert verify_chain(store.certificates(0, 1_000_000)) is None
        for case in self.cases:
            assert store.certificate(case) is not None, f"seed {seed}: {case}"
        ids: dict[tuple[str, str, str, str | None], set[str]] = {}
        for c in cluster.targets.commands:
            ids.setdefault((c["case"], c["target"], c["kind"], c["activity"]), set()).add(c["id"])
        assert all(len(found) == 1 for found in ids.values()), f"seed {seed}: a target was told twice"
        logs = cluster.logs()
        assert "@example.org" not in logs
        assert "Traceback" not in logs, logs

    def what_waits(self) -> str:
        """Say what the open cases wait for, and whether the targets are still there."""
        lines = [f"targets answer: {self.cluster.targets.alive}; it is {time.time():.0f}, due next {self.store.next_due()}"]
        for case in self.cases:
            row = self.store.case(case)
            if row is None or row.state != "closed":
                told = [c["id"] for c in self.cluster.targets.commands if c["case"] == case]
                rows = self.store.facts([row.key]).commands if row is not None else ()
                waits = [(c.target, c.kind, c.state, c.due, c.attempts, c.id in told) for c in rows if c.case == case]
                lines.append(f"{case}: {'was never filed' if row is None else row.body[:300]} {waits}")
        return "\n".join([*lines, self.cluster.logs()])


def _closed(store: GraphStore, case: str) -> bool:
    row = store.case(case)
    return row is not None and row.state == "closed"


def replace_killed(cluster: Cluster, rng: random.Random) -> None:
    """Kill a worker at a random moment; another takes over."""
    time.sleep(rng.uniform(0, 0.5))
    victim = rng.choice(cluster.workers)
    victim.kill()
    cluster.remove(victim)
    cluster.start()


def test_a_worker_is_killed_in_the_midst_of_a_batch(cluster: Cluster) -> None:
    cluster.start()
    check = Check(cluster)
    for seed in SEEDS:
        check.window(seed, replace_killed)


def test_a_worker_is_killed_between_the_graphs_commit_and_the_groups(cluster: Cluster) -> None:
    cluster.start()
    check = Check(cluster)
    behind = 0

    def after_a_commit(cluster: Cluster, rng: random.Random) -> None:
        """Wait until the graph has a batch that the group has not been told of, and kill the worker then."""
        nonlocal behind
        before = {t: check.store.positions(t) for t in cluster.topics.events}
        cluster.wait_for("a batch", lambda: {t: check.store.positions(t) for t in cluster.topics.events} != before)
        replace_killed(cluster, rng)

    for seed in SEEDS:
        check.window(seed, after_a_commit)
        group = KafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=cluster.topics.prefix, enable_auto_commit=False)
        for topic in cluster.topics.events:
            for partition, position in check.store.positions(topic).items():
                behind += position > (group.committed(Partition(topic, partition)) or 0)
        group.close()
    assert behind, "the group was never behind the graph: nothing was tried"


def test_a_worker_sleeps_until_its_partitions_are_anothers(cluster: Cluster) -> None:
    cluster.start(2)
    check = Check(cluster)

    def sleep(cluster: Cluster, rng: random.Random) -> None:
        victim = rng.choice(cluster.workers)
        victim.pause()
        time.sleep(SESSION_MS / 1000 + rng.uniform(0.5, 2))
        victim.resume()

    for seed in SEEDS:
        check.window(seed, sleep)


def test_one_worker_then_three_then_one(cluster: Cluster) -> None:
    cluster.start()
    check = Check(cluster)

    def roll(cluster: Cluster, rng: random.Random) -> None:
        old = cluster.workers[0]
        cluster.start(2)
        time.sleep(rng.uniform(0, 1))
        for worker in rng.sample(cluster.workers, 2) if rng.random() < 0.5 else [old, cluster.workers[1]]:
            assert worker.stop() == 0
            cluster.remove(worker)

    for seed in SEEDS:
        check.window(seed, roll)


def test_poison_among_the_events(cluster: Cluster) -> None:
    cluster.start(2)
    check = Check(cluster)
    for seed in SEEDS:
        check.window(seed, replace_killed if seed % 3 == 0 else lambda *_: None, poison=7)


def test_the_graph_is_gone_for_a_while_under_load(tmp_path: Path, kafka_server, own_neo4j, unique) -> None:
    server = own_neo4j()
    cluster = Cluster(
        tmp_path, kafka_server.bootstrap, unique("graph-gone"), server, LINEAGE_KAFKA_SESSION_MS=str(SESSION_MS)
    ).make_topics()
    Targets(cluster).start()
    cluster.start(2)
    check = Check(cluster)

    def gone(cluster: Cluster, rng: random.Random, seconds: float) -> None:
        time.sleep(rng.uniform(0, 0.5))
        if rng.random() < 0.5:
            server.kill()
            time.sleep(seconds)
            server.start()
        else:
            server.pause()
            time.sleep(seconds)
            server.resume()

    try:
        for seed in SEEDS:
            check.window(seed, lambda c, rng, s=seed: gone(c, rng, 60 if s == 0 else rng.uniform(1, 4)))
    finally:
        cluster.close()


def test_the_broker_is_killed_and_comes_again(tmp_path: Path, own_kafka, neo4j_clean, unique) -> None:
    broker = own_kafka()
    cluster = Cluster(
        tmp_path, broker.bootstrap, unique("broker-gone"), neo4j_clean, LINEAGE_KAFKA_SESSION_MS=str(SESSION_MS)
    ).make_topics()
    Targets(cluster).start()
    cluster.start(2)
    check = Check(cluster)

    def gone(_cluster: Cluster, rng: random.Random) -> None:
        time.sleep(rng.uniform(0, 0.5))
        broker.kill()
        time.sleep(rng.uniform(0.5, 3))
        broker.start()

    try:
        for seed in SEEDS:
            check.window(seed, gone)
    finally:
        cluster.close()


def test_faults_that_come_together(cluster: Cluster) -> None:
    cluster.start(2)
    check = Check(cluster)

    def several(cluster: Cluster, rng: random.Random) -> None:
        for fault in rng.sample((replace_killed, _nap, _join_and_leave), rng.randrange(1, 4)):
            fault(cluster, rng)

    for seed in SEEDS:
        check.window(seed, several if seed % 4 else lambda *_: None, poison=seed % 3)


def _nap(cluster: Cluster, rng: random.Random) -> None:
    victim = rng.choice(cluster.workers)
    victim.pause()
    time.sleep(rng.uniform(0.2, 2))
    victim.resume()


def _join_and_leave(cluster: Cluster, rng: random.Random) -> None:
    worker = cluster.start()[0]
    time.sleep(rng.uniform(0, 1))
    assert worker.stop() == 0
    cluster.remove(worker)
