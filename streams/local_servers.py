"""Configure the servers of a cluster for one machine: a folder in, a Kafka, a Neo4j or a schema registry out."""

from __future__ import annotations

import os
import secrets
import uuid
from pathlib import Path
from typing import ClassVar

import httpx

from streams.local_process import HOST, QUICKLY, LocalServer, free_port
from streams.server_files import Sources

KAFKA_SETTINGS = {
    "auto.create.topics.enable": "false",
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    # A node that was killed may come back as soon as its former self counts as dead.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 250,
    "log.cleaner.dedupe.buffer.size": 16 << 20,
}
"""For one node, whose topics are made by whoever needs them and not by being named."""


class Kafka(LocalServer):
    """One Kafka node that is broker and controller."""

    name = "kafka"

    def __init__(self, folder: Path, sources: Sources | None = None, port: int | None = None, *, quick: bool = False) -> None:
        """Take the folder, and the port for clients (default: a free one)."""
        super().__init__(folder, sources, port, quick=quick)
        self._controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        """Give the address for clients, as host:port."""
        return f"{HOST}:{self.port}"

    def _prepare(self, java: Path, program: Path) -> None:
        data = self.folder / "data"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "log.dirs": data,
            **KAFKA_SETTINGS,
        }
        (self.folder / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in settings.items()), "utf-8")
        logging = "rootLogger.level=INFO\nrootLogger.appenderRef.o.ref=o\nappender.o.type=Console\nappender.o.name=o\n"
        pattern = "appender.o.layout.type=PatternLayout\nappender.o.layout.pattern=%d %p %c{1} %m%n\n"
        (self.folder / "log4j2.properties").write_text(logging + pattern, "utf-8")
        if not (data / "meta.properties").exists():
            cluster = uuid.uuid4().hex[:22]
            tool = ("-cp", f"{program}/*", "kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties")
            self._once(java, *QUICKLY, *tool)

    def _words(self, program: Path) -> tuple[str | Path, ...]:
        log = f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties"
        return ("-Xmx512m", log, "-cp", f"{program}/*", "kafka.Kafka", "server.properties")

    def _ready(self) -> bool:
        return "Kafka Server started" in self.log_text()


class Neo4j(LocalServer):
    """A Neo4j Community server with Bolt only, and a password that is kept in its folder."""

    name = "neo4j"
    user: ClassVar[str] = "neo4j"
    _password_length_min: ClassVar[int] = 8

    @property
    def uri(self) -> str:
        """Give the Bolt address."""
        return f"bolt://{HOST}:{self.port}"

    @property
    def password(self) -> str:
        """Give the password of `user`, made when it is first asked for."""
        file = self.folder / "password"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            file.touch(0o600)
            file.write_text(secrets.token_hex(self._password_length_min), "utf-8")
        return file.read_text("utf-8")

    def _prepare(self, java: Path, program: Path) -> None:
        settings = {
            "server.default_listen_address": HOST,
            "server.bolt.listen_address": f"{HOST}:{self.port}",
            "server.bolt.advertised_address": f"{HOST}:{self.port}",
            "server.http.enabled": "false",
            "server.https.enabled": "false",
            "server.memory.pagecache.size": "128m",
            "db.tx_log.preallocate": "false",
            "db.shutdown_transaction_end_timeout": "2s",
            "dbms.usage_report.enabled": "false",
        }
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        (conf / "neo4j.conf").write_text("".join(f"{k}={v}\n" for k, v in settings.items()), "utf-8")
        if not (self.folder / "data" / "dbms").exists():
            tool = ("-cp", f"{program}/*", "org.neo4j.cli.AdminTool", "dbms", "set-initial-password", self.password)
            self._once(java, *QUICKLY, *tool, env={**os.environ, "NEO4J_HOME": str(self.folder), "NEO4J_CONF": str(conf)})

    def _words(self, program: Path) -> tuple[str | Path, ...]:
        opened = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch", "java.base/java.util.concurrent")
        opens = tuple(f"--add-opens={module}=ALL-UNNAMED" for module in opened)
        places = (f"--home-dir={self.folder}", f"--config-dir={self.folder}/conf")
        return ("-Xmx512m", *opens, "-cp", f"{program}/*", "org.neo4j.server.CommunityEntryPoint", "--console-mode", *places)

    def _ready(self) -> bool:
        return "Started." in self.log_text()


class Registry(LocalServer):
    """An Apicurio registry, asked the way the Confluent schema registry is; schemas lie in a file of its folder."""

    name = "registry"
    java_least = 21

    def __init__(self, folder: Path, sources: Sources | None = None, port: int | None = None, *, quick: bool = False) -> None:
        """Take the folder, and the port for clients (default: a free one)."""
        super().__init__(folder, sources, port, quick=quick)
        self._management_port = free_port()

    @property
    def url(self) -> str:
        """Give the address under which the Confluent schema registry's paths begin."""
        return f"http://{HOST}:{self.port}/apis/ccompat/v7"

    def _prepare(self, java: Path, program: Path) -> None:
        """Nothing is needed."""

    def _words(self, program: Path) -> tuple[str | Path, ...]:
        settings = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": self.port,
            "quarkus.management.host": HOST,
            "quarkus.management.port": self._management_port,
            # What was acknowledged is in the file: the database would else wait for half a second of writes.
            "apicurio.datasource.url": f"jdbc:h2:file:{self.folder}/data/registry;WRITE_DELAY=0",
            "apicurio.datasource.jdbc.initial-size": 2,
            "apicurio.datasource.jdbc.min-size": 2,
            "quarkus.http.access-log.enabled": "false",
        }
        return ("-Xmx256m", *(f"-D{k}={v}" for k, v in settings.items()), "-jar", program / "quarkus-run.jar")

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/subjects", timeout=5).is_success
        except httpx.TransportError:
            return False
