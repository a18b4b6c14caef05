"""The embedded pipeline at its limits: wrong calls of every kind, a backlog of what is due, a stop while targets wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from running import Running

pytestmark = pytest.mark.process
CLO = {"kind": "email", "value": "clo@example.org"}
PERSON = {"controller": "pompdelux", "identifier": CLO}


def sign_up(number: int, who: str, at: int, **more: object) -> dict:
    email = f"{who}@example.org"
    return {"id": f"s{number}", "source": "shop", "type": "newsletter.subscribed", "time": at, "controller": "pompdelux",
            "person": {"email": email}, "channel": "email", "express": True,
            "data": {"email": email, "subscription": "yes"}, **more}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("data")).start()
    yield found
    found.stop()


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    with running.client() as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/requests", {**PERSON, "right": ["erasure"]}),
        ("POST", "/v1/requests", {**PERSON, "right": "erasure", "scope": 5}),
        ("POST", "/v1/requests", {**PERSON, "right": "erasure", "via": ["email"]}),
        ("POST", "/v1/requests", {**PERSON, "right": "erasure", "case": "../x"}),
        ("POST", "/v1/requests", {**PERSON, "right": "erasure", "controller": {}}),
        ("POST", "/v1/lineage", {**PERSON, "controller": []}),
        ("POST", "/v1/lineage", {**PERSON, "identifier": "clo@example.org"}),
        ("POST", "/v1/lineage", []),
        ("POST", "/v1/plan", {**PERSON, "right": "erasure", "at": "tomorrow"}),
        ("POST", "/v1/plan", {**PERSON, "right": "erasure", "at": 10**30}),
        ("POST", "/v1/plan", {**PERSON, "right": "erasure", "at": "2026-02-30"}),
        ("POST", "/v1/plan", {**PERSON, "right": "erasure", "scope": "marketting"}),
        ("POST", "/v1/ask", {**PERSON, "gate": "message", "activity": []}),
        ("POST", "/v1/ask", {**PERSON, "gate": "chance"}),
        ("POST", "/v1/receipts", {"command": 5, "outcome": "erased"}),
        ("GET", "/v1/audit?since=x", None),
        ("GET", "/v1/systems/pompdelux/newsletter_system/commands?wait=nan", None),
        ("GET", "/v1/systems/pompdelux/newsletter_system/commands?max=-1", None),
    ],
)
def test_a_wrong_call_of_any_kind_is_the_callers_error_and_shows_no_value(
    client: httpx.Client, method: str, path: str, body: object
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert "clo@" not in answer.text


def test_a_plan_is_for_a_day_on_the_controllers_clock(client: httpx.Client) -> None:
    days = {}
    for given in ("2026-12-01", "2026-12-01T12:30", "2026-11-30T23:30:00Z", 1_796_000_000):
        days[given] = client.post("/v1/plan", json={**PERSON, "right": "erasure", "at": given}).json()["day"]
    assert days == dict.fromkeys(("2026-12-01", "2026-12-01T12:30", "2026-11-30T23:30:00Z"), "2026-12-01") | {
        1_796_000_000: "2026-11-30"
    }


def test_an_unknown_controller_is_not_found(client: httpx.Client) -> None:
    for path in ("/v1/lineage", "/v1/requests", "/v1/plan"):
        assert client.post(path, json={**PERSON, "controller": "nobody", "right": "erasure"}).status_code == 404


def test_an_event_of_a_controller_without_a_policy_is_refused_at_the_door(client: httpx.Client) -> None:
    answer = client.post("/v1/events", json=[sign_up(1, "dan", 1_709_550_000_000, controller="nobody")])
    assert answer.status_code == 400
    assert answer.json()["bad"][0]["field"] == "controller"


def test_a_request_sent_again_under_its_case_is_filed_once(client: httpx.Client) -> None:
    client.post("/v1/events", json=sign_up(2, "eve", 1_709_550_000_000))
    asked = {
        "controller": "pompdelux",
        "right": "erasure",
        "identifier": {"kind": "email", "value": "eve@example.org"},
        "case": "eve-1",
    }
    first, second = (client.post("/v1/requests", json=asked) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["case"] == second.json()["case"] == "eve-1"
    assert [c["case"] for c in client.get("/v1/cases").json()].count("eve-1") == 1


def test_a_request_sees_the_events_that_were_acknowledged_before_it(client: httpx.Client) -> None:
    for n in range(5):
        who = f"fay{n}"
        assert client.post("/v1/events", json=sign_up(10 + n, who, 1_709_550_000_000)).status_code == 202
        person = {"controller": "pompdelux", "identifier": {"kind": "email", "value": f"{who}@example.org"}}
        case = client.post("/v1/requests", json={**person, "right": "erasure"}).json()
        assert "newsletter_system" in {t["target"] for t in case["targets"]}


def test_a_command_is_not_sent_again_at_once_and_comes_again_later(running: Running, client: httpx.Client) -> None:
    client.post("/v1/events", json=sign_up(20, "gil", 1_709_550_000_000))
    person = {"controller": "pompdelux", "identifier": {"kind": "email", "value": "gil@example.org"}}
    case = client.post("/v1/requests", json={**person, "right": "erasure"}).json()["case"]

    def fetch(wait: int) -> list[dict]:
        path = "/v1/systems/pompdelux/newsletter_system/commands"
        return [c for c in client.get(path, params={"wait": wait}).json()["commands"] if c["case"] == case]

    first = fetch(5)
    assert [c["attempt"] for c in first] == [1]
    assert fetch(0) == []
    again: list[dict] = []
    until = time.monotonic() + 10
    while not again and time.monotonic() < until:
        again = fetch(5)
    assert [(c["id"], c["attempt"]) for c in again] == [(first[0]["id"], 2)]


def test_a_backlog_of_what_is_due_holds_up_neither_events_nor_requests(tmp_path: Path) -> None:
    # Orders of fifteen years ago: everything about them is due at once.
    old = 1_270_000_000_000
    orders = [
        {"id": f"o{n}", "source": "shop", "type": "order.placed", "time": old + n, "controller": "apof", "order": f"A{n}",
         "person": {"email": f"p{n % 400}@example.org"}, "lines": 1,
         "data": {"name": "Ann Buyer", "email": f"p{n % 400}@example.org", "order_content": "a bottle"}}
        for n in range(4000)
    ]  # fmt: skip
    running = Running(tmp_path / "data").start()
    with running.client() as client:
        for start in range(0, len(orders), 1000):
            assert client.post("/v1/events", json=orders[start : start + 1000]).status_code == 202
        slowest = 0.0
        for n in range(20):
            started = time.monotonic()
            assert client.post("/v1/events", json=sign_up(n, f"new{n}", 1_709_550_000_000)).status_code == 202
            slowest = max(slowest, time.monotonic() - started)
        assert slowest < 5
        started = time.monotonic()
        assert client.post("/v1/lineage", json=PERSON).status_code == 200
        assert time.monotonic() - started < 10
    started = time.monotonic()
    code, _ = running.stop()
    assert (code, time.monotonic() - started < 30) == (0, True)


def test_a_stop_does_not_wait_for_a_target_that_waits_for_commands(tmp_path: Path) -> None:
    running = Running(tmp_path / "data").start()
    answers: list[httpx.Response] = []

    def wait() -> None:
        with running.client() as client:
            answers.append(client.get("/v1/systems/pompdelux/newsletter_system/commands", params={"wait": 30}, timeout=60))

    waiting = threading.Thread(target=wait)
    waiting.start()
    threading.Event().wait(0.5)
    started = time.monotonic()
    code, _ = running.stop()
    waiting.join(timeout=30)
    assert code == 0
    assert time.monotonic() - started < 8
    assert [(a.status_code, a.json()) for a in answers] == [(200, {"commands": []})]
