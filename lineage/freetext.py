"""Find personal data that nobody declared in text that a person wrote: what arrives is text, what leaves are terms.

One pass of an RE2 set tells which patterns occur at all (in most messages none does); only those are then looked at one
by one, each match with its own check: a checksum, a day that exists, an address that parses. A match that fails its
check does not hide a later one, and what one pattern has claimed is not read again by the next: the digits of a card
are no telephone number. What was found is never kept, only that something of the kind is there.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

import re2
import stdnum.iban
import stdnum.luhn

from lineage.countries import COUNTRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lineage.countries import Country

_CARD_DIGITS = range(13, 20)
_IBAN_CHARACTERS = range(15, 35)
_IPV4_PARTS = 4
_IPV6_CHARACTERS_MIN = 4
_IPV6_COLONS = 7


class _Pattern(NamedTuple):
    """What RE2 looks for, and how much of its group 1 is one: the number of characters, 0 for none of them."""

    term: str
    expression: str
    length: Callable[[str], int]


def _prefixes(text: str) -> list[str]:
    """Give the text and what is left of it group by group: "… 1111 12" may be a card and the twelve of an order."""
    ends = [m.start() for m in re.finditer(r"[ -]", text)]
    return [text, *(text[:end] for end in reversed(ends))]


def _compact(text: str) -> str:
    return "".join(c for c in text if c.isalnum()).upper()


def _card(text: str) -> int:
    for prefix in _prefixes(text):
        digits = _compact(prefix)
        if len(digits) in _CARD_DIGITS and len(set(digits)) > 1 and stdnum.luhn.is_valid(digits):
            return len(prefix)
    return 0


def _iban(text: str) -> int:
    for prefix in _prefixes(text):
        number = _compact(prefix)
        if len(number) in _IBAN_CHARACTERS and stdnum.iban.is_valid(number, check_country=False):
            return len(prefix)
    return 0


def _danish(text: str) -> int:
    day, month, year = int(text[:2]), int(text[2:4]), int(text[4:6])
    return len(text) if any(_exists(century + year, month, day) for century in (1900, 2000)) else 0


def _checked(modules: tuple[str, ...]) -> Callable[[str], int]:
    checks = [importlib.import_module(f"stdnum.{name}").is_valid for name in modules]
    return lambda text: len(text) if any(is_valid(text) for is_valid in checks) else 0


def _exists(year: int, month: int, day: int) -> bool:
    try:
        dt.date(year, month, day)
    except ValueError:
        return False
    return True


def _address(text: str) -> int:
    if ":" not in text:
        return len(text) if text.count(".") + 1 == _IPV4_PARTS and _parses(text) else 0
    bare = text.rstrip(".") if _parses(text.rstrip(".")) else text.rstrip(".:")
    # Without a digit it is a word of code ("a::b"), not a machine, unless it is written out in full.
    machine = any(c.isdigit() for c in bare) or bare.count(":") == _IPV6_COLONS
    return len(bare) if len(bare) >= _IPV6_CHARACTERS_MIN and machine and _parses(bare) else 0


def _parses(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_DAY = re.compile(r"(\d{4})[-. ](\d{2})[-. ](\d{2})|(\d{2})[-. ](\d{2})[-. ](\d{4})")


def _phone(text: str) -> int:
    day = _DAY.fullmatch(text)
    if day is None:
        return len(text)
    year, month, dom = (int(group) for group in (day.groups()[:3] if day[1] else day.groups()[:2:-1]))
    return 0 if _exists(year, month, dom) else len(text)


# There is no \b here: in front of an optional "+45" it finds no boundary behind a space, and RE2 knows those of ASCII
# only. Instead each pattern says which characters before and after it would make it part of something longer.
_BEFORE = r"(?:^|[^\pL0-9+])"
_AFTER = r"(?:$|[^\pL0-9])"
_NUMBER_BEFORE = r"(?:^|[^\pL0-9+.,/@_-]|[^0-9][.,])"
_NUMBER_AFTER = r"(?:$|[^\pL0-9@_-]|[-_][^\pL0-9])"
_ABROAD = "4[1-9]|3[0-9]|1"

_PATTERNS = (
    _Pattern(
        "email",
        r"([\pL\pN!#$%&'*+/=?^_{|}~.-]+@(?:[\pL\pN](?:[\pL\pN-]*[\pL\pN])?\.)+(?:\pL{2,}|xn--[0-9A-Za-z-]+))",
        len,
    ),
    _Pattern("ip_address", r"(?:^|[^\pL0-9.])([0-9]{1,3}(?:\.[0-9]{1,3}){3,})" + _AFTER, _address),
    _Pattern("ip_address", r"(?:^|[^\pL0-9.:])([0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,}[0-9.]*)" + _AFTER, _address),
    _Pattern(
        "bank_account",
        _BEFORE + r"([A-Za-z]{2}[0-9]{2}(?:[ -]?[0-9A-Za-z]{2,4}){2,8}(?:[ -]?[0-9A-Za-z]{1,4})?)" + _AFTER,
        _iban,
    ),
    _Pattern(
        "card_data",
        _BEFORE
        + r"([2-6][0-9]{12,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{1,3})?"
        + r"|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})"
        + _AFTER,
        _card,
    ),
)
_EIGHT_DIGITS = (
    _Pattern(
        "phone",
        _NUMBER_BEFORE
        + r"([2-9][0-9]{7}|[2-9][0-9](?:[ .-][0-9]{2}){3}|[2-9][0-9][ .-][0-9]{6}"
        + r"|[2-9][0-9][ .-][0-9]{3}[ .-][0-9]{3}|[2-9][0-9]{2}[ .-][0-9]{2}[ .-][0-9]{3})"
        + _NUMBER_AFTER,
        _phone,
    ),
    _Pattern(
        # Two groups of four, unless more of them make it a part of something longer.
        "phone",
        r"(?:^|[^\pL0-9+.,/@_ -]|(?:^|[^0-9])[ .,])([2-9][0-9]{3}[ .-][0-9]{4})(?:$|[^\pL0-9@_ -]|[ -](?:$|[^0-9]))",
        _phone,
    ),
)
_FROM_ABROAD = (
    _Pattern("phone", r"(?:^|[^0-9+])(\+[ ]?[1-9](?:[ .()/-]{0,2}[0-9]){7,14})(?:$|[^0-9])", _phone),
    _Pattern(
        "phone",
        _BEFORE + r"(00[ ]?(?:" + _ABROAD + r")(?:[ .()/-]{0,2}[0-9]){6,12})(?:$|[^0-9])",
        _phone,
    ),
)


def _at_home(country: Country) -> tuple[_Pattern, ...]:
    """Give the patterns of telephone numbers as they are written in a country."""
    fewest, most = country.digits
    if country.trunk:
        rest = rf"(?:[ .()/-]{{0,2}}[0-9]){{{fewest - 1},{most - 1}}}"
        return (_Pattern("phone", _NUMBER_BEFORE + rf"(\(?{country.trunk}\)?[ ]?[1-9]{rest})" + _NUMBER_AFTER, _phone),)
    if country.digits == (8, 8):
        return _EIGHT_DIGITS
    rest = rf"(?:[ .-]?[0-9]){{{fewest - 1},{most - 1}}}"
    return (_Pattern("phone", _NUMBER_BEFORE + rf"([2-9]{rest})" + _NUMBER_AFTER, _phone),)


class _Scanner:
    """Looks for what is the same everywhere, and for what is written so in some countries."""

    def __init__(self, countries: Iterable[Country]) -> None:
        ids = [
            _Pattern("national_id", f"{_BEFORE}({c.national_id}){_AFTER}", _checked(c.checks) if c.checks else _danish)
            for c in countries
            if c.national_id
        ]
        phones = dict.fromkeys(p for c in countries for p in _at_home(c))
        patterns = (*_PATTERNS, *ids, *phones, *_FROM_ABROAD)
        self._gate = re2.Set.SearchSet()
        for pattern in patterns:
            self._gate.Add(pattern.expression)
        self._gate.Compile()
        self._compiled = tuple((pattern, re2.compile(pattern.expression)) for pattern in patterns)

    def scan(self, text: str) -> frozenset[str]:
        """Give the terms of the personal data that the text shows."""
        text = text.encode(errors="replace").decode()
        hits = self._gate.Match(text)
        if not hits:
            return frozenset()
        found = set()
        for number in sorted(hits):
            pattern, compiled = self._compiled[number]
            text, seen = _claim(text, compiled, pattern.length)
            if seen:
                found.add(pattern.term)
        return frozenset(found)


@functools.cache
def scanner(*countries: str) -> Callable[[str], frozenset[str]]:
    """Give what looks through text for personal data as they are written in these countries, and everywhere.

    It gives the terms of what the text shows: email, phone, national_id, card_data and so on.
    """
    return _Scanner([COUNTRIES[c] for c in countries if c in COUNTRIES]).scan


def scan(text: str, country: str | None) -> frozenset[str]:
    """Give the terms of the personal data that the text shows, of a country or, where none is known, of all."""
    return scanner(country)(text) if country in COUNTRIES else scanner(*COUNTRIES)(text)


def _claim(text: str, compiled: re2._Regexp, length: Callable[[str], int]) -> tuple[str, bool]:
    """Blank out what the pattern really matches, and tell whether it did."""
    seen, position = False, 0
    while (match := compiled.search(text, position)) is not None:
        start = match.start(1)
        size = length(match[1])
        if size:
            seen = True
            text = f"{text[:start]}{' ' * size}{text[start + size :]}"
        position = start + max(size, 1)
    return text, seen
