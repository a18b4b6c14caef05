"""Read the CDNOW purchases as orders of POMPdeLUX: 69,659 purchases of 23,570 customers, 1997-01 to 1998-06.

A purchase is a day, a number of CDs and a sum. It becomes `order.placed` at a made-up time of that day and
`order.paid` right after it; on request also `order.shipped` and `order.delivered`, which the file does not tell.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING, NamedTuple

from bench.datasets.moments import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Event, Timeline, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bench.datasets.people import People

CONTROLLER = "pompdelux"
_SOURCE = "/pompdelux/webshop"
_OPEN_S = 16 * 3600
"""Orders are spread over the sixteen hours from six in the morning."""
_SPREAD = 2_654_435_761
"""Knuth's multiplicative hash: neighbouring lines of the file get far-apart times."""


class Purchase(NamedTuple):
    """A line of the file; `day` is the midnight before it in milliseconds."""

    number: int
    customer: int
    day: int
    lines: int
    cents: int


@functools.cache
def _midnight(day: str) -> int:
    return milliseconds(dt.datetime.strptime(day, "%Y%m%d"))  # noqa: DTZ007 - the file names no zone


def read(file: Path) -> Iterator[Purchase]:
    """Read the purchases, in the order of the file: by customer, then by day."""
    with file.open(encoding="ascii") as lines:
        next(lines)
        for number, line in enumerate(lines, start=1):
            customer, day, cds, dollars = line.split()
            yield Purchase(number, int(customer), _midnight(day), int(cds), round(float(dollars) * 100))


def timeline(purchases: Iterable[Purchase], people: People, *, fulfilled: bool = False) -> Timeline:
    """Lay out what happened to each order; `fulfilled` adds that it was sent a day and arrived three days later."""
    happened = Timeline()
    for purchase in purchases:
        at = purchase.day + 6 * HOUR_MS + purchase.number * _SPREAD % _OPEN_S * SECOND_MS
        happened.note(at, _placed, purchase, people)
        happened.note(at + 2 * MINUTE_MS, _paid, purchase, people)
        if fulfilled:
            happened.note(at + DAY_MS, _shipped, purchase, people)
            happened.note(at + 3 * DAY_MS, _delivered, purchase, people)
    return happened


def _placed(at: int, purchase: Purchase, people: People) -> Event:
    who = people[purchase.customer]
    order = f"P{purchase.number:07d}"
    return {
        "type": "order.placed",
        "id": f"{order}-placed",
        "source": _SOURCE,
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "phone": who.phone, "customer_number": who.customer_number},
        "order": order,
        "lines": purchase.lines,
        "payment": "card",
        "data": {
            "name": who.name,
            "address": who.address,
            "email": who.email,
            "phone": who.phone,
            "order_content": f"{purchase.lines} articles, {purchase.cents / 100:.2f}",
            "payment_information": who.card,
        },
    }


def _paid(at: int, purchase: Purchase, people: People) -> Event:
    who = people[purchase.customer]
    order = f"P{purchase.number:07d}"
    return {
        "type": "order.paid",
        "id": f"{order}-paid",
        "source": "/pompdelux/payments",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "customer_number": who.customer_number},
        "order": order,
        "data": {"name": who.name, "email": who.email, "payment_information": who.card},
    }


def _shipped(at: int, purchase: Purchase, people: People) -> Event:
    who = people[purchase.customer]
    order = f"P{purchase.number:07d}"
    return {
        "type": "order.shipped",
        "id": f"{order}-shipped",
        "source": "/pompdelux/warehouse",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "customer_number": who.customer_number},
        "order": order,
        "data": {"name": who.name, "address": who.address, "phone": who.phone},
    }


def _delivered(at: int, purchase: Purchase, people: People) -> Event:
    who = people[purchase.customer]
    order = f"P{purchase.number:07d}"
    return {
        "type": "order.delivered",
        "id": f"{order}-delivered",
        "source": "/pompdelux/warehouse",
        "time": at,
        "controller": CONTROLLER,
        "person": {"customer_number": who.customer_number},
        "order": order,
    }
