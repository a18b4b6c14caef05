"""Every answer to a service that asks first reaches the audit log, and what is remembered for the next one is never stale."""

import json
import threading
import time

import pytest
from shop import Shop, at

from lineage.answers import Answers
from lineage.digest import verify_chain
from lineage.errors import StoreUnavailable
from lineage.guards import Answer, Question
from lineage.sqlite_store import SQLiteStore
from lineage.store import AuditRow, Batch

NEWS = Question("message", activity="marketing", channel="email")
BUYER = ("email", "buyer@example.org")
NO = Answer(allowed=False, reasons=("P-CON-1",))


def lines(store: SQLiteStore) -> list[AuditRow]:
    return [r for r in store.audit(0, 100_000) if json.loads(r.body)["about"].startswith("ask:")]


def patient(store: SQLiteStore) -> Answers:
    return Answers(store, wait_seconds=3600)


def test_the_same_question_asked_twice_is_two_lines_after_one_write() -> None:
    store = SQLiteStore.open(":memory:")
    answers = patient(store)
    for _ in range(2):
        answers.add(1, "pompdelux", NEWS, NO, ("P-SEC-1",), 1000)
    assert (len(lines(store)), answers.waiting) == (0, 2)
    assert answers.flush() == 2
    assert [json.loads(r.body) for r in lines(store)] == [
        {"about": "ask:message", "allowed": False, "reasons": ["P-CON-1", "P-SEC-1"]},
    ] * 2
    assert (answers.flush(), answers.waiting) == (0, 0)


def test_a_line_that_nobody_flushes_is_written_when_its_time_is_up() -> None:
    store = SQLiteStore.open(":memory:")
    Answers(store, wait_seconds=0.01).add(1, "pompdelux", NEWS, NO, (), 1000)
    until = time.monotonic() + 10
    while not lines(store):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_whoever_adds_the_last_line_that_fits_writes_them_all() -> None:
    store = SQLiteStore.open(":memory:")
    answers = Answers(store, wait_seconds=3600, lines_max=3)
    for n in range(3):
        answers.add(n, "pompdelux", NEWS, NO, (), 1000)
    assert len(lines(store)) == 3


def test_the_answers_of_many_threads_are_all_in_the_log_and_the_chain_is_whole() -> None:
    store = SQLiteStore.open(":memory:")
    answers = Answers(store, wait_seconds=0.001, lines_max=50)

    def many(n: int) -> None:
        for i in range(200):
            answers.add(n, "pompdelux", NEWS, NO, (), 1000)
            if i % 30 == 0:
                answers.flush()

    threads = [threading.Thread(target=many, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.flush()
    assert len(lines(store)) == 1600
    verify_chain(store.audit(0, 100_000))


class Slow(SQLiteStore):
    """A store whose disk takes its time, or fails."""

    fails = False
    began = threading.Event()
    go_on = threading.Event()

    def write(self, batch: Batch) -> int:
        self.began.set()
        self.go_on.wait(10)
        if self.fails:
            msg = "the disk is full"
            raise StoreUnavailable(msg)
        return super().write(batch)


def test_a_flush_is_over_only_when_the_write_that_took_the_lines_is() -> None:
    store = Slow.open(":memory:")
    store.began, store.go_on = threading.Event(), threading.Event()
    answers = patient(store)
    answers.add(1, "pompdelux", NEWS, NO, (), 1000)
    first = threading.Thread(target=answers.flush)
    first.start()
    assert store.began.wait(10)
    second = threading.Thread(target=answers.flush)
    second.start()
    second.join(0.05)
    assert second.is_alive()
    store.go_on.set()
    second.join(10)
    assert len(lines(store)) == 1


def test_a_write_that_fails_keeps_its_lines_for_the_next() -> None:
    store = Slow.open(":memory:")
    store.go_on = threading.Event()
    store.go_on.set()
    store.fails = True
    answers = patient(store)
    answers.add(1, "pompdelux", NEWS, NO, (), 1000)
    with pytest.raises(StoreUnavailable):
        answers.flush()
    answers.add(2, "pompdelux", NEWS, NO, (), 1000)
    store.fails = False
    assert answers.flush() == 2


def signed_up(shop: Shop, when: str, **more: object) -> bytes:
    data = {"email": "buyer@example.org", "subscription": "yes"}
    return shop.event("newsletter.subscribed", when, channel="email", express=True, data=data, **more)


def allowed(shop: Shop, when: str, question: Question = NEWS) -> bool:
    return shop.pipeline.ask("pompdelux", BUYER, question, at(when)).allowed


def test_what_is_remembered_follows_events_requests_and_days() -> None:
    shop = Shop()
    assert not allowed(shop, "2024-03-01")
    shop.take(signed_up(shop, "2024-03-01T10:00"), now="2024-03-01T10:00")
    assert allowed(shop, "2024-03-01T11:00")
    assert allowed(shop, "2024-03-01T12:00")
    assert allowed(shop, "2024-03-02")
    assert not allowed(shop, "2024-02-01")
    assert allowed(shop, "2024-03-02T01:00")
    shop.take(shop.event("newsletter.unsubscribed", "2024-03-02T02:00", channel="email"), now="2024-03-02T02:00")
    assert not allowed(shop, "2024-03-02T03:00")
    shop.take(signed_up(shop, "2024-03-02T04:00"), now="2024-03-02T04:00")
    assert allowed(shop, "2024-03-02T05:00")
    shop.request("erasure", "2024-03-02T06:00")
    assert not allowed(shop, "2024-03-02T07:00")
    shop.acknowledge_all("2024-03-02T08:00")
    assert not shop.pipeline._states._states
    assert not allowed(shop, "2024-03-02T09:00")
    shop.take(signed_up(shop, "2024-03-02T10:00"), now="2024-03-02T10:00")
    assert allowed(shop, "2024-03-02T11:00")


def test_what_is_remembered_does_not_outlive_the_policy() -> None:
    shop = Shop()
    shop.take(signed_up(shop, "2024-03-01"), now="2024-03-01")
    assert allowed(shop, "2024-03-01T01:00")
    before = shop.pipeline._states.fresh(("pompdelux", *BUYER), shop.pipeline.policies["pompdelux"], at("2024-03-01T02:00"))
    assert before is not None
    shop.pipeline.deploy(Shop().pipeline.policies["pompdelux"], at("2024-03-01T02:00"))
    assert shop.pipeline._states.fresh(("pompdelux", *BUYER), shop.pipeline.policies["pompdelux"], at("2024-03-01T02:00")) is None
    assert allowed(shop, "2024-03-01T02:00")


def test_a_question_asked_again_reads_nothing_and_writes_nothing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    shop.take(signed_up(shop, "2024-03-01"), now="2024-03-01")
    shop.pipeline.answers = patient(shop.store)
    assert allowed(shop, "2024-03-01T01:00")
    for name in ("facts", "tombstones", "write"):
        monkeypatch.setattr(shop.store, name, lambda *_: pytest.fail("the store was asked"))
    assert allowed(shop, "2024-03-01T02:00")
    assert shop.pipeline.answers.waiting == 2


def test_of_an_erased_person_whom_the_graph_has_forgotten_nothing_may_be_used_until_the_person_comes_back() -> None:
    shop = Shop("apof")
    asked = {"name": "Ann Buyer", "email": "buyer@example.org", "message": "Where is it?"}
    shop.take(shop.event("support.opened", "2024-03-01", matter="M-1", data=asked), now="2024-03-01")
    shop.take(shop.event("support.closed", "2024-03-02", matter="M-1"), now="2024-03-02")
    shop.request("erasure", "2024-04-01")
    shop.acknowledge_all("2024-04-02")
    assert not shop.store.known((shop.pipeline.keys.key("apof", *BUYER)[0],))
    questions = [
        Question("use", activity="customer_service", categories=("email",)),
        Question("message", activity="customer_service", channel="email"),
        Question("disclosure", to="address_validation", categories=("name",)),
    ]

    def answers(now: str) -> list[bool]:
        return [shop.pipeline.ask("apof", BUYER, q, at(now)).allowed for q in questions]

    assert answers("2024-06-01") == [False, False, False]
    assert shop.pipeline.ask("apof", BUYER, questions[0], at("2024-06-01")).reasons[0] == "A-ERA-1"
    shop.take(shop.event("support.opened", "2024-06-02", matter="M-2", data=asked), now="2024-06-02")
    assert answers("2024-06-02T12:00")[:2] == [True, True]
