"""The benchmark measures what it says: the same events on both sides, everything taken, every order answered."""

import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import schemas
from bench import embedded, erasing
from lineage.intake import Received
from lineage.pipeline import Pipeline
from lineage.sqlite_store import SQLiteStore
from lineage.store import Batch, Position

ROOT = Path(__file__).parents[2]
SEED = 3
VALUES = embedded.encoded("synthetic", 240, SEED)


def round_of(path: Path, values: list[bytes]) -> embedded.Round:
    """Run the agents in a process of their own, as the benchmark does: what an app leaves behind stays there."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(embedded.one_round, path, values, SEED, 100).result()


@pytest.fixture
def store():
    opened = SQLiteStore.open(":memory:")
    yield opened
    opened.close()


def filled(store: SQLiteStore, values: list[bytes], seed: int = SEED) -> Pipeline:
    pipeline = embedded.pipeline_on(store, seed)
    pipeline.ingest([Received("journal", 0, n, v) for n, v in enumerate(values)], embedded.REPLAY_NOW)
    return pipeline


def test_both_sides_take_all_events_batch_by_batch_and_leave_the_journal_empty(tmp_path: Path, store: SQLiteStore) -> None:
    found = round_of(tmp_path / "graph.sqlite", VALUES)
    filled(store, VALUES)
    kept = SQLiteStore.open(tmp_path / "graph.sqlite")
    assert kept.journal_depth() == 0
    assert kept.digest() == store.digest()
    assert found.edges > found.rows > len(VALUES)
    assert min(found.decode_s, found.pipeline_s, found.decode_cpu_s, found.pipeline_cpu_s) > 0
    kept.close()


def test_events_that_become_dead_letters_are_no_measurement(tmp_path: Path) -> None:
    stranger = {"id": "e", "source": "s", "type": "order.paid", "time": 0, "controller": "nobody", "order": "1"}
    value = schemas.registry().encode_json(stranger)
    with pytest.raises(RuntimeError, match="1 dead letters"):
        round_of(tmp_path / "graph.sqlite", [value])


def test_the_middle_round_counts() -> None:
    rounds = [embedded.Round(1, 2, 1, 2, 5, 10), embedded.Round(1, 100, 1, 100, 5, 10), embedded.Round(1, 4, 1, 5, 5, 10)]
    found = embedded.medians(rounds, 8)
    assert (found["ratio_to_decode"], found["ratio_to_decode_cpu"], found["events_per_s"]) == (0.25, 0.2, 2)
    assert found["rows_per_edge"] == 0.5


def test_a_replay_in_another_order_has_the_same_digest_and_one_that_lacks_events_has_not(store: SQLiteStore) -> None:
    filled(store, VALUES)
    assert embedded.digest_in_another_order(VALUES, SEED) == store.digest()
    assert embedded.digest_in_another_order(VALUES[: len(VALUES) // 2], SEED) != store.digest()


def test_the_graph_is_measured_without_what_the_journal_took_up(tmp_path: Path) -> None:
    sizes = []
    for name, extra in (("plain", 0), ("journalled", 40)):
        opened = SQLiteStore.open(tmp_path / name)
        for _ in range(extra):
            opened.journal_append(VALUES, 0)
        opened.write(Batch(positions=[Position("journal", 0, opened.journal_depth())]))
        opened.close()
        sizes.append(embedded.graph_bytes(tmp_path / name))
    assert sizes[0] == sizes[1]


def test_everybody_with_an_address_is_found_with_their_last_event(store: SQLiteStore) -> None:
    pipeline = embedded.pipeline_on(store, SEED)
    among = erasing.persons(pipeline, VALUES)
    tagged = [pipeline.tag(v) for v in VALUES]
    with_address = [(t.controller, v, t.at) for t in tagged for k, v in t.identifiers if k == "email"]
    assert sum(life.events for life in among.values()) == len(with_address)
    assert {(*person, life.last) for person, life in among.items()} <= set(with_address)
    assert {person[:2] for person in with_address} == {tuple(person) for person in among}


def test_every_command_of_the_erasures_is_answered_and_the_same_seed_takes_the_same_persons() -> None:
    found = []
    for _ in range(2):
        opened = SQLiteStore.open(":memory:")
        pipeline = filled(opened, VALUES)
        among = erasing.persons(pipeline, VALUES)
        figures = erasing.erase(pipeline, opened, among, 5, SEED)
        assert figures["erased_persons"] == 6
        assert figures["commands"] >= 6
        assert figures["commands_pending"] == 0
        assert 0 < figures["erase_p50_ms"] <= figures["erase_p99_ms"]
        assert figures["busiest_events"] == max(life.events for life in among.values())
        found.append(sorted((case.id, case.key) for case in opened.cases()))
        opened.close()
    assert found[0] == found[1]


def test_it_prints_one_object_of_json_and_its_progress_elsewhere() -> None:
    told = [sys.executable, "-m", "bench.embedded", "--synthetic", "--events", "200", "--rounds", "1", "--json"]
    done = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True)
    found, progress = json.loads(done.stdout), done.stderr
    assert found["events"] == 200
    assert found["digest_equal"] is True
    goals = {"ratio_to_decode", "rows_per_edge", "metadata_per_event_byte", "erase_p50_ms", "erase_p99_ms"}
    assert all(found[name] > 0 for name in goals)
    assert "round 1" in progress


def test_data_that_cannot_be_had_are_one_line_that_names_the_way_out(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    def unreachable(name: str) -> None:
        msg = f"{name}: the index cannot be reached"
        raise embedded.datasets.DatasetError(msg)

    monkeypatch.setattr(embedded, "quiet_collector", lambda: None)
    monkeypatch.setattr(embedded.datasets, "fetch", unreachable)
    assert embedded.main(["--data", "cdnow", "--events", "10"]) == 1
    out, line = capsys.readouterr()
    assert not out
    assert line.count("\n") == 1
    assert "--synthetic" in line
