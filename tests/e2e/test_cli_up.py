"""The command line beside a running pipeline: reading goes past it, writing goes through it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LINEAGE = (sys.executable, "-m", "streams.cli")
EVENTS = [
    {"type": "newsletter.subscribed", "id": "n1", "source": "shop", "time": "2024-10-01T09:00:00Z", "controller": "pompdelux",
     "person": {"email": "anna@example.org", "customer_number": "K-77"}, "channel": "email", "express": True,
     "data": {"email": "anna@example.org", "subscription": "weekly"}},
    {"type": "support.opened", "id": "s1", "source": "shop", "time": "2024-10-02T09:00:00Z", "controller": "pompdelux",
     "person": {"email": "anna@example.org"}, "matter": "M-1", "via": "email", "data": {"message": "the zip jams"}},
]  # fmt: skip
pytestmark = pytest.mark.process


class Running:
    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {**os.environ, "LINEAGE_DATA": str(folder), "LINEAGE_PORT": str(port), "LINEAGE_SETTINGS": ""}
        self.process = subprocess.Popen(
            [*LINEAGE, "up"], env=self.environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/health").is_success:
                    return
            except httpx.TransportError:
                continue
        pytest.fail(f"the pipeline did not start: {self.process.communicate()}")

    def run(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*LINEAGE, *words], env=self.environment, cwd=ROOT, text=True, input=text, capture_output=True, check=False
        )

    def stop(self) -> tuple[str, str]:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "data")
    yield found
    found.stop()


def lines(events: list[dict[str, object]]) -> str:
    return "\n".join(json.dumps(e) for e in events)


def test_events_a_request_and_its_case_go_through_the_running_pipeline(running: Running) -> None:
    sent = running.run("emit", "-", text=lines(EVENTS))
    assert (sent.returncode, sent.stdout) == (0, "2 events taken\n"), sent.stderr
    asked = running.run("request", "erasure", "anna@example.org", "-c", "pompdelux", "--via", "phone", "--json")
    assert asked.returncode == 0, asked.stderr
    case = json.loads(asked.stdout)["case"]
    shown = json.loads(running.run("case", case, "--json").stdout)
    assert shown["state"] == "open"
    assert {t["target"] for t in shown["targets"] if t["outcome"] == "unconfirmed"} >= {"newsletter_system", "support_inbox"}
    assert running.run("verify").returncode == 0


def test_bad_events_are_said_by_their_number_and_the_good_ones_are_taken(running: Running) -> None:
    sent = running.run("emit", "-", text=lines([EVENTS[0], {**EVENTS[1], "via": 7}]))
    assert (sent.returncode, sent.stdout) == (2, "1 event taken\n")
    assert sent.stderr.startswith("lineage: event 2: via: ")
    assert sent.stderr.count("\n") == 1


def test_an_unknown_case_is_one_line_from_the_running_pipeline_too(running: Running) -> None:
    ran = running.run("decide", "no-such-case", "identity_proven")
    assert ran.returncode == 2
    assert ran.stderr.startswith("lineage: there is no case")
    assert ran.stderr.count("\n") == 1


def test_a_second_pipeline_on_the_same_data_is_refused_in_one_line(running: Running) -> None:
    second = running.run("up")
    assert second.returncode == 2
    assert "another process" in second.stderr
    assert second.stderr.count("\n") == 1


def test_tick_leaves_the_running_pipeline_alone(running: Running) -> None:
    ran = running.run("tick")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "is running" in ran.stderr


def test_the_pipeline_stops_in_order_and_the_data_can_be_opened_again(running: Running) -> None:
    running.run("emit", "-", text=lines(EVENTS))
    _, problems = running.stop()
    assert running.process.returncode == 0, problems
    assert "Traceback" not in problems
    traced = running.run("trace", "anna@example.org", "-c", "pompdelux", "--json")
    assert {h["target"] for h in json.loads(traced.stdout)["holdings"]} >= {"newsletter_system", "support_inbox"}
    assert running.run("tick").returncode == 0
