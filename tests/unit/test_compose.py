"""docker-compose.yml says what the settings understand, pins what it runs, and lets nobody in from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import settings
from streams.cli import cli

ROOT = Path(__file__).parents[2]
OURS = ("topics", "schemas", "worker", "api")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return found


class Asked(dict[str, str]):
    """An environment that notes what it was asked for."""

    def __init__(self, content: dict[str, str]) -> None:
        super().__init__(content)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


def environment(service: dict[str, Any]) -> dict[str, str]:
    """Give a service's environment as Compose would: defaults in place of variables that are not set."""
    return {k: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", v) for k, v in service["environment"].items()}


def test_every_image_is_pinned_and_names_no_host(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        image, _, tag = service["image"].rpartition(":")
        assert re.match(r"\d+\.\d+\.\d+", tag), name
        assert "." not in image.partition("/")[0], name
    base = re.search(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert base is not None
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base[1])


def test_nothing_is_published_beyond_loopback(compose: dict[str, Any]) -> None:
    ports = [p for service in compose["services"].values() for p in service.get("ports", ())]
    assert len(ports) >= 4
    assert all(p.startswith("127.0.0.1:") for p in ports)
    assert len({p.split(":")[1] for p in ports}) == len(ports)


def test_every_server_has_a_health_check_and_everyone_waits_for_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    once = {"topics", "schemas"}
    assert all("healthcheck" in s for name, s in services.items() if name not in once)
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in once else "service_healthy"
            assert how["condition"] == wanted, f"{name} on {other}"
    assert set(services["worker"]["depends_on"]) == {"topics", "schemas", "neo4j"}
    assert services["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", OURS)
def test_our_services_say_what_the_settings_understand(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    told = Asked(environment(service))
    found = settings.load(told)
    unknown = {k for k in told if k not in told.names}
    assert not unknown, "the settings never ask for these"
    assert found.kafka is not None
    assert found.neo4j is not None
    services = compose["services"]
    for address in (
        found.kafka.bootstrap,
        found.neo4j.uri.partition("://")[2],
        str(found.registry).partition("://")[2].partition("/")[0],
    ):
        assert address.partition(":")[0] in services
    assert found.neo4j.password == environment(services["neo4j"])["NEO4J_AUTH"].partition("/")[2]
    words = service["command"]
    command: Any = cli
    for word in words:
        command = command.commands[word]
    assert command.callback is not None


def test_the_ports_are_those_that_the_servers_listen_on(compose: dict[str, Any]) -> None:
    services = compose["services"]
    listeners = services["kafka"]["environment"]["KAFKA_LISTENERS"]
    told = settings.load(environment(services["worker"]))
    assert told.kafka is not None
    assert f"INSIDE://:{told.kafka.bootstrap.partition(':')[2]}" in listeners
    inside = {p.split(":")[2] for p in services["kafka"]["ports"]}
    assert all(f"OUTSIDE://:{port}" in listeners for port in inside)
    api = settings.load(environment(services["api"]))
    assert [p.split(":")[2] for p in services["api"]["ports"]] == [str(api.port)]
    assert f":{api.port}/health" in services["api"]["healthcheck"]["test"][-1]
    assert f":{told.worker_port}/health" in services["worker"]["healthcheck"]["test"][-1]


def test_what_the_image_copies_is_what_the_package_needs() -> None:
    copied = re.findall(r"^COPY (.+) /build/\w*$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    names = {word for line in copied for word in line.split()}
    assert names == {"pyproject.toml", "README.md", "LICENSE", "lineage", "streams", "schemas", "policies"}
    assert all((ROOT / n).exists() for n in names)
