"""Invent rows like those of the data sets, for tests and for machines that cannot fetch them.

They go through the same adapters, so the events have the same shape; how often a customer comes back, how baskets grow
and what a visitor does next are only roughly like the real thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.datasets import cdnow, clickstream, journey
from bench.datasets.moments import DAY_MS, HOUR_MS, SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

_1997 = 852_076_800_000
_2017 = 1_483_228_800_000
_2024 = 1_704_067_200_000
_STEPS = (
    *("product_view",) * 7,
    *("catalog",) * 7,
    *("search",) * 4,
    *("home",) * 3,
    *("filter_results",) * 3,
    "add_to_cart",
    "cart",
    "shipping_details",
    "account_page",
    "purchase",
    "support_chat",
)


def purchases(count: int, dice: Random) -> Iterator[cdnow.Purchase]:
    """Invent purchases, three for each customer on average."""
    customers = 1 + count // 3
    for number in range(1, count + 1):
        day = _1997 + dice.randrange(545) * DAY_MS
        yield cdnow.Purchase(number, dice.randint(1, customers), day, dice.randint(1, 5), dice.randint(500, 9_000))


def households(baskets: int, dice: Random) -> Iterator[journey.Row]:
    """Invent baskets, sixty for each household, and its questionnaire, mailings and coupons."""
    homes = 1 + baskets // 60
    for number in range(1, baskets + 1):
        at = _2017 + dice.randrange(365 * 86_400) * SECOND_MS
        yield journey.Basket(at, dice.randint(1, homes), 31_000_000_000 + number, dice.randint(1, 20), dice.randint(99, 9_999))
    for home in range(1, homes + 1):
        yield journey.Household(home, dice.choice(("19-24", "35-44", "65+", "")), dice.choice(("1", "2", "5+", "")))
        day = _2017 + dice.randrange(300) * DAY_MS
        campaign = dice.randint(1, 27)
        yield journey.Mailing(day, home, campaign)
        yield journey.Redemption(day + 5 * DAY_MS, home, campaign, dice.randrange(10_000_000_000, 59_999_999_999))


def steps(count: int, dice: Random) -> Iterator[clickstream.Step]:
    """Invent steps in sessions of nine, fifty for each visitor."""
    visitors = 1 + count // 50
    number = session = 0
    while number < count:
        session += 1
        visitor = dice.randrange(visitors)
        at = _2024 + dice.randrange(180 * 24) * HOUR_MS
        device = dice.choice(("desktop", "mobile", "tablet"))
        channel = dice.choice(("organic", "email"))
        for _ in range(min(9, count - number)):
            number += 1
            at += dice.randint(5, 300) * SECOND_MS
            yield clickstream.Step(number, at, visitor, session, dice.choice(_STEPS), device, channel)
