"""The graph fed from Faust's own topics: nothing is lost and nothing doubled where Faust alone would do either."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kafka
import pytest
from on_kafka import eventually, own_topics, put, read
from running import ROOT

from lineage.errors import StoreUnavailable
from lineage.intake import Received
from lineage.pipeline import Pipeline
from lineage.sqlite_store import SQLiteStore
from streams import secrets, settings, wiring
from streams.emitter import Emitter
from streams.topics import Topics

pytestmark = [pytest.mark.process, pytest.mark.slow]
EVENTS = 3000


class Fed:
    """A worker of the demo as a process, its topics, and its graph."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap, self.env = bootstrap, {"LINEAGE_DATA": str(folder)}
        self.topics: Topics = own_topics(bootstrap, prefix, partitions=2)
        self.told = settings.load(self.env)
        self.process: subprocess.Popen[str] | None = None

    def emit(self, first: int, count: int) -> None:
        with Emitter(self.bootstrap, topics=self.topics) as emitter:
            for n in range(first, first + count):
                emitter.emit({
                    "id": f"e-{n}", "source": "shop", "type": "order.placed", "time": 1_790_000_000_000 + n * 1000, "controller": "pompdelux",
                    "person": {"email": f"ann{n % 50}@example.org"}, "order": str(n), "data": {"name": "Ann"},
                })  # fmt: skip

    def start(self) -> None:
        words = [sys.executable, "-m", "demo.faust_topic", "--kafka", self.bootstrap, "--topics", self.topics.prefix]
        self.process = subprocess.Popen(
            words, cwd=ROOT, env={**os.environ, **self.env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def end(self, number: signal.Signals) -> str:
        self.process.send_signal(number)
        printed, _ = self.process.communicate(timeout=60)
        self.process = None
        return printed

    def counts(self) -> dict[str, int]:
        """Count what the worker has written; nothing while its file is not there, or only just being made."""
        if not self.told.file.exists():
            return {}
        try:
            engine = wiring.engine(self.told, readonly=True)
        except StoreUnavailable:
            return {}
        try:
            return dict(engine.store.counts())
        finally:
            engine.close()

    def written(self, most: int) -> bool:
        return self.counts().get("observations", 0) >= most

    def committed(self) -> int:
        consumer = kafka.KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=f"{self.topics.prefix}-faust")
        try:
            parts = [kafka.TopicPartition(self.topics.event("order"), n) for n in range(2)]
            return sum(consumer.committed(part) or 0 for part in parts)
        finally:
            consumer.close()

    def replayed(self) -> SQLiteStore:
        """Give the graph that one process makes of the whole topic, under the same secrets."""
        policies = wiring.load_policies(self.told)
        store = SQLiteStore.open(":memory:")
        keys = secrets.load(self.told.secrets, policies, os.urandom, None).ring()
        records = read(self.bootstrap, self.topics.event("order"), 10**9, 5.0)
        Pipeline(store, policies, keys, os.urandom).ingest(
            [Received(r.topic, r.partition, r.offset, r.value or b"") for r in records], 1_800_000_000
        )
        return store

    def matches(self) -> None:
        engine, replay = wiring.engine(self.told, readonly=True), self.replayed()
        try:
            assert engine.store.digest() == replay.digest()
            assert len(engine.store.dead_letters()) == len(replay.dead_letters())
        finally:
            engine.close()
            replay.close()


@pytest.fixture
def fed(kafka_server, unique, tmp_path: Path) -> Iterator[Fed]:
    found = Fed(kafka_server.bootstrap, unique("faust"), tmp_path / "data")
    yield found
    if found.process is not None:
        found.process.kill()
        found.process.communicate()


def test_a_worker_that_is_killed_loses_no_event_and_doubles_none(fed: Fed) -> None:
    fed.emit(0, EVENTS)
    fed.start()
    eventually(lambda: fed.written(1), 60)
    fed.end(signal.SIGKILL)
    fed.emit(EVENTS // 2, EVENTS)
    fed.start()
    eventually(lambda: fed.written(EVENTS * 3 // 2), 90)
    fed.end(signal.SIGTERM)
    fed.matches()


def test_bytes_that_are_no_event_become_dead_letters_and_hold_nothing_up(fed: Fed) -> None:
    put(fed.bootstrap, fed.topics.event("order"), [(None, b"garbage"), (None, b"\0\0\0\xff\xffx"), (b"k", None)])
    fed.emit(0, 10)
    fed.start()
    eventually(lambda: fed.written(10), 60)
    eventually(lambda: fed.committed() == 13, 30)
    fed.end(signal.SIGTERM)
    assert fed.counts()["dead_letters"] == 3
    fed.matches()


def test_while_the_store_cannot_be_written_nothing_is_acknowledged_and_then_everything_is(fed: Fed) -> None:
    fed.start()
    fed.emit(0, 10)
    eventually(lambda: fed.written(10), 60)
    eventually(lambda: fed.committed() == 10, 30)
    busy: Any = sqlite3.connect(fed.told.file, isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    fed.emit(10, 500)
    try:
        with pytest.raises(AssertionError):
            eventually(lambda: fed.committed() > 10, 8)
    finally:
        busy.execute("ROLLBACK")
        busy.close()
    eventually(lambda: fed.written(510), 60)
    eventually(lambda: fed.committed() == 510, 30)
    assert "a batch waits" in fed.end(signal.SIGTERM)
    fed.matches()


def test_a_defect_stops_the_worker_before_anything_is_acknowledged(fed: Fed, tmp_path: Path) -> None:
    crashing = tmp_path / "crashing.py"
    crashing.write_text(
        "import sys\n"
        "from demo import faust_topic\n"
        "from lineage.pipeline import Pipeline\n"
        "def fail(*args, **more): raise ZeroDivisionError('ann1@example.org')\n"
        "Pipeline.ingest = fail\n"
        "faust_topic.main()\n"
    )
    fed.emit(0, 1000)
    words = [sys.executable, str(crashing), "--kafka", fed.bootstrap, "--topics", fed.topics.prefix]
    env = {**os.environ, **fed.env, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert "a batch cannot be written: internal error (ZeroDivisionError at fail:4)" in done.stdout + done.stderr
    assert fed.committed() == 0
    fed.start()
    eventually(lambda: fed.written(1000), 60)
    fed.end(signal.SIGTERM)
    fed.matches()
