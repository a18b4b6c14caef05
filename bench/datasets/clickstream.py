"""Read a shop's click log as events of Valeur: 31,106 steps of 600 visitors, 2024-01 to 2024-06.

Each device of a visitor first accepts cookies (`cookie.accepted`); then every step is a `cookie.page_viewed`, but for
the account page (`account.logged_in`, the first time after `account.created`), a purchase (`order.placed` and
`order.paid`) and the support chat (`support.opened`, with a message that may name what no field declares). A device
has its own cookie, so visitors with several become one data subject only by logging in.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from typing import TYPE_CHECKING, NamedTuple

from bench.datasets.moments import HOUR_MS, MINUTE_MS, SECOND_MS, Event, Timeline, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bench.datasets.people import People

CONTROLLER = "valeur"
_SHOP = "/valeur/shop"
_MESSAGES = (
    "My parcel has not arrived, can you look where it is?",
    "I cannot finish my order. You can call me on {phone} after four.",
    "Please send the invoice again, to {email} this time.",
    "Does the small one come in blue?",
)


class Step(NamedTuple):
    """A line of the log; `number` is its place in the file, `at` in milliseconds."""

    number: int
    at: int
    visitor: int
    session: int
    event: str
    device: str
    channel: str


class Page(NamedTuple):
    """What is known of a page view beside the step itself."""

    logged_in: bool
    cart: bool


def read(file: Path) -> Iterator[Step]:
    """Read the steps, in the order of the file: by visitor, then by session and time."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            yield Step(
                number,
                milliseconds(dt.datetime.fromisoformat(row["timestamp"])),
                int(row["user_id"].removeprefix("user_")),
                int(row["session_id"].removeprefix("sess_")),
                row["event"],
                row["platform"],
                row["acquisition_channel"],
            )


def timeline(steps: Iterable[Step], people: People, *, fulfilled: bool = False) -> Timeline:
    """Lay out the steps of each visitor; `fulfilled` adds that what was bought arrived two days later."""
    happened = Timeline()
    ordered = sorted(steps, key=lambda step: (step.at, step.number))
    left = _baskets_left(ordered)
    devices: set[tuple[int, str]] = set()
    accounts: set[int] = set()
    sessions: set[int] = set()
    for step in ordered:
        if (step.visitor, step.device) not in devices:
            devices.add((step.visitor, step.device))
            happened.note(step.at - 2 * SECOND_MS, _accepted, step, people)
        match step.event:
            case "account_page":
                if step.visitor not in accounts:
                    accounts.add(step.visitor)
                    happened.note(step.at - SECOND_MS, _created, step, people)
                sessions.add(step.session)
                happened.note(step.at, _logged_in, step, people)
            case "purchase":
                happened.note(step.at, _placed, step, people)
                happened.note(step.at + MINUTE_MS, _paid, step, people)
                if fulfilled:
                    happened.note(step.at + 48 * HOUR_MS, _delivered, step, people)
            case "support_chat":
                happened.note(step.at, _asked, step, people)
            case _:
                happened.note(step.at, _viewed, step, Page(step.session in sessions, step.number in left), people)
    return happened


def _baskets_left(steps: Iterable[Step]) -> frozenset[int]:
    """Find the last page of each session that put something into the basket and did not buy it."""
    filled: set[int] = set()
    bought: set[int] = set()
    last: dict[int, int] = {}
    for step in steps:
        match step.event:
            case "purchase":
                bought.add(step.session)
            case "account_page" | "support_chat":
                pass
            case _:
                last[step.session] = step.number
                if step.event == "add_to_cart":
                    filled.add(step.session)
    return frozenset(last[session] for session in filled - bought)


def _accepted(at: int, step: Step, people: People) -> Event:
    who = people[step.visitor]
    cookie = people.cookie(step.visitor, step.device)
    return {
        "type": "cookie.accepted",
        "id": f"{cookie}-accepted",
        "source": _SHOP,
        "time": at,
        "controller": CONTROLLER,
        "person": {},
        "cookie": cookie,
        "data": {"cookie_information": step.device, "ip_address": who.ip_address},
    }


def _viewed(at: int, step: Step, page: Page, people: People) -> Event:
    who = people[step.visitor]
    return {
        "type": "cookie.page_viewed",
        "id": f"step-{step.number}",
        "source": _SHOP,
        "time": at,
        "controller": CONTROLLER,
        "person": {},
        "cookie": people.cookie(step.visitor, step.device),
        "logged_in": page.logged_in,
        "via": "newsletter" if step.channel == "email" else "direct",
        "cart": page.cart,
        "data": {"cookie_information": step.event, "ip_address": who.ip_address, "location": who.town},
    }


def _created(at: int, step: Step, people: People) -> Event:
    who = people[step.visitor]
    return {
        "type": "account.created",
        "id": f"{who.account}-created",
        "source": "/valeur/accounts",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "phone": who.phone},
        "account": who.account,
        "data": {
            "username": who.username,
            "name": who.name,
            "email": who.email,
            "date_of_birth": who.birth_date,
            "nationality": "DK",
            "language": "da",
        },
    }


def _logged_in(at: int, step: Step, people: People) -> Event:
    who = people[step.visitor]
    return {
        "type": "account.logged_in",
        "id": f"step-{step.number}",
        "source": "/valeur/accounts",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email},
        "account": who.account,
        "cookie": people.cookie(step.visitor, step.device),
        "data": {"username": who.username, "email": who.email},
    }


def _placed(at: int, step: Step, people: People) -> Event:
    who = people[step.visitor]
    order = f"V{step.number:06d}"
    return {
        "type": "order.placed",
        "id": f"step-{step.number}",
        "source": _SHOP,
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email, "phone": who.phone},
        "order": order,
        "payment": "card",
        "cookie": people.cookie(step.visitor, step.device),
        "data": {
            "name": who.name,
            "address": who.address,
            "email": who.email,
            "phone": who.phone,
            "order_content": "1 article",
            "invoice": f"invoice {order}",
        },
    }


def _paid(at: int, step: Step, people: People) -> Event:
    who = people[step.visitor]
    order = f"V{step.number:06d}"
    return {
        "type": "order.paid",
        "id": f"{order}-paid",
        "source": "/valeur/payments",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email},
        "order": order,
        "data": {"name": who.name, "email": who.email, "invoice": f"invoice {order}"},
    }


def _delivered(at: int, step: Step, people: People) -> Event:
    order = f"V{step.number:06d}"
    return {
        "type": "order.delivered",
        "id": f"{order}-delivered",
        "source": _SHOP,
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": people[step.visitor].email},
        "order": order,
    }


def _asked(at: int, step: Step, people: People) -> Event:
    who = people[step.visitor]
    return {
        "type": "support.opened",
        "id": f"step-{step.number}",
        "source": "/valeur/support",
        "time": at,
        "controller": CONTROLLER,
        "person": {"email": who.email},
        "matter": f"M{step.number:06d}",
        "via": "chat",
        "data": {
            "name": who.name,
            "email": who.email,
            "message": _MESSAGES[step.number % len(_MESSAGES)].format(phone=who.phone, email=who.email),
        },
    }
