"""Days and durations."""

import datetime as dt

import pytest

from lineage.calendar import COPENHAGEN, Duration, age_on, end_of_year_after, next_working_day


@pytest.mark.parametrize(
    ("text", "day", "after"),
    [
        ("P3M", "2024-11-30", "2025-02-28"),
        ("P1Y", "2024-02-29", "2025-02-28"),
        ("P1M", "2024-01-31", "2024-02-29"),
        ("P45D", "2024-03-01", "2024-04-15"),
        ("P2Y", "2022-03-15", "2024-03-15"),
        ("P1Y6M", "2023-08-31", "2025-02-28"),
        ("P2W", "2024-12-25", "2025-01-08"),
        ("P0D", "2024-05-05", "2024-05-05"),
    ],
)
def test_a_duration_is_calendar_arithmetic_clamped_to_the_end_of_the_month(text: str, day: str, after: str) -> None:
    assert Duration.parse(text).after(dt.date.fromisoformat(day)) == dt.date.fromisoformat(after)


@pytest.mark.parametrize("text", ["", "P", "1Y", "PT5H", "P1.5Y", "two years"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write P2Y"):
        Duration.parse(text)


def test_a_day_is_that_of_the_time_zone_across_the_change_of_the_clock() -> None:
    assert COPENHAGEN.day(COPENHAGEN.midnight(dt.date(2024, 3, 31))) == dt.date(2024, 3, 31)
    assert COPENHAGEN.day(COPENHAGEN.midnight(dt.date(2024, 3, 31)) - 1) == dt.date(2024, 3, 30)
    assert COPENHAGEN.midnight(dt.date(2024, 4, 1)) - COPENHAGEN.midnight(dt.date(2024, 3, 31)) == 23 * 3600


def test_the_books_are_kept_from_the_end_of_the_financial_year() -> None:
    assert end_of_year_after(dt.date(2024, 3, 4), 5) == dt.date(2029, 12, 31)


def test_an_answer_is_due_on_a_working_day() -> None:
    assert next_working_day(dt.date(2024, 12, 24), "DK") == dt.date(2024, 12, 24)
    assert next_working_day(dt.date(2024, 12, 25), "DK") == dt.date(2024, 12, 27)
    assert next_working_day(dt.date(2024, 6, 8), None) == dt.date(2024, 6, 10)


def test_a_birthday_makes_a_year() -> None:
    assert age_on(dt.date(2010, 5, 4), dt.date(2026, 5, 3)) == 15
    assert age_on(dt.date(2010, 5, 4), dt.date(2026, 5, 4)) == 16
