"""Talk to Neo4j, the only place that does: what arrives are functions of a transaction, what leaves are their results.

The driver lives on an event loop of its own in a daemon thread, because its callers do not: whatever thread calls waits
until the work is done there. Each call is one task with one session and one managed transaction, whose function may run
more than once: where the server takes a lock back to end a deadlock, or another transaction was faster to create or to
delete the same node, it is run again. Every other error leaves as `StoreUnavailable` with one line that names the cause
by its code: the server's own words may quote what was written, and are left behind.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, LiteralString, TypeVar
from urllib.parse import urlsplit

from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncManagedTransaction, unit_of_work
from neo4j.exceptions import AuthError, DriverError, IncompleteCommit, Neo4jError, ServiceUnavailable

from lineage.errors import LineageError, StoreUnavailable, TooMuch

# The driver logs what it tries again with the server's own words, and these may quote what was written.
logging.getLogger("neo4j").setLevel(logging.CRITICAL)

Transaction = AsyncManagedTransaction
T = TypeVar("T")

ANSWER_SECONDS_MAX = 60.0
"""So long a call waits at most, whatever the server does; a paused server would never answer."""
TRANSACTION_SECONDS_MAX = 30.0
"""So long the server keeps a transaction: one of a worker that hangs must not keep its locks from the others."""
_CONNECT_SECONDS_MAX = 5.0
_RETRY_SECONDS_MAX = 15.0
_ATTEMPTS_MAX = 30
_AGAIN = frozenset(
    {"Neo.ClientError.Statement.EntityNotFound", "Neo.ClientError.Schema.ConstraintValidationFailed"},
)
"""What a transaction hears that lost a race for a node: the other has deleted or created it meanwhile."""
_THERE_ALREADY = frozenset(
    {
        "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists",
        "Neo.ClientError.Schema.ConstraintAlreadyExists",
        "Neo.ClientError.Schema.IndexAlreadyExists",
    },
)
_TOO_LONG = frozenset(
    {
        "Neo.ClientError.Transaction.TransactionTimedOut",
        "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
    },
)
_CAUSES = {
    "Neo.ClientError.Security.Unauthorized": "the server refuses the user or the password",
    "Neo.ClientError.Security.CredentialsExpired": "the password has to be changed first",
    "Neo.ClientError.Security.AuthenticationRateLimit": "the server refuses the user or the password, too often in a row",
    "Neo.ClientError.Transaction.LockClientStopped": "the transaction waited too long for others",
    "Neo.ClientError.Database.DatabaseNotFound": "there is no such database",
}


_AS_PLANNED: LiteralString = "CYPHER replan=skip "
"""Keeps the first plan of a statement of rows. All of these say by which index they find a node, so that no count could make
the plan better; but while a graph fills, the server would make it again each ten seconds, and take a third of its time for it."""


async def ask(tx: Transaction, statement: LiteralString, **values: object) -> list[list[Any]]:
    """Run a statement and give its rows; where there are many, let the server collect them into one: a row costs 0.1 ms."""
    result = await tx.run(_AS_PLANNED + statement if "UNWIND" in statement else statement, values)
    return [list(record.values()) async for record in result]


async def number(tx: Transaction, statement: LiteralString, **values: object) -> int:
    """Run a statement whose answer is one number."""
    rows = await ask(tx, statement, **values)
    return int(rows[0][0])


class Neo4jServer:
    """A connection to one database of a server, for any thread."""

    def __init__(self, uri: str, user: str, password: str, database: str) -> None:
        """Connect; raises `StoreUnavailable` if the server cannot be reached or refuses."""
        self._place = _place(uri)
        self._database = database
        self._closed = False
        self._closing = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="neo4j", daemon=True)
        self._thread.start()
        try:
            self._driver = self._wait(self._connect(uri, user, password))
            self.read(lambda tx: ask(tx, "RETURN 1"))
        except ValueError:
            self.close()
            msg = f"{self._place}: no address of a Neo4j; it has the form bolt://host:7687"
            raise StoreUnavailable(msg) from None
        except BaseException:
            self.close()
            raise

    async def _connect(self, uri: str, user: str, password: str) -> AsyncDriver:
        if not uri.startswith(("bolt", "neo4j")):
            raise ValueError
        return AsyncGraphDatabase.driver(
            uri,
            auth=(user, password),
            connection_timeout=_CONNECT_SECONDS_MAX,
            connection_acquisition_timeout=_RETRY_SECONDS_MAX,
            max_transaction_retry_time=_RETRY_SECONDS_MAX,
            initial_retry_delay=0.05,
            notifications_min_severity="OFF",
        )

    def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run a function of a transaction that only reads."""
        return self._wait(self._managed(_bounded(work), reads=True))

    def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run a function of a transaction; it may run more than once, and whatever it raises undoes what it has written."""
        return self._wait(self._managed(_bounded(work), reads=False))

    async def _managed(self, work: Callable[[Transaction], Awaitable[T]], *, reads: bool) -> T:
        for attempt in itertools.count(1):
            try:
                async with self._driver.session(database=self._database) as session:
                    return await (session.execute_read(work) if reads else session.execute_write(work))
            except Neo4jError as error:
                if error.code not in _AGAIN or attempt == _ATTEMPTS_MAX:
                    raise
            await asyncio.sleep(0.005 * attempt)
        raise AssertionError

    def arrange(self, statement: LiteralString) -> None:
        """Run a statement that changes the schema; what another process has done meanwhile is done."""

        async def run(tx: Transaction) -> None:
            await (await tx.run(statement)).consume()

        async def arranged() -> None:
            try:
                await self._managed(run, reads=False)
            except Neo4jError as error:
                if error.code not in _THERE_ALREADY:
                    raise

        self._wait(arranged())

    def _expect_open(self) -> None:
        if self._closed:
            msg = f"{self._place}: the store is closed"
            raise StoreUnavailable(msg)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            work.close()
            self._expect_open()
        with self._translated():
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, ANSWER_SECONDS_MAX), self._loop).result()
        raise AssertionError

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except LineageError:
            raise
        except TimeoutError:
            msg = f"{self._place}: no answer for {ANSWER_SECONDS_MAX:.0f} seconds"
        except (Neo4jError, DriverError, OSError) as error:
            if isinstance(error, Neo4jError) and error.code in _TOO_LONG:
                msg = f"{self._place}: the transaction took too long"
                raise TooMuch(msg) from None
            msg = f"{self._place}: {_cause(error)}"
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            msg = f"{self._place}: the store was closed meanwhile"
        else:
            return
        # What the server said is left behind: it may quote a value.
        raise StoreUnavailable(msg) from None

    def close(self) -> None:
        """End the connections; a second time does nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._driver.close(), self._loop).result(_CONNECT_SECONDS_MAX)
            self._end_loop()

    def _end_loop(self) -> None:
        async def finish() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(finish(), self._loop).result(_CONNECT_SECONDS_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CONNECT_SECONDS_MAX)
        if not self._thread.is_alive():
            self._loop.close()


def _bounded(work: Callable[[Transaction], Awaitable[T]]) -> Callable[[Transaction], Awaitable[T]]:
    return unit_of_work(timeout=TRANSACTION_SECONDS_MAX)(work)


def _place(uri: str) -> str:
    """Name the server without whatever else an address can hold."""
    try:
        parts = urlsplit(uri)
        port = parts.port or 7687
    except ValueError:
        return "neo4j"
    return f"{parts.hostname}:{port}"


def _cause(error: Exception) -> str:
    if isinstance(error, Neo4jError):
        return _CAUSES.get(error.code or "", f"the server answers {error.code}")
    if isinstance(error, AuthError):
        return _CAUSES["Neo.ClientError.Security.Unauthorized"]
    if isinstance(error, IncompleteCommit):
        return "the connection broke while the transaction was committed"
    if isinstance(error, (ServiceUnavailable, OSError)):
        return "the server cannot be reached"
    return f"the driver reports {type(error).__name__}"
