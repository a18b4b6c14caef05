"""A Kafka that lets nobody in without TLS, a certificate and a password: topics, worker and API's producer get in."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import pytest
from cluster import Cluster, orders
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lineage.errors import BadCall
from streams import settings
from streams.kafka import for_aiokafka
from streams.local_process import HOST, free_port
from streams.local_servers import Kafka

pytestmark = [pytest.mark.process, pytest.mark.slow]
USER, PASSWORD = "lineage", "not-in-any-log"
DAY = dt.timedelta(days=1)


class Certificates:
    """A small authority, and what it signed: a broker's certificate and a worker's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        self.ca = self._write("ca.pem", self._signed(self._key, self._name, is_ca=True).public_bytes(serialization.Encoding.PEM))

    def _signed(self, key: ec.EllipticCurvePrivateKey, name: x509.Name, *, is_ca: bool = False) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)), self._write(f"{name}.key", pem)

    def _write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


class Secured(Kafka):
    """A Kafka whose port for clients wants TLS with a client's certificate, and SASL."""

    certificates: Certificates

    def _prepare(self, java: Path, program: Path) -> None:
        super()._prepare(java, program)
        own, key = self.certificates.issue("broker")
        file = self.folder / "server.properties"
        text = file.read_text("utf-8").replace("=PLAINTEXT://", "=CLIENTS://")
        inside = f"INSIDE://{HOST}:{free_port()}"
        lines = [
            f"{line},{inside}" if line.startswith(("listeners=", "advertised.listeners=")) else line for line in text.splitlines()
        ]
        secured = {
            "inter.broker.listener.name": "INSIDE",
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.clients.plain.sasl.jaas.config":
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
            "listener.name.clients.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": _one_line(own),
            "ssl.keystore.key": _one_line(key),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.certificates": _one_line(self.certificates.ca),
        }  # fmt: skip
        file.write_text("\n".join([*lines, *(f"{k}={v}" for k, v in secured.items())]) + "\n", "utf-8")


def _one_line(pem: Path) -> str:
    return pem.read_text("utf-8").strip().replace("\n", "\\n")


@pytest.fixture
def cluster(tmp_path: Path, have_program, unique) -> Iterator[Cluster]:
    have_program("kafka")
    from servers.fixtures import sources

    server = Secured(tmp_path / "kafka", sources(), quick=True)
    server.certificates = Certificates(tmp_path)
    certificate, key = server.certificates.issue("worker")
    server.start()
    found = Cluster(
        tmp_path, server.bootstrap, unique("secured"), LINEAGE_KAFKA_SECURITY="SASL_SSL", LINEAGE_KAFKA_USER=USER,
        LINEAGE_KAFKA_PASSWORD=PASSWORD, LINEAGE_KAFKA_CA=str(tmp_path / "ca.pem"), LINEAGE_KAFKA_CERTIFICATE=str(certificate),
        LINEAGE_KAFKA_KEY=str(key),
    )  # fmt: skip
    yield found
    found.close()
    server.kill()


async def send(cluster: Cluster, values: list[bytes]) -> None:
    told = settings.load(cluster.env).kafka
    assert told is not None
    producer = aiokafka.AIOKafkaProducer(acks="all", **for_aiokafka(told))
    await producer.start()
    for value in values:
        await producer.send(cluster.topics.event("order"), value)
    await producer.stop()


def test_topics_worker_and_producers_get_in_with_certificate_and_password_and_nobody_without(cluster: Cluster) -> None:
    assert cluster.make_topics().lineage("topics", "--check").returncode == 0
    cluster.start()
    asyncio.run(send(cluster, list(dict.fromkeys(orders(200, seed=1)))))
    store = cluster.store()
    cluster.wait_for("the events", lambda: store.counts()["observations"] > 100)
    for name, value in (("PASSWORD", "wrong"), ("SECURITY", "SSL"), ("SECURITY", "PLAINTEXT")):
        kept = cluster.env[f"LINEAGE_KAFKA_{name}"]
        cluster.env[f"LINEAGE_KAFKA_{name}"] = value
        refused = cluster.lineage("topics", "--check")
        assert refused.returncode == 2, refused.stdout
        assert refused.stderr.count("\n") == 1, refused.stderr
        cluster.env[f"LINEAGE_KAFKA_{name}"] = kept
    assert PASSWORD not in cluster.logs()


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"LINEAGE_KAFKA_SECURITY": "SASL_SSL"}, "LINEAGE_KAFKA_USER"),
        ({"LINEAGE_KAFKA_SECURITY": "SSL", "LINEAGE_KAFKA_CA": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
        ({"LINEAGE_KAFKA_SECURITY": "TLS"}, "LINEAGE_KAFKA_SECURITY must be one of"),
        ({"LINEAGE_KAFKA_PASSWORD_FILE": "/nowhere/password"}, "LINEAGE_KAFKA_PASSWORD_FILE"),
    ],
)
def test_settings_that_cannot_be_right_are_named(env: dict[str, str], text: str) -> None:
    with pytest.raises(BadCall, match=text):
        for_aiokafka(settings.load({"LINEAGE_KAFKA": "127.0.0.1:9", **env}).kafka)  # type: ignore[arg-type]
