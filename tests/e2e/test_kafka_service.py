"""The demo's shop as a real process on a real Kafka: orders become events, commands erase in its own file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from on_kafka import eventually, own_topics, put, read
from running import ROOT

import schemas
from demo.kafka_service import CONTROLLER, TARGET, Shop
from streams import wire
from streams.topics import Topics

pytestmark = pytest.mark.process
ANN = {
    "customer_number": "4711",
    "name": "Ann Krogh",
    "email": "ann@example.org",
    "phone": "+45 12345678",
    "address": "1 Mill Road",
}
BO = {"customer_number": "4712", "name": "Bo Dahl", "email": "bo@example.org", "phone": "+45 87654321", "address": "2 Mill Road"}
CATEGORIES = ["address", "email", "name", "phone", "purchase"]


class Process:
    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.topics: Topics = own_topics(bootstrap, prefix, CONTROLLER, [TARGET])
        self.process: subprocess.Popen[str] | None = None
        self.receipts = 0

    def start(self) -> None:
        words = [
            sys.executable,
            "-m",
            "demo.kafka_service",
            "--kafka",
            self.bootstrap,
            "--topics",
            self.topics.prefix,
            "--folder",
            str(self.folder),
        ]
        self.process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def order(self, who: dict[str, str], number: str, content: str) -> None:
        self.process.stdin.write(json.dumps({**who, "order": number, "content": content}) + "\n")
        self.process.stdin.flush()

    def command(
        self, id_: str, kind: str, who: dict[str, str], categories: list[str] = CATEGORIES, attempt: int = 1
    ) -> dict[str, Any]:
        """Send a command as the pipeline does, and wait for its receipt."""
        command = {
            "id": id_, "case": "k-1", "controller": CONTROLLER, "target": TARGET, "kind": kind, "notice": False, "activity": None,
            "categories": categories, "because": {c: ["gdpr:17"] for c in categories}, "identifiers": {"email": [who["email"]]},
            "issued": int(time.time()), "deadline": None, "attempt": attempt,
        }  # fmt: skip
        put(self.bootstrap, self.topics.commands(CONTROLLER, TARGET), [(id_.encode(), wire.encode_command(command))])
        self.receipts += 1
        found = wire.decode_receipt(read(self.bootstrap, self.topics.receipts, self.receipts)[-1].value)
        assert found["command"] == id_
        return found

    def bytes(self) -> bytes:
        return b"".join(f.read_bytes() for f in self.folder.iterdir())

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        _, text = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, text
        self.process = None
        return text


@pytest.fixture
def shop(kafka_server, unique, tmp_path: Path) -> Iterator[Process]:
    found = Process(kafka_server.bootstrap, unique("shop"), tmp_path / "shop")
    yield found
    if found.process is not None:
        found.process.kill()
        found.process.communicate()


def test_the_shop_emits_what_happens_and_erases_on_command(shop: Process) -> None:
    shop.start()
    shop.order(ANN, "1001", "a green dress")
    shop.order(BO, "1002", "a blue coat")
    events = [schemas.registry().decode(r.value)[1] for r in read(shop.bootstrap, shop.topics.event("order"), 2)]
    assert [(e["id"], e["person"]["email"], e["data"]["order_content"]) for e in events] == [
        ("shop-order-1001", "ann@example.org", "a green dress"),
        ("shop-order-1002", "bo@example.org", "a blue coat"),
    ]
    file = Shop(shop.folder)
    eventually(lambda: not file.waiting())

    assert shop.command("c-1", "export", ANN)["data"] == {
        "name": "Ann Krogh", "email": "ann@example.org", "phone": "+45 12345678", "address": "1 Mill Road", "purchase": ["a green dress"],
    }  # fmt: skip
    assert shop.command("c-2", "restrict", ANN)["outcome"] == "done"
    assert shop.command("c-3", "correct", ANN)["outcome"] == "unsupported"
    assert shop.command("c-4", "erase", ANN, ["phone"])["outcome"] == "erased"
    assert b"12345678" not in shop.bytes()
    assert b"Ann Krogh" in shop.bytes()
    assert shop.command("c-5", "erase", ANN)["outcome"] == "erased"
    for value in (*ANN.values(), "a green dress"):
        assert value.encode() not in shop.bytes()
    for value in (*BO.values(), "a blue coat"):
        assert value.encode() in shop.bytes()
    assert shop.command("c-5", "erase", ANN)["outcome"] == "erased"
    assert shop.command("c-6", "erase", ANN)["outcome"] == "no_data"
    printed = shop.stop()
    assert "ann@example.org" not in printed


def test_an_order_that_is_no_order_is_told_without_its_values(shop: Process) -> None:
    shop.start()
    shop.process.stdin.write('{"customer_number": "4711", "name": "Ann Krogh"}\nno JSON\n')
    shop.order(BO, "1002", "a blue coat")
    assert len(read(shop.bootstrap, shop.topics.event("order"), 1)) == 1
    assert [line.split(": ", 1)[1] for line in shop.stop().splitlines() if "order not taken" in line] == [
        "KeyError",
        "JSONDecodeError",
    ]


def test_an_event_that_kafka_did_not_get_goes_with_the_next_start(shop: Process) -> None:
    file = Shop(shop.folder)
    file.order({**ANN, "order": "1001", "content": "a green dress"})
    assert [e["id"] for e in file.waiting()] == ["shop-order-1001"]
    shop.start()
    (record,) = read(shop.bootstrap, shop.topics.event("order"), 1)
    assert schemas.registry().decode(record.value)[1]["id"] == "shop-order-1001"
    eventually(lambda: not file.waiting())


def test_an_erasure_takes_events_with_it_that_kafka_did_not_get(tmp_path: Path) -> None:
    from streams.handler import Command

    file = Shop(tmp_path)
    file.order({**ANN, "order": "1001", "content": "a green dress"})
    command = Command("c-1", "k", CONTROLLER, TARGET, "erase", notice=False, activity=None, categories=tuple(CATEGORIES), because={},
                      identifiers={"customer_number": ["4711"]}, issued=0, deadline=None, attempt=1)  # fmt: skip
    assert file.erase(command) == "erased"
    assert file.waiting() == []
    assert file.get("c-1").outcome == "erased"
    assert b"green dress" not in file.file.read_bytes()


def test_without_its_topics_the_shop_says_so_in_one_line(kafka_server, unique, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "demo.kafka_service",
        "--kafka",
        kafka_server.bootstrap,
        "--topics",
        unique("none"),
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(words, cwd=ROOT, input="", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "`lineage topics` makes it" in done.stderr.splitlines()[-1]
