"""Measure the cluster on one topic of a real Kafka: a worker against Faust alone, against decoding alone, and Neo4j.

Every side is a process of its own that reads the same topic from the start, one after another, and says how long it took
from when it had its partitions and their places. Servers are started for the run unless LINEAGE_TEST_KAFKA and
LINEAGE_TEST_NEO4J name some; those over Neo4j come once unmeasured first, since its first statements are slow whoever sends
them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import faust
import neo4j

import schemas
from bench import datasets
from bench.embedded import encoded, pipeline_on, tell
from lineage.errors import LineageError
from lineage.facts import Rows
from lineage.intake import Received
from lineage.sqlite_store import SQLiteStore
from streams import settings, wiring
from streams.app import Agents
from streams.calls import Calls
from streams.desk import Desk
from streams.intake_kafka import address
from streams.kafka_feed import KafkaFeed
from streams.local_servers import Kafka, Neo4j
from streams.server_files import Sources
from streams.topics import Topics

PARTITIONS = 4
BATCH = 20_000
"""Records that one getmany may give: the same for every side."""
NEO4J_BATCH = 10_000
WARM_SHARE = 0.1
"""Memory is looked at first when this share of the events is in: before, caches and connections fill."""
WARM_EVENTS = 100_000
"""So many go over Neo4j unmeasured first."""
_NEVER = "1000000"


# -- the topic ---------------------------------------------------------------------------------------------------------


async def fill(bootstrap: str, topic: str, values: Sequence[bytes]) -> None:
    """Put the events on the topic, by key, in batches made by hand: one call per event would take minutes."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=2 << 20)
    await producer.start()
    await producer.partitions_for(topic)
    open_batches: dict[int, Any] = {}
    sent: list[Awaitable[Any]] = []
    for value in values:
        key, headers = address(value)
        partition = int.from_bytes((key or b"\0")[:4], "big") % PARTITIONS
        while True:
            batch = open_batches.setdefault(partition, producer.create_batch())
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is not None:
                break
            sent.append(await producer.send_batch(open_batches.pop(partition), topic, partition=partition))
            if len(sent) >= PARTITIONS * 4:
                await asyncio.gather(*sent)
                sent.clear()
    sent += [await producer.send_batch(b, topic, partition=p) for p, b in open_batches.items()]
    await asyncio.gather(*sent)
    await producer.stop()


# -- the sides ---------------------------------------------------------------------------------------------------------


def rss_mb() -> float:
    """Give the memory that this process has now, in MiB."""
    text = Path("/proc/self/status").read_text()
    return round(int(text.partition("VmRSS:")[2].split()[0]) / 1024, 1)


async def _consumer(told: Any, group: str) -> Any:
    consumer = aiokafka.AIOKafkaConsumer(told.topic, bootstrap_servers=told.bootstrap, group_id=group, auto_offset_reset="earliest",
                                         enable_auto_commit=False)  # fmt: skip
    await consumer.start()
    while not consumer.assignment():  # noqa: ASYNC110 - the client tells it in no other way
        await asyncio.sleep(0.01)
    return consumer


async def decode_side(told: Any) -> dict[str, float]:
    """Consume and decode, no more."""
    consumer, decode, count = await _consumer(told, f"{told.prefix}-decode"), schemas.registry().decode, 0
    start, cpu = time.perf_counter(), time.process_time()
    while count < told.events:
        for records in (await consumer.getmany(timeout_ms=500, max_records=BATCH)).values():
            for record in records:
                decode(record.value)
            count += len(records)
    found = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    await consumer.stop()
    return found


async def faust_side(told: Any) -> dict[str, float]:
    """Let a Faust agent take the topic's events one by one and do nothing with them."""
    # A group of its own: one that has committed goes on from there, and would wait for ever.
    app = faust.App(f"{told.prefix}-noop-{os.getpid()}", broker=f"kafka://{told.bootstrap}", store="memory://", web_enabled=False,
                    consumer_auto_offset_reset="earliest", topic_disable_leader=True, broker_commit_interval=5.0,
                    stream_wait_empty=False)  # fmt: skip
    topic = app.topic(told.topic, value_serializer="raw", key_serializer="raw", value_type=bytes)
    seen, first, done = 0, 0.0, asyncio.Event()
    cpu = 0.0

    async def noop(stream: Any) -> None:
        nonlocal seen, first, cpu
        async for _ in stream:
            if not seen:
                first, cpu = time.perf_counter(), time.process_time()
            seen += 1
            if seen >= told.events:
                done.set()

    app.agent(topic)(noop)
    await app.start()
    await done.wait()
    found = {"seconds": time.perf_counter() - first, "cpu": time.process_time() - cpu}
    await app.stop()
    return found


async def worker_side(told: Any) -> dict[str, float]:
    """Run everything that `lineage worker` runs for events; the store is the one that the settings name."""
    setting = settings.load()
    engine = wiring.engine(setting)
    wiring.quiet_collector()
    wiring.take_turns(engine.store)
    desk = Desk()
    agents = Agents(engine, desk)

    async def answered(_row: Any) -> None:
        return

    calls = Calls(engine, Topics(told.prefix), agents.ask, agents.figures, answered)
    assert setting.kafka is not None
    feed = KafkaFeed(setting.kafka, engine.store, desk, agents.taker, calls.carry_out, setting.batch_events_max)
    await agents.start()
    await feed.start()
    while not feed.placed:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
    start, cpu, warm = time.perf_counter(), time.process_time(), 0.0
    while agents.figures.events < told.share:
        await asyncio.sleep(0.01)
        if not warm and agents.figures.events >= told.share * WARM_SHARE:
            warm = rss_mb()
    found = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "rss_start_mb": warm, "rss_end_mb": rss_mb(),
             "batches": agents.figures.batches, "dead": agents.figures.dead_letters}  # fmt: skip
    counts = engine.store.counts()
    found["rows"] = sum(counts[k] for k in ("identifiers", "observations", "links"))
    await feed.stop()
    await agents.stop()
    desk.close()
    engine.close()
    return found


def bare_side(told: Any) -> dict[str, float]:
    """Write the rows of the same events with two statements a batch, as a loop that knows nothing else would."""
    values = encoded(told.data, told.events, told.seed)[: told.share]
    store = SQLiteStore.open(":memory:")
    pipeline = pipeline_on(store, told.seed)
    rows: list[Rows] = []
    for n, value in enumerate(values):
        tagged, facts = pipeline.prepare(Received(told.topic, 0, n, value))
        if pipeline.intake.reactions.relevant(tagged):
            rows.append(facts)
    seen: set[int] = set()
    batches: list[tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]] = []
    links: set[tuple[Any, ...]] = set()
    for n in range(0, len(rows), NEO4J_BATCH):
        part = rows[n : n + NEO4J_BATCH]
        nodes = {i[0]: {"key": i[0], "check": i[1], "kind": i[2], "sealed": bytes(140)} for r in part for i in r.identifiers}
        edges = [{"key": o.key, "at": o.at, "shape": o.shape, "matter": o.matter, "about": o.about, "evidence": o.evidence}
                 for r in part for o in r.observations]  # fmt: skip
        fresh = {link[:4]: link for r in part for link in r.links if link[:4] not in links}
        links |= fresh.keys()
        new = [v for k, v in sorted(nodes.items()) if k not in seen]
        joined = [{"a": link.a, "b": link.b, "shape": link.shape, "at": link.at} for _, link in sorted(fresh.items())]
        batches.append((new, sorted(edges, key=lambda e: (e["key"], e["at"])), joined))
        seen |= nodes.keys()
    shapes = [{"id": s.id, "type": s.type} for s in pipeline.shapes.by_id.values()]
    with (
        neo4j.GraphDatabase.driver(told.neo4j, auth=(told.user, told.password)) as driver,
        driver.session(database="neo4j") as session,
    ):
        session.run("CREATE CONSTRAINT bare_key IF NOT EXISTS FOR (n:BareKey) REQUIRE n.key IS UNIQUE").consume()
        session.run("CREATE CONSTRAINT bare_shape IF NOT EXISTS FOR (n:BareShape) REQUIRE n.id IS UNIQUE").consume()
        session.run("UNWIND $rows AS r MERGE (n:BareShape {id: r.id}) SET n.type = r.type", rows=shapes).consume()
        gc.collect()
        start = time.perf_counter()
        count = 0
        for nodes_, edges_, links_ in batches:
            session.execute_write(_bare_write, nodes_, edges_, links_)
            count += len(nodes_) + len(edges_) + len(links_)
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "rows": count}


def _bare_write(tx: Any, nodes: list[Any], edges: list[Any], links: list[Any]) -> None:
    tx.run("UNWIND $rows AS r MERGE (n:BareKey {key: r.key}) ON CREATE SET n.check = r.check, n.kind = r.kind, n.sealed = r.sealed",
           rows=nodes).consume()  # fmt: skip
    tx.run("UNWIND $rows AS r MATCH (n:BareKey {key: r.key}) MATCH (s:BareShape {id: r.shape})"
           " MERGE (n)-[o:BARE_OBSERVED {at: r.at, matter: r.matter, about: r.about}]->(s) ON CREATE SET o.evidence = r.evidence",
           rows=edges).consume()  # fmt: skip
    tx.run("UNWIND $rows AS r MATCH (a:BareKey {key: r.a}) MATCH (b:BareKey {key: r.b})"
           " MERGE (a)-[l:BARE_LINK {shape: r.shape}]->(b) ON CREATE SET l.at = r.at", rows=links).consume()  # fmt: skip


SIDES: dict[str, Callable[[Any], Any]] = {"decode": decode_side, "faust": faust_side, "worker": worker_side, "bare": bare_side}


# -- the run -----------------------------------------------------------------------------------------------------------


class Run:
    """One run: the servers, the topic, and the sides one after another."""

    def __init__(self, told: argparse.Namespace, folder: Path, bootstrap: str, graph: Neo4j | SimpleNamespace) -> None:
        self.told, self.folder, self.bootstrap, self.graph = told, folder, bootstrap, graph
        self.turn = 0
        self.prefix = f"bench-{os.getpid()}"
        self.topic = Topics(self.prefix).event("order")

    def side(self, name: str, share: int, **env: str) -> dict[str, float]:
        """Run a side in a process of its own and read what it says."""
        process = self.start(name, share, **env)
        out, _ = process.communicate()
        if process.returncode:
            msg = f"the side {name} ended with {process.returncode}"
            raise RuntimeError(msg)
        found: dict[str, float] = json.loads(out.splitlines()[-1])
        return found

    def start(self, name: str, share: int, **env: str) -> subprocess.Popen[str]:
        """Start a side; a group and a folder of its own, unless told otherwise."""
        self.turn += 1
        mine = {"LINEAGE_KAFKA": self.bootstrap, "LINEAGE_TOPICS": self.prefix, "LINEAGE_KAFKA_GROUP": f"{self.prefix}-{self.turn}",
                "LINEAGE_DATA": str(self.folder / f"side-{self.turn}"), "LINEAGE_TICK_SECONDS": _NEVER,
                "LINEAGE_BATCH_EVENTS": str(BATCH), "LINEAGE_LINGER_MS": "100"}  # fmt: skip
        content = {"events": self.told.events, "share": share, "data": self.told.data, "seed": self.told.seed, "topic": self.topic,
                   "prefix": self.prefix, "bootstrap": self.bootstrap, "neo4j": self.graph.uri, "user": self.graph.user,
                   "password": self.graph.password}  # fmt: skip
        process = subprocess.Popen([sys.executable, "-m", "bench.cluster", "--side", name], env={**os.environ, **mine, **env},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps(content))
        process.stdin.close()
        process.stdin = None
        return process

    def on_neo4j(self) -> dict[str, str]:
        """Give the settings of a worker over Neo4j."""
        graph = self.graph
        return {"LINEAGE_NEO4J": graph.uri, "LINEAGE_NEO4J_USER": graph.user, "LINEAGE_NEO4J_PASSWORD": graph.password,
                "LINEAGE_BATCH_EVENTS": str(NEO4J_BATCH)}  # fmt: skip

    def empty(self) -> None:
        """Empty the graph."""
        driver = neo4j.GraphDatabase.driver(self.graph.uri, auth=(self.graph.user, self.graph.password))
        with driver, driver.session(database="neo4j") as session:
            # Edges first: a shape has so many that they do not go with it in one transaction.
            session.run("MATCH ()-[r]->() CALL (r) { DELETE r } IN TRANSACTIONS OF 20000 ROWS").consume()
            session.run("MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS OF 20000 ROWS").consume()

    def scaling(self, share: int) -> float:
        """Give how much faster two workers are than one, until the graph has all of the same events."""
        return round(self.timed(1, share) / self.timed(2, share), 2)

    def timed(self, count: int, share: int) -> float:
        """Give the seconds from the first batch in the graph until so many events are, with so many workers."""
        self.empty()
        env = {**os.environ, **self.on_neo4j(), "LINEAGE_KAFKA": self.bootstrap, "LINEAGE_TOPICS": self.prefix,
               "LINEAGE_KAFKA_GROUP": f"{self.prefix}-scaling-{count}", "LINEAGE_DATA": str(self.folder / f"scaling-{count}"),
               "LINEAGE_TICK_SECONDS": _NEVER, "LINEAGE_LINGER_MS": "100", "LINEAGE_KAFKA_PARTITIONS": str(PARTITIONS)}  # fmt: skip
        store = wiring._store(settings.load(env), {}, readonly=True)  # noqa: SLF001 - the graph as a worker would open it
        crew = [
            subprocess.Popen([sys.executable, "-m", "streams.worker"], env=env, stdout=subprocess.DEVNULL) for _ in range(count)
        ]
        try:
            start = 0.0
            while True:
                done = sum(store.positions(self.topic).values())
                start = start or (time.perf_counter() if done else 0.0)
                if done >= share:
                    return time.perf_counter() - start
                time.sleep(0.02)
        finally:
            for member in crew:
                member.terminate()
            for member in crew:
                member.wait()
            store.close()


@contextmanager
def servers(folder: Path) -> Iterator[tuple[str, Any]]:
    """Give a Kafka and a Neo4j: those that the environment names, else our own for this run."""
    started: list[Kafka | Neo4j] = []
    address, graph = os.environ.get("LINEAGE_TEST_KAFKA"), os.environ.get("LINEAGE_TEST_NEO4J")
    try:
        if not address:
            tell("starting Kafka")
            kafka = Kafka(folder / "kafka", Sources())
            started.append(kafka)
            kafka.start()
            address = kafka.bootstrap
        found: Any
        if graph:
            password = os.environ.get("LINEAGE_TEST_NEO4J_PASSWORD", "")
            found = SimpleNamespace(uri=graph, user=os.environ.get("LINEAGE_TEST_NEO4J_USER", "neo4j"), password=password)
        else:
            tell("starting Neo4j")
            found = Neo4j(folder / "neo4j", Sources())
            started.append(found)
            found.start()
        yield address, found
    finally:
        for server in started:
            server.stop()


def measured(told: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure everything, `rounds` times each pair, its sides one after the other; the middle ratio counts."""
    tell("encoding the events")
    values = encoded(told.data, told.events, told.seed)
    with servers(folder) as (bootstrap, graph):
        run = Run(told, folder, bootstrap, graph)
        env = {**os.environ, "LINEAGE_KAFKA": bootstrap, "LINEAGE_TOPICS": run.prefix, "LINEAGE_KAFKA_PARTITIONS": str(PARTITIONS)}
        subprocess.run([sys.executable, "-m", "streams.cli", "topics"], env=env, check=True, stdout=subprocess.DEVNULL)
        tell("filling the topic")
        asyncio.run(fill(bootstrap, run.topic, values))
        rounds = []
        for n in range(told.rounds):
            one = {name: run.side(name, told.events) for name in ("decode", "worker", "faust")}
            rounds.append(one)
            rate = told.events / one["worker"]["seconds"]
            tell(f"round {n + 1}: worker {rate:,.0f} events/s; decode {told.events / one['decode']['seconds']:,.0f};"
                 f" Faust alone {told.events / one['faust']['seconds']:,.0f}")  # fmt: skip
        share = min(told.events, told.neo4j_events)
        pairs = []
        warm = min(share, WARM_EVENTS)
        for name, env in (("bare", {}), ("worker", run.on_neo4j())):
            run.empty()
            run.side(name, warm, **env)
        for n in range(told.rounds):
            run.empty()
            bare = run.side("bare", share)
            run.empty()
            full = run.side("worker", share, **run.on_neo4j())
            pairs.append((bare["rows"] / bare["seconds"], full["rows"] / full["seconds"]))
            tell(f"round {n + 1}: Neo4j: bare {pairs[-1][0]:,.0f} rows/s, worker {pairs[-1][1]:,.0f} rows/s")
        tell("one worker against two")
        scaling = run.scaling(share)
    middle = statistics.median
    return {
        "events": told.events,
        "data": told.data,
        "worker_events_per_s": round(middle(told.events / r["worker"]["seconds"] for r in rounds)),
        "faust_noop_events_per_s": round(middle(told.events / r["faust"]["seconds"] for r in rounds)),
        "decode_events_per_s": round(middle(told.events / r["decode"]["seconds"] for r in rounds)),
        "ratio_to_faust_noop": round(middle(r["faust"]["seconds"] / r["worker"]["seconds"] for r in rounds), 2),
        "ratio_to_decode": round(middle(r["decode"]["seconds"] / r["worker"]["seconds"] for r in rounds), 3),
        "neo4j_events": share,
        "neo4j_rows_per_s": round(middle(full for _, full in pairs)),
        "neo4j_bare_rows_per_s": round(middle(bare for bare, _ in pairs)),
        "neo4j_ratio_to_bare_merge": round(middle(full / bare for bare, full in pairs), 2),
        "scaling_2_workers": scaling,
        "rss_start_mb": rounds[-1]["worker"]["rss_start_mb"],
        "rss_end_mb": rounds[-1]["worker"]["rss_end_mb"],
    }


def one_side(name: str) -> int:
    """Run a side, told on standard input, and print what it found."""
    told = SimpleNamespace(**json.load(sys.stdin))
    side = SIDES[name]
    found = side(told) if name == "bare" else asyncio.run(side(told))
    print(json.dumps(found))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; what is missing is one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--neo4j-events", type=int, default=200_000, help="of these, so many for the sides over Neo4j")
    parser.add_argument("--data", choices=[*datasets.NAMES, "mixed", "synthetic"], default="mixed")
    parser.add_argument("--synthetic", dest="data", action="store_const", const="synthetic", help="the same as --data synthetic")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    if told.side:
        return one_side(told.side)
    try:
        for name in () if told.data == "synthetic" else datasets.NAMES if told.data == "mixed" else (told.data,):
            datasets.fetch(name)
        with tempfile.TemporaryDirectory(prefix="lineage-bench-") as place:
            result = measured(told, Path(place))
    except (datasets.DatasetError, LineageError) as error:
        tell(f"error: {error}")
        return 1
    if told.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:26} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
