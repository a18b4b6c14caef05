"""The embedded store keeps the contract, and what only a file can promise."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from graph_store import MAIL, PLACED, GraphStoreContract, audit, household, identifier, observation

from lineage.digest import verify_chain
from lineage.errors import StoreInUse, StoreUnavailable
from lineage.sqlite_store import SQLiteStore
from lineage.store import Batch, Entry, Link, Position, Shape

TABLES = {"identifiers": "identifier", "observations": "observation", "links": "link", "shapes": "shape"} | {
    "entries": "entry",
    "cases": '"case"',
    "commands": "command",
    "audit": "audit",
    "certificates": "certificate",
    "dead_letters": "dead_letter",
    "positions": "position",
    "due": "due",
}


def raw(place: Path, kind: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(place / "graph.db")) as db:
        return sorted(db.execute(f"SELECT * FROM {TABLES[kind]}"))


class TestSQLiteStore(GraphStoreContract):
    def open_store(self, place: Path) -> SQLiteStore:
        return SQLiteStore.open(place / "graph.db")

    def raw(self, place: Path, kind: str) -> list[tuple[Any, ...]]:
        return raw(place, kind)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "graph.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore.open(path)
    yield opened
    opened.close()


def on_disk(path: Path) -> bytes:
    return b"".join(p.read_bytes() for p in path.parent.iterdir())


def test_a_store_in_memory_works_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore.open(":memory:")
    assert store.write(household()) > 0
    assert store.facts([MAIL]).observations
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused_and_let_in_after_the_first(path: Path, store: SQLiteStore) -> None:
    with pytest.raises(StoreInUse, match="another process"):
        SQLiteStore.open(path)
    store.write(household())
    store.close()
    SQLiteStore.open(path).close()


WRITER = """
import sys
from lineage.sqlite_store import SQLiteStore
from lineage.store import Batch, Observation, Position, Shape
store = SQLiteStore.open(sys.argv[1])
store.write(Batch(shapes=[Shape(1, "acme", "order.placed", "{}")]))
for n in range(1, 1_000_000):
    rows = [Observation(key, n, 1, key, 0, n) for key in range(100)]
    store.write(Batch(observations=rows, positions=[Position("orders", 0, n * 100)]))
    print(n, flush=True)
"""


@pytest.mark.process
def test_a_writer_killed_at_any_moment_leaves_whole_batches_and_a_free_file(path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(30)][-1]
    with pytest.raises(StoreInUse):
        SQLiteStore.open(path)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with closing(SQLiteStore.open(path)) as store:
        written = store.positions("orders")[0]
        assert written >= acknowledged * 100
        assert store.counts()["observations"] == written


def test_readers_are_let_in_and_see_what_is_committed(path: Path, store: SQLiteStore) -> None:
    store.write(household())
    with closing(SQLiteStore.open(path, readonly=True)) as reader:
        assert reader.digest() == store.digest()
        store.write(Batch(observations=[observation(MAIL, 5000)]))
        assert reader.digest() == store.digest()
        with pytest.raises(StoreUnavailable, match="only be read"):
            reader.write(Batch(observations=[observation(MAIL, 5001)]))
        assert reader.facts([MAIL]) == store.facts([MAIL])


def test_a_reader_of_nothing_is_told_so(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        SQLiteStore.open(path, readonly=True)
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreUnavailable, match="holds no lineage"):
        SQLiteStore.open(path, readonly=True)


@pytest.mark.parametrize(
    ("pragma", "complaint"),
    [
        ("user_version = 99", "newer"),
        ("user_version = 0", "older"),
        ("application_id = 7", "another program"),
    ],
)
@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_of_another_version_or_program_is_refused_and_left_alone(
    path: Path, pragma: str, complaint: str, *, readonly: bool
) -> None:
    SQLiteStore.open(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {pragma}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match=complaint):
        SQLiteStore.open(path, readonly=readonly)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_the_lock_is_free_again(path: Path) -> None:
    path.write_bytes(b"name,address\n" * 1000)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no database"):
            SQLiteStore.open(path)
    assert path.read_bytes() == b"name,address\n" * 1000


def test_a_directory_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        SQLiteStore.open(tmp_path / "no" / "graph.db")


def test_a_full_disk_undoes_the_batch_and_the_store_goes_on(path: Path) -> None:
    with closing(SQLiteStore.open(path, pages_max=60)) as store:
        store.write(Batch(shapes=[PLACED], identifiers=[identifier(MAIL)], positions=[Position("orders", 0, 1)]))
        before = store.digest()
        canary = "canary@example.org"
        large = Batch(entries=[Entry(MAIL, f"{canary}{n}", n, "request", "x" * 3000) for n in range(500)])
        large.observations, large.positions = [observation(MAIL)], [Position("orders", 0, 501)]
        with pytest.raises(StoreUnavailable, match="full") as caught:
            store.write(large)
        assert canary not in str(caught.value)
        assert caught.value.__cause__ is None
        assert store.digest() == before
        assert store.positions("orders") == {0: 1}
        assert raw(path.parent, "entries") == []
        assert store.write(Batch(observations=[observation(MAIL)], positions=[Position("orders", 0, 2)])) == 1
        assert raw(path.parent, "observations") == [observation(MAIL)]


def test_a_full_disk_refuses_the_journal_and_keeps_what_it_had(path: Path) -> None:
    with closing(SQLiteStore.open(path, pages_max=60)) as store:
        store.journal_append([b"kept"], 1)
        with pytest.raises(StoreUnavailable, match="full"):
            store.journal_append([b"x" * 5000] * 100, 2)
        assert store.journal_read(-1, 10) == [(0, b"kept")]
        assert store.journal_append([b"next"], 3) == range(1, 2)


def test_a_file_locked_by_another_program_is_unavailable_until_it_is_free(path: Path, store: SQLiteStore) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process holds"):
            store.write(household())
        other.execute("ROLLBACK")
    assert store.write(household()) > 0


def test_a_mistake_in_a_batch_undoes_all_of_it(store: SQLiteStore, path: Path) -> None:
    store.write(Batch(shapes=[PLACED]))
    with pytest.raises(ValueError, match="another shape"):
        store.write(Batch(shapes=[Shape(1, "acme", "other", "{}")], identifiers=[identifier(MAIL)]))
    with pytest.raises(ValueError, match="another shape"):
        store.write(Batch(shapes=[PLACED._replace(id=2)], identifiers=[identifier(MAIL)]))
    assert raw(path.parent, "identifiers") == []
    assert store.write(Batch(identifiers=[identifier(MAIL)])) == 1


def test_a_closed_store_says_so_and_closes_twice(path: Path) -> None:
    store = SQLiteStore.open(path)
    store.close()
    store.close()
    for call in (store.digest, store.counts, lambda: store.write(household()), lambda: store.facts([1])):
        with pytest.raises(StoreUnavailable, match="closed"):
            call()


def test_what_is_forgotten_is_in_no_byte_after_a_checkpoint(path: Path, store: SQLiteStore) -> None:
    canary = b"canary-4711"
    store.journal_append([b"event of " + canary], 1)
    store.write(
        Batch(
            identifiers=[identifier(MAIL, sealed=canary)],
            entries=[Entry(MAIL, "e1", 1, "request", canary.decode())],
            positions=[Position("orders", 0, 1)],
        )
    )
    assert canary in on_disk(path)
    store.write(Batch(forget_identifiers=[MAIL], forget_entries=["e1"], positions=[Position("journal", 0, 1)]))
    assert store.checkpoint()
    assert canary not in on_disk(path)


def test_a_checkpoint_says_when_a_reader_is_in_the_way(path: Path, store: SQLiteStore) -> None:
    store.write(household())
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM link").fetchone()
        store.write(Batch(observations=[observation(MAIL, 9)]))
        assert not store.checkpoint()
        reader.execute("ROLLBACK")
    assert store.checkpoint()
    assert (path.parent / "graph.db-wal").stat().st_size == 0


def test_the_files_are_the_owners_alone(path: Path, store: SQLiteStore) -> None:
    store.write(household())
    assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 4


def test_a_journaled_event_leaves_with_the_transaction_that_writes_its_facts(store: SQLiteStore) -> None:
    assert store.journal_append([b"a", b"b", b"c"], 1) == range(3)
    assert store.journal_append([], 1) == range(3, 3)
    assert store.journal_read(-1, 2) == [(0, b"a"), (1, b"b")]
    assert store.journal_read(0, 10) == [(1, b"b"), (2, b"c")]
    store.write(Batch(shapes=[PLACED], observations=[observation(MAIL)], positions=[Position("journal", 0, 2)]))
    assert store.journal_read(-1, 10) == [(2, b"c")]
    assert store.journal_depth() == 1
    with pytest.raises(ValueError, match="another shape"):
        store.write(Batch(shapes=[PLACED._replace(id=2)], positions=[Position("journal", 0, 3)]))
    assert store.journal_depth() == 1


def test_a_journal_of_many_blocks_is_read_and_consumed_at_any_offset(store: SQLiteStore, path: Path) -> None:
    events = [b"" if n % 7 == 0 else b"%d" % n for n in range(3500)]
    store.journal_append(events[:1], 1)
    store.journal_append(events[1:], 2)
    numbered = list(enumerate(events))
    assert store.journal_read(-1, 5000) == numbered
    assert store.journal_read(998, 1005) == numbered[999:2004]
    for offset in (1, 1000, 1001, 2500, 3500):
        store.write(Batch(positions=[Position("journal", 0, offset)]))
        assert store.journal_read(-1, 5000) == numbered[offset:]
        assert store.journal_depth() == 3500 - offset
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM journal").fetchone() == (0,)


def test_a_busy_thread_does_not_hold_up_a_writing_one(store: SQLiteStore) -> None:
    """Counted in statements and not in time: few, whatever the number of events."""
    statements: list[str] = []
    with store._file.snapshot() as db:
        db.set_trace_callback(statements.append)
    keys = range(4096)
    store.write(
        Batch(
            shapes=[PLACED],
            identifiers=[identifier(k, sealed=b"") for k in keys],
            observations=[observation(k, matter=k + 1) for k in keys],
            links=[Link(k, k + 1, "same", 0, 1) for k in keys],
            due=dict.fromkeys(keys, 9),
            positions=[Position("orders", 0, 4096)],
        )
    )
    assert len(store.known(keys)) == 4096
    assert len(statements) < 20


def test_another_topics_position_leaves_the_journal_alone(store: SQLiteStore) -> None:
    store.journal_append([b"a"], 1)
    store.write(Batch(positions=[Position("orders", 0, 5), Position("journal", 1, 5)]))
    assert store.journal_depth() == 1


def test_offsets_of_the_journal_never_come_again(path: Path) -> None:
    with closing(SQLiteStore.open(path)) as store:
        store.journal_append([b"a", b"b"], 1)
        store.write(Batch(positions=[Position("journal", 0, 2)]))
        assert store.journal_depth() == 0
    with closing(SQLiteStore.open(path)) as store:
        assert store.journal_append([b"c"], 1) == range(2, 3)
    with closing(SQLiteStore.open(path)) as store:
        assert store.journal_append([b"d"], 1) == range(3, 4)


def test_certificates_are_a_chain_of_their_own(path: Path, store: SQLiteStore) -> None:
    store.write(Batch(certificates=[("k1", "{}")], audit=[audit("a")]))
    store.write(Batch(certificates=[("k2", "{}"), ("k1", "[]")]))
    assert [r.id for r in store.certificates()] == ["k1", "k2"]
    assert verify_chain(store.certificates()) is None
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE certificate SET body = '{\"forged\":1}' WHERE id = 'k1'")
    fault = verify_chain(store.certificates())
    assert fault is not None
    assert fault.seq == 1


def test_the_event_loop_reads_while_a_thread_writes(store: SQLiteStore) -> None:
    """Each batch adds an observation to both of two linked identifiers; nobody ever sees one without the other."""
    store.write(household())
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for n in range(200):
                store.write(Batch(observations=[observation(-20, n), observation(-21, n)]))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    halves = 0
    while thread.is_alive():
        seen = store.facts([-20, -21]).observations
        halves += len(seen) % 2
    thread.join()
    assert failures == []
    assert halves == 0
    assert len(store.facts([-20, -21]).observations) == 400


def test_a_path_with_odd_characters_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a b%20#?.db"
    SQLiteStore.open(path).close()
    assert {p.name for p in tmp_path.iterdir()} == {path.name, f"{path.name}.lock"}
    assert path.stat().st_size > 0
