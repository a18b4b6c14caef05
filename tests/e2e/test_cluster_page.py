"""The page on the cluster does what it says, and the services of docker-compose.yml run as they are written there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cluster import Cluster
from running import ROOT, free_port

from streams.topics import Topics

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_the_commands_of_the_page_work_as_they_stand(tmp_path: Path, kafka_server, neo4j_clean, registry_server, unique) -> None:
    # The servers that `lineage dev` would start run already; that it starts them has a test of its own.
    text = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    assert blocks[0].startswith("lineage dev --json > servers.json &\n")
    servers = {
        "LINEAGE_KAFKA": kafka_server.bootstrap, "LINEAGE_NEO4J": neo4j_clean.uri, "LINEAGE_NEO4J_USER": neo4j_clean.user,
        "LINEAGE_NEO4J_PASSWORD": neo4j_clean.password, "LINEAGE_REGISTRY": registry_server.url,
    }  # fmt: skip
    (tmp_path / "servers.json").write_text(json.dumps({"environment": servers}))
    port = str(free_port())
    script = "".join(blocks).replace("lineage dev --json > servers.json &\n", "").replace("8787", port)
    script = script.replace("--workers 2 &", "--workers 2 & WORKERS=$!").replace("lineage serve &", "lineage serve & API=$!")
    steps = f"set -euo pipefail\ntrap 'kill $WORKERS $API; wait $WORKERS $API' EXIT\n{script}"
    env = {**os.environ, "LINEAGE_DATA": str(tmp_path), "LINEAGE_PORT": port, "LINEAGE_TOPICS": unique("page"),
           "LINEAGE_KAFKA_GROUP": unique("page"), "COLUMNS": "140"}  # fmt: skip
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(["bash", "-c", steps], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "newsletter system" in done.stdout
    assert "1 event taken" in done.stdout
    assert re.search(r"\d+ topics, 0 lacking", done.stdout)
    assert "ann@example.org" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_service_of_the_page_emits_and_erases_on_command(
    tmp_path: Path, kafka_server, neo4j_clean, unique, monkeypatch
) -> None:
    text = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    cluster = Cluster(tmp_path, kafka_server.bootstrap, unique("service"), neo4j_clean).make_topics()
    monkeypatch.chdir(tmp_path)
    # A prefix of the test's own, and a service that the test can stop, since both are a reader's choice.
    words = f'topics=Topics("{cluster.topics.prefix}")'
    block = block.replace("127.0.0.1:9092", kafka_server.bootstrap).replace(
        f'Emitter("{kafka_server.bootstrap}")', f'Emitter("{kafka_server.bootstrap}", {words})'
    )
    block = block.replace(
        f'bootstrap_servers="{kafka_server.bootstrap}")', f'bootstrap_servers="{kafka_server.bootstrap}", {words})'
    )
    head, _, end = block.partition("service.run()")
    assert end.startswith("  # until")
    names: dict[str, Any] = {"Topics": Topics}
    cluster.start()
    exec(compile(head, "docs/cluster.md", "exec"), names)  # noqa: S102 - what a reader would run
    assert names["customers"]
    serving = threading.Thread(target=lambda: names["service"].run(signals=False))
    serving.start()
    store = cluster.store()
    try:
        cluster.wait_until_consumed(store)
        cluster.request("case-1", "ann@example.org")
        cluster.wait_for("the answer", lambda: any(c.state == "acknowledged" for c in _commands(store)))
        assert names["customers"] == {}
    finally:
        names["service"].stop()
        serving.join(timeout=30)
        cluster.close()


def _commands(store: Any) -> list[Any]:
    case = store.case("case-1")
    return list(store.facts([case.key]).commands) if case is not None else []


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return found["services"]


@pytest.fixture
def run(tmp_path: Path, kafka_server, neo4j_clean, registry_server, unique, compose) -> Iterator[Callable[..., Any]]:
    """Give a function that runs a service as a process here: its command, its environment, the addresses those of real servers."""
    started: list[subprocess.Popen[bytes]] = []
    names = {"LINEAGE_TOPICS": unique("compose"), "LINEAGE_KAFKA_GROUP": unique("compose")}
    there = {
        "LINEAGE_KAFKA": kafka_server.bootstrap, "LINEAGE_NEO4J": neo4j_clean.uri, "LINEAGE_NEO4J_USER": neo4j_clean.user,
        "LINEAGE_NEO4J_PASSWORD": neo4j_clean.password, "LINEAGE_REGISTRY": registry_server.url, "LINEAGE_DATA": str(tmp_path),
    }  # fmt: skip

    def start(name: str, **env: str) -> subprocess.Popen[bytes]:
        service = compose[name]
        assert set(there) <= set(service["environment"]), "an address that the service has elsewhere"
        words = [sys.executable, "-m", "streams.cli", *service["command"]]
        with (tmp_path / f"{name}.log").open("ab") as log:
            started.append(
                subprocess.Popen(
                    words, cwd=ROOT, env={**os.environ, **service["environment"], **there, **names, **env}, stdout=log, stderr=log
                )
            )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()


def test_the_services_of_compose_take_an_event_and_answer_who_has_it(tmp_path: Path, run, compose) -> None:
    for once in ("topics", "schemas"):
        assert run(once).wait(timeout=120) == 0, (tmp_path / f"{once}.log").read_text()
    ports = free_port(), free_port(), free_port()
    workers = [run("worker", LINEAGE_WORKER_PORT=str(port)) for port in ports[:2]]
    api = run("api", LINEAGE_HOST="127.0.0.1", LINEAGE_PORT=str(ports[2]))
    for name, port in (("worker", ports[0]), ("worker", ports[1]), ("api", ports[2])):
        check = compose[name]["healthcheck"]["test"]
        words = [sys.executable, *(w.replace("8788", str(port)).replace("8787", str(port)) for w in check[2:])]
        until = time.monotonic() + 90
        while subprocess.run(words, capture_output=True).returncode:
            assert time.monotonic() < until, f"{name} is not healthy: {(tmp_path / f'{name}.log').read_text()}"
            time.sleep(0.2)
    token = json.loads((tmp_path / "secrets.json").read_text())["token"]
    with httpx.Client(base_url=f"http://127.0.0.1:{ports[2]}", headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        event = {
            "id": "e-1", "source": "shop", "type": "newsletter.subscribed", "time": "2026-09-01T10:00:00Z", "controller": "pompdelux",
            "person": {"email": "ann@example.org"}, "channel": "email", "express": True,
            "data": {"email": "ann@example.org", "subscription": "yes"},
        }  # fmt: skip
        answer = client.post("/v1/events", json=event)
        assert (answer.status_code, answer.json()["taken"]) == (202, 1)
        asked = {"controller": "pompdelux", "identifier": {"kind": "email", "value": "ann@example.org"}}
        until = time.monotonic() + 60
        while "newsletter_system" not in (found := client.post("/v1/lineage", json=asked).text):
            assert time.monotonic() < until, found
            time.sleep(0.2)
        case = client.post("/v1/requests", json={**asked, "right": "erasure", "via": "phone"}).json()
        assert case["state"] == "open"
        assert {t["outcome"] for t in case["targets"]} == {"unconfirmed"}
        assert client.get("/health").json()["status"] == "ok"
        assert b"lineage_events_total" in httpx.get(f"http://127.0.0.1:{ports[0]}/metrics", timeout=30).content
    for process in (*workers, api):
        process.send_signal(signal.SIGTERM)
    assert [p.wait(timeout=60) for p in (*workers, api)] == [0, 0, 0]
    logs = "".join(p.read_text() for p in tmp_path.glob("*.log"))
    assert "ann@example.org" not in logs
    assert "Traceback" not in logs
