"""The same servers as containers, for a machine that has an engine and no Java: the calls of `LocalServer`, by `docker`."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import subprocess
import time
import uuid

import httpx

from streams.local_process import HOST, START_SECONDS_MAX, ServerFailed, free_port
from streams.local_servers import KAFKA_SETTINGS
from streams.server_files import POM

PULL_SECONDS_MAX = 900


def engine() -> str | None:
    """Give the command of an engine that answers, or None."""
    for command in ("docker", "podman"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run((command, "info"), capture_output=True, timeout=20, check=True)
            return shutil.which(command)
    return None


def version(name: str) -> str:
    found = re.search(rf"<{name}\.version>(.+?)</", POM.read_text("utf-8"))
    assert found
    return found[1]


class Container:
    """A server in a container with a loopback port; data stay until `remove`."""

    name: str
    image: str
    inner_port: int
    started_line: str | None = None

    def __init__(self, command: str) -> None:
        self.command = command
        self.port = free_port()
        self.id = f"lineage-{self.name}-{uuid.uuid4().hex[:12]}"
        self._made = False
        self._since = 0.0

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        self._since = time.time()
        if self._made:
            self._engine("start", self.id)
        else:
            settings = [word for item in self.environment().items() for word in ("-e", "=".join(item))]
            published = f"{HOST}:{self.port}:{self.inner_port}"
            image = f"{self.image}:{version(self.name)}"
            self._engine("run", "-d", "--name", self.id, "-p", published, *settings, image, seconds_max=PULL_SECONDS_MAX)
            self._made = True
        until = time.monotonic() + START_SECONDS_MAX
        while not self.ready():
            if time.monotonic() > until:
                msg = f"the container of {self.name} did not answer within {START_SECONDS_MAX} s; its log ends:\n{self.log_text()[-2000:]}"
                raise ServerFailed(msg)
            time.sleep(0.3)

    def stop(self) -> None:
        self._engine("stop", self.id)

    def kill(self) -> None:
        self._engine("kill", self.id)

    def pause(self) -> None:
        self._engine("pause", self.id)

    def resume(self) -> None:
        self._engine("unpause", self.id)

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        if self._made:
            self._engine("rm", "-f", "-v", self.id)
            self._made = False

    def log_text(self) -> str:
        done = subprocess.run(
            (self.command, "logs", "--since", f"{self._since:.3f}", self.id), capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def ready(self) -> bool:
        assert self.started_line
        return self.started_line in self.log_text()

    def _engine(self, *words: str, seconds_max: float = 60) -> None:
        done = subprocess.run((self.command, *words), capture_output=True, text=True, timeout=seconds_max, check=False)
        if done.returncode:
            msg = f"{self.command} {words[0]} of {self.name} failed: {' '.join(done.stderr.split())}"
            raise ServerFailed(msg)


class KafkaContainer(Container):
    name, image, inner_port, started_line = "kafka", "apache/kafka", 9092, "Kafka Server started"

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": "1@localhost:9093",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://:{self.inner_port},CONTROLLER://:9093",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            **KAFKA_SETTINGS,
        }
        return {f"KAFKA_{key.upper().replace('.', '_')}": str(value) for key, value in settings.items()}


class Neo4jContainer(Container):
    name, image, inner_port, started_line = "neo4j", "neo4j", 7687, "Started."
    user = "neo4j"

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.password = secrets.token_hex(8)

    @property
    def uri(self) -> str:
        return f"bolt://{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        return {"NEO4J_AUTH": f"{self.user}/{self.password}", "NEO4J_dbms_usage__report_enabled": "false"}


class RegistryContainer(Container):
    name, image, inner_port = "registry", "apicurio/apicurio-registry", 8080

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/apis/ccompat/v7"

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/subjects", timeout=5).is_success
        except httpx.TransportError:
            return False


KINDS = {kind.name: kind for kind in (KafkaContainer, Neo4jContainer, RegistryContainer)}
