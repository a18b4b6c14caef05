"""Make up the persons behind a data set's customer numbers, always the same ones for the same seed.

The data sets know customers as numbers only. An identifier must be a customer's own, or the pipeline would rightly
join two of them: e-mail, telephone and customer number therefore carry a permutation of the number. E-mail addresses
lie under example.org and network addresses in 2001:db8::/32, both reserved for examples, and no Danish subscriber's
number begins with 1. Names and streets are common ones, combined by a hash.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

_FIRST = (  # noqa: SIM905 - a name a line would fill pages
    "Anne Mette Kirsten Hanne Anna Helle Susanne Lene Maria Marianne Inge Karen Lone Camilla Pia Louise "
    "Charlotte Ida Freja Søren Peter Jens Lars Michael Henrik Thomas Niels Christian Martin Jan Morten "
    "Jesper Anders Mads Rasmus Ole Kåre Bjørn Aksel Emil"
).split()
_LAST = (  # noqa: SIM905 - a name a line would fill pages
    "Nielsen Jensen Hansen Andersen Pedersen Christensen Larsen Sørensen Rasmussen Jørgensen Petersen "
    "Madsen Kristensen Olsen Thomsen Christiansen Poulsen Johansen Møller Mortensen Knudsen Jakobsen Lund "
    "Holm Østergaard Kjær Bæk Dahl"
).split()
_STREETS = (  # noqa: SIM905 - a name a line would fill pages
    "Skolegade Kirkevej Møllevej Søndergade Nørregade Birkevej Lærkevej Åvej Engvej Bakkevej Havnegade"
).split()
_TOWNS = (
    ("1620", "København V"),
    ("2300", "København S"),
    ("3000", "Helsingør"),
    ("4000", "Roskilde"),
    ("5000", "Odense C"),
    ("6000", "Kolding"),
    ("7100", "Vejle"),
    ("8000", "Aarhus C"),
    ("8382", "Hinnerup"),
    ("9000", "Aalborg"),
)
_ASCII = str.maketrans({"æ": "ae", "ø": "oe", "å": "aa", "Æ": "Ae", "Ø": "Oe", "Å": "Aa"})
_NUMBERS = 10_000_000
"""Customer numbers below this stay distinct through the permutation."""
_STRIDE = 7_368_787
"""Has no factor in common with `_NUMBERS`, so that number -> number * stride is a permutation."""


class Persona(NamedTuple):
    """A made-up data subject, as the shops' forms would have filled it in."""

    name: str
    email: str
    phone: str
    customer_number: str
    account: str
    username: str
    address: str
    postal_code: str
    town: str
    card: str
    birth_date: str
    ip_address: str


class People:
    """The customers of one data set."""

    __slots__ = ("_known", "_offset", "_salt")

    def __init__(self, dataset: str, seed: int) -> None:
        """Start with nobody known; each data set and each seed has persons of its own."""
        self._salt = f"{dataset}:{seed}:"
        self._offset = int.from_bytes(self._digest("offset")[:4])
        self._known: dict[int, Persona] = {}

    def _digest(self, what: str) -> bytes:
        return hashlib.blake2b((self._salt + what).encode(), digest_size=16).digest()

    def __getitem__(self, number: int) -> Persona:
        """Return the persona of the customer `number`, the same one each time."""
        persona = self._known.get(number)
        if persona is None:
            persona = self._known[number] = self._make(number)
        return persona

    def cookie(self, number: int, device: str) -> str:
        """Return the id that the shop's cookie has on one of the customer's devices."""
        return self._digest(f"cookie:{number}:{device}").hex()

    def _make(self, number: int) -> Persona:
        if not 0 <= number < _NUMBERS:
            message = f"customer numbers lie between 0 and {_NUMBERS - 1}"
            raise ValueError(message)
        dice = self._digest(f"person:{number}")
        own = f"{(number * _STRIDE + self._offset) % _NUMBERS:07d}"
        first, last = _FIRST[dice[0] % len(_FIRST)], _LAST[dice[1] % len(_LAST)]
        postal_code, town = _TOWNS[dice[2] % len(_TOWNS)]
        street = f"{_STREETS[dice[3] % len(_STREETS)]} {1 + dice[4] % 120}"
        handle = f"{first}.{last}".lower().translate(_ASCII)
        return Persona(
            name=f"{first} {last}",
            email=f"{handle}.{own}@example.org",
            phone=f"+45 1{own}",
            customer_number=f"K{own}",
            account=f"A{own}",
            username=f"{handle.partition('.')[0]}{own}",
            address=f"{street}, {postal_code} {town}",
            postal_code=postal_code,
            town=town,
            card=f"card ending {dice[5] * 39 % 10_000:04d}",
            birth_date=f"{1940 + dice[6] % 60}-{1 + dice[7] % 12:02d}-{1 + dice[8] % 28:02d}",
            ip_address=f"2001:db8:{dice[9]:x}{dice[10]:02x}:{dice[11]:x}::{1 + dice[12]:x}",
        )
