"""Send events to the cluster's Kafka from a backend service: events in their JSON form arrive, records leave.

An event is checked against its schema before anything is sent; it is delivered when all in-sync replicas have it, once
and in the order of the calls for its partition, however often the producer has to try. Nothing that fails is silent:
the event's future, the callback and the next `flush` say so. No value is logged, not even at the level DEBUG.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, NamedTuple, Self

import kafka
from kafka.errors import IllegalStateError, KafkaConfigurationError, KafkaError, MessageSizeTooLargeError

import schemas
from lineage.errors import BadCall, BadEvent, LineageError, WorldError
from streams import wire
from streams.schema_registry import Ids
from streams.topics import Topics

_SHOWN_MAX = 5
_REMEMBERED_MAX = 10_000
_BATCH_BYTES = 128 * 1024
"""So much goes in one request at most: fewer requests than with the client's 16 KiB, where many events come at once."""
_OURS = ("acks", "enable_idempotence", "key_serializer", "value_serializer", "partitioner", "allow_auto_create_topics", "linger_ms",
         "delivery_timeout_ms", "max_block_ms", "transactional_id", "retries")  # fmt: skip
"""What a service may not set: the promises above rest on it, or a parameter of ours says it."""
_log = logging.getLogger("lineage.emitter")


class Delivered(NamedTuple):
    """Where an event lies."""

    topic: str
    partition: int
    offset: int


class NotDelivered(WorldError):
    """Events that Kafka did not take; `events` are their ids. Emit them again: the same id is the same event."""

    def __init__(self, reason: str, events: tuple[str, ...] = ()) -> None:
        """Take the reason, and whom it concerns."""
        super().__init__(reason)
        self.events = events


Told = Callable[[str, Delivered | NotDelivered], object]
"""Called with an event's id and what became of it, in the producer's own thread: it must be quick."""


def client(kind: Callable[..., Any], bootstrap_servers: str | list[str], options: Mapping[str, Any], **ours: Any) -> Any:  # noqa: ANN401
    """Make a client of kafka-python; raise `BadCall` for an option that there is not, `WorldError` if no broker answers."""
    _keep_values_out_of_the_log()
    known: Mapping[str, Any] = kind.DEFAULT_CONFIG  # type: ignore[attr-defined]
    wrong = [name for name in options if name not in known or name in ours or name in _OURS]
    if wrong:
        msg = f"{', '.join(wrong)}: no option that can be set here"
        raise BadCall(msg)
    try:
        return kind(bootstrap_servers=bootstrap_servers, **{**options, **ours})
    except (KafkaConfigurationError, OSError, ValueError, TypeError, AssertionError) as error:
        msg = f"the options of the Kafka client are not valid ({type(error).__name__})"
        raise BadCall(msg) from None
    except KafkaError as error:
        msg = f"Kafka does not answer at the bootstrap servers, or does not let us in ({type(error).__name__})"
        raise WorldError(msg) from None


def _keep_values_out_of_the_log() -> None:
    """Keep kafka-python, which shows keys and values at DEBUG, at INFO where nobody has set its level on purpose."""
    log = logging.getLogger("kafka")
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)


class Emitter:
    """Sends events; thread-safe, one per service. Use it as a context manager: its end waits until all are delivered."""

    def __init__(
        self,
        bootstrap_servers: str | list[str],
        *,
        topics: Topics | None = None,
        ids: Ids | None = None,
        told: Told | None = None,
        linger_ms: int = 20,
        waiting_max: int = 10_000,
        block_seconds_max: float = 30.0,
        delivery_seconds_max: float = 120.0,
        **options: Any,  # noqa: ANN401 - those of kafka-python
    ) -> None:
        """Connect; `options` (TLS, SASL, compression, …) go to kafka-python's `KafkaProducer` as they are.

        At most `waiting_max` events wait for their delivery: the next `emit` blocks so many seconds, then fails.
        Raises `BadCall` for an option that cannot be set, `WorldError` if no broker answers.
        """
        self._topics, self._ids, self._told = topics or Topics(), ids or Ids(), told
        self._waiting_max, self._block_seconds_max = waiting_max, block_seconds_max
        self._waiting = 0
        self._failed: list[str] = []
        self._failures = 0
        self._why = ""
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._delivery_seconds_max = delivery_seconds_max
        delivery_ms = int(delivery_seconds_max * 1000)
        # One request must fit into the time for a delivery, or the client refuses to start.
        options.setdefault("request_timeout_ms", max(1, min(30_000, delivery_ms - linger_ms)))
        options.setdefault("batch_size", _BATCH_BYTES)
        self._producer = client(
            kafka.KafkaProducer, bootstrap_servers, options, acks="all", enable_idempotence=True, linger_ms=linger_ms,
            delivery_timeout_ms=delivery_ms, max_block_ms=int(block_seconds_max * 1000), allow_auto_create_topics=False,
        )  # fmt: skip

    def emit(self, event: Mapping[str, Any]) -> Future[Delivered]:
        """Send an event in its JSON form; the future tells where it lies, or raises `NotDelivered`.

        Raises `BadEvent` naming the field that is wrong, `NotDelivered` if too many events wait or the topic is not there.
        """
        with self._turn:
            try:
                kind, record = schemas.registry().from_json(event)
                value = self._ids.outbound(schemas.registry().encode(kind.name, record))
            except schemas.InvalidEvent as error:
                raise BadEvent(str(error)) from None
            id_ = str(record["id"])
            self._take_place(id_)
            future: Future[Delivered] = Future()
            try:
                sent = self._producer.send(
                    self._topics.event(kind.stream), value, wire.event_key(record["controller"], wire.identifiers_of(kind, record)),
                    wire.headers(id_, record["source"], kind.name, record["time"]),
                )  # fmt: skip
            except (KafkaError, ValueError) as error:
                with self._changed:
                    self._waiting -= 1
                    self._changed.notify_all()
                raise _not_taken(id_, self._topics.event(kind.stream), error) from None
            sent.add_callback(lambda at: self._settle(id_, future, Delivered(at.topic, at.partition, at.offset)))
            sent.add_errback(lambda error: self._settle(id_, future, _not_delivered(id_, error)))
            return future

    def _take_place(self, id_: str) -> None:
        until = time.monotonic() + self._block_seconds_max
        with self._changed:
            while self._waiting >= self._waiting_max:
                if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    msg = f"event {id_} was not sent: {self._waiting} others wait for their delivery; try again"
                    raise NotDelivered(msg, (id_,))
            self._waiting += 1

    def _settle(self, id_: str, future: Future[Delivered], result: Delivered | NotDelivered) -> None:
        """Tell everybody what became of an event; runs in the producer's thread, so nothing here may raise."""
        if isinstance(result, Delivered):
            future.set_result(result)
        else:
            future.set_exception(result)
        if self._told is not None:
            try:
                self._told(id_, result)
            except Exception as error:  # noqa: BLE001 - the service's own function; its text may show a value
                _log.error("the function that is told of deliveries failed (%s)", type(error).__name__)
        with self._changed:
            self._waiting -= 1
            if isinstance(result, NotDelivered):
                self._failures += 1
                self._why = str(result).rpartition(": ")[2]
                if len(self._failed) < _REMEMBERED_MAX:
                    self._failed.append(id_)
            self._changed.notify_all()

    def flush(self, seconds_max: float | None = None) -> None:
        """Wait until every event is settled; raise one `NotDelivered` with all that have failed since the last call."""
        seconds = self._delivery_seconds_max + self._block_seconds_max if seconds_max is None else seconds_max
        until = time.monotonic() + seconds
        with contextlib.suppress(KafkaError):  # what still waits is counted below
            self._producer.flush(timeout=seconds)
        with self._changed:
            while self._waiting and time.monotonic() < until:
                self._changed.wait(max(0.0, until - time.monotonic()))
            failed, failures, why, waiting = tuple(self._failed), self._failures, self._why, self._waiting
            self._failed, self._failures = [], 0
        if failures:
            more = f" and {failures - _SHOWN_MAX} more" if failures > _SHOWN_MAX else ""
            msg = f"{failures} events were not delivered ({why}): {', '.join(failed[:_SHOWN_MAX])}{more}"
            raise NotDelivered(msg, failed)
        if waiting:
            msg = f"{waiting} events are not delivered yet, after {seconds:g} seconds"
            raise NotDelivered(msg)

    def close(self, seconds_max: float | None = None) -> None:
        """Deliver what waits, and end; raise like `flush`. A second time does nothing."""
        try:
            self.flush(seconds_max)
        finally:
            self._producer.close(timeout=1.0)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close; an error of the block itself goes first, and what was not delivered is logged then."""
        try:
            self.close()
        except LineageError as own:
            if kind is None:
                raise
            _log.error("%s", own)


def _not_taken(id_: str, topic: str, error: Exception) -> LineageError:
    """Say why the producer did not even take an event."""
    if isinstance(error, IllegalStateError):
        return BadCall("the emitter is closed")
    if isinstance(error, MessageSizeTooLargeError):
        why = "it is larger than the producer's max_request_size"
    else:
        why = f"topic {topic} cannot be written ({type(error).__name__}); `lineage topics` makes it"
    return NotDelivered(f"event {id_} was not sent: {why}", (id_,))


def _not_delivered(id_: str, error: BaseException) -> NotDelivered:
    return NotDelivered(f"event {id_} was not delivered: {type(error).__name__}", (id_,))
