"""The embedded pipeline as its three kinds of users meet it: over HTTP, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest
from running import ROOT, Running

from streams.api import Api
from streams.outbox import signature

pytestmark = pytest.mark.process
ANN = {"kind": "email", "value": "ann@example.org"}


def event(number: int, type_: str, **more: object) -> dict:
    return {
        "id": f"e{number}",
        "source": "shop",
        "type": type_,
        "time": 1_709_550_000_000 + number,
        "controller": "pompdelux",
        "person": {"email": ANN["value"]},
        **more,
    }


BOB = {"email": "bob@example.org"}


SIGN_UP = event(1, "newsletter.subscribed", channel="email", express=True, data={"email": ANN["value"], "subscription": "yes"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    found = Running(tmp_path_factory.mktemp("data")).start()
    yield found
    found.stop()


@pytest.fixture
def client(running: Running):
    with running.client() as found:
        yield found


def test_the_token_is_printed_once_and_needed_for_everything_but_the_health(running: Running) -> None:
    assert running.token in running.printed
    with httpx.Client(base_url=f"http://127.0.0.1:{running.port}") as stranger:
        assert stranger.get("/health").json()["status"] == "ok"
        for path in ("/metrics", "/v1/cases", "/openapi.json", "/v1/audit"):
            answer = stranger.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_an_erasure_reaches_every_target_and_ends_in_a_certificate(client: httpx.Client) -> None:
    assert client.post("/v1/events", json=SIGN_UP).status_code == 202
    case = client.post("/v1/requests", json={"controller": "pompdelux", "right": "erasure", "identifier": ANN}).json()
    assert case["state"] == "open"
    assert client.get(f"/v1/cases/{case['case']}/certificate").status_code == 404
    for target in ("newsletter_system", "online_or_data_service_provider"):
        commands = client.get(f"/v1/systems/pompdelux/{target}/commands", params={"wait": 5}).json()["commands"]
        assert [c["kind"] for c in commands] == ["erase"]
        assert commands[0]["identifiers"] == {"email": [ANN["value"]]}
        for _ in range(2):
            assert client.post("/v1/receipts", json={"command": commands[0]["id"], "outcome": "erased"}).status_code == 202
    found = client.get(f"/v1/cases/{case['case']}").json()
    assert found["state"] == "closed"
    certificate = client.get(f"/v1/cases/{case['case']}/certificate").json()
    assert {t["target"] for t in certificate["targets"]} == {"newsletter_system", "online_or_data_service_provider"}
    assert ANN["value"] not in json.dumps(certificate)
    assert client.post("/v1/lineage", json={"controller": "pompdelux", "identifier": ANN}).json()["holdings"] == []


def test_good_events_of_a_batch_are_taken_and_bad_ones_named_without_their_values(client: httpx.Client) -> None:
    bad_type = event(3, "order.invented", order="1")
    missing = {k: v for k, v in event(4, "order.placed", order="hidden-1").items() if k != "controller"}
    answer = client.post("/v1/events", json=[event(2, "order.placed", order="hidden-2", person=BOB), bad_type, missing])
    assert answer.status_code == 207
    assert answer.json()["taken"] == 1
    assert [b["index"] for b in answer.json()["bad"]] == [1, 2]
    assert "controller" in answer.json()["bad"][1]["reason"]
    assert "hidden" not in answer.text


def test_bytes_that_are_no_event_end_in_the_dead_letters_once(running: Running, client: httpx.Client) -> None:
    kind = {"Content-Type": "application/vnd.lineage.avro"}
    for content in (b"\0\0\0\xff\xfesecret@example.org", b"no event"):
        assert client.post("/v1/events", content=content, headers=kind).status_code == 202
    running.wait_until_drained()
    letters = client.get("/v1/dead-letters").json()
    assert len(letters) == 2
    assert letters[0]["schema_id"] == 0xFFFE
    assert "secret" not in json.dumps(letters)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/requests", {"controller": "pompdelux", "right": "oblivion", "identifier": ANN}, "right must be one of"),
        ("/v1/requests", {"right": "erasure", "identifier": ANN}, "lacks controller"),
        ("/v1/requests", {"controller": "nobody", "right": "erasure", "identifier": ANN}, "no policy"),
        ("/v1/lineage", {"controller": "pompdelux", "identifier": "ann@example.org"}, "identifier must be"),
        ("/v1/receipts", {"command": "none", "outcome": "erased"}, "no command"),
    ],
)
def test_a_wrong_call_is_answered_with_what_to_do(client: httpx.Client, path: str, body: dict, says: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]
    assert "ann@" not in answer.text


def test_a_service_that_asks_first_is_answered_with_the_rule_and_the_answer_is_logged(client: httpx.Client) -> None:
    body = {
        "controller": "pompdelux",
        "identifier": {"kind": "email", "value": "bo@example.org"},
        "gate": "message",
        "activity": "marketing",
        "channel": "email",
    }
    answer = client.post("/v1/ask", json=body).json()
    assert answer["allowed"] is False
    assert "P-CON-1" in answer["because"]
    assert any(line["body"]["about"] == "ask:message" for line in client.get("/v1/audit").json())


def test_the_document_of_the_api_names_every_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    served = {(r.path, m.lower()) for r in Api.routes(Mock()) for m in r.methods - {"HEAD"}}
    assert served == {(path, m) for path, calls in document["paths"].items() for m in calls if m != "parameters"}
    for path, calls in document["paths"].items():
        for method in calls:
            if method != "parameters" and "{" not in path and method == "get":
                assert client.get(path).status_code == 200, path


def test_the_metrics_count_what_was_taken(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    assert "lineage_events_total" in text
    assert "lineage_journal_waiting 0.0" in text
    assert "example.org" not in text


def test_a_second_process_on_the_same_file_is_refused_in_one_line(running: Running) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "streams.runner"], cwd=ROOT, env=running.env, capture_output=True, text=True, timeout=30
    )
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "another process" in again.stderr


def test_a_policy_with_an_error_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "shop.yaml").write_text("format: 1\nid: [broken\n")
    found = Running(tmp_path / "data", LINEAGE_POLICIES=str(tmp_path / "p"))
    ended = subprocess.run(
        [sys.executable, "-m", "streams.runner"], cwd=ROOT, env=found.env, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "shop.yaml" in ended.stderr


def test_an_orderly_stop_writes_what_waits(tmp_path: Path) -> None:
    running = Running(tmp_path / "data").start()
    with running.client() as client:
        batch = [event(n, "order.placed", order=f"o{n}") for n in range(500)]
        assert client.post("/v1/events", json=batch).status_code == 202
    code, errors = running.stop()
    assert (code, errors) == (0, "")
    running.start()
    with running.client() as client:
        assert client.get("/health").json()["waiting"] == 0
        held = client.post("/v1/lineage", json={"controller": "pompdelux", "identifier": ANN}).json()
        assert held["identifiers"] == ["email"]
    running.stop()


def test_a_full_disk_refuses_events_in_one_line_and_loses_none_that_were_taken(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))

    running = Running(tmp_path / "data").start(small_files)
    taken = 0
    with running.client() as client:
        for n in range(200):
            batch = [event(n * 100 + i, "order.placed", order=f"o{n}-{i}", data={"name": "x" * 50}) for i in range(100)]
            answer = client.post("/v1/events", json=batch)
            if answer.status_code != 202:
                break
            taken += 100
        assert answer.status_code == 503
        assert "Traceback" not in answer.text
    running.kill()
    running.start()
    running.wait_until_drained()
    with running.client() as client:
        figures = client.get("/metrics").text
    orders = next(line for line in figures.splitlines() if line.startswith('lineage_graph_rows{kind="observations"}'))
    assert float(orders.split()[-1]) >= taken
    running.stop()


def test_a_webhook_gets_signed_commands_and_its_answer_is_the_receipt(tmp_path: Path) -> None:
    got: list[tuple[dict, str, bytes]] = []

    class Target(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((json.loads(body), self.headers["X-Lineage-Signature"], body))
            answer = b'{"outcome": "erased"}'
            self.send_response(500 if len(got) == 1 else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path / "data"
    folder.mkdir()
    hook = {"url": f"http://127.0.0.1:{server.server_port}/commands", "secret": "shared"}
    (folder / "settings.yaml").write_text(json.dumps({"pompdelux": {"webhooks": {"newsletter_system": hook}}}))
    running = Running(folder).start()
    with running.client() as client:
        client.post("/v1/events", json=SIGN_UP)
        case = client.post("/v1/requests", json={"controller": "pompdelux", "right": "erasure", "identifier": ANN}).json()["case"]
        pause = threading.Event()
        for _ in range(100):
            targets = client.get(f"/v1/cases/{case}").json()["targets"]
            if {t["outcome"] for t in targets if t["target"] == "newsletter_system"} == {"erased"}:
                break
            pause.wait(0.2)
        else:
            pytest.fail("the webhook's receipt did not arrive")
    running.stop()
    server.shutdown()
    server.server_close()
    assert len({c["id"] for c, _, _ in got}) == 1, "a resend is the same command"
    assert len(got) == 2
    assert all(signature("shared", body) == signed for _, signed, body in got)
