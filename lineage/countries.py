"""What differs from country to country in how people are reached and numbered: a country's code arrives, its rules leave.

Of each country: how a telephone number is written there, and what its national identification number looks like. A
policy's jurisdiction says whose rules are meant; of a country that is not in the list, and of a policy that names none,
nothing is assumed: its numbers are compared as they are written.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Country:
    """How telephone numbers are written at home, and the national identification number."""

    code: str
    """The telephone code."""
    trunk: str
    """What is dialled before a number at home, and not from abroad."""
    digits: tuple[int, int]
    """The fewest and the most digits of a number, without code and trunk."""
    national_id: str = ""
    """What the identification number looks like, "" where there is none to look for."""
    checks: tuple[str, ...] = ()
    """The modules of stdnum of which one must find it valid."""

    def international(self, number: str) -> str:
        """Give the digits of a number as they are dialled from abroad; what is no number of the country stays as it is."""
        fewest, most = self.digits
        if self.trunk and number.startswith(self.trunk):
            bare = number.removeprefix(self.trunk)
            return self.code + bare if fewest <= len(bare) <= most else number
        if number.startswith(self.code) and fewest <= len(number) - len(self.code) <= most:
            # Of two readings the longer one is meant: a code is written before a whole number.
            return number
        return self.code + number if fewest <= len(number) <= most else number


COUNTRIES = {
    "AT": Country("43", "0", (7, 13)),
    "BE": Country("32", "0", (8, 9), r"[0-9]{2}\.?[0-9]{2}\.?[0-9]{2}-?[0-9]{3}\.?[0-9]{2}", ("be.nn",)),
    "BG": Country("359", "0", (7, 9)),
    "CH": Country("41", "0", (9, 9), r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}", ("ch.ssn",)),
    "CY": Country("357", "", (8, 8)),
    "CZ": Country("420", "", (9, 9)),
    "DE": Country("49", "0", (7, 11), r"[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", ("de.idnr",)),
    # The check digit is only a confirmation (numbers since 2007 may fail it): a day that exists decides.
    "DK": Country("45", "", (8, 8), r"[0-3][0-9][01][0-9]{3}(?:[ ]?-[ ]?|[ ])?[0-9]{4}"),
    "EE": Country("372", "", (7, 8)),
    "ES": Country("34", "", (9, 9), r"[0-9]{8}[ -]?[A-Za-z]|[XYZxyz][ -]?[0-9]{7}[ -]?[A-Za-z]", ("es.dni", "es.nie")),
    "FI": Country("358", "0", (6, 11), r"[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Za-z]", ("fi.hetu",)),
    "FR": Country("33", "0", (9, 9), r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", ("fr.nir",)),
    "GB": Country("44", "0", (9, 10)),
    "GR": Country("30", "", (10, 10)),
    "HR": Country("385", "0", (8, 9)),
    "HU": Country("36", "06", (8, 9)),
    "IE": Country("353", "0", (7, 9), r"[0-9]{7}[A-Wa-w][A-IWa-iw]?", ("ie.pps",)),
    "IS": Country("354", "", (7, 7), r"[0-9]{6}-?[0-9]{4}", ("is_.kennitala",)),
    "IT": Country("39", "", (8, 11), r"[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}[A-Za-z][0-9]{3}[A-Za-z]", ("it.codicefiscale",)),
    "LI": Country("423", "", (7, 7)),
    "LT": Country("370", "0", (8, 8)),
    "LU": Country("352", "", (6, 9)),
    "LV": Country("371", "", (8, 8)),
    "MT": Country("356", "", (8, 8)),
    "NL": Country("31", "0", (9, 9), r"[0-9]{9}|[0-9]{4}[ .][0-9]{2}[ .][0-9]{3}", ("nl.bsn",)),
    "NO": Country("47", "", (8, 8), r"[0-9]{6} ?[0-9]{5}", ("no.fodselsnummer",)),
    "PL": Country("48", "", (9, 9), r"[0-9]{11}", ("pl.pesel",)),
    "PT": Country("351", "", (9, 9)),
    "RO": Country("40", "0", (9, 9), r"[1-9][0-9]{12}", ("ro.cnp",)),
    "SE": Country("46", "0", (7, 9), r"(?:[0-9]{2})?[0-9]{6}[-+]?[0-9]{4}", ("se.personnummer",)),
    "SI": Country("386", "0", (8, 8)),
    "SK": Country("421", "0", (9, 9)),
}  # fmt: skip


@functools.cache
def zones() -> Mapping[str, tuple[str, ...]]:
    """Give the time zones of each country (ISO 3166), as the time zone database lists them."""
    found: dict[str, tuple[str, ...]] = {}
    for line in files("tzdata").joinpath("zoneinfo/zone.tab").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found[country] = (*found.get(country, ()), zone)
    return found
