"""Whatever happens to a person: what the fold holds lies where the policy's landings say that such events land."""

from __future__ import annotations

from contextlib import closing

from hypothesis import HealthCheck, given, settings
from lives import CONTROLLERS, encode, lives
from shop import Shop, at

from lineage.landing import landings_of

NOW = "2025-07-31T12:00"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(life=lives(most=10, persons=1))
def test_nothing_is_held_where_no_event_lands(life: list) -> None:
    """A breach at a recipient must find everyone: a landing may be too many, since consents count later, never one too few."""
    for controller in CONTROLLERS:
        with closing((shop := Shop(controller)).store):
            policy = shop.pipeline.policies[controller]
            shop.take(*[encode(shop, policy, event) for event in life], now=NOW)
            landed = {
                (holder.name, x.purpose, category)
                for shape in shop.store.shapes()
                for x in landings_of(policy, shape)
                for holder in (*x.systems, *x.recipients)
                for category in holder.categories
            }
            key = shop.pipeline.current(controller, "email", "p0@example.org")
            held = {(i.target, i.activity, i.category) for i in shop.pipeline.look((key,), controller, at(NOW)).live()}
            assert held <= landed
