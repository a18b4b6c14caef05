"""Read The Complete Journey as events of APOF: a year of 2,469 households in a grocery chain, 2017.

155,848 baskets become `order.placed` and `order.paid`; 801 questionnaires `account.created`; 6,589 mailings of 27
campaigns `newsletter.sent`, after one `newsletter.subscribed` for each household that got any; 2,102 redeemed coupons
`newsletter.clicked`. What the questionnaire tells of age goes into `others`: the policy lists no age for accounts, so
these events also show what becomes of undeclared data.
"""

from __future__ import annotations

import datetime as dt
import functools
import gzip
from typing import TYPE_CHECKING, NamedTuple

import orjson

from bench.datasets.moments import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Event, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.datasets.people import People

CONTROLLER = "apof"
_SHOP = "/apof/shop"
_LETTERS = "/apof/newsletter"
_EPOCH = dt.date(1970, 1, 1).toordinal()


class Basket(NamedTuple):
    """A visit to the till; `at` in milliseconds."""

    at: int
    household: int
    number: int
    lines: int
    cents: int


class Household(NamedTuple):
    """A questionnaire: bracket of age and size of the household, "" where not answered."""

    household: int
    age: str
    size: str


class Mailing(NamedTuple):
    """A campaign that went out to a household on `day` (milliseconds)."""

    day: int
    household: int
    campaign: int


class Redemption(NamedTuple):
    """A coupon of a campaign that a household used on `day` (milliseconds)."""

    day: int
    household: int
    campaign: int
    coupon: int


Row = Basket | Household | Mailing | Redemption
KINDS: dict[str, type[Row]] = {
    "basket": Basket,
    "household": Household,
    "mailing": Mailing,
    "redemption": Redemption,
}


def read(file: Path) -> list[Row]:
    """Read the lines that the conversion wrote: a JSON array each, its kind first."""
    rows: list[Row] = []
    with gzip.open(file, "rb") as lines:
        for line in lines:
            kind, *values = orjson.loads(line)
            rows.append(KINDS[kind](*values))
    return rows


def timeline(rows: Iterable[Row], people: People, *, fulfilled: bool = False) -> Timeline:
    """Lay out what each household did; `fulfilled` adds that each basket was handed over a quarter of an hour later."""
    happened = Timeline()
    first_seen: dict[int, int] = {}
    first_letter: dict[int, int] = {}
    households: list[Household] = []
    for number, row in enumerate(rows):
        match row:
            case Basket():
                first_seen[row.household] = min(row.at, first_seen.get(row.household, row.at))
                happened.note(row.at, _placed, row, people)
                happened.note(row.at + MINUTE_MS, _paid, row, people)
                if fulfilled:
                    happened.note(row.at + 15 * MINUTE_MS, _delivered, row, people)
            case Household():
                households.append(row)
            case Mailing():
                at = row.day + 8 * HOUR_MS + row.household * SECOND_MS
                first_letter[row.household] = min(at, first_letter.get(row.household, at))
                happened.note(at, _sent, row, people)
            case Redemption():
                at = row.day + 18 * HOUR_MS + (row.coupon * 7 + row.household) % 10_800 * SECOND_MS
                happened.note(at, _clicked, row, number, people)
    start = min((*first_seen.values(), *first_letter.values()), default=0)
    for row in households:
        happened.note(first_seen.get(row.household, start) - MINUTE_MS, _account, row, people)
    for household, letter in first_letter.items():
        happened.note(min(letter, first_seen.get(household, letter)) - HOUR_MS, _subscribed, household, people)
    return happened


def _placed(at: int, basket: Basket, people: People) -> Event:
    who = people[basket.household]
    order = str(basket.number)
    return {
        "type": "order.placed",
        "id": f"{order}-placed",
        "source": _SHOP,
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "phone": who.phone, "customer_number": who.customer_number},
        "order": order,
        "lines": basket.lines,
        "payment": "card",
        "data": {
            "name": who.name,
            "address": who.address,
            "email": who.email,
            "phone": who.phone,
            "payment_information": who.card,
            "order_content": f"{basket.lines} articles",
            "delivery_information": f"collected in {who.town}",
            "postal_code": who.postal_code,
            "postal_address": who.address,
            "customer_number": who.customer_number,
            "order_number": order,
            "transaction_amount": f"{basket.cents / 100:.2f}",
            "transaction_date": _day(at),
        },
    }


def _paid(at: int, basket: Basket, people: People) -> Event:
    who = people[basket.household]
    order = str(basket.number)
    return {
        "type": "order.paid",
        "id": f"{order}-paid",
        "source": "/apof/payments",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "customer_number": who.customer_number},
        "order": order,
        "data": {
            "name": who.name,
            "payment_information": who.card,
            "customer_number": who.customer_number,
            "order_number": order,
            "transaction_amount": f"{basket.cents / 100:.2f}",
            "transaction_date": _day(at),
        },
    }


def _delivered(at: int, basket: Basket, people: People) -> Event:
    order = str(basket.number)
    return {
        "type": "order.delivered",
        "id": f"{order}-delivered",
        "source": _SHOP,
        "time": at,
        "controller": CONTROLLER,
        "person": {"customer_number": people[basket.household].customer_number},
        "order": order,
    }


def _account(at: int, row: Household, people: People) -> Event:
    who = people[row.household]
    return {
        "type": "account.created",
        "id": f"{who.account}-created",
        "source": "/apof/accounts",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "phone": who.phone, "customer_number": who.customer_number},
        "account": who.account,
        "data": {
            "username": who.username,
            "name": who.name,
            "address": who.address,
            "email": who.email,
            "account_settings": f"household of {row.size or 'unknown size'}",
            "country": "DK",
            **({"others": {"age": row.age}} if row.age else {}),
        },
    }


def _subscribed(at: int, household: int, people: People) -> Event:
    who = people[household]
    return {
        "type": "newsletter.subscribed",
        "id": f"{who.customer_number}-subscribed",
        "source": _LETTERS,
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "customer_number": who.customer_number},
        "channel": "email",
        "express": True,
        "data": {"email": who.email, "phone": who.phone, "postal_code": who.postal_code},
    }


def _sent(at: int, row: Mailing, people: People) -> Event:
    who = people[row.household]
    return {
        "type": "newsletter.sent",
        "id": f"campaign-{row.campaign}-{who.customer_number}",
        "source": _LETTERS,
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email},
        "issue": f"campaign-{row.campaign}",
        "data": {"email": who.email, "postal_code": who.postal_code},
    }


def _clicked(at: int, row: Redemption, number: int, people: People) -> Event:
    who = people[row.household]
    return {
        "type": "newsletter.clicked",
        "id": f"coupon-{row.coupon}-{number}",
        "source": _LETTERS,
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email},
        "issue": f"campaign-{row.campaign}",
        "cookie": people.cookie(row.household, "browser"),
        "data": {"email": who.email, "clicks": f"coupon {row.coupon}"},
    }


@functools.cache
def _date(days: int) -> str:
    return dt.date.fromordinal(_EPOCH + days).isoformat()


def _day(at: int) -> str:
    """Return the ISO date of `at`; a year has few of them and many events."""
    return _date(at // DAY_MS)
