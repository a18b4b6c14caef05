"""kill -9 at any moment: what was acknowledged is in the graph once, what was not may be sent again."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import httpx
import pytest
from running import Running

import schemas
from bench import datasets
from lineage import policy_file
from lineage.intake import Received
from lineage.pipeline import Pipeline
from lineage.sqlite_store import SQLiteStore
from streams import secrets

KILLS = int(os.environ.get("LINEAGE_TEST_KILLS", "50"))
SEED = int(os.environ.get("LINEAGE_TEST_SEED", "20240304"))
BATCH = 40


class Sender(threading.Thread):
    """A service that sends its events in order and sends again what was not acknowledged."""

    def __init__(self, running: Running, events: list[dict]) -> None:
        super().__init__(daemon=True)
        self.running, self.events, self.acknowledged = running, events, 0
        self.done = False

    def run(self) -> None:
        while self.acknowledged < len(self.events) and not self.done:
            part = self.events[self.acknowledged : self.acknowledged + BATCH]
            try:
                with self.running.client() as client:
                    answer = client.post("/v1/events", json=part)
            except (httpx.HTTPError, OSError, ValueError):
                continue
            if answer.status_code == 202:
                self.acknowledged += len(part)


def pipeline_over(folder: Path, store: SQLiteStore) -> Pipeline:
    kept = secrets.load(folder / "secrets.json", (), os.urandom)
    policies = {c: policy_file.load(c) for c in policy_file.controllers()}
    return Pipeline(store, policies, kept.ring(), os.urandom)


def clean_replay(folder: Path, values: list[bytes]) -> tuple[str, dict]:
    """Give digest and counts of the same events taken by one process that nothing happens to."""
    store = SQLiteStore.open(":memory:")
    pipeline = pipeline_over(folder, store)
    for n in range(0, len(values), 500):
        pipeline.ingest([Received("journal", 0, n + i, v) for i, v in enumerate(values[n : n + 500])], int(time.time()))
    pipeline.tick(int(time.time()))
    return store.digest(), dict(store.counts())


@pytest.mark.process
@pytest.mark.slow
def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    events = [{**e, "id": f"{n}-{e['id']}"} for n, e in enumerate(datasets.synthetic(60_000, seed=SEED))]
    running = Running(tmp_path / "data").start()
    sender = Sender(running, events)
    sender.start()
    for _ in range(KILLS):
        pause = threading.Event()
        pause.wait(rng.uniform(0.01, 0.5))
        running.kill()
        running.start()
    sender.done = True
    sender.join(timeout=30)
    acknowledged = sender.acknowledged
    assert acknowledged > KILLS * BATCH / 4, "the sender got too little through for the test to say anything"
    # A batch may have been taken though its answer was lost: the sender sends it again, as a service would.
    with running.client() as client:
        assert client.post("/v1/events", json=events[acknowledged : acknowledged + BATCH]).status_code == 202
    running.wait_until_drained()
    code, _ = running.stop()
    assert code == 0
    store = SQLiteStore.open(tmp_path / "data" / "lineage.sqlite")
    # What the timer did not come to before the stop, it does after the next start: here and now.
    pipeline_over(tmp_path / "data", store).tick(int(time.time()))
    found, counts = store.digest(), dict(store.counts())
    store.close()
    sent = [schemas.registry().encode_json(e) for e in events[: acknowledged + BATCH]]
    digest, clean = clean_replay(tmp_path / "data", sent)
    print(f"seed {SEED}: {KILLS} kills, {acknowledged} events acknowledged")
    assert found == digest
    for kind in ("observations", "identifiers", "links", "commands", "cases"):
        assert counts[kind] == clean[kind], kind
