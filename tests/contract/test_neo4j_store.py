"""The cluster's store keeps the contract against a real Neo4j, and what only a shared store has to promise."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

import neo4j
import pytest
from cutting import Cutting
from graph_store import (
    ASKED,
    COOKIE,
    MAIL,
    NUMBER,
    PHONE,
    PLACED,
    STRANGER,
    GraphStoreContract,
    audit,
    command,
    household,
    identifier,
    observation,
)
from servers.fixtures import Neo4jAt, empty_neo4j

from lineage import neo4j_cascades, neo4j_server, neo4j_store, neo4j_types, neo4j_write
from lineage.digest import verify_chain
from lineage.errors import Conflict, StoreUnavailable, TooMuch
from lineage.landing import Holder, Landing
from lineage.neo4j_rows import lines
from lineage.neo4j_store import Neo4jStore
from lineage.store import Batch, CaseRow, Entry, Link, Position, Tombstone

pytestmark = pytest.mark.process
KINDS: dict[str, LiteralString] = {
    "identifiers": "MATCH (n:Identifier) RETURN n.key, n.check, n.controller, n.kind, n.sealed",
    "observations": "MATCH (n)-[o:OBSERVED]->(s) RETURN n.key, o.at, s.id, o.matter, o.about, o.evidence",
    "links": "MATCH (a)-[l:SAME_PERSON|USES_DEVICE]->(b)"
    " RETURN a.key, b.key, CASE type(l) WHEN 'SAME_PERSON' THEN 'same' ELSE 'device' END, l.shape, l.at",
    "shapes": "MATCH (n:Shape) RETURN n.id, n.controller, n.type, n.body",
    "entries": "MATCH (n:Entry) RETURN n.key, n.id, n.at, n.kind, n.body",
    "cases": "MATCH (n:Case) RETURN n.id, n.key, n.controller, n.right, n.opened, n.state, n.body",
    "commands": "MATCH (n:Command) RETURN n.id, n.key, n.controller, n.target, n.case, n.kind, n.body, n.issued, n.due,"
    " n.state, n.attempts",
    "audit": "MATCH (n:AuditLine) RETURN n.seq, n.id, n.at, n.controller, n.kind, n.body, n.previous, n.hash",
    "certificates": "MATCH (n:Certificate) RETURN n.seq, n.id, n.body, n.previous, n.hash",
    "dead_letters": "MATCH (n:DeadLetter) RETURN n.topic, n.partition, n.offset, n.schema_id, n.reason, n.at, n.sealed",
    "positions": "MATCH (n:Position) RETURN n.topic, n.partition, n.offset",
    "due": "MATCH (n) WHERE n.due IS NOT NULL AND NOT n:Command RETURN n.key, n.due",
}


class Cypher:
    """A session of the test's own, past the store."""

    def __init__(self, server: Neo4jAt) -> None:
        self._driver = neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password), notifications_min_severity="OFF")

    def __call__(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self._driver.session(database="neo4j") as session:
            return [tuple(record.values()) for record in session.run(statement, values)]

    def plan(self, statement: str, values: dict[str, Any]) -> list[str]:
        """Give the names of the steps in which the server would run a statement."""
        with self._driver.session(database="neo4j") as session:
            todo = [session.run(f"EXPLAIN {statement}", values).consume().plan]
        steps = []
        while todo:
            step = todo.pop()
            steps.append(step["operatorType"].partition("@")[0])
            todo += step.get("children", [])
        return steps

    def close(self) -> None:
        self._driver.close()


@pytest.fixture
def cypher(neo4j_clean: Neo4jAt) -> Iterator[Cypher]:
    session = Cypher(neo4j_clean)
    yield session
    session.close()


class TestNeo4jStore(GraphStoreContract):
    """Neo4j Community has one database: a place other than the one opened before is that database, emptied."""

    @pytest.fixture(autouse=True)
    def _server(self, neo4j_clean: Neo4jAt, cypher: Cypher) -> None:
        self.server, self.cypher = neo4j_clean, cypher
        self.opened: Path | None = None

    def open_store(self, place: Path) -> Neo4jStore:
        if self.opened not in (None, place):
            empty_neo4j(self.server)
        self.opened = place
        return Neo4jStore.open(self.server.uri, self.server.user, self.server.password)

    def raw(self, place: Path, kind: str) -> list[tuple[Any, ...]]:
        assert place == self.opened
        return sorted(self.cypher(KINDS[kind]))


Opener = Callable[..., Neo4jStore]


@pytest.fixture
def opened(neo4j_clean: Neo4jAt) -> Iterator[Opener]:
    """Give a function that opens a store like one more process would; all are closed at the end."""
    stores: list[Neo4jStore] = []

    def open_one(uri: str | None = None, **more: Any) -> Neo4jStore:
        stores.append(Neo4jStore.open(uri or neo4j_clean.uri, neo4j_clean.user, neo4j_clean.password, **more))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Opener) -> Neo4jStore:
    return opened()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the statements that reach the server."""
    found: list[str] = []
    run = neo4j.AsyncTransaction.run

    async def noting(self: Any, query: Any, *rest: Any, **more: Any) -> Any:
        found.append(query)
        return await run(self, query, *rest, **more)

    monkeypatch.setattr(neo4j.AsyncManagedTransaction, "run", noting)
    return found


def at_once(*works: Callable[[], object]) -> list[Any]:
    """Run the works in threads that start together, and give their results; what one raises is raised."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        barrier.wait(30)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(run, work) for work in works]]


PERSONS = range(1, 41)


def test_workers_that_write_the_same_persons_at_once_lose_nothing_and_double_nothing(opened: Opener, cypher: Cypher) -> None:
    """Each worker has half of the events in an order of its own, and everything that both see is the same."""
    stores = [opened() for _ in range(4)]
    stores[0].write(Batch(shapes=[PLACED, ASKED]))
    chance = random.Random(11)
    events = [observation(k, at, shape) for k in PERSONS for at in range(6) for shape in (1, 2)]
    links = [Link(k, k + 1, "same", 1, 5) for k in PERSONS]

    def batches(n: int) -> list[Batch]:
        own = [e._replace(evidence=100 * n + e.at) for e in events if n == 0 or (e.key + e.at) % 3 != n]
        chance.shuffle(own)
        parts = [own[i::12] for i in range(12)]
        return [
            Batch(
                identifiers=[identifier(k) for k in sorted({o.key for o in part}, reverse=bool(n % 2))],
                observations=part,
                links=chance.sample(links, len(links)),
                due={o.key: 1000 + n for o in part},
                entries=[Entry(o.key, f"e{o.key}", o.key, "request", "{}") for o in part],
                audit=[audit(f"a{n}-{i}"), audit(f"a{i}")],
                positions=[Position("orders", n, i + 1)],
            )
            for i, part in enumerate(parts)
        ]

    def work(one: Neo4jStore, mine: list[Batch]) -> int:
        return sum(one.write(batch) for batch in mine)

    todo = [batches(n) for n in range(4)]
    touched = at_once(*(lambda one=one, mine=mine: work(one, mine) for one, mine in zip(stores, todo, strict=True)))
    raw = sorted(cypher(KINDS["observations"]))
    assert [tuple(r[:5]) for r in raw] == sorted(e[:5] for e in events), "nothing lost, nothing doubled"
    assert [r[5] for r in raw] == [r[1] for r in raw], "the earliest evidence is that of the first worker"
    assert sorted(cypher(KINDS["links"])) == sorted(map(tuple, links))
    assert len(cypher(KINDS["identifiers"])) == len(PERSONS)
    assert sorted(e[1] for e in cypher(KINDS["entries"])) == sorted(f"e{k}" for k in PERSONS)
    lines = stores[0].audit()
    assert len(lines) == 4 * 12 + 12
    assert verify_chain(lines) is None
    assert stores[1].positions("orders") == dict.fromkeys(range(4), 12)
    assert min(touched) > 0


def test_nobody_waits_for_another_worker_at_a_shape(
    store: Neo4jStore, neo4j_clean: Neo4jAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shape is what all workers write to: its node is never locked as a whole, once it has a few dozen observations."""
    store.write(Batch(shapes=[PLACED], observations=[observation(k) for k in range(60)]))
    monkeypatch.setattr(neo4j_server, "ANSWER_SECONDS_MAX", 10.0)
    auth = (neo4j_clean.user, neo4j_clean.password)
    with neo4j.GraphDatabase.driver(neo4j_clean.uri, auth=auth) as driver, driver.session(database="neo4j") as session:
        other = session.begin_transaction()
        other.run("MATCH (s:Shape {id: 1}) CREATE (:Key {key: 9000, version: 1})-[:OBSERVED {at: 1}]->(s)").consume()
        rows = [observation(k, at) for k in range(55, 70) for at in (1000, 2000)]
        assert store.write(Batch(observations=rows, due=dict.fromkeys(range(55, 70), 5))) == 25 + 15
        other.rollback()


LATEST = "MATCH (k:Key) RETURN k.key, k.latest ORDER BY k.key"


def test_only_what_is_no_newer_than_all_before_is_looked_for(store: Neo4jStore, cypher: Cypher, sent: list[str]) -> None:
    """What happened after everything that is known of a key cannot be known; the rest is found, late or told again."""
    store.write(Batch(shapes=[PLACED], observations=[observation(MAIL, at, evidence=9) for at in (1000, 3000)]))
    assert cypher(LATEST) == [(MAIL, 3000)]
    for at, evidence, again, changed in (
        (4000, 9, False, 1),
        (4000, 7, True, 1),
        (2000, 9, True, 1),
        (1000, 8, True, 1),
        (1000, 9, True, 0),
        (5000, 9, False, 1),
    ):
        sent.clear()
        assert store.write(Batch(observations=[observation(MAIL, at, evidence=evidence)])) == changed
        assert [neo4j_write._OBSERVE_AGAIN in s for s in sent if "OBSERVED" in s] == [again]
    found = [(1000, 8), (2000, 9), (3000, 9), (4000, 7), (5000, 9)]
    assert sorted((r[1], r[5]) for r in cypher(KINDS["observations"])) == found
    assert cypher(LATEST) == [(MAIL, 5000)]
    store.write(Batch(observations=[observation(MAIL, 8000), observation(MAIL, 4000)]))
    assert len(cypher(KINDS["observations"])) == len(found) + 1, "one of a batch is new, the other is not"


def test_an_identifier_that_was_there_after_all_knows_what_was_observed_last(store: Neo4jStore, cypher: Cypher) -> None:
    store.write(Batch(shapes=[PLACED], identifiers=[identifier(MAIL)], observations=[observation(MAIL, 3000)]))
    store.write(
        Batch(identifiers=[identifier(MAIL), identifier(PHONE)], observations=[observation(MAIL, at) for at in (3000, 6000)])
    )
    assert cypher(LATEST) == sorted([(MAIL, 6000), (PHONE, neo4j_write._NEVER)])
    store.write(Batch(identifiers=[identifier(MAIL)], observations=[observation(MAIL, 6000), observation(PHONE, 10)]))
    assert sorted(r[:2] for r in cypher(KINDS["observations"])) == sorted([(MAIL, 3000), (MAIL, 6000), (PHONE, 10)])


def test_what_another_worker_observes_meanwhile_is_seen(store: Neo4jStore, cypher: Cypher, neo4j_clean: Neo4jAt) -> None:
    """Whoever waits for a key reads what was observed last of it when it has the key, not when it began to wait."""
    store.write(Batch(shapes=[PLACED], observations=[observation(MAIL, 1000)]))
    late = observation(MAIL, 5000)
    with (
        neo4j.GraphDatabase.driver(neo4j_clean.uri, auth=(neo4j_clean.user, neo4j_clean.password)) as driver,
        driver.session(database="neo4j") as session,
        ThreadPoolExecutor(1) as pool,
        session.begin_transaction() as tx,
    ):
        tx.run(neo4j_write._LOCK, rows=lines([[MAIL, -1, 5000, 5000]]), first=1 << 60).consume()
        waits = pool.submit(store.write, Batch(observations=[late]))
        time.sleep(0.3)  # until it waits for the lock
        edge = "CREATE (k)-[:OBSERVED {at: 5000, matter: 0, about: 0, evidence: 1}]->(s)"
        tx.run("MATCH (k:Key {key: $key}), (s:Shape {id: 1}) " + edge, key=MAIL).consume()
        tx.commit()
        assert waits.result() == 0
    assert [r[1] for r in sorted(cypher(KINDS["observations"]))] == [1000, 5000]


def test_what_is_forgotten_is_not_what_was_observed_last(store: Neo4jStore, cypher: Cypher) -> None:
    store.write(Batch(shapes=[PLACED], observations=[observation(MAIL, at) for at in (1000, 3000)] + [observation(PHONE)]))
    store.write(Batch(forget_observations=[observation(MAIL, 3000), observation(PHONE)]))
    assert cypher(LATEST) == sorted([(MAIL, 1000), (PHONE, neo4j_write._NEVER)])
    store.write(Batch(observations=[observation(MAIL, 1000), observation(MAIL, 2000), observation(PHONE)]))
    assert len(cypher(KINDS["observations"])) == 3


def test_of_a_key_of_an_earlier_release_everything_is_looked_for(store: Neo4jStore, cypher: Cypher) -> None:
    store.write(Batch(shapes=[PLACED], observations=[observation(MAIL, 3000)]))
    cypher("MATCH (k:Key) REMOVE k.latest")
    for at in (3000, 4000, 4000):
        store.write(Batch(observations=[observation(MAIL, at)]))
    assert [r[1] for r in sorted(cypher(KINDS["observations"]))] == [3000, 4000]
    assert cypher(LATEST) == [(MAIL, None)]


def test_the_server_keeps_its_plan_of_a_statement_of_rows(store: Neo4jStore, sent: list[str]) -> None:
    store.write(household())
    store.facts([MAIL])
    store.counts()
    rows = [s for s in sent if "UNWIND" in s]
    assert len(rows) > 10
    assert {s.startswith("CYPHER replan=skip ") for s in rows} == {True}
    assert [s for s in sent if s.startswith("CYPHER") and "UNWIND" not in s] == []


def test_each_write_raises_the_version_of_what_it_touches_by_one_however_many_write(opened: Opener) -> None:
    """A lost increment would let a worker take changed facts for those it has seen."""
    stores = [opened() for _ in range(3)]
    stores[0].write(Batch(identifiers=[identifier(MAIL)]))
    [(_, before)] = stores[0].facts([MAIL]).version
    at_once(*(lambda s=s: [s.write(Batch(due={MAIL: 5})) for _ in range(30)] for s in stores))
    assert stores[0].facts([MAIL]).version == ((MAIL, before + 90),)


def test_what_was_worked_out_from_facts_that_others_have_changed_is_not_written(store: Neo4jStore, cypher: Cypher) -> None:
    store.write(household())
    seen = dict(store.facts([MAIL]).version)
    assert seen.keys() == {MAIL, PHONE, NUMBER, COOKIE}
    store.write(Batch(observations=[observation(COOKIE, 9000)]))
    stale = Batch(due={MAIL: 1}, audit=[audit("a")], positions=[Position("orders", 0, 1)], seen=seen)
    with pytest.raises(Conflict):
        store.write(stale)
    assert store.due(10, 10) == []
    assert store.audit() == []
    assert store.positions("orders") == {}
    stale.seen = dict(store.facts([MAIL]).version)
    assert store.write(stale) > 0
    with pytest.raises(Conflict):
        store.write(Batch(due={MAIL: 0}, seen=stale.seen))


def test_a_key_that_nobody_knew_may_not_have_come_up_meanwhile(opened: Opener, store: Neo4jStore, cypher: Cypher) -> None:
    seen = dict(store.facts([MAIL]).version)
    assert seen == {MAIL: 0}
    batches = [Batch(identifiers=[identifier(MAIL)], entries=[Entry(MAIL, f"e{n}", 1, "request", "{}")], seen=seen) for n in (1, 2)]

    def attempt(one: Neo4jStore, batch: Batch) -> bool:
        try:
            one.write(batch)
        except Conflict:
            return False
        return True

    other = opened()
    assert sorted(at_once(lambda: attempt(store, batches[0]), lambda: attempt(other, batches[1]))) == [False, True]
    assert len(cypher(KINDS["entries"])) == 1


def test_an_identifier_that_was_erased_and_came_again_is_not_the_one_that_was_seen(store: Neo4jStore) -> None:
    store.write(Batch(identifiers=[identifier(MAIL)]))
    seen = dict(store.facts([MAIL]).version)
    store.write(Batch(forget_identifiers=[MAIL]))
    assert store.facts([MAIL]).version == ((MAIL, 0),)
    store.write(Batch(identifiers=[identifier(MAIL)]))
    assert dict(store.facts([MAIL]).version) != seen
    with pytest.raises(Conflict):
        store.write(Batch(due={MAIL: 1}, seen=seen))


@pytest.mark.parametrize(
    "late",
    [
        Batch(observations=[observation(MAIL)]),
        Batch(identifiers=[identifier(MAIL)]),
        Batch(links=[Link(PHONE, MAIL, "same", 0, 1)]),
        Batch(links=[Link(MAIL, PHONE, "device", 0, 1)]),
    ],
)
def test_nothing_is_written_under_an_identifier_that_was_erased_meanwhile(store: Neo4jStore, cypher: Cypher, late: Batch) -> None:
    store.write(Batch(shapes=[PLACED], tombstones=[Tombstone(MAIL, "acme", 20, 5)]))
    for heeded in ({}, {MAIL: 19}, {PHONE: 20}):
        with pytest.raises(Conflict):
            store.write(dataclasses.replace(late, heeded=heeded))
    assert not any(cypher(KINDS[kind]) for kind in ("observations", "identifiers", "links"))
    assert cypher("MATCH (k:Key) RETURN k") == []
    assert store.write(dataclasses.replace(late, heeded={MAIL: 20})) > 0


def test_nothing_is_written_under_an_identifier_that_was_there_and_is_forgotten(store: Neo4jStore, cypher: Cypher) -> None:
    """The tombstone was heeded: what was taken for granted besides is that the person is still there."""
    stone = Tombstone(MAIL, "acme", 20, 5)
    store.write(Batch(shapes=[PLACED], identifiers=[identifier(MAIL)], tombstones=[stone]))
    late = Batch(observations=[observation(MAIL)], due={MAIL: 0}, heeded={MAIL: 20}, known={MAIL})
    assert store.write(late) > 0
    store.write(Batch(forget_identifiers=[MAIL], forget_observations=[observation(MAIL)]))
    with pytest.raises(Conflict):
        store.write(late)
    assert cypher("MATCH (k:Key) RETURN k") == []
    assert store.next_due() is None


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.15, 0.3])
def test_what_waits_for_a_key_that_is_deleted_meanwhile_does_not_take_it_for_what_it_was(
    opened: Opener, cypher: Cypher, neo4j_clean: Neo4jAt, wait: float
) -> None:
    """The server lets a waiting statement go on with the node that it had found, though there is none any more."""
    store = opened()
    auth = (neo4j_clean.user, neo4j_clean.password)
    with neo4j.GraphDatabase.driver(neo4j_clean.uri, auth=auth) as driver, driver.session(database="neo4j") as session:
        for n in range(8):
            key, blind = 5000 + n, 6000 + n
            store.write(Batch(identifiers=[identifier(key), identifier(blind)]))
            stale = Batch(cases=[CaseRow(f"k{key}", key, "acme", "erasure", 5, "open", "{}")], watched={key: True},
                          seen=dict(store.facts([key]).version))  # fmt: skip

            def late(batch: Batch = stale) -> bool:
                time.sleep(wait)  # to come at different moments of the other's transaction
                try:
                    store.write(batch)
                except Conflict:
                    return False
                return True

            with ThreadPoolExecutor(2) as pool, session.begin_transaction() as tx:
                tx.run(
                    neo4j_write._LOCK, rows=lines([[k, -1, *neo4j_write._NOTHING] for k in (key, blind)]), first=1 << 60
                ).consume()
                told = Batch(entries=[Entry(blind, f"e{blind}", 5, "request", "{}")], due={blind: 0})
                works = [pool.submit(late), pool.submit(late, told)]
                time.sleep(0.1)  # until the others wait for the locks
                tx.run("MATCH (k:Key) WHERE k.key IN $keys DETACH DELETE k", keys=[key, blind]).consume()
                time.sleep(0.25)  # and for those who have come back after a deadlock
                tx.commit()
                assert [w.result() for w in works] == [False, True], (
                    "what has seen what is gone is stale; what has seen nothing is written"
                )
            assert cypher("MATCH (c:Case {id: $id}) RETURN c", id=f"k{key}") == []
            assert cypher("MATCH (k:Key {key: $key}) RETURN k", key=key) == []
            assert cypher("MATCH (k:Key {key: $key})-[:TOLD]->(e:Entry) RETURN k.due, e.id", key=blind) == [(0, f"e{blind}")]


def test_an_event_and_an_erasure_of_its_person_at_once_end_in_one_of_two_ways(opened: Opener, cypher: Cypher) -> None:
    """Either the event came first, and the erasure hears of it; or the erasure did, and the event hears of that."""
    one, two = opened(), opened()
    one.write(Batch(shapes=[PLACED]))
    for round_ in range(15):
        key = 1000 + round_
        one.write(Batch(identifiers=[identifier(key)], observations=[observation(key)]))
        facts = two.facts([key])
        erasure = Batch(
            tombstones=[Tombstone(key, "acme", 50, 0)], forget_observations=list(facts.observations),
            forget_identifiers=[key], seen=dict(facts.version),
        )  # fmt: skip

        def attempt(store: Neo4jStore, batch: Batch) -> bool:
            try:
                store.write(batch)
            except Conflict:
                return False
            return True

        event = Batch(identifiers=[identifier(key)], observations=[observation(key, 60)])
        wrote, erased = at_once(lambda e=event: attempt(one, e), lambda e=erasure: attempt(two, e))
        assert wrote is not erased
        there = cypher("MATCH (k:Key {key: $key}) RETURN COUNT { (k)-[:OBSERVED]->() }", key=key)
        assert there == ([(2,)] if wrote else [])


def test_what_only_removes_makes_no_node(store: Neo4jStore, cypher: Cypher) -> None:
    rows = Batch(due_exact={MAIL: None}, watched={PHONE: False}, forget_identifiers=[NUMBER], seen={STRANGER: 0})
    rows.tombstones = [Tombstone(COOKIE, "acme", 1, 0)]
    rows.commands = [command("c1", 4242)]
    assert store.write(rows) == 2
    assert cypher("MATCH (k:Key) RETURN k.key") == []


def test_a_batch_whose_answer_was_lost_can_be_written_again(neo4j_clean: Neo4jAt, opened: Opener, cypher: Cypher) -> None:
    """The server commits and the connection breaks: nobody knows, so it is written again, and nothing is doubled."""
    with closing(Cutting(neo4j_clean.uri)) as network:
        store = opened(network.uri)
        batch = household()
        batch.audit, batch.positions = [audit("a"), audit("b")], [Position("orders", 0, 6)]
        network.lose_next_commit = True
        with pytest.raises(StoreUnavailable, match="committed"):
            store.write(batch)
        assert network.lost == 1
        before = store.digest(), store.counts(), store.audit()
        assert before[1]["observations"] == 6, "the server had committed"
        assert store.write(batch) == 0
        batch.positions = []
        assert store.write(batch) == 0
        assert (store.digest(), store.counts(), store.audit()) == before

        decided = Batch(commands=[command("c9")], audit=[audit("c")], seen=dict(store.facts([MAIL]).version))
        network.lose_next_commit = True
        with pytest.raises(StoreUnavailable):
            store.write(decided)
        with pytest.raises(Conflict):
            store.write(decided)
        decided.seen = dict(store.facts([MAIL]).version)
        assert store.write(decided) == 0, "worked out again, it is all there"


def test_starts_at_once_lay_out_one_schema(neo4j_clean: Neo4jAt, cypher: Cypher, opened: Opener) -> None:
    empty_neo4j(neo4j_clean, schema=True)
    opened().close()
    wanted = cypher("SHOW INDEXES YIELD name, labelsOrTypes, properties WHERE labelsOrTypes IS NOT NULL RETURN * ORDER BY name")
    empty_neo4j(neo4j_clean, schema=True)
    stores = at_once(*[opened] * 4)
    assert [v for (v,) in cypher("MATCH (m:Migration) RETURN m.version")] == [1]
    assert (
        cypher("SHOW INDEXES YIELD name, labelsOrTypes, properties WHERE labelsOrTypes IS NOT NULL RETURN * ORDER BY name")
        == wanted
    )
    at_once(*(lambda s=s: s.write(household()) for s in stores))
    assert stores[0].counts()["observations"] == 6


def test_a_graph_of_a_newer_release_is_refused(cypher: Cypher, opened: Opener) -> None:
    cypher("CREATE (:Migration {version: 99})")
    with pytest.raises(StoreUnavailable, match="newer"):
        opened()


PASSWORD = "not-to-be-shown"


@pytest.mark.parametrize(
    "uri", ["bolt://127.0.0.1:1", "neo4j://127.0.0.1:1", f"bolt://neo4j:{PASSWORD}@127.0.0.1:1", "http://x", "bolt://x:y"]
)
def test_a_server_that_cannot_be_reached_is_said_in_one_line(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j_server, "_RETRY_SECONDS_MAX", 1.0)
    with pytest.raises(StoreUnavailable) as caught:
        Neo4jStore.open(uri, "neo4j", PASSWORD)
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_wrong_password_is_said_and_not_shown(neo4j_clean: Neo4jAt) -> None:
    with pytest.raises(StoreUnavailable, match="refuses the user or the password") as caught:
        Neo4jStore.open(neo4j_clean.uri, "neo4j", PASSWORD)
    assert PASSWORD not in str(caught.value)


def test_a_database_that_is_not_there_is_said(opened: Opener) -> None:
    with pytest.raises(StoreUnavailable, match="no such database"):
        opened(database="elsewhere")


@pytest.mark.slow
def test_a_server_that_is_paused_killed_and_started_again(own_neo4j: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits without end, nothing that was acknowledged is gone, and the store goes on by itself."""
    monkeypatch.setattr(neo4j_server, "_RETRY_SECONDS_MAX", 2.0)
    server = own_neo4j()
    with closing(Neo4jStore.open(server.uri, server.user, server.password)) as store:
        store.write(household())
        before = store.digest()
        monkeypatch.setattr(neo4j_server, "ANSWER_SECONDS_MAX", 3.0)
        server.pause()
        with pytest.raises(StoreUnavailable, match="no answer"):
            store.digest()
        server.resume()
        monkeypatch.setattr(neo4j_server, "ANSWER_SECONDS_MAX", 60.0)
        assert store.digest() == before
        server.kill()
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            store.write(Batch(observations=[observation(MAIL, 5000)]))
        server.start()
        assert store.digest() == before
        assert store.write(Batch(observations=[observation(MAIL, 5000)])) == 1


def test_a_worker_that_hangs_within_a_transaction_keeps_nothing_from_the_others(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = opened(), opened()
    one.write(Batch(identifiers=[identifier(MAIL)]))
    holds, late = threading.Event(), threading.Event()

    async def hang(tx: Any) -> None:
        await neo4j_server.ask(tx, "MATCH (k:Key {key: $key}) SET k.due = 1", key=MAIL)
        holds.set()
        await asyncio.to_thread(late.wait)
        await neo4j_server.ask(tx, "RETURN 1")

    def hanging() -> None:
        with pytest.raises(StoreUnavailable):
            one._server.write(hang)

    monkeypatch.setattr(neo4j_server, "TRANSACTION_SECONDS_MAX", 1.0)
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(hanging)
        assert holds.wait(30)
        monkeypatch.setattr(neo4j_server, "TRANSACTION_SECONDS_MAX", 30.0)
        assert two.write(Batch(due={MAIL: 5})) == 1
        late.set()
        hung.result()
    assert list(two.due(9, 9)) == [MAIL]
    assert two.next_due() == 5


def test_what_the_server_says_of_a_value_is_not_passed_on(store: Neo4jStore, cypher: Cypher) -> None:
    """The server's own words name the value: what was given for a text is none."""
    body: Any = {"mail": "canary@example.org"}
    batch = Batch(entries=[Entry(MAIL, "e1", 5, "request", body)])
    with pytest.raises(StoreUnavailable, match="the server answers") as caught:
        store.write(batch)
    assert "canary" not in str(caught.value)


def test_a_closed_store_says_so_and_closes_twice(store: Neo4jStore) -> None:
    store.close()
    store.close()
    for call in (store.digest, store.counts, lambda: store.write(household()), lambda: store.facts([1]), store.draw):
        with pytest.raises(StoreUnavailable, match="closed"):
            call()


def test_threads_share_a_store(store: Neo4jStore) -> None:
    """Each batch adds an observation to both of two linked identifiers; nobody ever sees one without the other."""
    store.write(Batch(shapes=[PLACED], identifiers=[identifier(-20), identifier(-21)], links=[Link(-21, -20, "same", 0, 1)]))
    done = threading.Event()

    def write() -> None:
        for n in range(60):
            store.write(Batch(observations=[observation(-20, n), observation(-21, n)]))
        done.set()

    def read() -> int:
        halves = 0
        while not done.is_set():
            halves += len(store.facts([-20]).observations) % 2
        return halves

    assert at_once(write, read, read)[1:] == [0, 0]
    assert len(store.facts([-21]).observations) == 120


def test_a_shape_keeps_its_number_and_a_number_its_shape(store: Neo4jStore, cypher: Cypher) -> None:
    store.write(Batch(shapes=[PLACED]))
    with pytest.raises(ValueError, match="another shape"):
        store.write(Batch(shapes=[PLACED._replace(type="other")], identifiers=[identifier(MAIL)]))
    with pytest.raises(ValueError, match="not there"):
        store.write(Batch(identifiers=[identifier(MAIL)], observations=[observation(MAIL, shape=77)]))
    assert cypher(KINDS["identifiers"]) == []


def test_a_certificate_hangs_on_its_case(store: Neo4jStore, cypher: Cypher) -> None:
    store.write(Batch(cases=[CaseRow("k1", MAIL, "acme", "erasure", 5, "closed", "{}")]))
    store.write(Batch(certificates=[("k1", "{}"), ("k2", "{}")]))
    assert cypher("MATCH (c:Case)-[:CERTIFIED_BY]->(x) RETURN c.id, x.id") == [("k1", "k1")]


def test_persons_and_devices_commands_and_cases_are_what_they_are_called(store: Neo4jStore, cypher: Cypher) -> None:
    store.write(household())
    store.write(Batch(cases=[CaseRow("case-1", MAIL, "acme", "erasure", 5, "open", "{}")], commands=[command("c4")]))
    store.write(Batch(cases=[CaseRow("case-1", PHONE, "acme", "erasure", 5, "open", "{}")]))
    assert cypher("MATCH (d:Device) RETURN count(d)") == [(2,)]
    assert cypher("MATCH (d:DataSubject) RETURN count(d)") == [(4,)]
    assert cypher("MATCH (c:Case)-[:ABOUT]->(k) RETURN k.key") == [(PHONE,)]
    found = cypher("MATCH (k:Key)<-[:ABOUT]-(c:Pending)-[:TO]->(t:Target), (c)-[:OF]->(x:Case) RETURN c.id, k.key, t.id, x.id")
    assert found == [("c4", MAIL, "crm", "case-1")]
    assert cypher("MATCH (k:Key)-[:TOLD]->(e:Entry) RETURN count(e)") == [(3,)]


def landing(*systems: str) -> Landing:
    held = ("name", "email")
    return Landing(
        "A-1", "sell", ("contract",), held, tuple(Holder(s, held) for s in systems), (Holder("carrier", ("name",), "independent"),)
    )


def drawn(cypher: Cypher) -> list[tuple[Any, ...]]:
    return cypher(
        "MATCH (s:Shape)-[k:KEPT_FOR]->(a:Activity)-[:HELD_IN|DISCLOSED_TO]->(t)"
        " RETURN s.id, k.categories, a.purpose, a.legal_basis, labels(t), t.id ORDER BY s.id, t.id"
    )


def test_what_the_policy_says_is_drawn_once_per_shape_and_anew_when_it_changes(opened: Opener, cypher: Cypher) -> None:
    store = opened(landings=lambda shape: [landing("crm")] if shape == PLACED else [])
    store.write(household())
    carrier = (1, ["name", "email"], "sell", ["contract"], ["Target", "Recipient"], "carrier")
    assert drawn(cypher) == [carrier, (*carrier[:4], ["Target", "System"], "crm")]
    edges = cypher("MATCH ()-[r]->() RETURN count(r)")
    store.write(household())
    assert cypher("MATCH ()-[r]->() RETURN count(r)") == edges
    other = opened(landings=lambda shape: [landing("erp", "shop")] if shape == PLACED else [])
    before = store.digest()
    at_once(*[other.draw] * 3, lambda: store.write(Batch(observations=[observation(MAIL, 7000)])))
    assert [row[-1] for row in drawn(cypher)] == ["carrier", "erp", "shop"]
    store.write(Batch(forget_observations=[observation(MAIL, 7000)]))
    assert store.digest() == before


SCANS_ALLOWED = {"_SHAPES", "_CASES", "_COUNTS", "_ERASE"}
"""What reads everything because everything is asked for: shapes (few), all cases, counts, what the policies say."""


def statements() -> list[tuple[str, str]]:
    found = []
    for module in (neo4j_store, neo4j_write, neo4j_cascades, neo4j_types):
        for name, value in vars(module).items():
            texts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
            found += [(name, t) for t in texts if isinstance(t, str) and re.match("(MATCH|UNWIND|MERGE|CALL|RETURN|WITH) ", t)]
    return [(name, text) for name, text in found if text[-1] not in " ,"]  # else the beginning of others


def test_every_statement_of_rows_says_by_which_index_it_finds_a_node() -> None:
    """The planner may choose to read an index whole, once for each row; whether it does hangs on what was counted when."""
    found = [(name, text) for name, text in statements() if "UNWIND" in text and re.search(r"MATCH \(\w*:\w+ {", text)]
    assert len(found) > 30
    for name, text in found:
        assert len(re.findall(r"MATCH \(\w*:\w+ {", text)) == text.count("USING INDEX SEEK"), (name, text)


@pytest.mark.parametrize("graph", ["empty", "small", "filling"])
def test_every_statement_finds_what_it_looks_for_by_index(store: Neo4jStore, cypher: Cypher, graph: str) -> None:
    """Plans are made early and kept: not even where next to nothing has been counted yet may a label or an index be read whole."""
    if graph != "empty":
        store.write(household())
    if graph == "filling":
        store.write(Batch(identifiers=[identifier(key) for key in range(1, 20_000)]))
    cypher("CALL db.clearQueryCaches()")
    assert len(statements()) > 50
    for name, text in statements():
        values = {value: told(value, text) for value in re.findall(r"\$(\w+)", text)}
        plan = cypher.plan(text, values)
        whole = r"AllNodes|NodeByLabel|NodeByIdScan|\w*RelationshipType\w*Scan|\w*AllRelationships"
        if "UNWIND" in text and "LIMIT" not in text:
            whole += r"|\w*IndexScan"  # once for each row
        scans = [step for step in plan if re.match(whole, step)]
        assert scans == [] or name in SCANS_ALLOWED, (name, plan)


def told(value: str, text: str) -> Any:
    """Give a value of the kind that a statement reads."""
    if f"split(${value}," in text:
        return "0"
    return [] if value in ("rows", "keys", "ids", "groups", "shapes", "own", "among", "sealed", "owners") else 0


def test_a_transaction_that_takes_too_long_is_too_much_and_one_that_waits_too_long_comes_again(
    store: Neo4jStore, neo4j_clean: Neo4jAt, cypher: Cypher, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(Batch(identifiers=[identifier(MAIL)]))
    monkeypatch.setattr(neo4j_server, "TRANSACTION_SECONDS_MAX", 0.5)
    with pytest.raises(TooMuch, match="took too long"):
        store._server.write(lambda tx: neo4j_server.ask(tx, "UNWIND range(1, 1000000000) AS x RETURN sum(x % 7)"))
    auth = (neo4j_clean.user, neo4j_clean.password)
    late = Batch(identifiers=[identifier(PHONE)], entries=[Entry(MAIL, "e1", 5, "request", "{}")])
    with neo4j.GraphDatabase.driver(neo4j_clean.uri, auth=auth) as driver, driver.session(database="neo4j") as session:
        tx = session.begin_transaction()
        tx.run(neo4j_write._LOCK, rows=lines([[MAIL, -1, *neo4j_write._NOTHING]]), first=1 << 60).consume()
        with pytest.raises(StoreUnavailable, match=r"(took|waited) too long"):
            store.write(late)
        assert [key for key, *_ in cypher(KINDS["identifiers"])] == [MAIL]
        tx.close()
    assert store.write(late) > 0
    assert len(cypher(KINDS["entries"])) == 1
