"""The servers that tests and `lineage dev` run: each starts for real, answers, survives kill -9, and is gone when stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import neo4j
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from servers import containers
from servers.fixtures import sources

from streams import cli, server_files
from streams.local_process import LocalServer, ServerFailed
from streams.local_servers import Kafka, Neo4j
from streams.server_files import ProgramMissing, Sources

ROOT = Path(__file__).resolve().parents[2]
LINEAGE = (sys.executable, "-m", "streams.cli")
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
LISTENING = "0A"
pytestmark = [pytest.mark.process, pytest.mark.slow]


async def make_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def consume(bootstrap: str, topic: str, group: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        return [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(count)]


def query(server: Any, text: str) -> list[Any]:
    with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver:
        return [record[0] for record in driver.execute_query(text).records]


def schema(*fields: dict[str, object]) -> dict[str, str]:
    return {"schema": json.dumps({"type": "record", "name": "Probe", "fields": list(fields)})}


def listening(pid: int) -> set[str]:
    """Give the local addresses, in hexadecimal, on which a process listens."""
    sockets = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(handle.readlink().name)
        except FileNotFoundError:
            continue
    rows = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in sockets}


def gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has asked for its exit code counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(what: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def killed_and_started(server: LocalServer) -> None:
    before = server.pid
    assert listening(before)
    assert listening(before) <= LOOPBACK
    server.kill()
    assert gone(before)
    server.start()
    assert server.pid != before


def stopped(server: LocalServer) -> None:
    last, guard = server.pid, server._guard.pid
    server.stop()
    server.stop()
    assert not server.running
    assert gone(last)
    assert gone(guard)


def test_kafka_takes_and_gives_messages(kafka_server, unique) -> None:
    topic, group = unique("events"), unique("group")

    async def there_and_back() -> list[bytes]:
        await make_topic(kafka_server.bootstrap, topic)
        await produce(kafka_server.bootstrap, topic, b"one", b"two")
        return await consume(kafka_server.bootstrap, topic, group, 2)

    assert asyncio.run(there_and_back()) == [b"one", b"two"]


def test_neo4j_answers_queries(neo4j_clean) -> None:
    assert query(neo4j_clean, "MATCH (n) RETURN count(n)") == [0]
    query(neo4j_clean, "CREATE (:Probe {number: 1})")
    assert query(neo4j_clean, "MATCH (n:Probe) RETURN n.number") == [1]


def test_the_registry_keeps_schemas_and_judges_new_ones(registry_server, unique) -> None:
    subject = unique("probe")
    old, new = {"name": "a", "type": "string"}, {"name": "b", "type": "string"}
    with httpx.Client(base_url=registry_server.url, timeout=30) as client:
        client.put(f"/config/{subject}", json={"compatibility": "BACKWARD"})
        known = client.post(f"/subjects/{subject}/versions", json=schema(old)).raise_for_status().json()["id"]
        assert client.get(f"/schemas/ids/{known}").raise_for_status().json()["schema"]
        ask = f"/compatibility/subjects/{subject}/versions/latest"
        assert client.post(ask, json=schema(old, new | {"default": ""})).json()["is_compatible"] is True
        assert client.post(ask, json=schema(old, new)).json()["is_compatible"] is False


def test_a_kafka_that_is_killed_keeps_what_it_acknowledged(own_kafka, unique) -> None:
    server, topic = own_kafka(), unique("events")
    asyncio.run(make_topic(server.bootstrap, topic))
    asyncio.run(produce(server.bootstrap, topic, b"before"))
    killed_and_started(server)
    server.pause()

    async def while_it_hangs() -> list[bytes]:
        sending = asyncio.create_task(produce(server.bootstrap, topic, b"after"))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        server.resume()
        await sending
        return await consume(server.bootstrap, topic, unique("group"), 2)

    assert asyncio.run(while_it_hangs()) == [b"before", b"after"]
    stopped(server)


def test_a_neo4j_that_is_killed_keeps_what_it_committed(own_neo4j) -> None:
    server = own_neo4j()
    query(server, "UNWIND range(1, 1000) AS number CREATE (:Probe {number: number})")
    killed_and_started(server)
    assert query(server, "MATCH (n:Probe) RETURN count(n)") == [1000]
    stopped(server)


def test_a_registry_that_is_killed_keeps_its_schemas_and_their_ids(own_registry) -> None:
    server = own_registry()
    given = {"name": "a", "type": "string"}
    known = httpx.post(f"{server.url}/subjects/probe/versions", json=schema(given), timeout=30).raise_for_status().json()["id"]
    killed_and_started(server)
    again = httpx.get(f"{server.url}/subjects/probe/versions/latest", timeout=30).raise_for_status().json()
    assert again["id"] == known
    assert json.loads(again["schema"])["fields"][0]["name"] == "a"
    stopped(server)


def test_a_server_does_not_outlive_a_parent_that_is_killed(tmp_path: Path, have_program) -> None:
    have_program("kafka")
    script = (
        "import sys\nfrom pathlib import Path\nfrom servers.fixtures import sources\nfrom streams.local_servers import Kafka\n"
        "server = Kafka(Path(sys.argv[1]), sources(), quick=True)\nserver.launch()\nprint(server.pid, flush=True)\nserver.wait(300)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    with subprocess.Popen((sys.executable, "-c", script, tmp_path), env=environment, text=True, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    wait_until(lambda: gone(pid))


def test_a_server_that_cannot_start_shows_why_and_where_its_log_is(tmp_path: Path, have_program) -> None:
    have_program("kafka")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Kafka(tmp_path, sources(), port=taken.getsockname()[1], quick=True)
        with pytest.raises(ServerFailed, match="kafka ended with code 1") as failed:
            server.start()
    assert str(tmp_path / "server.log") in str(failed.value)
    assert "Address already in use" in str(failed.value)
    assert not server.running


def test_the_password_of_a_neo4j_stays_and_is_for_its_owner_only(tmp_path: Path) -> None:
    given = Neo4j(tmp_path).password
    assert Neo4j(tmp_path).password == given
    assert Neo4j(tmp_path / "other").password != given
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0


# -- what tests get where nothing can be started ------------------------------------------------------------------------


def run_a_test_without_programs(tmp_path: Path, **env: str) -> str:
    keep = {k: v for k, v in os.environ.items() if not k.startswith("LINEAGE_TEST")}
    environment = {**keep, "PATH": str(tmp_path), "LINEAGE_SERVERS_CACHE": str(tmp_path / "cache"), **env}
    name = f"{__file__}::{test_kafka_takes_and_gives_messages.__name__}"
    words = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tests'}", name)
    return subprocess.run(words, cwd=ROOT, text=True, capture_output=True, env=environment).stdout


def test_without_programs_a_test_is_skipped_with_one_line_that_says_how_to_have_them(tmp_path: Path) -> None:
    out = run_a_test_without_programs(tmp_path)
    assert "1 skipped" in out
    line = next(line for line in out.splitlines() if line.startswith("SKIPPED"))
    assert "a server (kafka) is missing; install Java and Maven, or start Docker, or name a running one with" in line


def test_where_nothing_may_be_skipped_a_missing_server_fails(tmp_path: Path) -> None:
    out = run_a_test_without_programs(tmp_path, LINEAGE_TESTS_REQUIRE_ALL="1")
    assert "a server (kafka) is missing; install" in out
    assert "1 error" in out


def test_an_engine_is_told_to_publish_on_loopback_only_and_to_remove_what_it_ran(tmp_path: Path, monkeypatch) -> None:
    docker, told = tmp_path / "docker", tmp_path / "told"
    docker.write_text(f'#!/bin/sh\n[ $1 = logs ] && echo "Kafka Server started" || echo "$@" >> {told}\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    server = containers.KafkaContainer(containers.engine())
    for call in (server.start, server.pause, server.resume, server.kill, server.start, server.remove, server.remove):
        call()
    info, run, *rest = told.read_text().splitlines()
    assert info == "info"
    assert f"-p 127.0.0.1:{server.port}:9092" in run
    assert f"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{server.bootstrap} " in run
    assert [line.split()[0] for line in rest] == ["pause", "unpause", "kill", "start", "rm"]
    assert {line.split()[-1] for line in rest} == {server.id}


# -- lineage dev ------------------------------------------------------------------------------------------------------


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]]:
    """Give a function that runs `lineage dev --json` and gives the process and what it has printed when all is ready."""
    processes = []

    def run(*words: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        ports = [f"--{name}-port=0" for name in ("kafka", "neo4j", "registry")]
        line = (*LINEAGE, "dev", "--json", "--data", str(tmp_path), *ports, *words)
        process = subprocess.Popen(line, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        processes.append(process)
        return process, json.loads(process.stdout.readline() or process.communicate()[1])

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_lineage_dev_runs_all_three_says_where_they_are_and_ends_them(dev, have_program) -> None:
    for name in ("kafka", "neo4j", "registry"):
        have_program(name)
    process, told = dev()
    variables, pids = told["environment"], [server["pid"] for server in told["servers"].values()]
    assert set(variables) == {
        "LINEAGE_KAFKA", "LINEAGE_NEO4J", "LINEAGE_NEO4J_USER", "LINEAGE_NEO4J_PASSWORD", "LINEAGE_REGISTRY",
    }  # fmt: skip
    asyncio.run(make_topic(variables["LINEAGE_KAFKA"], "probe"))
    auth = (variables["LINEAGE_NEO4J_USER"], variables["LINEAGE_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(variables["LINEAGE_NEO4J"], auth=auth) as driver:
        driver.execute_query("CREATE (:Probe)")
    registered = httpx.post(f"{variables['LINEAGE_REGISTRY']}/subjects/probe/versions", json=schema(), timeout=30)
    assert registered.is_success, registered.text
    assert not any(gone(pid) for pid in pids)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, process.stderr.read()
    assert all(gone(pid) for pid in pids)

    process, told = dev("--only", "registry")
    assert set(told["environment"]) == {"LINEAGE_REGISTRY"}
    assert httpx.get(f"{told['environment']['LINEAGE_REGISTRY']}/subjects", timeout=30).json() == ["probe"]
    second = subprocess.run((*LINEAGE, "dev", "--data", told["data"]), cwd=ROOT, text=True, capture_output=True)
    assert second.returncode == 2
    assert second.stderr.startswith("lineage: another `lineage dev` runs on")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert gone(told["servers"]["registry"]["pid"])


def test_lineage_dev_ends_with_one_line_when_a_server_dies(dev, have_program) -> None:
    have_program("kafka")
    process, told = dev("--only", "kafka")
    os.kill(told["servers"]["kafka"]["pid"], signal.SIGKILL)
    assert process.wait(60) == 2
    assert process.stderr.read().splitlines()[-1].startswith("lineage: kafka has ended by itself; its log is ")


def called(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.cli.main(["dev", *words])
    return ended.value.code, capsys.readouterr().err.splitlines()[-1]


def test_lineage_dev_names_the_option_for_a_port_that_is_taken(tmp_path: Path, capsys, have_program) -> None:
    have_program("kafka")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, line = called(capsys, "--only", "kafka", "--data", str(tmp_path), "--kafka-port", str(port))
    assert code == 2
    assert "is taken; choose another with --kafka-port" in line


def test_lineage_dev_names_the_servers_for_a_word_that_is_none(capsys) -> None:
    code, line = called(capsys, "--only", "kafka,redis")
    assert code == 2
    assert "'redis' is none of the servers kafka, neo4j, registry" in line


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this look like a machine that has neither Java nor Maven nor what was fetched before; give its empty cache."""
    monkeypatch.setattr(server_files, "JVMS", tmp_path / "none")
    monkeypatch.setattr(server_files.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setenv("LINEAGE_SERVERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "cache"


def test_without_java_lineage_dev_says_what_to_install(bare: Path, tmp_path: Path, capsys) -> None:
    code, line = called(capsys, "--only", "registry", "--data", str(tmp_path / "data"))
    assert code == 2
    assert line.startswith("lineage: Java 21 or newer is missing: install the Debian package openjdk-21-jre-headless")
    assert not [left for left in bare.iterdir() if left.suffix != ".lock"]


def test_without_maven_lineage_dev_says_what_to_install(
    bare: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    code, line = called(capsys, "--only", "kafka", "--data", str(tmp_path / "data"))
    assert (code, line) == (2, "lineage: Maven is missing: install the Debian package maven (or put mvn on the PATH)")


def test_without_a_checkout_the_servers_say_that_they_need_one(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match="need a checkout of the project"):
        Sources(tmp_path, pom=tmp_path / "pom.xml").server("kafka")


def test_a_fetch_that_fails_leaves_nothing_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(
        "#!/bin/sh\nfor word; do case $word in -DoutputDirectory=*) touch ${word#*=}/half.jar; esac; done\necho no route; exit 1\n"
    )
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(Sources, "java", lambda *_: tmp_path)
    with pytest.raises(ProgramMissing, match="Maven could not fetch kafka: no route"):
        Sources(tmp_path / "cache").server("kafka")
    assert [left.suffix for left in (tmp_path / "cache").iterdir()] == [".lock"]
