"""Open SQLite, the only place that does: what arrives is a path, what leaves are rows and transactions.

One process at a time has a file open for writing; a lock beside the file says which. It may be read by others
meanwhile. Every error of SQLite leaves as `StoreUnavailable` with one line that names the cause, after the
transaction was rolled back; the file can be used on. Within the process, a re-entrant lock lets the event loop
and the writer thread take turns.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lineage.errors import StoreInUse, StoreUnavailable
from lineage.sqlite_schema import APPLICATION_ID, PAGE_BYTES, SCHEMA, VERSION

Connection = sqlite3.Connection
MEMORY = ":memory:"

_CACHE_KIB = 16 * 1024
_CHECKPOINT_PAGES = 100_000
_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk, or the size allowed to the file, is full",
    sqlite3.SQLITE_BUSY: "another process holds the file",
    sqlite3.SQLITE_LOCKED: "another statement holds the table",
    sqlite3.SQLITE_READONLY: "the file may only be read",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is no database",
}


class SQLiteFile:
    """A file of ours, open; `:memory:` is one that nobody else sees and that is gone when closed."""

    def __init__(self, path: str | os.PathLike[str], *, readonly: bool = False, pages_max: int | None = None) -> None:
        """Open or create the file.

        `pages_max` bounds the size, in pages of 4 KiB; what does not fit is refused as on a full disk.
        Raises `StoreInUse` if another process writes the file, `StoreUnavailable` if it is not ours.
        """
        self.path = os.fspath(path)
        self.readonly = readonly
        self._turn = threading.RLock()
        self._closed = False
        self._writer_lock = None if readonly or self.path == MEMORY else _lock_for_writing(self.path)
        try:
            with _translated(self.path):
                self._connection = _connect(self.path, readonly=readonly)
                self._prepare(pages_max)
        except BaseException:
            self._release()
            raise

    def _prepare(self, pages_max: int | None) -> None:
        ask = self._connection.execute
        ask("PRAGMA trusted_schema = OFF")
        ask("PRAGMA temp_store = MEMORY")
        ask(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if not self.readonly:
            ask(f"PRAGMA page_size = {PAGE_BYTES}")
            self._expect_ours()
            ask("PRAGMA journal_mode = WAL")
            ask("PRAGMA synchronous = FULL")
            ask("PRAGMA secure_delete = ON")
            ask(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            if pages_max is not None:
                ask(f"PRAGMA max_page_count = {pages_max}")
            if self._version() == (0, 0):
                self._create()
        elif self._expect_ours() == (0, 0):
            msg = f"{self.path}: the file holds no lineage yet; if a pipeline has only just started, ask again"
            raise StoreUnavailable(msg)

    def _version(self) -> tuple[int, int]:
        ask = self._connection.execute
        return ask("PRAGMA application_id").fetchone()[0], ask("PRAGMA user_version").fetchone()[0]

    def _expect_ours(self) -> tuple[int, int]:
        application, version = found = self._version()
        tables = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if found == (0, 0) and not tables:
            return found
        if application != APPLICATION_ID:
            msg = f"{self.path}: the file belongs to another program"
            raise StoreUnavailable(msg)
        if version != VERSION:
            age = "newer" if version > VERSION else "older"
            msg = f"{self.path}: the file has schema {version}, {age} than this program's {VERSION}"
            raise StoreUnavailable(msg)
        return found

    def _create(self) -> None:
        with self.transaction() as db:
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Read all rows of a query."""
        with self._turn, _translated(self.path):
            self._expect_open()
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Let several queries see one state of the file."""
        with self._turn, _translated(self.path):
            self._expect_open()
            if not self.readonly:
                # Nobody else writes and the turn is ours, so nothing can change in between.
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.rollback()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Write all or nothing, durably: when this returns, the disk has it."""
        with self._turn, _translated(self.path):
            self._expect_open()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have made SQLite roll back by itself; then this does nothing.
                self._connection.rollback()
                raise

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the file and empty it; False if a reader is in the way.

        Until then, the log still holds pages as they were before a deletion.
        """
        with self._turn, _translated(self.path):
            self._expect_open()
            return not self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    def close(self) -> None:
        """Empty the write-ahead log, close, let the next writer in; a second time does nothing."""
        with self._turn:
            if self._closed:
                return
            try:
                if not self.readonly:
                    self.checkpoint()
            finally:
                self._release()

    def _expect_open(self) -> None:
        if self._closed:
            msg = f"{self.path}: the file is closed"
            raise StoreUnavailable(msg)

    def _release(self) -> None:
        self._closed = True
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._writer_lock is not None:
            os.close(self._writer_lock)
            self._writer_lock = None


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        # SQLite's own text can quote a statement; the primary result code says enough.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code not in _CAUSES:
            raise
        msg = f"{path}: {_CAUSES[code]}"
        raise StoreUnavailable(msg) from None


def _lock_for_writing(path: str) -> int:
    """Take the lock beside the file; it goes with the process, whatever its end."""
    try:
        # Both files are the owner's alone; SQLite gives its log the rights of the file.
        for name in (path, f"{path}.lock"):
            handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if name == path:
                os.close(handle)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise StoreUnavailable(msg) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        msg = f"{path}: another process has the file open for writing"
        raise StoreInUse(msg) from None
    return handle


def _connect(path: str, *, readonly: bool) -> Connection:
    uri = path != MEMORY
    name = f"{Path(path).absolute().as_uri()}?mode={'ro' if readonly else 'rw'}" if uri else path
    return sqlite3.connect(
        name,
        uri=uri,
        timeout=1.0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
