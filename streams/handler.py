"""Carry out commands in a service of the shop: commands come from the target's topic, a function acts, receipts leave.

    @handler("erase", "expire_cookie")
    def erase(command: Command) -> str:
        customers.delete(command.identifiers["email"], command.categories)
        return "erased"

    Service("pompdelux", "order_system", erase, answered=Path("answered.jsonl"), bootstrap_servers="kafka:9092").run()

What the runtime promises: a receipt is with Kafka before the command counts as read, so a crash at any point costs a
repetition, never a command; a command that was carried out and comes again gets the same receipt without calling the
function; a function that fails is called again after a while, and a command that cannot be carried out is answered with
`failed`, so that people are told. What the function must promise: that doing a thing twice does no harm, since a crash
between the deed and its note calls it once more.
"""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import kafka
import orjson
from kafka.errors import KafkaError

from lineage.errors import BadCall, BadEvent, StoreInUse, StoreUnavailable, WorldError
from streams import wire
from streams.emitter import client
from streams.schema_registry import Ids
from streams.taking import place
from streams.topics import Topics

SETTLED = ("erased", "no_data", "done")
"""Outcomes after which nothing is left to do. Any other is asked for again by the pipeline, and then tried again."""
_LAG_SECONDS = 10
"""So long a receipt may take to the pipeline: a command that was sent again until then was sent without knowing it."""
_KEPT_DAYS = 90
_BLOCK_MS = 10_000
_POLL_MS = 200
_DAY = 86_400
_OURS = ("enable_auto_commit", "group_id", "auto_offset_reset", "key_deserializer", "value_deserializer", "isolation_level",
         "allow_auto_create_topics", "max_poll_records")  # fmt: skip
_log = logging.getLogger("lineage.handler")


@dataclass(frozen=True, slots=True)
class Command:
    """What a target must carry out or be told; its identifiers are readable, and do not show in logs."""

    id: str
    case: str
    controller: str
    target: str
    kind: str
    notice: bool
    activity: str | None
    categories: tuple[str, ...]
    because: Mapping[str, Sequence[str]]
    identifiers: Mapping[str, Sequence[str]] = field(repr=False)
    issued: int
    deadline: str | None
    attempt: int


Outcome = str | Mapping[str, object]
"""An outcome of `wire.RECEIPT_OUTCOMES`, or, to answer an export, category -> value."""
Handler = Callable[[Command], Outcome]


def handler(*kinds: str) -> Callable[[Handler], Handler]:
    """Mark a function as the one that carries out commands of these kinds; of all kinds that nothing else does, if none is named.

    Raises `BadCall` if the function cannot be called with a command.
    """

    def mark(function: Handler) -> Handler:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            msg = f"{function.__name__} must be a plain function: it is called in a thread of its own, and may take its time"
            raise BadCall(msg)
        try:
            inspect.signature(function).bind(None)
        except TypeError:
            msg = f"{function.__name__} must take one argument, the command"
            raise BadCall(msg) from None
        function.kinds = kinds or ("*",)  # type: ignore[attr-defined]
        return function

    return mark


# -- what was answered -------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """How a command was answered: the outcome, the attempt that it was, when (seconds)."""

    outcome: str
    attempt: int
    at: int


class Answered(Protocol):
    """Remembers what was answered. A service that keeps it in its own database can write it with the deed itself."""

    def get(self, command: str) -> Answer | None:
        """Give the answer to a command, None if there was none."""

    def put(self, command: str, answer: Answer) -> None:
        """Keep an answer, durably."""

    def close(self) -> None:
        """Let go of what is open."""


class AnsweredFile:
    """Remembers answers in a file, a line each, without personal data; one process at a time has it.

    A line is on the disk before its receipt is sent. One that a crash has torn is left out; what is older than the longest
    deadline goes when the file is opened. The values of an export are never in it.
    """

    def __init__(self, path: Path, now: int | None = None) -> None:
        """Read the file, or begin one; raise `StoreInUse` if another instance has it, `StoreUnavailable` if it cannot be had."""
        self.path = path
        self._answers: dict[str, Answer] = {}
        try:
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            msg = f"{path}: {error.strerror}"
            raise StoreUnavailable(msg) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read((int(time.time()) if now is None else now) - _KEPT_DAYS * _DAY)
        except BlockingIOError:
            os.close(self._lock)
            msg = f"{path}: another instance of this service is running"
            raise StoreInUse(msg) from None
        except OSError as error:
            os.close(self._lock)
            msg = f"{path}: {error.strerror}"
            raise StoreUnavailable(msg) from None

    def _read(self, since: int) -> None:
        """Read what is there, and write it anew without what is old, doubled or torn."""
        for line in self.path.read_bytes().splitlines() if self.path.exists() else ():
            try:
                command, *rest = orjson.loads(line)
                answer = Answer(*rest)
            except (orjson.JSONDecodeError, TypeError, ValueError):
                continue
            if answer.at >= since:
                self._answers[command] = answer
        fresh = self.path.with_name(f"{self.path.name}.new")
        with fresh.open("wb") as file:
            file.writelines(_line(command, answer) for command, answer in self._answers.items())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._file = self.path.open("ab", buffering=0)

    def get(self, command: str) -> Answer | None:
        """Give the answer to a command."""
        return self._answers.get(command)

    def put(self, command: str, answer: Answer) -> None:
        """Keep an answer: it is on the disk when this returns; raise `StoreUnavailable` if it cannot be."""
        try:
            self._file.write(b"\n" + _line(command, answer))
            os.fsync(self._file.fileno())
        except OSError as error:
            msg = f"{self.path}: {error.strerror}"
            raise StoreUnavailable(msg) from None
        self._answers[command] = answer

    def close(self) -> None:
        """Close the file and let the next instance in."""
        self._file.close()
        os.close(self._lock)


def _line(command: str, answer: Answer) -> bytes:
    return orjson.dumps([command, *answer]) + b"\n"


# -- the runtime -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Counts:
    """What has been done since the start."""

    carried_out: int = 0
    repeated: int = 0
    failed: int = 0
    withdrawn: int = 0
    unreadable: int = 0


class Service:
    """Serves one target of one controller. Run one instance: a second one, on another machine, would do everything again."""

    def __init__(
        self,
        controller: str,
        target: str,
        *functions: Handler,
        bootstrap_servers: str | list[str],
        answered: Answered | Path | str,
        topics: Topics | None = None,
        ids: Ids | None = None,
        tries: int = 5,
        pause_seconds: float = 0.5,
        pause_seconds_max: float = 30.0,
        **options: Any,  # noqa: ANN401 - those of kafka-python
    ) -> None:
        """Take whose commands these are, the functions that carry them out, and where answers are remembered.

        A function that raises is called `tries` times, with growing pauses. `options` (TLS, SASL) go to kafka-python as
        they are. Raises `BadCall` for functions or options that do not fit, `StoreInUse` where an instance is running.
        """
        self._functions = _by_kind(functions)
        both = kafka.KafkaProducer.DEFAULT_CONFIG.keys() & kafka.KafkaConsumer.DEFAULT_CONFIG.keys()
        wrong = [name for name in options if name in _OURS or name not in both]
        if wrong:
            msg = f"{', '.join(wrong)}: no option that can be set here"
            raise BadCall(msg)
        self.controller, self.target, self.counts = controller, target, Counts()
        self._topics, self._ids = topics or Topics(), ids or Ids()
        self._topic = self._topics.commands(controller, target)
        self._group = f"{self._topics.prefix}.{controller}.{target}"
        self._tries, self._pause, self._pause_max = max(1, tries), pause_seconds, pause_seconds_max
        self._bootstrap, self._options = bootstrap_servers, options
        self._stop = threading.Event()
        self._answered = AnsweredFile(Path(answered)) if isinstance(answered, Path | str) else answered

    def stop(self) -> None:
        """End after the command that is being carried out; from any thread, or from a signal's handler."""
        self._stop.set()

    def run(self, *, signals: bool = True) -> None:
        """Serve until stopped, by `stop`, SIGTERM or SIGINT; wait and go on where Kafka or the disk fails meanwhile.

        Raises `WorldError` if no broker answers at the start, `BadCall` if the topic is not there.
        """
        partitions: list[int] = []
        failures = 0
        try:
            with _signals(self.stop) if signals else contextlib.nullcontext():
                while not self._stop.is_set():
                    try:
                        with self._clients() as (consumer, producer):
                            partitions = partitions or self._partitions(producer)
                            # Taken, not asked for: there is one instance, so nobody has to be waited for after a crash, and
                            # a function may take as long as it needs. The group keeps the position only.
                            consumer.assign([kafka.TopicPartition(self._topic, n) for n in partitions])
                            while self._step(consumer, producer):
                                failures = 0
                    except (KafkaError, WorldError) as error:
                        # Nothing was committed: new clients begin with the command that could not be finished.
                        if not partitions:
                            raise
                        failures += 1
                        _log.warning(
                            "%s: waiting: %s", self._topic, error if isinstance(error, WorldError) else type(error).__name__
                        )
                        self._stop.wait(self._delay(failures))
        finally:
            self._answered.close()

    @contextlib.contextmanager
    def _clients(self) -> Iterator[tuple[Any, Any]]:
        """Give a consumer and a producer, both fresh: a producer that has failed for good would fail for ever."""
        producer = client(
            kafka.KafkaProducer, self._bootstrap, self._options, acks="all", enable_idempotence=True, max_block_ms=_BLOCK_MS,
            allow_auto_create_topics=False,
        )  # fmt: skip
        try:
            consumer = client(
                kafka.KafkaConsumer, self._bootstrap, self._options, group_id=self._group, enable_auto_commit=False,
                auto_offset_reset="earliest", max_poll_records=1, allow_auto_create_topics=False,
            )  # fmt: skip
            try:
                yield consumer, producer
            finally:
                with contextlib.suppress(KafkaError):
                    consumer.close(autocommit=False, timeout_ms=5000)
        finally:
            with contextlib.suppress(KafkaError):
                producer.close(timeout=5.0)

    def _partitions(self, producer: Any) -> list[int]:  # noqa: ANN401
        """Give the partitions of the topic of commands; raise `BadCall` if it or that of the receipts is not there."""
        found: list[int] = []
        for topic in (self._topics.receipts, self._topic):
            found = []
            with contextlib.suppress(KafkaError):
                found = sorted(producer.partitions_for(topic) or ())
            if not found:
                msg = f"there is no topic {topic}, or it may not be used from here; `lineage topics` makes it"
                raise BadCall(msg)
        return found

    def _step(self, consumer: Any, producer: Any) -> bool:  # noqa: ANN401
        """Answer the next command if there is one, and only then count it as read; False when the service was stopped."""
        for records in consumer.poll(timeout_ms=_POLL_MS).values():
            for record in records:
                if not self._take(record, producer):
                    return False
                consumer.commit()
        return not self._stop.is_set()

    def _take(self, record: Any, producer: Any) -> bool:  # noqa: ANN401
        """Answer a command; False if the service was stopped before it could be."""
        where = f"{record.topic}/{record.partition}@{record.offset}"
        if record.value is None:
            self.counts.withdrawn += 1
            return True
        try:
            command = self._command(wire.decode_command(self._ids.inbound(record.value)))
        except BadEvent as error:
            self.counts.unreadable += 1
            _log.error("%s: the command cannot be read: %s", where, error)
            if record.key:
                self._send(producer, record.key.decode("utf-8", "replace"), "failed", None)
            return True
        known = self._answered.get(command.id)
        if known is not None and _covered(known, command, record.timestamp // 1000):
            self.counts.repeated += 1
            self._send(producer, command.id, known.outcome, None)
            return True
        result = self._act(command, where)
        if result is None:
            return False
        outcome, data = result
        # The values of an export are not kept, so it is made anew where it is asked for again.
        if outcome in SETTLED and data is None:
            self._answered.put(command.id, Answer(outcome, command.attempt, int(time.time())))
        self._send(producer, command.id, outcome, data)
        return True

    def _command(self, content: Mapping[str, Any]) -> Command:
        if (content["controller"], content["target"]) != (self.controller, self.target):
            msg = "it is for another target"
            raise BadEvent(msg)
        return Command(**{**content, "categories": tuple(content["categories"])})

    def _act(self, command: Command, where: str) -> tuple[str, Mapping[str, object] | None] | None:
        """Call the function until it has an answer; None if the service is stopped first."""
        function = self._functions.get(command.kind) or self._functions.get("*")
        if function is None:
            _log.warning("%s: nothing here carries out %s", where, command.kind)
            return "unsupported", None
        for n in range(1, self._tries + 1):
            try:
                found = _checked(command, function(command))
            except BadCall as error:
                _log.error("%s: %s: %s", where, function.__name__, error)
                break
            except Exception as error:  # noqa: BLE001 - the service's own function; its text may show a value
                _log.warning("%s: %s failed, try %d of %d: %s", where, function.__name__, n, self._tries, place(error))
                if n < self._tries and self._stop.wait(self._delay(n)):
                    return None
            else:
                self.counts.carried_out += 1
                return found
        self.counts.failed += 1
        return "failed", None

    def _delay(self, n: int) -> float:
        """Give a pause before the next try: doubled each time, and spread, so that services do not try in step."""
        longest = min(self._pause_max, self._pause * 2.0 ** min(n - 1, 30))
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - spreads retries, hides nothing

    def _send(self, producer: Any, command: str, outcome: str, data: Mapping[str, object] | None) -> None:  # noqa: ANN401
        """Put a receipt on the topic; it is there when this returns, or `KafkaError` says that it may not be."""
        value = self._ids.outbound(wire.encode_receipt(command, outcome, data))
        now = int(time.time() * 1000)
        headers = wire.headers(f"{command}-{outcome}-{now}", f"{self.controller}/{self.target}", wire.RECEIPT, now)
        producer.send(self._topics.receipts, value, command.encode(), headers).get(timeout=60)


def _by_kind(functions: Sequence[Handler]) -> dict[str, Handler]:
    found: dict[str, Handler] = {}
    for function in functions:
        for kind in getattr(function, "kinds", ()):
            if kind in found:
                msg = f"two functions carry out {kind}: {found[kind].__name__} and {function.__name__}"
                raise BadCall(msg)
            found[kind] = function
        if not hasattr(function, "kinds"):
            msg = f"{getattr(function, '__name__', 'the function')} has no @handler: name the kinds of commands that it carries out"
            raise BadCall(msg)
    if not found:
        msg = "a service needs a function with @handler"
        raise BadCall(msg)
    return found


def _covered(known: Answer, command: Command, sent: int) -> bool:
    """Tell whether an answer that was given covers a command that comes again.

    It does where Kafka delivers the same record twice, where the pipeline asked again before it could know the answer,
    and for a notice, which is given once. Later, the pipeline asks because it doubts the answer: the data were seen since.
    `sent` is the pipeline's clock, the answer's is ours: `_LAG_SECONDS` also covers what they differ by.
    """
    return command.notice or command.attempt <= known.attempt or sent <= known.at + _LAG_SECONDS


def _checked(command: Command, found: object) -> tuple[str, Mapping[str, object] | None]:
    """Look at what a function returned; raise `BadCall` for what is no outcome, since nothing must pass for an erasure."""
    if isinstance(found, Mapping):
        if command.kind != "export":
            msg = f"returned data for {command.kind}; only an export is answered with data"
            raise BadCall(msg)
        wire.encode_receipt(command.id, "done", found)
        return "done", found
    fitting = [o for o in wire.RECEIPT_OUTCOMES if o != "done" or command.kind != "erase"]
    if not isinstance(found, str) or found not in fitting:
        msg = f"returned no outcome of {command.kind}: {', '.join(fitting)}"
        raise BadCall(msg)
    return found, None


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """End on SIGTERM and SIGINT while the block runs; in another thread than the main one, nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
