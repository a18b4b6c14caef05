"""What holds of every decision, whatever happened before it."""

from __future__ import annotations

import datetime as dt

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import CONTROLLERS, encode, lives
from shop import Shop, at

from lineage import policy_file
from lineage.clocks import retention_end
from lineage.keeping import keeping_of, keepings
from lineage.subject import Subject, Use

SETTINGS = yaml.safe_load((policy_file.POLICIES / "settings.example.yaml").read_text())
RIGHT = "2025-08-01T12:00"
AFTER = "2025-08-02T12:00"
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def state(shop: Shop, person: int, now: str) -> Subject:
    name = shop.controllers[0]
    key = shop.pipeline.current(name, "email", f"p{person}@example.org")
    return shop.pipeline.look((key,), name, at(now))


def played(controller: str, told: list, order: list[int] | None = None) -> Shop:
    shop = Shop(controller)
    policy = shop.pipeline.policies[controller]
    values = [encode(shop, policy, life) for life in told]
    for n in order if order is not None else range(len(values)):
        shop.take(values[n], now="2025-07-31")
    shop.pipeline.tick(at("2025-07-31T23:00"))
    return shop


def picture(s: Subject) -> tuple:
    items = sorted(
        (i.target, i.activity, i.category, i.matter, i.first, i.last, i.use, tuple(sorted(i.tags))) for i in s.items.values()
    )
    commands = sorted((c.target, c.kind, c.activity, c.issued, tuple(sorted(c.why))) for c in s.commands.values())
    stops = sorted((d.since, d.channel or "", d.activity or "", d.scope or "", d.target or "") for d in s.do_not_use)
    return items, commands, stops


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives(persons=1), data=st.data())
@QUICK
def test_decisions_do_not_depend_on_the_order_of_delivery(controller: str, told: list, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(told))))
    plain, shuffled = played(controller, told), played(controller, told, order)
    assert plain.store.digest() == shuffled.store.digest()
    assert picture(state(plain, 0, RIGHT)) == picture(state(shuffled, 0, RIGHT))


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives())
@QUICK
def test_after_an_erasure_everything_is_gone_or_kept_by_a_hold(controller: str, told: list) -> None:
    shop = played(controller, told)
    shop.request("erasure", RIGHT, "p0")
    s = state(shop, 0, AFTER)
    active = keepings(s, "erasure", s.today)
    for item in s.live():
        waits = [r for r in s.restrictions if r.waits and r.covers(item)]
        assert item.use is Use.KEPT, item
        assert waits or keeping_of(s, item, active, s.today) is not None, item


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives())
@QUICK
def test_every_system_and_category_that_was_held_is_in_the_plan_exactly_once(controller: str, told: list) -> None:
    shop = played(controller, told)
    held = {(i.target, i.category) for i in state(shop, 0, RIGHT).live() if i.target in shop.pipeline.policies[controller].systems}
    case = shop.request("erasure", RIGHT, "p0")
    s = state(shop, 0, RIGHT)
    commands = [(c.target, k) for c in s.commands.values() if c.case == case and c.target in s.policy.systems for k in c.why]
    kept = {(i.target, i.category) for i in s.live()}
    assert len(commands) == len(set(commands))
    assert not set(commands) & kept
    assert set(commands) | {k for k in kept if k[0] in s.policy.systems} == held


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives())
@QUICK
def test_nothing_is_kept_past_its_last_day_without_a_hold(controller: str, told: list) -> None:
    shop = played(controller, told)
    now = "2031-02-01"
    shop.pipeline.tick(at(now))
    s = state(shop, 0, now)
    active = keepings(s, "retention", s.today)
    for item in s.live():
        last, _ = retention_end(s, item)
        assert last is None or last >= s.today or keeping_of(s, item, active, s.today) is not None, item


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives())
@QUICK
def test_to_tick_twice_is_to_tick_once(controller: str, told: list) -> None:
    shop = played(controller, told)
    shop.request("erasure", RIGHT, "p0")
    shop.acknowledge_all(AFTER)
    shop.pipeline.tick(at("2026-01-01"))
    before = (shop.store.digest(), shop.store.counts())
    assert shop.pipeline.tick(at("2026-01-01")) == 0
    assert (shop.store.digest(), shop.store.counts()) == before


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives(persons=1, most=10), data=st.data())
@QUICK
def test_what_the_state_asks_for_is_in_the_outbox_on_the_same_day(controller: str, told: list, data: st.DataObject) -> None:
    """Events come as they happen, or some weeks later; nothing may wait for somebody to look at the person."""
    shop = Shop(controller, settings=SETTINGS)
    policy = shop.pipeline.policies[controller]
    delays = data.draw(st.lists(st.sampled_from([0, 0, 0, 20, 100]), min_size=len(told), max_size=len(told)))
    came = sorted(
        (dt.datetime.fromisoformat(life[1]) + dt.timedelta(days=days), n)
        for n, (life, days) in enumerate(zip(told, delays, strict=True))
    )
    for moment, n in came:
        shop.pipeline.tick(at(f"{moment.date()}T00:00"))
        shop.take(encode(shop, policy, told[n]), now=moment.isoformat())
        shop.pipeline.tick(at(moment.isoformat()))
        s = state(shop, 0, moment.isoformat())
        key = shop.pipeline.current(controller, "email", "p0@example.org")
        written = {(c.case, c.target, c.kind, c.issued) for c in shop.store.facts((key,)).commands}
        assert {(c.case, c.target, c.kind, c.issued) for c in s.commands.values()} <= written
        shop.acknowledge_all(moment.isoformat())


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives(persons=2))
@QUICK
def test_erasing_one_person_leaves_another_as_they_were(controller: str, told: list) -> None:
    shop = played(controller, told)
    before = picture(state(shop, 1, RIGHT))
    shop.request("erasure", RIGHT, "p0")
    shop.acknowledge_all(AFTER)
    assert picture(state(shop, 1, AFTER)) == before


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives(persons=1), data=st.data())
@QUICK
def test_the_whole_log_again_after_an_erasure_brings_nothing_back(controller: str, told: list, data: st.DataObject) -> None:
    shop = Shop(controller)
    policy = shop.pipeline.policies[controller]
    values = [encode(shop, policy, life) for life in told]
    shop.take(*values, now="2025-07-31")
    shop.request("erasure", RIGHT, "p0")
    shop.acknowledge_all(AFTER)
    before = {(i.target, i.activity, i.category) for i in state(shop, 0, AFTER).live()}
    again = data.draw(st.permutations(values))
    shop.take(*again, now="2025-09-01")
    after = {(i.target, i.activity, i.category) for i in state(shop, 0, "2025-09-02").live()}
    assert after <= before


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(told=lives(persons=1))
@QUICK
def test_a_fold_in_one_go_equals_the_fold_day_by_day(controller: str, told: list) -> None:
    shop = played(controller, told)
    daily = state(shop, 0, "2025-07-31T23:30")
    for week in range(12):
        day = dt.date(2025, 8, 1) + dt.timedelta(days=7 * week)
        daily = state(shop, 0, f"{day}T12:00")
    shop.pipeline.folds.clear()
    assert picture(state(shop, 0, f"{day}T12:00")) == picture(daily)
