"""The command `dev`: the three servers of a cluster, real ones, on this machine, for as long as it runs.

What comes in are ports and a folder; what goes out are the environment variables that `lineage worker` and `lineage serve` read.
"""

from __future__ import annotations

import fcntl
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import click
import orjson

from lineage.errors import BadCall, StoreInUse
from streams.cli_words import json_option
from streams.local_process import LocalServer, ServerFailed, free_port, is_free
from streams.local_servers import Kafka, Neo4j, Registry
from streams.server_files import CACHE, Sources

_KINDS: dict[str, type[LocalServer]] = {kind.name: kind for kind in (Kafka, Neo4j, Registry)}
_DATA = Path.home() / ".local" / "share" / "personal-data-lineage" / "servers"
_LOOK_SECONDS = 0.5


class Names(click.ParamType):
    """Names of servers, with commas between them."""

    name = "NAMES"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Give the names in the order in which they start."""
        asked = set(str(value).replace(" ", "").split(","))
        for unknown in sorted(asked - _KINDS.keys()):
            self.fail(f"{unknown!r} is none of the servers {', '.join(_KINDS)}", param, ctx)
        return tuple(name for name in _KINDS if name in asked)


@click.command()
@click.option("--only", type=Names(), default=",".join(_KINDS), show_default=True, help="Which servers, with commas.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), default=_DATA, help=f"Data and logs (default: {_DATA}).")
@click.option("--kafka-port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="0 is any free one.")
@click.option("--neo4j-port", type=click.IntRange(0, 65535), default=7687, show_default=True, help="0 is any free one.")
@click.option("--registry-port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0 is any free one.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), envvar="LINEAGE_SERVERS_CACHE", default=CACHE,
              help="Where the programs are kept (LINEAGE_SERVERS_CACHE).")  # fmt: skip
@click.option("--java-home", type=click.Path(path_type=Path), envvar="JAVA_HOME", help="The Java to prefer (JAVA_HOME).")
@json_option
def dev(only: tuple[str, ...], data: Path, kafka_port: int, neo4j_port: int, registry_port: int, cache: Path,
        java_home: Path | None, *, as_json: bool) -> None:  # fmt: skip
    """Run Kafka, Neo4j and a schema registry for development, on 127.0.0.1 only, until Ctrl-C or SIGTERM.

    Prints the environment variables that tell a cluster where they are. Their programs come through Maven, once;
    neither root nor containers are needed. Data stay in the folder for the next time.
    """
    sources = Sources(cache, java_home=java_home)
    ports = {"kafka": kafka_port, "neo4j": neo4j_port, "registry": registry_port}
    with _interruptible(), _alone(data):
        click.echo(f"starting {', '.join(only)}; the first time their programs are fetched, which takes minutes", err=True)
        for name in only:
            sources.java(_KINDS[name].java_least)
            sources.server(name)
        servers = [_KINDS[name](data / name, sources, _port(name, ports[name])) for name in only]
        try:
            _start(servers)
            _tell(servers, data, as_json=as_json)
            with suppress(_Ended):
                _watch(servers)
        finally:
            _deaf()
            click.echo("stopping", err=True)
            for server in reversed(servers):
                server.stop()


class _Ended(Exception):
    """Somebody wants it to end."""


@contextmanager
def _interruptible() -> Iterator[None]:
    def end(*_: object) -> NoReturn:
        raise _Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Ended:
        raise click.Abort from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _deaf() -> None:
    """Let nothing interrupt the stopping, which ends by itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold the folder; raise `StoreInUse` if another process does."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another `lineage dev` runs on {data}; choose another folder with --data"
            raise StoreInUse(msg) from None
        yield


def _port(name: str, asked: int) -> int:
    if asked and not is_free(asked):
        msg = f"port {asked} is taken; choose another with --{name}-port (0 is any free one)"
        raise BadCall(msg)
    return asked or free_port()


def _start(servers: list[LocalServer]) -> None:
    for server in servers:
        server.launch()
    for server in servers:
        server.wait()


def environment(server: LocalServer) -> dict[str, str]:
    """Give the variables that tell a cluster where a server is."""
    match server:
        case Kafka():
            return {"LINEAGE_KAFKA": server.bootstrap}
        case Neo4j():
            return {"LINEAGE_NEO4J": server.uri, "LINEAGE_NEO4J_USER": server.user, "LINEAGE_NEO4J_PASSWORD": server.password}
        case Registry():
            return {"LINEAGE_REGISTRY": server.url}
        case _:
            return {}


def _tell(servers: list[LocalServer], data: Path, *, as_json: bool) -> None:
    variables = {key: value for server in servers for key, value in environment(server).items()}
    if as_json:
        running = {server.name: {"pid": server.pid, "port": server.port, "log": str(server.log)} for server in servers}
        click.echo(orjson.dumps({"environment": variables, "servers": running, "data": str(data.resolve())}))
        return
    for key, value in variables.items():
        click.echo(f"export {key}={value}")
    click.echo(f"ready; Ctrl-C ends them, data and logs are in {data}", err=True)


def _watch(servers: list[LocalServer]) -> None:
    """Wait; raise `ServerFailed` if a server ends by itself."""
    while True:
        for server in servers:
            if not server.running:
                msg = f"{server.name} has ended by itself; its log is {server.log}"
                raise ServerFailed(msg)
        time.sleep(_LOOK_SECONDS)


COMMANDS = (dev,)
