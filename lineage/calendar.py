"""Reckon with days: what arrives are seconds and ISO 8601 durations, what leaves are last days.

A rule's last day is its anchor's day plus its duration, in calendar arithmetic clamped to the end of the month;
what the rule keeps may exist through that day, and goes at 00:00 of the next (Regulation (EEC, Euratom) 1182/71).
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Container
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import holidays

_SATURDAY = 5
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")
EEA = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "HR",
        "CY",
        "CZ",
        "DK",
        "EE",
        "FI",
        "FR",
        "DE",
        "GR",
        "HU",
        "IE",
        "IT",
        "LV",
        "LT",
        "LU",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SK",
        "SI",
        "ES",
        "SE",
        "IS",
        "LI",
        "NO",
    ],
)
"""ISO 3166 codes of the European Economic Area: a transfer elsewhere needs a safeguard (GDPR art. 44)."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A calendar duration: months (years are twelve) and days."""

    months: int
    days: int

    @classmethod
    @functools.cache
    def parse(cls, text: str) -> Duration:
        """Read an ISO 8601 duration of years, months, weeks and days; raise ValueError on anything else."""
        found = _DURATION.fullmatch(text)
        if found is None or text == "P":
            msg = f"{text!r} is no duration: write P2Y, P6M, P14D or a sum of these"
            raise ValueError(msg)
        years, months, weeks, days = (int(g or 0) for g in found.groups())
        return cls(12 * years + months, 7 * weeks + days)

    def after(self, day: dt.date) -> dt.date:
        """Add this to `day`; a day that the month lacks becomes its last."""
        month = day.month - 1 + self.months
        year, month = day.year + month // 12, month % 12 + 1
        last = (dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)).day
        return dt.date(year, month, min(day.day, last)) + dt.timedelta(days=self.days)

    @property
    def is_zero(self) -> bool:
        """Tell whether it is P0D."""
        return self.months == 0 and self.days == 0


class Zone:
    """The controller's time zone: turns seconds into days and back."""

    def __init__(self, name: str) -> None:
        """Take an IANA name."""
        self._zone = ZoneInfo(name)
        self._day = functools.lru_cache(65536)(self._day_of)

    def _day_of(self, at: int) -> dt.date:
        return dt.datetime.fromtimestamp(at, self._zone).date()

    def day(self, at: int) -> dt.date:
        """Give the local day of a second."""
        return self._day(at)

    def midnight(self, day: dt.date) -> int:
        """Give the second at which a local day begins."""
        return int(dt.datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp())

    def at(self, moment: dt.datetime) -> int:
        """Give the second of a local wall-clock time."""
        return int(moment.replace(tzinfo=self._zone).timestamp())


COPENHAGEN = Zone("Europe/Copenhagen")


@functools.cache
def _public_holidays(country: str) -> Container[dt.date]:
    try:
        return holidays.country_holidays(country)
    except NotImplementedError:
        return ()


def next_working_day(day: dt.date, country: str | None) -> dt.date:
    """Give the day itself, or the next that is neither a weekend's nor a public holiday of the country (art. 3(4)).

    Of a country whose holidays nobody has listed, only the weekends are known.
    """
    free = _public_holidays(country) if country else ()
    while day.weekday() >= _SATURDAY or day in free:
        day += dt.timedelta(days=1)
    return day


def end_of_year_after(day: dt.date, years: int) -> dt.date:
    """Give the last day of the calendar year `years` after that of `day` (a financial year that is the calendar's)."""
    return dt.date(day.year + years, 12, 31)


def age_on(born: dt.date, day: dt.date) -> int:
    """Give the age in full years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
