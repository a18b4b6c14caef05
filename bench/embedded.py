"""Measure the embedded pipeline on real purchase and click logs: `python -m bench.embedded --events N [--json]`.

In one run and batch by batch on the same events: reading the journal and decoding with fastavro alone, against the whole
pipeline (read, tag in the Faust agents, facts and position in one transaction, the journal's rows gone). Then a replay in
another order has to give the same graph, and a random hundred persons are erased. What carries over to other machines are
the ratios; seconds are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import schemas
from bench import datasets, erasing
from lineage import policy_file
from lineage.identity import KeyRing
from lineage.intake import Received
from lineage.pipeline import Pipeline
from lineage.sqlite_journal import JOURNAL
from lineage.sqlite_store import SQLiteStore
from streams import settings
from streams.app import Agents
from streams.desk import Desk
from streams.feed import Feed
from streams.journal import Intake
from streams.wiring import Engine, quiet_collector

JOURNALLED = 1_900_000_000
REPLAY_NOW = JOURNALLED
"""After the last event: nothing is taken as coming from the future."""
PERSONS = 100


@dataclass(slots=True)
class Round:
    """One pass of both sides over the events; seconds by the clock, and of the processor alone."""

    decode_s: float = 0.0
    pipeline_s: float = 0.0
    decode_cpu_s: float = 0.0
    pipeline_cpu_s: float = 0.0
    rows: int = 0
    edges: int = 0


def encoded(name: str, count: int, seed: int) -> list[bytes]:
    """Give the events as their senders would have encoded them."""
    if name == "synthetic":
        source: Iterator[datasets.Event] = datasets.synthetic(count, seed, fulfilled=True)
    elif name == "mixed":
        source = datasets.mixed(count, seed=seed, fulfilled=True)
    else:
        source = datasets.events(name, count, seed=seed, fulfilled=True)
    encode = schemas.registry().encode_json
    return [encode(event) for event in source]


def pipeline_on(store: SQLiteStore, seed: int) -> Pipeline:
    """Make a pipeline with the example settings, and secrets from the seed."""
    rng = random.Random(seed)
    told = yaml.safe_load((policy_file.POLICIES / "settings.example.yaml").read_text("utf-8"))
    policies = {c: policy_file.load(c, told.get(c)) for c in policy_file.controllers()}
    return Pipeline(store, policies, KeyRing({c: rng.randbytes(32) for c in policies}, rng.randbytes(32)), rng.randbytes)


def decode_next(store: SQLiteStore, most: int) -> bool:
    """Read the next batch of the journal and decode its events, no more; tell whether there was one."""
    decode, block = schemas.registry().decode, store.journal_read(-1, most)
    for _, value in block:
        decode(value)
    return bool(block)


async def both_sides(path: Path, values: Sequence[bytes], seed: int, batch: int) -> Round:
    """Take every batch twice on a fresh file: decoded alone first, then through the agents into the graph."""
    store = SQLiteStore.open(path)
    for n in range(0, len(values), batch):
        store.journal_append(values[n : n + batch], JOURNALLED)
    told = settings.load({"LINEAGE_DATA": str(path.parent), "LINEAGE_BATCH_EVENTS": str(batch)})
    desk, door, found = Desk(), Desk(), Round()
    engine = Engine(told, store, pipeline_on(store, seed), "", fresh=True)
    agents = Agents(engine, desk)
    intake = Intake(store, door, told.flush_ms, told.journal_events_max)
    # The feed is not started: it would take batches by itself, unmeasured.
    feed = Feed(store, desk, intake, agents.taker, batch)
    await agents.start()
    try:
        while store.journal_read(-1, batch):  # Unmeasured too: both sides then find the batch in the cache.
            gc.collect()
            start, cpu = time.perf_counter(), time.process_time()
            decode_next(store, batch)
            between, cpu_between = time.perf_counter(), time.process_time()
            await feed.step()
            end, cpu_end = time.perf_counter(), time.process_time()
            found.decode_s += between - start
            found.pipeline_s += end - between
            found.decode_cpu_s += cpu_between - cpu
            found.pipeline_cpu_s += cpu_end - cpu_between
    finally:
        await agents.stop()
        door.close()
        desk.close()
        store.close()
    figures = agents.figures
    if figures.events != len(values) or figures.dead_letters:
        msg = f"{figures.events} of {len(values)} events taken, {figures.dead_letters} dead letters: the figures mean nothing"
        raise RuntimeError(msg)
    found.rows, found.edges = figures.rows, figures.edges
    return found


def one_round(path: Path, values: Sequence[bytes], seed: int, batch: int) -> Round:
    """Measure one pass, and clear away what the app leaves behind in cycles: no round pays for the one before."""
    try:
        return asyncio.run(both_sides(path, values, seed, batch))
    finally:
        gc.collect()


def medians(rounds: Sequence[Round], events: int) -> dict[str, float]:
    """Sum the rounds up: the middle one counts, so that what else the machine does weighs less."""
    middle = statistics.median
    return {
        "events_per_s": round(middle(events / r.pipeline_s for r in rounds)),
        "decode_events_per_s": round(middle(events / r.decode_s for r in rounds)),
        "ratio_to_decode": round(middle(r.decode_s / r.pipeline_s for r in rounds), 3),
        "ratio_to_decode_cpu": round(middle(r.decode_cpu_s / r.pipeline_cpu_s for r in rounds), 3),
        "rows_per_edge": round(rounds[-1].rows / max(1, rounds[-1].edges), 3),
    }


def graph_bytes(path: Path) -> int:
    """Give the size of the graph's file without the pages that the journal has left free."""
    with sqlite3.connect(path) as db:
        db.execute("VACUUM")
    db.close()
    return path.stat().st_size


def digest_in_another_order(values: Sequence[bytes], seed: int) -> str:
    """Take the events shuffled, some of them twice, in other batches; give the graph's digest."""
    rng = random.Random(seed + 1)
    again = [*values, *rng.sample(values, max(1, len(values) // 50))]
    rng.shuffle(again)
    store = SQLiteStore.open(":memory:")
    pipeline = pipeline_on(store, seed)
    offset = 0
    while offset < len(again):
        block = again[offset : offset + rng.randint(500, 7000)]
        pipeline.ingest([Received(*JOURNAL, offset + n, v) for n, v in enumerate(block)], REPLAY_NOW)
        offset += len(block)
    found = store.digest()
    store.close()
    return found


def tell(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


def measured(values: Sequence[bytes], told: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure everything."""
    rounds = []
    for n in range(told.rounds):
        rounds.append(one_round(folder / f"round-{n}.sqlite", values, told.seed, told.batch))
        one = medians(rounds[-1:], len(values))
        tell(f"round {n + 1}: {one['events_per_s']:,} events/s, {one['ratio_to_decode']:.2f} of decoding alone")
    result: dict[str, Any] = {"events": len(values), "data": told.data, **medians(rounds, len(values))}
    last = folder / f"round-{told.rounds - 1}.sqlite"
    result["event_bytes"] = sum(map(len, values))
    result["metadata_per_event_byte"] = round(graph_bytes(last) / result["event_bytes"], 3)
    store = SQLiteStore.open(last)
    tell("the same events in another order")
    result["digest_equal"] = digest_in_another_order(values, told.seed) == store.digest()
    pipeline = pipeline_on(store, told.seed)
    persons = erasing.persons(pipeline, values)
    tell(f"erasing {min(PERSONS, len(persons))} of {len(persons)} persons")
    result |= erasing.erase(pipeline, store, persons, PERSONS, told.seed)
    store.close()
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; data that cannot be had are one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m bench.embedded", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--data", choices=[*datasets.NAMES, "mixed", "synthetic"], default="mixed")
    parser.add_argument("--synthetic", dest="data", action="store_const", const="synthetic", help="the same as --data synthetic")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=50_000, help="events in one transaction")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    told = parser.parse_args(arguments)
    quiet_collector()
    try:
        for name in () if told.data == "synthetic" else datasets.NAMES if told.data == "mixed" else (told.data,):
            datasets.fetch(name)
        tell("encoding the events")
        values = encoded(told.data, told.events, told.seed)
    except datasets.DatasetError as error:
        tell(f"error: {error}; --synthetic needs no data")
        return 1
    with tempfile.TemporaryDirectory(prefix="lineage-bench-") as place:
        result = measured(values, told, Path(place))
    if told.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:26} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
