"""The servers that tests and `lineage dev` run: each starts for real, answers, and is gone when it is stopped."""

from __future__ import annotations

import asyncio

import httpx
import neo4j
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

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


def test_kafka_takes_and_gives_messages(kafka_server, unique) -> None:
    topic, group = unique("events"), unique("group")

    async def there_and_back() -> list[bytes]:
        await make_topic(kafka_server.bootstrap, topic)
        await produce(kafka_server.bootstrap, topic, b"one", b"two")
        return await consume(kafka_server.bootstrap, topic, group, 2)

    assert asyncio.run(there_and_back()) == [b"one", b"two"]


def test_neo4j_answers_queries(neo4j_clean) -> None:
    with neo4j.GraphDatabase.driver(neo4j_clean.uri, auth=(neo4j_clean.user, neo4j_clean.password)) as driver:
        assert driver.execute_query("MATCH (n) RETURN count(n) AS count").records[0]["count"] == 0
        driver.execute_query("CREATE (:Probe {number: 1})")
        assert driver.execute_query("MATCH (n:Probe) RETURN n.number AS number").records[0]["number"] == 1


def schema(*fields: dict[str, object]) -> dict[str, str]:
    return {"schema": httpx.Response(200, json={"type": "record", "name": "Probe", "fields": list(fields)}).text}


def test_the_registry_keeps_schemas_and_judges_new_ones(registry_server, unique) -> None:
    subject = unique("probe")
    old, new = {"name": "a", "type": "string"}, {"name": "b", "type": "string"}
    with httpx.Client(base_url=registry_server.url) as client:
        client.put(f"/config/{subject}", json={"compatibility": "BACKWARD"})
        known = client.post(f"/subjects/{subject}/versions", json=schema(old)).raise_for_status().json()["id"]
        assert client.get(f"/schemas/ids/{known}").raise_for_status().json()["schema"]
        ask = f"/compatibility/subjects/{subject}/versions/latest"
        assert client.post(ask, json=schema(old, new | {"default": ""})).json()["is_compatible"] is True
        assert client.post(ask, json=schema(old, new)).json()["is_compatible"] is False
