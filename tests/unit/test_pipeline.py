"""What the engine does to a store: facts, erasure, what is forgotten, what never comes back."""

import gc
import json
import os
import sqlite3
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
from shop import ORDER, Shop, at

from lineage import exports
from lineage.digest import verify_chain
from lineage.errors import BadCall, NotFound
from lineage.facts import ShapeBody, Shapes
from lineage.guards import Question
from lineage.pipeline import Pipeline
from lineage.sqlite_store import SQLiteStore
from lineage.store import Shape


def newsletter(shop: Shop, when: str, who: str = "buyer") -> bytes:
    return shop.event(
        "newsletter.subscribed",
        when,
        who,
        channel="email",
        express=True,
        data={"email": f"{who}@example.org", "subscription": "yes"},
    )


def order(shop: Shop, when: str, number: str = "1001", who: str = "buyer") -> bytes:
    return shop.event("order.placed", when, who, order=number, data=ORDER)


def test_an_event_becomes_one_observation_and_its_position() -> None:
    shop = Shop()
    taken = shop.take(order(shop, "2024-03-04"), now="2024-03-04")
    assert shop.store.counts()["observations"] == 1
    assert shop.store.positions("journal") == {0: 1}
    assert taken.edges > 5


def test_bytes_that_are_no_event_go_to_the_dead_letters_and_the_rest_goes_on() -> None:
    shop = Shop()
    taken = shop.take(b"\0\0\0\xff\xffsecret@example.org", b"junk", order(shop, "2024-03-04"), now="2024-03-04")
    letters = shop.store.dead_letters()
    assert taken.dead == 2
    assert [(x.partition, x.offset) for x in letters] == [(0, 0), (0, 1)]
    assert not any("secret" in x.reason or b"secret" in x.sealed for x in letters)
    assert shop.pipeline.keys.open_payload(letters[0].sealed) == b"\0\0\0\xff\xffsecret@example.org"
    assert shop.store.counts()["observations"] == 1


def test_a_batch_delivered_twice_changes_nothing() -> None:
    shop = Shop()
    values = [order(shop, "2024-03-04"), newsletter(shop, "2024-03-05")]
    shop.take(*values, now="2024-03-05")
    before = shop.store.digest()
    shop.take(*values, now="2024-03-06")
    assert shop.store.digest() == before


def test_an_erasure_that_keeps_nothing_leaves_only_tombstones_and_a_certificate() -> None:
    shop = Shop()
    shop.take(newsletter(shop, "2024-03-05"), now="2024-03-05")
    case = shop.request("erasure", "2024-04-01")
    assert shop.store.case(case).state == "open"
    assert shop.store.certificate(case) is None
    told = shop.acknowledge_all("2024-04-02")
    assert {r.target for r in told} == {"newsletter_system", "online_or_data_service_provider"}
    counts = shop.store.counts()
    assert counts["observations"] == counts["identifiers"] == counts["links"] == counts["entries"] == 0
    assert counts["tombstones"] == 2
    certificate = json.loads(shop.store.certificate(case))
    assert {t["outcome"] for t in certificate["targets"]} == {"erased"}
    assert "buyer" not in json.dumps(certificate)
    assert shop.store.case(case).state == "closed"
    assert verify_chain(shop.store.audit(0, 10_000)) is None


def test_a_case_is_not_closed_while_one_target_has_not_confirmed() -> None:
    shop = Shop()
    shop.take(newsletter(shop, "2024-03-05"), now="2024-03-05")
    case = shop.request("erasure", "2024-04-01")
    first, *rest = shop.commands("2024-04-01")
    assert rest
    shop.pipeline.receipt(first.id, "erased", at("2024-04-02"))
    body = json.loads(shop.store.case(case).body)
    assert shop.store.case(case).state == "open"
    assert {t["outcome"] for t in body["targets"]} == {"erased", "unconfirmed"}


@pytest.mark.parametrize("outcome", ["failed", "unsupported", "refused", "retained"])
def test_a_processor_that_does_not_erase_keeps_the_case_open(outcome: str) -> None:
    shop = Shop()
    shop.take(newsletter(shop, "2024-03-05"), now="2024-03-05")
    case = shop.request("erasure", "2024-04-01")
    shop.acknowledge_all("2024-04-02", outcome)
    assert shop.store.case(case).state == "open"
    assert shop.commands("2024-04-03"), "it is commanded again"


def test_a_second_receipt_changes_nothing_that_the_first_has_settled() -> None:
    shop = Shop()
    shop.take(newsletter(shop, "2024-03-05"), order(shop, "2024-03-05"), now="2024-03-05")
    shop.request("erasure", "2024-04-01")
    row = shop.acknowledge_all("2024-04-02")[0]
    counts = shop.store.counts()["commands"]
    shop.pipeline.receipt(row.id, "failed", at("2024-04-03"))
    assert shop.store.command(row.id).state == "acknowledged"
    assert shop.store.counts()["commands"] == counts


def forgotten(*values: bytes, shop: Shop) -> None:
    """Let a person's events be taken, erase the person, and see that the graph has forgotten."""
    shop.take(*values, now="2024-03-06")
    shop.request("erasure", "2024-04-01")
    shop.acknowledge_all("2024-04-02")
    assert shop.store.counts()["identifiers"] == 0
    assert not shop.commands("2030-01-01")


def test_an_old_event_that_comes_after_the_graph_has_forgotten_commands_its_system_again_and_is_forgotten() -> None:
    shop = Shop()
    old = newsletter(shop, "2024-03-05")
    forgotten(old, shop=shop)
    before = shop.store.digest()
    for month in ("05", "06"):
        shop.take(old, now=f"2024-{month}-01")
        assert not shop.items(f"2024-{month}-01"), "nothing is held again"
        [row] = shop.commands(f"2024-{month}-01")
        assert (row.target, row.kind, row.state) == ("newsletter_system", "erase", "pending")
        assert shop.pipeline.keys.open(next(i for i in shop.store.facts((row.key,)).identifiers if i.kind == "email").sealed)
        assert shop.store.case(row.case).state == "open"
        told = [json.loads(r.body) for r in shop.store.audit(0, 10_000) if r.kind == "warned"]
        assert ("resurrection", "newsletter_system", row.case) in [(b["about"], b.get("target"), b.get("case")) for b in told]
        shop.acknowledge_all(f"2024-{month}-02")
        assert shop.store.case(row.case).state == "closed"
        assert shop.store.certificate(row.case) is not None
        assert shop.store.digest() == before
        counts = shop.store.counts()
        assert counts["identifiers"] == counts["entries"] == counts["watched"] == 0
    assert verify_chain(shop.store.audit(0, 10_000)) is None
    assert verify_chain(shop.store.certificates(0, 10_000)) is None


def test_an_old_report_of_a_device_alone_is_dropped_and_logged_when_the_graph_has_forgotten() -> None:
    shop = Shop()
    click = shop.event("newsletter.clicked", "2024-03-05T12:00", issue="1", cookie="c-1", data={"email": "buyer@example.org"})
    forgotten(newsletter(shop, "2024-03-05"), click, shop=shop)
    view = shop.event("cookie.page_viewed", "2024-03-05T13:00", None, cookie="c-1", data={"click_history": "a dress"})
    taken = shop.take(view, now="2024-05-01")
    assert taken.dropped == 1
    assert shop.store.counts()["identifiers"] == 0
    assert any(json.loads(r.body)["about"].startswith("dropped after erasure") for r in shop.store.audit(0, 10_000))


@pytest.mark.parametrize("paid_on", ["2024-05-01", "2024-05-20"])
def test_what_the_books_need_of_an_order_that_comes_too_late_is_kept_though_the_graph_had_forgotten(paid_on: str) -> None:
    shop = Shop()
    forgotten(newsletter(shop, "2024-03-05"), shop=shop)
    paid = shop.event("order.paid", "2024-03-04T01:00", order="1001", data={"name": "Ann", "payment_information": "card"})
    told: set[tuple[str, str]] = set()
    for late, day, hour in ((order(shop, "2024-03-04"), "2024-05-01", 0), (paid, paid_on, 12)):
        shop.take(late, now=f"{day}T{hour:02}:00")
        shop.deliver_without_answer(f"{day}T{hour + 5:02}:00")
        told |= {(r.target, c) for r in shop.acknowledge_all(f"{day}T{hour + 10:02}:00") for c in json.loads(r.body)["reasons"]}
    kept = {(t, c) for t, _, c in shop.items(f"{paid_on}T23:00") if t == "order_system"}
    assert kept == {("order_system", "name"), ("order_system", "address"), ("order_system", "purchase")}
    assert ("order_system", "email") in told
    assert not told & kept
    shop.pipeline.tick(at("2030-01-01"))
    shop.acknowledge_all("2030-01-01T01:00")
    assert shop.store.counts()["identifiers"] == 0


def test_an_order_that_comes_too_late_and_was_never_paid_is_forgotten_after_a_month() -> None:
    shop = Shop()
    forgotten(newsletter(shop, "2024-03-05"), shop=shop)
    shop.take(order(shop, "2024-03-04"), now="2024-05-01")
    assert shop.acknowledge_all("2024-05-01T10:00")
    assert {c.state for c in shop.store.cases()} == {"closed"}
    shop.pipeline.tick(at("2024-05-30"))
    assert shop.store.counts()["identifiers"] == 2
    shop.pipeline.tick(at("2024-06-01"))
    assert shop.store.counts()["identifiers"] == 0


def test_a_late_event_of_a_person_who_is_still_known_commands_a_system_again_that_had_confirmed() -> None:
    shop = Shop()
    paid = shop.event("order.paid", "2024-03-04T01:00", order="1001", data={"name": "Ann", "payment_information": "card"})
    news = newsletter(shop, "2024-03-05")
    shop.take(order(shop, "2024-03-04"), paid, shop.event("order.delivered", "2024-03-05", order="1001"), news, now="2024-03-05")
    case = shop.request("erasure", "2024-09-02")
    late = shop.event("newsletter.subscribed", "2024-05-01", channel="sms", express=True, data={"email": "buyer@example.org"})
    shop.take(late, now="2024-09-02T02:00")
    asked = [r for r in shop.commands("2024-09-02T03:00") if (r.target, r.kind) == ("newsletter_system", "erase")]
    assert len(asked) == 1, "one that has not answered yet is not asked twice"
    shop.acknowledge_all("2024-09-03")
    assert shop.store.case(case).state == "closed"
    shop.take(news, late, now="2024-09-04")
    assert not shop.commands("2024-09-04"), "the same events again say nothing new"
    later = shop.event("newsletter.subscribed", "2024-05-02", channel="sms", express=True, data={"email": "buyer@example.org"})
    shop.take(later, now="2024-09-05")
    assert {(r.target, r.kind) for r in shop.commands("2024-09-05")} == {("newsletter_system", "erase")}
    assert shop.store.case(case).state == "open"
    shop.deliver_without_answer("2024-09-05")
    shop.acknowledge_all("2024-09-06")
    assert shop.store.case(case).state == "closed"


@pytest.mark.parametrize("answered", ["2024-05-01T00:00:00", "2024-05-01T00:00:01", "2024-04-30T23:59:57"])
def test_what_comes_late_is_answered_in_the_same_second_or_by_a_clock_that_is_behind(answered: str) -> None:
    shop = Shop()
    forgotten(newsletter(shop, "2024-03-05"), shop=shop)
    shop.take(newsletter(shop, "2024-03-05"), now="2024-05-01T00:00:00")
    assert shop.deliver_and_answer("2024-05-01T00:00:00", answered) == {"newsletter_system"}
    assert {c.state for c in shop.store.cases()} == {"closed"}
    assert shop.store.counts()["identifiers"] == 0


@pytest.mark.parametrize("answered", ["2024-09-03T00:00:00", "2024-09-02T23:59:57"])
def test_all_of_it_in_one_second_an_answer_is_to_what_came_before_it_only(answered: str) -> None:
    shop = Shop()
    paid = shop.event("order.paid", "2024-03-04T01:00", order="1001", data={"name": "Ann", "payment_information": "card"})
    shop.take(order(shop, "2024-03-04"), paid, shop.event("order.delivered", "2024-03-05", order="1001"), now="2024-03-05")
    second = "2024-09-03T00:00:00"
    case = shop.request("erasure", second)
    shop.deliver_and_answer(second, answered)
    assert shop.store.case(case).state == "closed"
    for channel in ("sms", "email"):
        late = shop.event("newsletter.subscribed", "2024-05-01", channel=channel, express=True, data={"email": "buyer@example.org"})
        shop.take(late, now=second)
        assert shop.store.case(case).state == "open", "what came after the answer is not answered by it"
        assert "newsletter_system" in shop.deliver_and_answer("2024-09-03T00:00:05", answered)
        assert shop.store.case(case).state == "closed"


def test_a_new_act_of_an_erased_person_starts_a_new_data_subject() -> None:
    shop = Shop()
    shop.take(newsletter(shop, "2024-03-05"), now="2024-03-05")
    shop.request("erasure", "2024-04-01")
    shop.acknowledge_all("2024-04-02")
    shop.take(order(shop, "2024-06-01", "2002"), now="2024-06-01")
    held = shop.items("2024-06-02")
    assert ("order_system", "purchase_and_return", "name") in held
    question = Question("message", activity="marketing", channel="email")
    assert not shop.pipeline.ask("pompdelux", ("email", "buyer@example.org"), question, at("2024-06-02")).allowed
    shop.take(newsletter(shop, "2024-06-03"), now="2024-06-03")
    assert shop.pipeline.ask("pompdelux", ("email", "buyer@example.org"), question, at("2024-06-04")).allowed


def test_what_came_in_before_a_withdrawal_was_known_is_commanded_once_whoever_looks() -> None:
    shop = Shop("littlesteps")
    mail = {"email": "buyer@example.org"}
    signed = shop.event("newsletter.subscribed", "2024-02-01", channel="email", express=True, data={**mail, "subscription": "yes"})
    issue = shop.event("newsletter.sent", "2024-03-10", issue="N-1", data={**mail, "others": {"name": "Ann"}})
    shop.take(signed, issue, now="2024-03-10")
    assert ("marketing_store", "electronic_marketing", "name") in shop.items("2024-03-19")
    learnt = shop.event("newsletter.unsubscribed", "2024-03-01", channel="email")
    shop.take(learnt, now="2024-03-20")

    def asked() -> list[tuple[str, str]]:
        return sorted((r.target, c) for r in shop.commands("2024-04-30") for c in json.loads(r.body)["reasons"])

    first = asked()
    assert {("marketing_store", "email"), ("marketing_store", "name"), ("mailchimp", "name")} <= set(first)
    assert len(first) == len(set(first))
    assert shop.items("2024-03-20T01:00") == set()
    shop.take(learnt, issue, now="2024-03-21")
    again = Pipeline(shop.store, shop.pipeline.policies, shop.pipeline.keys, os.urandom)
    again.advance((again.current("littlesteps", "email", mail["email"]),), at("2024-03-22"))
    assert asked() == first
    shop.acknowledge_all("2024-03-23")
    assert asked() == []


def remembered(root: object, value: str) -> bool:
    """Tell whether a value is found anywhere in what an object refers to."""
    seen, todo = set[int](), [root]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (type, types.ModuleType, types.FunctionType)):
            continue
        seen.add(id(one))
        if (isinstance(one, str) and value in one) or (isinstance(one, bytes) and value.encode() in one):
            return True
        todo += gc.get_referents(one)
    return False


def test_a_worker_forgets_the_values_that_it_has_seen_when_told_or_when_it_erases() -> None:
    shop = Shop()
    question = Question("message", activity="marketing", channel="email")

    def see() -> None:
        shop.take(newsletter(shop, "2024-03-05"), now="2024-03-05")
        shop.pipeline.ask("pompdelux", ("email", "buyer@example.org"), question, at("2024-03-06"))
        assert remembered(shop.pipeline, "buyer@example.org")

    see()
    shop.pipeline.forget_values()
    assert not remembered(shop.pipeline, "buyer@example.org")
    see()
    shop.request("erasure", "2024-04-01")
    shop.acknowledge_all("2024-04-02")
    assert not remembered(shop.pipeline, "buyer@example.org")


def test_what_a_worker_remembers_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(*, small: bool) -> str:
        shop = Shop("webco")
        for n in range(40):
            who = f"p{n * 7 % 10}"
            values = [
                shop.event("order.placed", f"2024-03-{1 + n % 5:02}", who=who, order=f"o{n}", lines=1, data=ORDER),
                shop.event("account.logged_in", f"2024-03-{1 + n % 7:02}", who, account=f"A-{who}", cookie=f"c{n % 13}"),
            ]
            shop.take(*values, *values, now="2024-03-10")
            if small:
                intake = shop.pipeline.intake
                assert len(shop.pipeline._known) <= 3 + 3
                assert len(intake._links) <= 2 + 2
                assert max(len(intake.writer._young), len(intake.writer._old)) <= 2
        return shop.store.digest()

    plain = digest(small=False)
    monkeypatch.setattr("lineage.intake._KNOWN_MAX", 3)
    monkeypatch.setattr("lineage.intake._LINKS_MAX", 2)
    monkeypatch.setattr("lineage.facts._PERSONS_MAX", 2)
    monkeypatch.setattr("lineage.identity._CACHE_SIZE", 3)
    assert digest(small=True) == plain


def test_two_threads_that_meet_new_shapes_give_each_one_number_and_each_reaches_the_store_once() -> None:
    class Hesitant(Shapes):
        def _number(self, controller: str, type_: str, text: str) -> int:
            found = super()._number(controller, type_, text)
            time.sleep(0.0005)  # the other thread has its turn
            return found

    shapes, together, done, taken = Hesitant(()), threading.Barrier(3), threading.Event(), list[Shape]()
    bodies = [ShapeBody((f"t{n}",), (), "order", "") for n in range(200)]
    found: list[list[int]] = [[], []]

    def meet(which: int) -> None:
        together.wait()
        found[which] += [shapes.id_of("acme", "order.placed", body) for body in bodies]

    def write() -> None:
        together.wait()
        while not done.is_set():
            taken.extend(shapes.take_fresh())

    with ThreadPoolExecutor(3) as pool:
        writing = pool.submit(write)
        for meeting in [pool.submit(meet, n) for n in (0, 1)]:
            meeting.result()
        done.set()
        writing.result()
    taken += shapes.take_fresh()
    assert found[0] == found[1]
    assert sorted(found[0]) == list(range(1, 201))
    assert sorted(s.id for s in taken) == list(range(1, 201))


def test_a_person_can_be_erased_twice() -> None:
    shop = Shop()
    for month in ("03", "06", "09"):
        shop.take(newsletter(shop, f"2024-{month}-05"), now=f"2024-{month}-05")
        case = shop.request("erasure", f"2024-{month}-10")
        assert shop.acknowledge_all(f"2024-{month}-11")
        assert shop.store.case(case).state == "closed"
        assert shop.store.counts()["observations"] == 0


def test_what_the_books_need_stays_until_its_day_and_then_goes_by_itself() -> None:
    shop = Shop()
    paid = shop.event("order.paid", "2024-03-04T01:00", order="1001", data={"name": "Ann", "payment_information": "card"})
    shop.take(order(shop, "2024-03-04"), paid, shop.event("order.delivered", "2024-03-05", order="1001"), now="2024-03-05")
    case = shop.request("erasure", "2024-09-02")
    shop.acknowledge_all("2024-09-03")
    assert shop.store.case(case).state == "closed"
    assert {c for t, _, c in shop.items("2024-09-04") if t == "order_system"} == {"name", "address", "purchase"}
    assert shop.pipeline.tick(at("2029-12-31")) == 0
    shop.pipeline.tick(at("2030-01-01"))
    due = shop.acknowledge_all("2030-01-01T01:00")
    assert {r.target for r in due} == {"order_system", "storage_partner"}
    assert shop.store.counts()["observations"] == 0
    assert shop.pipeline.tick(at("2030-01-02")) == 0


def test_erasing_one_person_changes_nothing_of_another_on_the_same_device() -> None:
    shop = Shop("apof")
    view = {"click_history": "a", "navigation_history": "b"}
    for who, day in (("ann", "2024-03-01"), ("bo", "2024-03-02")):
        shop.take(
            shop.event("account.created", day, who, account=f"A-{who}", data={"name": who}),
            shop.event("account.logged_in", f"{day}T10:00", who, account=f"A-{who}", cookie="shared"),
            shop.event("cookie.page_viewed", f"{day}T11:00", who, cookie="shared", logged_in=True, data=view),
            now=f"{day}T12:00",
        )
    before = shop.items("2024-04-01", "bo")
    shop.request("erasure", "2024-04-02", "ann")
    shop.acknowledge_all("2024-04-03")
    assert shop.items("2024-04-04", "bo") == before
    assert ("device_cookie", "cookie_statistics", "click_history") in before
    assert not shop.items("2024-04-04", "ann")


def test_no_value_of_an_erased_person_is_left_in_the_file(tmp_path) -> None:
    path = tmp_path / "graph.db"
    store = SQLiteStore.open(path)
    shop = Shop(store=store)
    values = [newsletter(shop, "2024-03-05", "canary-ann"), newsletter(shop, "2024-03-05", "bo")]
    store.journal_append(values, at("2024-03-05"))
    shop.take(*values, now="2024-03-05")
    shop.request("erasure", "2024-04-01", "canary-ann")
    shop.acknowledge_all("2024-04-02")
    store.checkpoint()
    content = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    store.close()
    assert b"canary" not in content
    assert sqlite3.connect(path).execute("pragma integrity_check").fetchone() == ("ok",)


def test_an_access_answer_takes_its_values_from_the_systems_and_is_destroyed_when_handed_over() -> None:
    shop = Shop()
    shop.take(order(shop, "2024-03-04"), now="2024-03-04")
    case = shop.request("access", "2024-04-01", via="phone")
    rows = [r for r in shop.commands("2024-04-01") if r.kind == "export"]
    assert {r.target for r in rows} == {"customer_database", "order_system", "test_system"}
    for n, row in enumerate(rows):
        shop.pipeline.receipt(row.id, "done", at("2024-04-02") + n, {"name": "Ann Buyer", "not_asked_for": "x"})
    assert shop.store.case(case).state == "closed"
    assert exports.export(shop.store, shop.pipeline.keys, case)["order_system"] == {"name": "Ann Buyer"}
    assert exports.take_export(shop.store, shop.pipeline.keys, case)["order_system"] == {"name": "Ann Buyer"}
    assert exports.export(shop.store, shop.pipeline.keys, case) == {}


def test_a_wrong_call_is_answered_with_what_to_do() -> None:
    shop = Shop()
    with pytest.raises(NotFound, match="no policy for controller 'nobody': have pompdelux"):
        shop.pipeline.current("nobody", "email", "x@example.org")
    with pytest.raises(NotFound, match="no command 'nope'"):
        shop.pipeline.receipt("nope", "erased", 0)
    shop.take(newsletter(shop, "2024-03-05"), now="2024-03-05")
    shop.request("erasure", "2024-04-01")
    with pytest.raises(BadCall, match="'complete' is no outcome of erase"):
        shop.pipeline.receipt(shop.commands("2024-04-01")[0].id, "complete", at("2024-04-02"))


def test_a_request_about_an_unknown_person_is_taken_and_closed() -> None:
    shop = Shop()
    case = shop.request("erasure", "2024-04-01", "nobody")
    assert shop.store.case(case).state == "closed"
    assert shop.commands("2024-04-01") == []


def test_undeclared_personal_data_in_free_text_is_raised_as_drift_without_the_value() -> None:
    shop = Shop()
    text = "call me on +45 20 30 40 50 or mail hidden@example.org"
    shop.take(shop.event("support.opened", "2024-03-04", matter="M-1", via="email", data={"message": text}), now="2024-03-04")
    drift = [r for r in shop.store.audit(0, 100) if r.kind == "warned" and "free text" in r.body]
    assert len(drift) == 1
    assert "phone" in drift[0].body
    assert "20 30" not in drift[0].body
    assert "hidden" not in drift[0].body


def test_the_cookie_on_a_device_is_waited_for_some_time_and_then_the_person_is_forgotten() -> None:
    shop = Shop()
    click = shop.event(
        "newsletter.clicked", "2024-03-06", issue="N-1", cookie="c1", data={"email": "buyer@example.org", "clicks": "x"}
    )
    view = shop.event(
        "cookie.page_viewed", "2024-03-06T01:00", None, cookie="c1", data={"cookie_information": "y", "viewed_items": "z"}
    )
    shop.take(newsletter(shop, "2024-03-05"), click, view, now="2024-03-07")
    case = shop.request("erasure", "2024-04-01")
    for n, row in enumerate(shop.commands("2024-04-01")):
        if row.target != "device_cookie":
            shop.pipeline.receipt(row.id, "erased", at("2024-04-01T01:00") + n)
    assert shop.store.case(case).state == "closed", "the browser may never come again"
    assert [r.kind for r in shop.commands("2024-04-02")] == ["expire_cookie"]
    assert shop.store.counts()["identifiers"] > 0
    assert shop.store.next_due() is not None
    shop.pipeline.tick(at("2024-05-02"))
    assert shop.store.counts()["identifiers"] == 0
    assert {t["outcome"] for t in json.loads(shop.store.certificate(case))["targets"] if t["target"] == "device_cookie"} == {
        "unconfirmed"
    }


def test_an_answer_that_is_carried_out_late_writes_no_state_from_before_a_later_one() -> None:
    # Two workers get the answers of two targets; the earlier answer is carried out last.
    shop = Shop()
    data = {"email": "ann@example.org", "subscription": "yes"}
    shop.take(shop.event("newsletter.subscribed", "2024-03-01", channel="email", express=True, data=data), now="2024-03-01")
    case = shop.request("erasure", "2024-03-10", via="phone")
    commands = [c for c in shop.commands("2024-03-10") if c.case == case]
    assert len(commands) > 1
    for n, command in reversed(list(enumerate(commands))):
        shop.pipeline.receipt(command.id, "erased", at("2024-03-10") + 10 + n)
    row = shop.store.case(case)
    assert row is not None
    assert row.state == "closed"
    shop.store.close()
