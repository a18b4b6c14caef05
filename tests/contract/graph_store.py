"""What every graph store must keep; a store's test subclasses `GraphStoreContract` and says how to open and to look.

What a method of the store says is checked against what the medium holds, seen without the store.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest

from lineage.digest import GENESIS, verify_chain
from lineage.errors import IdentifierCollision
from lineage.store import (
    AuditRow,
    Batch,
    CaseRow,
    CommandRow,
    DeadLetter,
    Entry,
    GraphStore,
    Identifier,
    Link,
    Observation,
    Position,
    Shape,
    Tombstone,
)

MAIL, PHONE, NUMBER, STRANGER, COOKIE, COOKIE_2 = -5, 7, 2**63 - 1, -(2**63), 11, 13
ORDER, TICKET = 101, -102
PLACED = Shape(1, "acme", "order.placed", '{"terms":["name"]}')
ASKED = Shape(2, "acme", "support.asked", '{"terms":["message"]}')
ELSEWHERE = Shape(3, "other", "order.placed", '{"terms":["name"]}')


def identifier(key: int, controller: str = "acme", kind: str = "email", sealed: bytes = b"sealed") -> Identifier:
    return Identifier(key, key ^ 0x55, controller, kind, sealed)


def observation(key: int, at: int = 1000, shape: int = 1, matter: int = 0, evidence: int = 1) -> Observation:
    return Observation(key, at, shape, matter, 0, evidence)


def command(id_: str, key: int = MAIL, *, due: int = 50, target: str = "crm", issued: int = 40) -> CommandRow:
    return CommandRow(id_, key, "acme", target, "case-1", "erase", "{}", issued, due, "pending", 0)


def audit(id_: str) -> AuditRow:
    return AuditRow(id_, 9, "acme", "decided", '{"rule":"r1"}')


def household() -> Batch:
    """Two data subjects who share a computer: one with three identifiers, one with one."""
    return Batch(
        shapes=[PLACED, ASKED, ELSEWHERE],
        identifiers=[
            identifier(MAIL),
            identifier(PHONE, kind="phone"),
            identifier(NUMBER, kind="customer_number"),
            identifier(STRANGER),
            identifier(COOKIE, kind="cookie"),
            identifier(COOKIE_2, kind="cookie"),
        ],
        observations=[
            observation(MAIL, 1000, matter=ORDER),
            observation(PHONE, 1001, 2, matter=TICKET),
            observation(NUMBER, 1002),
            observation(STRANGER, 1003, matter=TICKET),
            observation(COOKIE, 1004),
            observation(COOKIE_2, 1005),
        ],
        links=[
            Link(MAIL, PHONE, "same", 0, 1000),
            Link(PHONE, NUMBER, "same", 0, 1001),
            Link(NUMBER, COOKIE, "device", 1, 1002),
            Link(STRANGER, COOKIE, "device", 1, 1003),
            Link(STRANGER, COOKIE_2, "device", 1, 1003),
        ],
        entries=[
            Entry(PHONE, "e1", 1006, "request", "{}"),
            Entry(STRANGER, "e2", 1007, "request", "{}"),
            Entry(COOKIE, "e3", 1008, "request", "{}"),
        ],
        commands=[command("c1", NUMBER), command("c2", STRANGER), command("c3", COOKIE)],
    )


class GraphStoreContract(ABC):
    """The contract. Subclasses give `open_store` and `raw`, and are collected under their own names."""

    @abstractmethod
    def open_store(self, place: Path) -> GraphStore:
        """Open the store at `place`, creating it at first."""

    @abstractmethod
    def raw(self, place: Path, kind: str) -> list[tuple[Any, ...]]:
        """Read the rows of a kind (`counts` has the words) past the store, sorted, columns as in the protocol."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path

    @pytest.fixture
    def store(self, place: Path) -> Any:
        opened = self.open_store(place)
        yield opened
        opened.close()

    def test_a_batch_is_kept_as_it_was_given(self, store: GraphStore, place: Path) -> None:
        batch = household()
        assert store.write(batch) > 0
        assert self.raw(place, "identifiers") == sorted(batch.identifiers)
        assert self.raw(place, "observations") == sorted(batch.observations)
        assert self.raw(place, "links") == sorted(batch.links)
        assert self.raw(place, "shapes") == batch.shapes == list(store.shapes())
        assert self.raw(place, "commands") == batch.commands

    def test_what_was_written_is_there_after_reopening(self, store: GraphStore, place: Path) -> None:
        store.write(household())
        before = store.digest(), store.facts([MAIL])
        store.close()
        again = self.open_store(place)
        assert (again.digest(), again.facts([MAIL])) == before
        again.close()

    def test_the_same_facts_again_touch_no_row(self, store: GraphStore) -> None:
        store.write(household())
        before = dict(store.counts())
        assert store.write(household()) == 0
        assert store.counts() == before

    def test_an_event_seen_twice_is_one_observation_with_the_earliest_evidence(self, store: GraphStore, place: Path) -> None:
        seen = [observation(MAIL, evidence=e) for e in (7, 3, 5)]
        store.write(Batch(shapes=[PLACED], observations=seen[:2]))
        store.write(Batch(observations=seen[2:]))
        assert self.raw(place, "observations") == [seen[1]]

    def test_a_link_keeps_the_time_it_was_first_seen(self, store: GraphStore, place: Path) -> None:
        for at in (30, 10, 20):
            store.write(Batch(shapes=[PLACED], links=[Link(1, 2, "same", 1, at)]))
        assert self.raw(place, "links") == [(1, 2, "same", 1, 10)]

    @pytest.mark.parametrize("start", [MAIL, PHONE, NUMBER])
    def test_every_identifier_of_a_data_subject_leads_to_the_same_facts(self, store: GraphStore, start: int) -> None:
        store.write(household())
        facts = store.facts([start])
        assert facts.keys == (MAIL, PHONE, NUMBER, COOKIE), "devices last, else in order"
        assert {o.at for o in facts.observations} == {1000, 1001, 1002, 1004}
        assert [e.id for e in facts.entries] == ["e1"]
        assert [c.id for c in facts.commands] == ["c1"]
        assert facts == store.facts([MAIL, PHONE, NUMBER])

    def test_a_shared_device_joins_nobody(self, store: GraphStore) -> None:
        store.write(household())
        facts = store.facts([STRANGER])
        assert facts.keys == (STRANGER, COOKIE, COOKIE_2)
        assert {o.at for o in facts.observations} == {1003, 1004, 1005}
        assert {link[:2] for link in facts.links} == {(STRANGER, COOKIE), (STRANGER, COOKIE_2)}

    def test_a_device_alone_has_its_own_facts_and_says_who_is_linked_to_it(self, store: GraphStore) -> None:
        store.write(household())
        facts = store.facts([COOKIE])
        assert facts.keys == (COOKIE,)
        assert {o.at for o in facts.observations} == {1004}
        assert [e.id for e in facts.entries] == ["e3"]
        assert [c.id for c in facts.commands] == ["c3"]
        assert {link.a for link in facts.links} == {NUMBER, STRANGER}

    def test_a_chain_of_a_hundred_identifiers_is_one_data_subject(self, store: GraphStore) -> None:
        links = [Link(k, k + 1, "same", 1, k) for k in range(100)]
        store.write(Batch(shapes=[PLACED], identifiers=[identifier(k) for k in range(101)], links=links))
        assert store.facts([57]).keys == tuple(range(101))

    def test_nobody_has_no_facts(self, store: GraphStore) -> None:
        store.write(household())
        nobody = store.facts([424242])
        assert nobody.version == (((424242, 0),) if store.shared else ())
        assert not any(dataclasses.astuple(dataclasses.replace(nobody, version=())))
        assert not any(dataclasses.astuple(store.facts([])))

    def test_two_values_under_one_key_are_refused_with_the_whole_batch(self, store: GraphStore, place: Path) -> None:
        store.write(Batch(identifiers=[identifier(MAIL)]))
        other = identifier(MAIL)._replace(check=999)
        with pytest.raises(IdentifierCollision):
            store.write(Batch(shapes=[PLACED], identifiers=[other, identifier(PHONE)], observations=[observation(PHONE)]))
        assert self.raw(place, "identifiers") == [identifier(MAIL)]
        assert self.raw(place, "observations") == []
        assert self.raw(place, "shapes") == []

    def test_two_values_under_one_key_are_refused_within_one_batch(self, store: GraphStore, place: Path) -> None:
        with pytest.raises(IdentifierCollision):
            store.write(Batch(identifiers=[identifier(MAIL), identifier(MAIL)._replace(check=999)]))
        assert self.raw(place, "identifiers") == []

    def test_an_identifier_sealed_anew_keeps_its_first_seal(self, store: GraphStore, place: Path) -> None:
        store.write(Batch(identifiers=[identifier(MAIL, sealed=b"first")]))
        store.write(Batch(identifiers=[identifier(MAIL, sealed=b"second")]))
        assert self.raw(place, "identifiers") == [identifier(MAIL, sealed=b"first")]

    def test_a_batch_behind_the_stored_positions_changes_nothing(self, store: GraphStore, place: Path) -> None:
        store.write(Batch(positions=[Position("orders", 0, 10), Position("orders", 1, 20)]))
        late = Batch(shapes=[PLACED], observations=[observation(MAIL)], audit=[audit("a")])
        late.positions = [Position("orders", 0, 9), Position("orders", 1, 20)]
        assert store.write(late) == 0
        assert self.raw(place, "observations") == []
        assert self.raw(place, "audit") == []
        assert store.positions("orders") == {0: 10, 1: 20}

    def test_a_batch_that_moves_one_position_is_written_and_moves_none_back(self, store: GraphStore, place: Path) -> None:
        store.write(Batch(positions=[Position("orders", 0, 10), Position("orders", 1, 20)]))
        late = Batch(shapes=[PLACED], observations=[observation(MAIL)])
        late.positions = [Position("orders", 0, 9), Position("orders", 1, 21)]
        assert store.write(late) > 0
        assert self.raw(place, "observations") == [observation(MAIL)]
        assert self.raw(place, "positions") == [("orders", 0, 10), ("orders", 1, 21)]

    def test_positions_of_a_topic_never_seen_are_empty(self, store: GraphStore) -> None:
        store.write(Batch(positions=[Position("orders", 0, 10)]))
        assert store.positions("support") == {}

    def test_known_tells_who_is_there_and_whether_someone_watches(self, store: GraphStore) -> None:
        store.write(Batch(identifiers=[identifier(MAIL), identifier(PHONE)], watched={MAIL: True, STRANGER: True}))
        assert store.known([MAIL, PHONE, STRANGER]) == {MAIL: True, PHONE: False}
        store.write(Batch(watched={MAIL: False, PHONE: True}))
        assert store.known([PHONE, MAIL]) == {MAIL: False, PHONE: True}
        assert store.known([]) == {}

    def test_of_two_tombstones_the_later_stays(self, store: GraphStore) -> None:
        late, early = Tombstone(MAIL, "acme", 20, 5), Tombstone(MAIL, "acme", 10, 4)
        store.write(Batch(tombstones=[late]))
        store.write(Batch(tombstones=[early]))
        assert store.tombstones([MAIL, PHONE]) == {MAIL: late}

    def test_the_earlier_due_date_is_kept(self, store: GraphStore) -> None:
        for at in (30, 10, 20):
            store.write(Batch(due={MAIL: at}))
        store.write(Batch(due={PHONE: 5, NUMBER: 40}))
        assert list(store.due(9, 10)) == [PHONE]
        assert list(store.due(10, 10)) == [PHONE, MAIL]
        assert list(store.due(100, 2)) == [PHONE, MAIL]
        assert list(store.due(100, 10)) == [PHONE, MAIL, NUMBER]

    def test_an_exact_due_date_replaces_and_none_removes(self, store: GraphStore) -> None:
        store.write(Batch(due={MAIL: 10, PHONE: 10}))
        store.write(Batch(due_exact={MAIL: 30, PHONE: None}))
        assert list(store.due(29, 10)) == []
        assert list(store.due(30, 10)) == [MAIL]

    def test_next_due_is_the_earliest_of_data_subjects_and_pending_commands(self, store: GraphStore) -> None:
        assert store.next_due() is None
        store.write(Batch(due={MAIL: 70}))
        assert store.next_due() == 70
        store.write(Batch(commands=[command("c1", due=50)]))
        assert store.next_due() == 50
        store.write(Batch(command_states={"c1": ("acknowledged", 50, 1)}))
        assert store.next_due() == 70

    def test_pending_commands_come_when_due_in_order_and_for_whom_was_asked(self, store: GraphStore) -> None:
        rows = [command("c3", due=60), command("c1", due=50), command("c2", due=55, target="shop")]
        store.write(Batch(commands=rows))
        assert [c.id for c in store.commands(None, None, 100, 10)] == ["c1", "c2", "c3"]
        assert [c.id for c in store.commands(None, None, 55, 10)] == ["c1", "c2"]
        assert [c.id for c in store.commands(None, None, 100, 1)] == ["c1"]
        assert [c.id for c in store.commands("acme", "crm", 100, 10)] == ["c1", "c3"]
        assert list(store.commands("other", None, 100, 10)) == []

    def test_a_command_sent_again_keeps_its_state(self, store: GraphStore) -> None:
        store.write(Batch(commands=[command("c1")]))
        store.write(Batch(command_states={"c1": ("refused", 90, 3)}))
        store.write(Batch(commands=[command("c1")]))
        assert store.command("c1") == command("c1")._replace(state="refused", due=90, attempts=3)
        assert list(store.commands(None, None, 100, 10)) == []
        assert store.command("c9") is None

    def test_a_pause_moves_a_pending_command_and_none_that_was_answered(self, store: GraphStore) -> None:
        store.write(Batch(commands=[command("c1"), command("c2", due=50)]))
        store.write(Batch(command_states={"c2": ("acknowledged", 50, 1)}))
        store.write(Batch(command_pauses={"c1": (70, 1), "c2": (70, 2), "c9": (70, 1)}))
        assert store.command("c1") == command("c1")._replace(due=70, attempts=1)
        assert store.command("c2") == command("c2")._replace(state="acknowledged", attempts=1)
        assert store.command("c9") is None
        assert list(store.commands(None, None, 69, 10)) == []
        assert [c.id for c in store.commands(None, None, 70, 10)] == ["c1"]

    def test_a_case_is_replaced_and_found_by_controller_and_state(self, store: GraphStore, place: Path) -> None:
        first = CaseRow("k1", MAIL, "acme", "erasure", 5, "open", "{}")
        second = CaseRow("k2", PHONE, "other", "access", 4, "open", "{}")
        store.write(Batch(cases=[first, second]))
        closed = first._replace(state="closed", body='{"done":true}')
        store.write(Batch(cases=[closed]))
        assert store.case("k1") == closed
        assert store.case("k3") is None
        assert list(store.cases()) == [second, closed]
        assert list(store.cases(controller="acme")) == [closed]
        assert list(store.cases(state="open")) == [second]
        assert self.raw(place, "cases") == [closed, second]

    def test_the_audit_log_is_one_chain_over_batches_and_takes_a_line_once(self, store: GraphStore, place: Path) -> None:
        store.write(Batch(audit=[audit("a"), audit("b"), audit("a")]))
        store.write(Batch(audit=[audit("b"), audit("c")]))
        lines = list(store.audit())
        assert [(r.seq, r.id) for r in lines] == [(1, "a"), (2, "b"), (3, "c")]
        assert lines[0].previous == GENESIS
        assert verify_chain(lines) is None
        assert [r.seq for r in store.audit(since=1, limit=1)] == [2]
        assert verify_chain(store.audit(since=1), lines[0].seq, lines[0].hash) is None
        assert len(self.raw(place, "audit")) == 3

    def test_a_certificate_is_given_once(self, store: GraphStore, place: Path) -> None:
        store.write(Batch(certificates=[("k1", '{"n":1}'), ("k2", '{"n":2}')]))
        store.write(Batch(certificates=[("k1", '{"n":3}')]))
        assert store.certificate("k1") == '{"n":1}'
        assert store.certificate("k3") is None
        assert len(self.raw(place, "certificates")) == 2

    def test_certificates_are_a_chain_apart_from_the_audit_log(self, store: GraphStore) -> None:
        store.write(Batch(certificates=[("k1", "{}")], audit=[audit("a")]))
        store.write(Batch(certificates=[("k2", "{}"), ("k1", "[]")], audit=[audit("b")]))
        found = list(store.certificates())
        assert [(r.seq, r.id, r.body) for r in found] == [(1, "k1", "{}"), (2, "k2", "{}")]
        assert verify_chain(found) is None
        assert [r.id for r in store.certificates(since=1)] == ["k2"]
        assert [r.id for r in store.certificates(limit=1)] == ["k1"]

    def test_a_dead_letter_is_kept_once(self, store: GraphStore, place: Path) -> None:
        letters = [DeadLetter("orders", 0, n, 4, "unknown schema", 9, b"sealed") for n in (2, 1)]
        store.write(Batch(dead_letters=letters))
        store.write(Batch(dead_letters=[letters[0]._replace(reason="again")]))
        assert list(store.dead_letters()) == sorted(letters)
        assert list(store.dead_letters(limit=1)) == [letters[1]]
        assert list(store.dead_letters(after=("orders", 0, 1))) == [letters[0]]
        assert list(store.dead_letters(after=("orders", 1, -1))) == []
        assert self.raw(place, "dead_letters") == sorted(letters)

    def test_observers_of_shapes_come_page_by_page(self, store: GraphStore) -> None:
        store.write(household())
        store.write(Batch(observations=[observation(MAIL, 2000), observation(MAIL, 2001, 2)]))
        assert list(store.observers([1, 2], -(2**63) - 0, 2)) == [MAIL, PHONE]
        assert list(store.observers([1], MAIL, 10)) == [COOKIE, COOKIE_2, NUMBER]
        assert list(store.observers([2], -(2**63), 10)) == [MAIL, PHONE]
        assert list(store.observers([], -(2**63), 10)) == []

    def test_a_digest_is_that_of_the_facts_and_not_of_their_arrival(self, tmp_path: Path) -> None:
        one = self._opened_at(tmp_path, "one")
        batch = household()
        one.write(batch)
        digest = one.digest()
        one.close()
        two = self._opened_at(tmp_path, "two")
        renumbered = {1: 3, 2: 1, 3: 2}
        other = Batch(
            shapes=[s._replace(id=renumbered[s.id]) for s in batch.shapes],
            identifiers=[i._replace(sealed=b"other") for i in reversed(batch.identifiers)],
            observations=[o._replace(shape=renumbered[o.shape], evidence=77) for o in batch.observations],
            links=[link._replace(shape=renumbered.get(link.shape, 0)) for link in batch.links],
            audit=[audit("a")],
            positions=[Position("orders", 0, 5)],
        )
        two.write(other)
        assert two.digest() == digest
        two.close()

    @pytest.mark.parametrize(
        "more",
        [
            Batch(observations=[observation(MAIL, 4000)]),
            Batch(identifiers=[identifier(4242)]),
            Batch(links=[Link(STRANGER, MAIL, "same", 0, 4000)]),
            Batch(links=[Link(MAIL, PHONE, "same", 0, 1)]),
            Batch(forget_observations=[observation(NUMBER, 1002)]),
        ],
    )
    def test_a_digest_changes_with_any_fact(self, store: GraphStore, more: Batch) -> None:
        store.write(household())
        before = store.digest()
        store.write(more)
        assert store.digest() != before

    def test_a_controllers_digest_is_untouched_by_another_controllers_facts(self, store: GraphStore) -> None:
        store.write(household())
        before, others = store.digest("acme"), store.digest("other")
        store.write(
            Batch(
                identifiers=[identifier(4242, "other")],
                observations=[observation(4242, shape=ELSEWHERE.id)],
                links=[Link(4242, 4243, "device", ELSEWHERE.id, 1)],
            )
        )
        assert store.digest("acme") == before
        with_event = store.digest("other")
        assert with_event != others
        store.write(Batch(links=[Link(4242, 4243, "same", 0, 1)]))
        assert store.digest("acme") == before
        assert store.digest("other") != with_event

    def test_erasing_one_data_subject_leaves_the_other_as_it_was(self, store: GraphStore, place: Path) -> None:
        store.write(household())
        before = store.facts([STRANGER])
        gone = store.facts([MAIL])
        persons = [MAIL, PHONE, NUMBER]
        store.write(
            Batch(
                forget_observations=[o for o in gone.observations if o.key in persons],
                forget_entries=[e.id for e in gone.entries],
                forget_identifiers=persons,
                due_exact=dict.fromkeys(persons, 5),
            )
        )
        assert store.facts([STRANGER]) == before
        assert {o[0] for o in self.raw(place, "observations")} == {STRANGER, COOKIE, COOKIE_2}
        assert not {key for row in self.raw(place, "links") for key in row[:2]} & set(persons)
        assert {i[0] for i in self.raw(place, "identifiers")} == {STRANGER, COOKIE, COOKIE_2}
        assert {e[1] for e in self.raw(place, "entries")} == {"e2", "e3"}
        assert self.raw(place, "due") == []

    def test_what_a_batch_both_brings_and_forgets_is_gone(self, store: GraphStore, place: Path) -> None:
        row = observation(MAIL, matter=ORDER)
        store.write(
            Batch(
                shapes=[PLACED],
                identifiers=[identifier(MAIL)],
                observations=[row],
                forget_observations=[row],
                forget_identifiers=[MAIL],
            )
        )
        assert self.raw(place, "observations") == []
        assert self.raw(place, "identifiers") == []

    def test_what_is_forgotten_waits_for_nothing_and_is_watched_by_nobody(self, store: GraphStore) -> None:
        store.write(Batch(identifiers=[identifier(MAIL)], due={MAIL: 5}, watched={MAIL: True}))
        assert store.write(Batch(forget_identifiers=[MAIL, PHONE])) > 0
        assert store.next_due() is None
        assert store.known([MAIL]) == {}
        store.write(Batch(identifiers=[identifier(MAIL, sealed=b"anew")]))
        assert store.known([MAIL]) == {MAIL: False}, "who comes again comes as new"
        assert list(store.due(100, 10)) == []
        assert store.facts([MAIL]).identifiers == (identifier(MAIL, sealed=b"anew"),)

    def test_what_changes_nothing_touches_no_row(self, store: GraphStore) -> None:
        assert store.write(Batch()) == 0
        store.write(Batch(identifiers=[identifier(MAIL)], due={MAIL: 5}, watched={MAIL: True}))
        assert store.write(Batch(due={MAIL: 6}, due_exact={PHONE: None}, watched={MAIL: True, PHONE: False})) == 0
        assert store.write(Batch(due_exact={MAIL: 5}, forget_identifiers=[PHONE], forget_entries=["e9"])) == 0
        assert store.write(Batch(due={MAIL: 4})) == 1
        assert store.write(Batch(due_exact={MAIL: None})) == 1

    def test_an_entry_is_told_once_and_facts_tell_in_order(self, store: GraphStore) -> None:
        told = [Entry(MAIL, "e2", 7, "request", "{}"), Entry(MAIL, "e1", 7, "request", "{}"), Entry(MAIL, "e3", 6, "answer", "{}")]
        store.write(Batch(identifiers=[identifier(MAIL)], entries=[told[0], told[0]._replace(body="[]"), *told[1:]]))
        assert store.write(Batch(entries=[told[1]._replace(body="[]")])) == 0
        assert list(store.facts([MAIL]).entries) == [told[2], told[1], told[0]]

    def test_facts_of_a_batch_that_sees_and_heeds_what_is_so_are_written(self, store: GraphStore) -> None:
        """What a store that is not shared may leave unread, a shared one compares."""
        store.write(Batch(shapes=[PLACED], identifiers=[identifier(MAIL)], tombstones=[Tombstone(MAIL, "acme", 20, 5)]))
        seen = dict(store.facts([MAIL]).version)
        late = Batch(observations=[observation(MAIL)], due={MAIL: 1}, seen=seen, heeded={MAIL: 20})
        assert store.write(late) == 2

    def test_counts_say_what_is_there(self, store: GraphStore) -> None:
        store.write(household())
        counts = store.counts()
        found = [counts[k] for k in ("identifiers", "observations", "links", "shapes", "entries", "commands", "audit")]
        assert found == [6, 6, 5, 3, 3, 3, 0]

    def _opened_at(self, tmp_path: Path, name: str) -> GraphStore:
        place = tmp_path / name
        place.mkdir()
        return self.open_store(place)
