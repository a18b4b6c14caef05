"""Reach the cluster's Kafka: what a client is told, from the settings, for aiokafka and for kafka-python.

Every client of the cluster is made from here, so TLS and SASL are told once.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any

from lineage.errors import BadCall
from streams.schema_registry import Ids, SchemaRegistry
from streams.settings import Kafka, Settings


def told(settings: Settings) -> Kafka:
    """Give the settings of the cluster's Kafka; raise `BadCall` where there are none."""
    if settings.kafka is None:
        msg = "LINEAGE_KAFKA is not set: name the cluster's Kafka as host:port (`lineage dev` starts one to try)"
        raise BadCall(msg)
    return settings.kafka


_NORMAL = ("GroupCoordinatorNotAvailable", "Marking the coordinator dead", "because it is rebalancing")


class Expected(logging.Filter):
    """Lets pass what an operator must see, and not what is normal when a group is made or shared anew."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is shown."""
        text = record.getMessage()
        return not any(normal in text for normal in _NORMAL)


def quiet_clients() -> None:
    """Keep the clients' own remarks out of the log; what stops the work is said by whoever it stops."""
    logging.getLogger("aiokafka.consumer.group_coordinator").addFilter(Expected())
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def for_aiokafka(kafka: Kafka) -> dict[str, Any]:
    """Give the arguments that every aiokafka client needs."""
    found: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap, "security_protocol": kafka.security}
    if kafka.security.endswith("SSL"):
        found["ssl_context"] = _context(kafka)
    return found | _sasl(kafka)


def for_kafka_python(kafka: Kafka) -> dict[str, Any]:
    """Give the arguments that every kafka-python client needs."""
    found: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap.split(","), "security_protocol": kafka.security}
    if kafka.security.endswith("SSL"):
        found["ssl_context"] = _context(kafka)
    return found | _sasl(kafka)


def _sasl(kafka: Kafka) -> dict[str, Any]:
    if not kafka.security.startswith("SASL"):
        return {}
    if not kafka.user or not kafka.password:
        msg = f"LINEAGE_KAFKA_SECURITY is {kafka.security}: set LINEAGE_KAFKA_USER and LINEAGE_KAFKA_PASSWORD too"
        raise BadCall(msg)
    return {"sasl_mechanism": kafka.mechanism, "sasl_plain_username": kafka.user, "sasl_plain_password": kafka.password}


def _context(kafka: Kafka) -> ssl.SSLContext:
    """Trust the CA that is named, or the system's; show a certificate of our own where one is named."""
    try:
        context = ssl.create_default_context(cafile=str(kafka.ca) if kafka.ca else None)
        if kafka.certificate is not None:
            context.load_cert_chain(kafka.certificate, kafka.key)
    except (OSError, ssl.SSLError) as error:
        named = " or ".join(str(f) for f in (kafka.ca, kafka.certificate, kafka.key) if f)
        msg = f"{named}: no certificate or key in PEM can be read there ({type(error).__name__})"
        raise BadCall(msg) from None
    return context


def wire_ids(told: Settings) -> Ids:
    """Give the way between schema ids on the wire and ours; raise where the registry does not answer or lacks a schema."""
    if told.registry is None:
        return Ids()
    ids = Ids(SchemaRegistry(told.registry))
    ids.warm()
    return ids
