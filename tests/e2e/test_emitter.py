"""The emitter of a backend service on a real Kafka: what is delivered, in which order, and what is told when it is not."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from typing import Any

import pytest
from on_kafka import own_topics, read

import schemas
from lineage.errors import BadCall, BadEvent, WorldError
from streams import wire
from streams.emitter import Delivered, Emitter, NotDelivered
from streams.topics import Topics

pytestmark = pytest.mark.process
SECRET = "secret-value@example.org"


def order(n: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"e-{n}", "source": "web shop", "type": "order.placed", "time": "2026-09-21T14:13:20Z", "controller": "pompdelux",
        "person": {"email": f"ann{n % 7}@example.org"}, "order": str(n), "data": {"name": "Ann"}, **more,
    }  # fmt: skip


def test_an_event_arrives_in_the_wire_format_with_key_and_headers(kafka_server, unique) -> None:
    topics = own_topics(kafka_server.bootstrap, unique("emit"))
    with Emitter(kafka_server.bootstrap, topics=topics, compression_type="gzip") as emitter:
        future = emitter.emit(order(1))
        emitter.emit({**order(2), "type": "support.opened", "order": None, "matter": "s-1", "data": {}})
    assert future.result(0) == Delivered(topics.event("order"), 0, 0)
    (record,) = read(kafka_server.bootstrap, topics.event("order"), 1)
    kind, content = schemas.registry().decode(record.value)
    assert (kind.name, content["id"], content["data"]["name"]) == ("order.placed", "e-1", "Ann")
    assert record.key == wire.event_key("pompdelux", {"email": "ann1@example.org"})
    assert record.headers == wire.headers("e-1", "web shop", "order.placed", 1_790_000_000_000)
    assert len(read(kafka_server.bootstrap, topics.event("support"), 1)) == 1


def test_events_of_one_person_come_in_the_order_in_which_they_were_emitted(kafka_server, unique) -> None:
    topics = own_topics(kafka_server.bootstrap, unique("emit"), partitions=3)
    told: dict[str, Any] = {}
    with Emitter(kafka_server.bootstrap, topics=topics, told=told.__setitem__, waiting_max=100) as emitter:
        for n in range(2000):
            emitter.emit(order(n))
    records = read(kafka_server.bootstrap, topics.event("order"), 2000)
    by_key, partitions = defaultdict(list), defaultdict(set)
    for record in records:
        by_key[record.key].append(int(dict(record.headers)["ce_id"].decode()[2:]))
        partitions[record.key].add(record.partition)
    assert len(records) == len(told) == 2000
    assert len(by_key) == 7
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert all(len(found) == 1 for found in partitions.values())
    assert all(isinstance(result, Delivered) for result in told.values())


def test_several_threads_may_emit(kafka_server, unique) -> None:
    topics = own_topics(kafka_server.bootstrap, unique("emit"))
    with Emitter(kafka_server.bootstrap, topics=topics, waiting_max=10) as emitter:
        threads = [threading.Thread(target=lambda t=t: [emitter.emit(order(t * 100 + n)) for n in range(100)]) for t in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = read(kafka_server.bootstrap, topics.event("order"), 400)
    assert {dict(r.headers)["ce_id"] for r in found} == {b"e-%d" % n for n in range(400)}


def test_an_event_that_is_wrong_is_refused_before_anything_is_sent(kafka_server, unique) -> None:
    topics = own_topics(kafka_server.bootstrap, unique("emit"))
    with Emitter(kafka_server.bootstrap, topics=topics) as emitter:
        with pytest.raises(BadEvent, match="lines must be a whole number") as caught:
            emitter.emit(order(1, lines=SECRET))
        emitter.emit(order(2))
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert len(read(kafka_server.bootstrap, topics.event("order"), 2, 1.0)) == 1


def test_a_topic_that_is_not_there_is_told_and_not_made(kafka_server, unique) -> None:
    with Emitter(kafka_server.bootstrap, topics=Topics(unique("nowhere")), block_seconds_max=0.5) as emitter:
        with pytest.raises(NotDelivered, match="`lineage topics` makes it") as caught:
            emitter.emit(order(1))
        assert caught.value.events == ("e-1",)


def test_an_emitter_that_is_closed_says_so(kafka_server, unique) -> None:
    emitter = Emitter(kafka_server.bootstrap, topics=own_topics(kafka_server.bootstrap, unique("emit")))
    emitter.close()
    emitter.close()
    with pytest.raises(BadCall, match="the emitter is closed"):
        emitter.emit(order(1))


def test_an_event_that_is_too_large_is_told(kafka_server, unique) -> None:
    topics = own_topics(kafka_server.bootstrap, unique("emit"))
    with Emitter(kafka_server.bootstrap, topics=topics, max_request_size=1000) as emitter:
        with pytest.raises(NotDelivered, match="e-1 was not sent: it is larger than"):
            emitter.emit(order(1, data={"name": "x" * 2000}))
        emitter.emit(order(2)).result(30)


@pytest.mark.slow
def test_what_kafka_does_not_take_is_told_in_every_way(own_kafka, unique, caplog: pytest.LogCaptureFixture) -> None:
    kafka = own_kafka()
    topics = own_topics(kafka.bootstrap, unique("emit"))
    told: dict[str, Any] = {}
    caplog.set_level(logging.DEBUG)
    emitter = Emitter(
        kafka.bootstrap, topics=topics, told=told.__setitem__, delivery_seconds_max=2, block_seconds_max=1, waiting_max=8
    )
    first = emitter.emit(order(0))
    emitter.flush()
    assert first.done()
    kafka.pause()
    futures = [emitter.emit(order(n, data={"name": SECRET})) for n in range(1, 9)]
    with pytest.raises(NotDelivered, match="e-9 was not sent: 8 others wait"):
        emitter.emit(order(9))
    with pytest.raises(NotDelivered, match=r"8 events were not delivered \(\w+\): e-1, e-2, e-3, e-4, e-5 and 3 more") as caught:
        emitter.flush()
    assert caught.value.events == tuple(f"e-{n}" for n in range(1, 9))
    assert {id_ for id_, result in told.items() if isinstance(result, NotDelivered)} == set(caught.value.events)
    with pytest.raises(NotDelivered, match="event e-3 was not delivered"):
        futures[2].result(0)
    emitter.flush()
    kafka.resume()
    emitter.emit(order(10)).result(30)
    emitter.close()
    assert SECRET not in caplog.text


@pytest.mark.slow
def test_an_error_in_the_block_goes_before_what_was_not_delivered(own_kafka, unique, caplog: pytest.LogCaptureFixture) -> None:
    kafka = own_kafka()
    topics = own_topics(kafka.bootstrap, unique("emit"))

    def block() -> None:
        with Emitter(kafka.bootstrap, topics=topics, delivery_seconds_max=1) as emitter:
            emitter.emit(order(0)).result(30)
            kafka.pause()
            emitter.emit(order(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert "1 events were not delivered" in caplog.text


def test_a_callback_that_fails_harms_nothing_and_shows_nothing(kafka_server, unique, caplog: pytest.LogCaptureFixture) -> None:
    topics = own_topics(kafka_server.bootstrap, unique("emit"))

    def fail(_id: str, _result: object) -> None:
        raise ValueError(SECRET)

    with Emitter(kafka_server.bootstrap, topics=topics, told=fail) as emitter:
        assert emitter.emit(order(1)).result(30).offset == 0
    assert "failed (ValueError)" in caplog.text
    assert SECRET not in caplog.text


def test_no_broker_is_the_worlds_fault() -> None:
    with pytest.raises(WorldError, match="does not answer at the bootstrap servers"):
        Emitter("127.0.0.1:9", bootstrap_timeout_ms=300)


def test_options_that_do_not_fit_together_are_the_callers_fault(kafka_server) -> None:
    with pytest.raises(BadCall, match="not valid"):
        Emitter(kafka_server.bootstrap, delivery_seconds_max=1, request_timeout_ms=5000)


@pytest.mark.parametrize("option", ["acks", "enable_idempotence", "max_block_ms", "colour"])
def test_options_that_would_break_a_promise_are_refused(option: str) -> None:
    with pytest.raises(BadCall, match=f"{option}: no option") as caught:
        Emitter("127.0.0.1:9", **{option: SECRET})
    assert SECRET not in str(caught.value)
