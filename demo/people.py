"""Make up thirty customers and what they did at five shops in the months before a given moment; always the same.

What arrives are the policies and the moment; what leaves are events in the JSON form that the shops' services send.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import schemas
from lineage.kinds import default_categories
from lineage.policy import Policy

DAY = 86_400
_SEED = 2024
_FIRST = (  # noqa: SIM905 - a name a line would fill the page
    "Anna Bo Clara Dan Eva Finn Gro Hans Ida Jens Karen Leif Maja Niels Olga Per Rikke Sara Tage Ulla Viggo Willy Xenia "
    "Yrsa Asta Bent Dorte Erik Freja Gorm"
).split()
_LAST = ["Lund", "Holm", "Dahl", "Berg", "Skov", "Vang", "Toft", "Krogh", "Friis", "Bang"]
_STREETS = ["Havnegade", "Birkevej", "Skovvej", "Nørregade", "Engvej", "Møllevej", "Strandgade", "Lindevej"]
_TOWNS = ["8000 Aarhus C", "5000 Odense C", "2100 København Ø", "9000 Aalborg", "6000 Kolding"]

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Customer:
    """A made-up person; e-mail under example.org, no real telephone number."""

    number: int
    name: str
    email: str
    phone: str
    customer_number: str
    address: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Deed:
    """An event and who it is about."""

    customer: Customer
    event: Event


def customers() -> list[Customer]:
    """Give the thirty of them; the first one is the one whose data are followed."""
    dice = random.Random(_SEED)
    found = []
    for n in range(30):
        first, last = _FIRST[n], dice.choice(_LAST)
        street, town = dice.choice(_STREETS), dice.choice(_TOWNS)
        found.append(
            Customer(
                n, f"{first} {last}", f"{first}.{last}.{4100 + 7 * n}@example.org".lower(), f"+45 10{41_0000 + 7313 * n:06d}",
                f"K-{50_021 + 37 * n}", f"{street} {101 + 3 * n}, {town}", f"ck-{dice.getrandbits(64):016x}",
            ),
        )  # fmt: skip
    return found


_VALUES: Mapping[str, Callable[[Customer, str], str]] = {
    "name": lambda c, _: c.name,
    "email": lambda c, _: c.email,
    "phone": lambda c, _: c.phone,
    "address": lambda c, _: c.address,
    "postal_address": lambda c, _: f"postal: {c.address}",
    "customer_number": lambda c, _: f"customer no. {c.customer_number}",
    "order_content": lambda c, ref: f"{ref}: rain suit 98, wool socks {c.number % 7 + 22}, size note {c.number}",
    "payment_information": lambda c, ref: f"card ending {4000 + 37 * c.number}, paid for {ref}",
    "message": lambda c, ref: f"{ref}: the zip of the rain suit jams, can it be exchanged? ({c.number})",
    "date_of_birth": lambda c, _: f"{1960 + c.number}-03-{1 + c.number % 28:02d}",
    "national_id": lambda c, _: f"identity document seen at the counter ({c.number})",
}


def value_of(term: str, customer: Customer, ref: str) -> str:
    """Make up the value of a term: readable, and the customer's own."""
    make = _VALUES.get(term)
    if make is not None:
        return make(customer, ref)
    return f"{term.replace('_', ' ')} of {ref or 'the person'} no. {7000 + customer.number}"


class Shop:
    """Writes the events of one controller's services."""

    def __init__(self, policy: Policy) -> None:
        """Take the policy: it says what each kind of event carries."""
        self.policy = policy
        self._count = 0

    def event(self, customer: Customer, at: int, type_: str, **fields: Any) -> Deed:  # noqa: ANN401
        """Make an event as the service would, with what the policy says that it carries."""
        self._count += 1
        spec = schemas.registry().types[type_]
        ref = next((str(fields[r]) for r in spec.refs if fields.get(r)), "")
        categories = default_categories(self.policy, type_, fields.get("channel"), fields.get("network"))
        terms = [self.policy.categories[c].term for c in categories if self.policy.categories[c].collected_by is None]
        data: dict[str, Any] = {t: value_of(t, customer, ref) for t in terms if t in spec.data}
        others = {t: value_of(t, customer, ref) for t in terms if t not in spec.data}
        if others and "terms" not in spec.fields.values():
            data["others"] = others
        person = {"email": customer.email, "customer_number": customer.customer_number, "phone": customer.phone}
        event = {"type": type_, "id": f"{self.policy.id}-{self._count}", "source": f"/{self.policy.id}/{spec.stream}",
                 "time": at * 1000, "controller": self.policy.id, "person": person, **fields}  # fmt: skip
        return Deed(customer, {**event, "data": data} if data else event)

    def order(self, customer: Customer, at: int, ref: str, *, delivered: bool = True) -> Iterator[Deed]:
        """Tell of an order from the basket to the door."""
        yield self.event(customer, at, "order.placed", order=ref, lines=2, payment="card", cookie=customer.cookie)
        yield self.event(customer, at + 60, "order.paid", order=ref)
        yield self.event(customer, at + DAY, "order.shipped", order=ref, lines=2)
        if delivered:
            yield self.event(customer, at + 3 * DAY, "order.delivered", order=ref)
            yield self.event(customer, at + 3 * DAY + 60, "order.completed", order=ref)


def deeds(policies: Mapping[str, Policy], now: int) -> list[Deed]:
    """Tell what all customers did in the five months before `now`, in order of time."""
    dice = random.Random(_SEED + 1)
    found: list[Deed] = []
    shops = {c: Shop(p) for c, p in policies.items()}
    names = sorted(shops)
    for customer in customers():
        mine = ["pompdelux"] if customer.number == 0 else sorted({names[customer.number % 5], dice.choice(names)})
        for name in mine:
            found += _life(shops[name], customer, now, dice)
    return sorted(found, key=lambda d: (d.event["time"], d.event["controller"], d.event["id"]))


def _life(shop: Shop, c: Customer, now: int, dice: random.Random) -> Iterator[Deed]:
    key, kinds = shop.policy.key, shop.policy.kinds
    bases = {k.base for k in kinds.values()}
    start = now - (140 - dice.randrange(20)) * DAY
    if "newsletter" in bases:
        yield shop.event(c, start, "newsletter.subscribed", channel="email", express=True)
        for n in range(1, 4):
            yield shop.event(c, start + n * 21 * DAY, "newsletter.sent", issue=f"{key}-NEWS-{n}")
        yield shop.event(c, start + 21 * DAY + 600, "newsletter.clicked", issue=f"{key}-NEWS-1", cookie=c.cookie)
    if "cookie" in bases:
        yield shop.event(c, start + 22 * DAY, "cookie.accepted", cookie=c.cookie)
        for n in range(dice.randrange(2, 6)):
            yield shop.event(c, start + 22 * DAY + 300 + 60 * n, "cookie.page_viewed", cookie=c.cookie, logged_in=True)
    if "account" in bases and (c.number == 0 or dice.random() < 0.6):
        yield shop.event(c, start + 40 * DAY, "account.created", account=f"{key}-A-{c.number}")
    at = now - (60 if c.number == 0 else dice.randrange(8, 100)) * DAY
    yield from shop.order(c, at, f"{key}-{20_410 + c.number}", delivered=c.number % 7 != 3)
    if "support" in bases:
        ref, at = f"{key}-CASE-{c.number}", now - dice.randrange(12, 40) * DAY
        yield shop.event(c, at, "support.opened", matter=ref, via="email")
        yield shop.event(c, at + DAY, "support.answered", matter=ref)
        if c.number % 5 != 4:
            yield shop.event(c, at + 2 * DAY, "support.closed", matter=ref)
    if "competition" in bases and dice.random() < 0.4:
        ref, at = f"{key}-DRAW", now - dice.randrange(50, 80) * DAY
        yield shop.event(c, at, "competition.entered", competition=ref)
        yield shop.event(c, at + 20 * DAY, "competition.drawn", competition=ref)
        yield shop.event(c, at + 21 * DAY, "competition.ended", competition=ref)
