"""A service's handler on a real Kafka: each command is answered, whatever fails between the deed and the receipt."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from on_kafka import committed, eventually, make, own_topics, put, read
from running import ROOT

from lineage.errors import BadCall, WorldError
from streams import wire
from streams.handler import Answer, AnsweredFile, Command, Service, handler
from streams.topics import Topics

pytestmark = pytest.mark.process
SECRET = "secret-value@example.org"
TARGET = "order_system"


def command(id_: str, **more: Any) -> tuple[bytes, bytes]:
    content = {
        "id": id_, "case": "k-1", "controller": "pompdelux", "target": TARGET, "kind": "erase", "notice": False, "activity": None,
        "categories": ["email"], "because": {"email": ["P-1"]}, "identifiers": {"email": [SECRET]}, "issued": int(time.time()),
        "deadline": None, "attempt": 1, **more,
    }  # fmt: skip
    return id_.encode(), wire.encode_command(content)


class Place:
    """A target's topics, and its service in a thread."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap, self.answered = bootstrap, folder / "answered"
        self.topics = own_topics(bootstrap, prefix, targets=[TARGET])
        self.topic = self.topics.commands("pompdelux", TARGET)
        self.running: list[tuple[Service, threading.Thread]] = []

    def put(self, *records: tuple[bytes | None, bytes | None]) -> None:
        put(self.bootstrap, self.topic, records)

    def serve(self, *functions: Any, **more: Any) -> Service:
        given = {"answered": self.answered, "topics": self.topics, "pause_seconds": 0.01, "tries": 3, **more}
        service = Service("pompdelux", TARGET, *functions, bootstrap_servers=self.bootstrap, **given)
        thread = threading.Thread(target=service.run)
        thread.start()
        self.running.append((service, thread))
        return service

    def receipts(self, most: int, seconds_max: float = 30) -> list[tuple[str, str]]:
        records = read(self.bootstrap, self.topics.receipts, most, seconds_max)
        found = [wire.decode_receipt(r.value) for r in records]
        assert [r.key.decode() for r in records] == [f["command"] for f in found]
        return [(f["command"], f["outcome"]) for f in found]

    def position(self) -> int:
        return committed(self.bootstrap, f"{self.topics.prefix}.pompdelux.{TARGET}", self.topic)

    def stop(self) -> None:
        for service, _ in self.running:
            service.stop()
        for _, thread in self.running:
            thread.join(30)
            assert not thread.is_alive()
        self.running = []


@pytest.fixture
def place(kafka_server, unique, tmp_path: Path) -> Iterator[Place]:
    found = Place(kafka_server.bootstrap, unique("handler"), tmp_path)
    yield found
    found.stop()


class Shop:
    """Functions that note what they were called with."""

    def __init__(self) -> None:
        self.called: list[Command] = []

        @handler("erase")
        def erase(found: Command) -> str:
            self.called.append(found)
            return "erased"

        @handler("export")
        def export(found: Command) -> dict[str, object]:
            self.called.append(found)
            return {"name": "Ann", "orders": [1, 2]}

        self.erase, self.export = erase, export

    @property
    def ids(self) -> list[str]:
        return [c.id for c in self.called]


def test_commands_are_carried_out_in_their_order_and_answered(place: Place) -> None:
    shop = Shop()
    place.put(*(command(f"c-{n}") for n in range(5)))
    service = place.serve(shop.erase)
    assert place.receipts(5) == [(f"c-{n}", "erased") for n in range(5)]
    assert shop.called[0].identifiers == {"email": [SECRET]}
    assert shop.called[0].categories == ("email",)
    place.stop()
    assert service.counts.carried_out == 5
    assert place.position() == 5


def test_a_receipt_has_the_headers_of_an_event(place: Place) -> None:
    place.put(command("c-1"))
    place.serve(Shop().erase)
    (record,) = read(place.bootstrap, place.topics.receipts, 1)
    found = dict(record.headers)
    assert (found["ce_type"], found["ce_source"]) == (b"lineage.receipt", b"pompdelux/order_system")


def test_a_command_that_comes_again_gets_the_same_receipt_and_nothing_is_done(place: Place) -> None:
    shop = Shop()
    place.put(command("c-1"), command("c-1"), command("c-1", attempt=2))
    place.serve(shop.erase)
    assert place.receipts(3) == [("c-1", "erased")] * 3
    place.stop()
    place.put(command("c-1", attempt=1))
    place.serve(shop.erase)
    assert place.receipts(4) == [("c-1", "erased")] * 4
    assert shop.ids == ["c-1"]


def test_a_command_whose_answer_is_doubted_is_carried_out_again(place: Place) -> None:
    shop = Shop()
    file = AnsweredFile(place.answered)
    file.put("c-1", Answer("erased", 1, int(time.time()) - 3600))
    file.close()
    place.put(command("c-1", attempt=2))
    place.serve(shop.erase)
    assert place.receipts(1) == [("c-1", "erased")]
    assert shop.ids == ["c-1"]


def test_an_export_is_answered_with_its_values_each_time_and_they_are_kept_nowhere(place: Place) -> None:
    shop = Shop()
    place.put(command("c-1", kind="export"), command("c-1", kind="export"))
    place.serve(shop.export)
    found = [wire.decode_receipt(r.value) for r in read(place.bootstrap, place.topics.receipts, 2)]
    assert found == [{"command": "c-1", "outcome": "done", "data": {"name": "Ann", "orders": [1, 2]}}] * 2
    assert b"Ann" not in place.answered.read_bytes()


def test_withdrawn_commands_are_stepped_over(place: Place) -> None:
    shop = Shop()
    place.put((b"c-0", None), command("c-1"), (b"c-1", None))
    service = place.serve(shop.erase)
    assert place.receipts(2, 5) == [("c-1", "erased")]
    eventually(lambda: service.counts.withdrawn == 2)
    place.stop()
    assert place.position() == 3


def test_what_cannot_be_read_is_answered_with_failed_where_it_says_whose_it_is(place: Place) -> None:
    shop = Shop()
    other = command("c-3", target="newsletter_system")
    place.put((b"c-1", b"garbage"), (None, b"garbage"), (b"c-2", wire.encode_receipt("c-2", "done")), other, command("c-4"))
    service = place.serve(shop.erase)
    assert place.receipts(4) == [("c-1", "failed"), ("c-2", "failed"), ("c-3", "failed"), ("c-4", "erased")]
    assert (shop.ids, service.counts.unreadable) == (["c-4"], 4)


def test_a_kind_that_nothing_carries_out_is_unsupported(place: Place) -> None:
    place.put(command("c-1", kind="restrict"))
    place.serve(Shop().erase)
    assert place.receipts(1) == [("c-1", "unsupported")]


def test_one_function_can_carry_out_everything(place: Place) -> None:
    place.put(command("c-1", kind="restrict"), command("c-2"))
    place.serve(handler()(lambda found: "erased" if found.kind == "erase" else "done"))
    assert place.receipts(2) == [("c-1", "done"), ("c-2", "erased")]


def test_a_function_that_fails_is_called_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    @handler("erase")
    def erase(found: Command) -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError(found.identifiers["email"][0])
        return "erased"

    caplog.set_level(logging.DEBUG)
    place.put(command("c-1"))
    place.serve(erase)
    assert place.receipts(1) == [("c-1", "erased")]
    assert len(calls) == 3
    assert "erase failed, try 1 of 3: ValueError at erase:" in caplog.text
    assert SECRET not in caplog.text


def test_a_command_that_cannot_be_carried_out_is_answered_with_failed_and_holds_nothing_up(place: Place) -> None:
    calls: list[str] = []

    @handler("erase")
    def erase(found: Command) -> Any:
        calls.append(found.id)
        if found.id == "c-1":
            raise OSError
        return None if found.id == "c-2" else "erased"

    place.put(command("c-1"), command("c-2"), command("c-3"))
    place.serve(erase)
    assert place.receipts(3) == [("c-1", "failed"), ("c-2", "failed"), ("c-3", "erased")]
    assert calls == ["c-1"] * 3 + ["c-2", "c-3"]
    place.put(command("c-1", attempt=2))
    assert place.receipts(4)[3] == ("c-1", "failed")
    assert calls[5:] == ["c-1"] * 3


def test_a_service_that_stops_while_it_waits_to_try_again_loses_nothing(place: Place) -> None:
    calls: list[str] = []

    @handler("erase")
    def erase(found: Command) -> str:
        calls.append(found.id)
        if len(calls) == 1:
            raise OSError
        return "erased"

    place.put(command("c-1"))
    place.serve(erase, pause_seconds=20.0)
    eventually(lambda: calls)
    place.stop()
    assert place.position() == 0
    place.serve(erase)
    assert place.receipts(1) == [("c-1", "erased")]


def test_an_answer_that_cannot_be_kept_is_not_given(place: Place) -> None:
    class Full:
        def __init__(self) -> None:
            self.tries = 0

        def get(self, command: str) -> None:
            return None

        def put(self, command: str, answer: Answer) -> None:
            self.tries += 1
            if self.tries < 3:
                msg = "the disk is full"
                raise WorldError(msg)

        def close(self) -> None:
            pass

    shop, store = Shop(), Full()
    place.put(command("c-1"))
    place.serve(shop.erase, answered=store)
    assert place.receipts(1) == [("c-1", "erased")]
    assert (store.tries, shop.ids) == (3, ["c-1"] * 3)


def test_a_topic_that_is_not_there_is_told(kafka_server, unique, tmp_path: Path) -> None:
    topics = Topics(unique("none"))
    given: dict[str, Any] = {"bootstrap_servers": kafka_server.bootstrap, "answered": tmp_path / "answered", "topics": topics}
    with pytest.raises(BadCall, match=f"there is no topic {topics.receipts}"):
        Service("pompdelux", TARGET, Shop().erase, **given).run(signals=False)
    make(kafka_server.bootstrap, [topics.receipts])
    with pytest.raises(BadCall, match=f"there is no topic {topics.commands('pompdelux', TARGET)}"):
        Service("pompdelux", TARGET, Shop().erase, **given).run(signals=False)


def test_no_broker_at_the_start_is_told(tmp_path: Path) -> None:
    service = Service(
        "pompdelux", TARGET, Shop().erase, bootstrap_servers="127.0.0.1:9", answered=tmp_path / "a", bootstrap_timeout_ms=300
    )
    with pytest.raises(WorldError, match="does not answer"):
        service.run(signals=False)


CRASHING = """
import os, sys
from pathlib import Path
from streams.handler import AnsweredFile, Service, handler
from streams.topics import Topics

bootstrap, prefix, folder, where = sys.argv[1:]

def crash(at):
    mark = Path(folder, at)
    if where == at and not mark.exists():
        mark.touch()
        os._exit(9)

class Crashing(AnsweredFile):
    def put(self, command, answer):
        crash("before the note")
        super().put(command, answer)
        crash("before the receipt")

@handler("erase")
def erase(command):
    with Path(folder, "done").open("a") as file:
        file.write(command.id + "\\n")
    crash("after the deed")
    return "erased"

class Watched(Service):
    def _take(self, record, producer):
        found = super()._take(record, producer)
        crash("before the commit")
        return found

Watched("pompdelux", "order_system", erase, bootstrap_servers=bootstrap, answered=Crashing(Path(folder, "answered")),
        topics=Topics(prefix)).run()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "times", "receipts"),
    [("after the deed", 2, 1), ("before the note", 2, 1), ("before the receipt", 1, 1), ("before the commit", 1, 2)],
)
def test_a_crash_at_any_point_loses_no_command(place: Place, tmp_path: Path, where: str, times: int, receipts: int) -> None:
    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", CRASHING, place.bootstrap, place.topics.prefix, str(tmp_path), where]
        return subprocess.Popen(words, cwd=ROOT)

    place.put(command("c-1"), command("c-2"))
    assert start().wait(60) == 9
    second = start()
    try:
        # The broker waits for the member that is gone before it gives the topic to the next.
        found = place.receipts(receipts + 1, 90)
    finally:
        second.terminate()
        assert second.wait(60) == 0
    assert found == [("c-1", "erased")] * receipts + [("c-2", "erased")]
    assert (tmp_path / "done").read_text().split() == ["c-1"] * times + ["c-2"]
    assert place.position() == 2


@pytest.mark.slow
def test_a_service_outlives_a_broker_that_is_gone_for_a_while(own_kafka, unique, tmp_path: Path) -> None:
    kafka = own_kafka()
    place = Place(kafka.bootstrap, unique("handler"), tmp_path)
    shop = Shop()
    try:
        place.put(command("c-1"))
        place.serve(shop.erase)
        assert place.receipts(1) == [("c-1", "erased")]
        eventually(lambda: place.position() == 1)
        kafka.kill()
        kafka.start()
        place.put(command("c-2"))
        assert place.receipts(2, 90)[-1] == ("c-2", "erased")
    finally:
        place.stop()
    assert shop.ids == ["c-1", "c-2"]
