"""An answer that a service got over HTTP is in the audit log, whatever happens to the process afterwards."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from running import Running

GATES = {
    "message": {"activity": "marketing", "channel": "email"},
    "use": {"activity": "testing_and_improvement", "categories": ["email"]},
    "sale": {"to": "somebody", "categories": ["email"]},
}
THREADS = 6
ANSWERS_MIN = 60
"""So many answers in each round before the kill, however slow the machine is; more where it is quick."""
SECONDS_MAX = 60


class Service(threading.Thread):
    """Asks and asks, and counts what it was answered."""

    def __init__(self, running: Running, n: int) -> None:
        super().__init__(daemon=True)
        self.running, self.gate = running, sorted(GATES)[n % len(GATES)]
        self.who = f"p{n}@example.org"
        self.answered = 0
        self.stop = False

    def run(self) -> None:
        body = {
            "controller": "pompdelux",
            "identifier": {"kind": "email", "value": self.who},
            "gate": self.gate,
            **GATES[self.gate],
        }
        try:
            with self.running.client() as client:
                while not self.stop:
                    if client.post("/v1/ask", json=body).status_code == 200:
                        self.answered += 1
        except (httpx.HTTPError, OSError):
            return


def logged(client: httpx.Client) -> Counter[str]:
    found: Counter[str] = Counter()
    seq = 0
    while lines := client.get("/v1/audit", params={"since": seq}).json():
        seq = lines[-1]["seq"]
        found.update(line["body"]["about"].removeprefix("ask:") for line in lines if line["body"]["about"].startswith("ask:"))
    return found


@pytest.mark.process
def test_after_kill_9_nothing_that_was_answered_is_missing(tmp_path: Path) -> None:
    running = Running(tmp_path / "data").start()
    expected: Counter[str] = Counter()
    for round_ in range(3):
        services = [Service(running, n) for n in range(THREADS)]
        for service in services:
            service.start()
        until = time.monotonic() + SECONDS_MAX
        while sum(s.answered for s in services) < ANSWERS_MIN and time.monotonic() < until:
            time.sleep(0.05)
        if round_ < 2:
            running.kill()
        for service in services:
            service.stop = True
            service.join(timeout=30)
            expected[service.gate] += service.answered
        if round_ < 2:
            running.start()
    with running.client() as client:
        found = logged(client)
    running.stop()
    assert sum(expected.values()) >= 3 * ANSWERS_MIN
    for gate, count in expected.items():
        # A line may be there whose answer the kill has cut off: at most one for each who asked, in each round.
        assert count <= found[gate] <= count + 2 * THREADS
