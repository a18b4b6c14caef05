"""Measure the embedded pipeline on real purchase and click logs: `python -m bench.embedded --events N [--json]`.

In one run, on the same events: reading the journal and decoding with fastavro alone, against the whole pipeline (read,
tag in the Faust agents' functions, facts and positions in one transaction, the journal's rows gone). Then a replay in
another order gives the same graph, and a random hundred persons are erased. Figures are ratios; seconds are this machine's.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

import schemas
from bench import datasets
from lineage import policy_file
from lineage.identity import KeyRing
from lineage.pipeline import Pipeline, Received
from lineage.rights import Request
from lineage.sqlite_store import SQLiteStore
from streams.wiring import quiet_collector

BATCH = 50_000
PERSONS = 100
NOW = 1_900_000_000
"""After the last event: nothing is taken as coming from the future."""


@dataclass(slots=True)
class Run:
    """One pass of the pipeline over the events."""

    seconds: float
    rows: int
    edges: int
    touched: int


def encoded(name: str, count: int, seed: int) -> list[bytes]:
    """Give the events as their senders would have encoded them."""
    if name == "synthetic":
        source: Iterator[dict] = datasets.synthetic(count, seed, fulfilled=True)
    elif name == "mixed":
        source = datasets.mixed(count, seed=seed, fulfilled=True)
    else:
        source = datasets.events(name, count, seed=seed, fulfilled=True)
    encode = schemas.registry().encode_json
    return [encode(event) for event in source]


def pipeline_on(store: SQLiteStore, seed: int) -> Pipeline:
    """Make a pipeline with the example settings, and secrets from the seed."""
    rng = random.Random(seed)
    settings = yaml.safe_load((policy_file.POLICIES / "settings.example.yaml").read_text("utf-8"))
    policies = {c: policy_file.load(c, settings.get(c)) for c in policy_file.controllers()}
    return Pipeline(store, policies, KeyRing({c: rng.randbytes(32) for c in policies}, rng.randbytes(32)), rng.randbytes)


def journal(store: SQLiteStore, values: list[bytes]) -> None:
    """Put the events into the journal, as the HTTP door does."""
    for n in range(0, len(values), BATCH):
        store.journal_append(values[n : n + BATCH], NOW)


def decode(store: SQLiteStore) -> float:
    """Read the journal and decode every event; give the seconds."""
    registry, after = schemas.registry(), -1
    start = time.perf_counter()
    while rows := store.journal_read(after, BATCH):
        for _, value in rows:
            registry.decode(value)
        after = rows[-1][0]
    return time.perf_counter() - start


def consume(store: SQLiteStore, pipeline: Pipeline) -> Run:
    """Run everything: read, tag, write the facts, let the journal go."""
    rows = edges = touched = 0
    start = time.perf_counter()
    while block := store.journal_read(-1, BATCH):
        records = [Received("journal", 0, offset, value) for offset, value in block]
        taken = pipeline.ingest(records, NOW)
        rows += taken.rows
        edges += taken.edges
        touched += len(taken.touched)
    return Run(time.perf_counter() - start, rows, edges, touched)


def measure(values: list[bytes], rounds: int, seed: int, folder: Path) -> dict[str, float]:
    """Alternate both sides, each time on a fresh file; give the medians."""
    ratios, speeds, decodes = [], [], []
    for n in range(rounds):
        store = SQLiteStore.open(folder / f"round-{n}.sqlite")
        journal(store, values)
        pipeline = pipeline_on(store, seed)
        gc.collect()
        alone = decode(store)
        run = consume(store, pipeline)
        ratios.append(alone / run.seconds)
        speeds.append(len(values) / run.seconds)
        decodes.append(len(values) / alone)
        tell(f"round {n + 1}: {speeds[-1]:,.0f} events/s, ratio {ratios[-1]:.2f}")
        store.close()
    return {
        "events_per_s": round(statistics.median(speeds)), "decode_events_per_s": round(statistics.median(decodes)),
        "ratio_to_decode": round(statistics.median(ratios), 3), "rows_per_edge": round(run.rows / max(1, run.edges), 3),
    }  # fmt: skip


def metadata_per_byte(values: list[bytes], path: Path) -> float:
    """Give the bytes of the graph's file, journal gone and free pages dropped, per byte of the events."""
    store = SQLiteStore.open(path)
    store.checkpoint()
    store.close()
    import sqlite3  # noqa: PLC0415 - a measuring look at the file, past the store

    with sqlite3.connect(path) as db:
        db.execute("VACUUM")
    return path.stat().st_size / sum(map(len, values))


def same_in_another_order(values: list[bytes], seed: int, digest: str) -> bool:
    """Take the events shuffled, some of them twice, in other batches; tell whether the graph is the same."""
    rng = random.Random(seed + 1)
    again = [*values, *rng.sample(values, max(1, len(values) // 50))]
    rng.shuffle(again)
    store = SQLiteStore.open(":memory:")
    pipeline = pipeline_on(store, seed)
    offset = 0
    while offset < len(again):
        block = again[offset : offset + rng.randint(500, 7000)]
        pipeline.ingest([Received("journal", 0, offset + n, v) for n, v in enumerate(block)], NOW)
        offset += len(block)
    return store.digest() == digest


def erasures(store: SQLiteStore, pipeline: Pipeline, values: list[bytes], seed: int) -> dict[str, float]:
    """Erase a random hundred persons; give milliseconds from the request until all commands are durable."""
    rng = random.Random(seed + 2)
    people: dict[tuple[str, str], None] = {}
    for value in rng.sample(values, min(len(values), 40 * PERSONS)):
        tagged = pipeline.tag(value)
        mail = next((v for k, v in tagged.identifiers if k == "email"), None)
        if mail:
            people[tagged.controller, mail] = None
    times, commands = [], 0
    for n, (controller, mail) in enumerate(list(people)[:PERSONS]):
        start = time.perf_counter()
        subject = pipeline.request(controller, ("email", mail), Request(f"bench-{n}", NOW + n, "erasure"))
        times.append((time.perf_counter() - start) * 1000)
        commands += len(subject.commands)
    times.sort()
    done = NOW + PERSONS
    while rows := store.commands(None, None, done, 1000):
        for row in rows:
            done += 1
            pipeline.receipt(row.id, "erased", done)
    left = sum(c.state == "open" for c in store.cases())
    return {"erase_p50_ms": round(times[len(times) // 2], 2), "erase_p99_ms": round(times[int(len(times) * 0.99)], 2),
            "erased_persons": len(times), "commands": commands, "cases_left_open": left}  # fmt: skip


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--data", choices=[*datasets.NAMES, "mixed", "synthetic"], default="mixed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    quiet_collector()
    try:
        if args.data != "synthetic":
            for name in datasets.NAMES if args.data == "mixed" else (args.data,):
                datasets.fetch(name)
        tell("encoding the events")
        values = encoded(args.data, args.events, args.seed)
    except datasets.DatasetError as error:
        sys.exit(f"bench: {error}")
    with tempfile.TemporaryDirectory(prefix="lineage-bench-") as place:
        folder = Path(place)
        result: dict[str, object] = {"events": len(values), "data": args.data, **measure(values, args.rounds, args.seed, folder)}
        last = folder / f"round-{args.rounds - 1}.sqlite"
        result["metadata_per_event_byte"] = round(metadata_per_byte(values, last), 3)
        store = SQLiteStore.open(last)
        pipeline = pipeline_on(store, args.seed)
        tell("the same events in another order")
        result["digest_equal"] = same_in_another_order(values, args.seed, store.digest())
        tell(f"erasing {PERSONS} persons")
        result |= erasures(store, pipeline, values, args.seed)
        store.close()
    if args.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:26} {value}")


if __name__ == "__main__":
    main()
