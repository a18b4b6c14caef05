"""What the scan of free text finds, and what it must leave alone. All numbers are made up; checksums hold where due."""

from __future__ import annotations

import pytest
import stdnum.iban
import stdnum.luhn
from hypothesis import example, given
from hypothesis import strategies as st

from lineage import freetext
from lineage.freetext import scanner

scan = scanner("DK")

FOUND = [
    ("write to ida@example.org", "email"),
    ("ida.example+shop@mail.example.co.uk!", "email"),
    ("<ida@example.org>, thanks", "email"),
    ("søren@blåbær.dk", "email"),
    ("mailto:ida_e@example.museum.", "email"),
    ("IDA@EXAMPLE.ORG", "email"),
    ("ida@xn--blbr-roah.xn--p1ai", "email"),
    ("my number is 86787871", "phone"),
    ("86787871", "phone"),
    ("ring 86 78 78 71 after four", "phone"),
    ("ring 8678 7871.", "phone"),
    ("ring 86-78-78-71", "phone"),
    ("ring 86.787.871,", "phone"),
    ("ring 86.78.78.71,", "ip_address"),
    ("ring 86 787 871", "phone"),
    ("ring 867 87 871", "phone"),
    ("8678 7871", "phone"),
    ("(8678 7871)", "phone"),
    ("ring 8678-7871 now", "phone"),
    ("ring +4586787871", "phone"),
    ("ring +45 86787871", "phone"),
    ("ring +45 86 78 78 71", "phone"),
    ("ring (+45) 8678 7871", "phone"),
    ("ring 0045 86787871", "phone"),
    ("ring 004586787871", "phone"),
    ("tlf.86787871", "phone"),
    ("tlf:86787871", "phone"),
    ("phone=86787871;", "phone"),
    ("+44 20 7946 0958", "phone"),
    ("+44 (0)20 7946 0958", "phone"),
    ("+46 8 123 456 78", "phone"),
    ("2024-10-01 86787871", "phone"),
    ("my number is\n86787871\nthanks", "phone"),
    ("my number is\t86787871", "phone"),
    ("my number is 86787871", "phone"),
    ("DK50 0040 0440 1162 43", "bank_account"),
    ("pay to DK5000400440116243.", "bank_account"),
    ("dk5000400440116243", "bank_account"),
    ("GB82 WEST 1234 5698 7654 32 please", "bank_account"),
    ("DE89 3704 0044 0532 0130 00", "bank_account"),
    ("NO93 8601 1117 947", "bank_account"),
    ("IBAN:DE89370400440532013000", "bank_account"),
    ("4111 1111 1111 1111", "card_data"),
    ("4111111111111111", "card_data"),
    ("card 5500-0000-0000-0004, 12/27", "card_data"),
    ("card 4111 1111 1111 1111 12", "card_data"),
    ("order 12 4111 1111 1111 1111", "card_data"),
    ("378282246310005", "card_data"),
    ("010190-1234", "national_id"),
    ("CPR 0101901234", "national_id"),
    ("CPR: 010190 1234.", "national_id"),
    ("cpr 010190 - 1234", "national_id"),
    ("born 290200-4123", "national_id"),
    ("from 192.0.2.7", "ip_address"),
    ("from 203.0.113.255, yesterday", "ip_address"),
    ("(198.51.100.1:8080)", "ip_address"),
    ("from 2001:db8::1.", "ip_address"),
    ("from 2001:0db8:85a3:0000:0000:8a2e:0370:7334", "ip_address"),
    ("fe80::1ff:fe23:4567:890a", "ip_address"),
    ("::ffff:192.0.2.7", "ip_address"),
]
NOTHING = [
    "",
    " ",
    "I have not received my parcel",
    "ida at example dot org",
    "@ida wrote",
    "ida@localhost",
    "2 for 1 @ 50.00 kr",
    "on 2024-10-01",
    "on 2024-10-01 at 10:30:00",
    "on 24.12.2024",
    "from 24-12-2024 until 31-12-2024",
    "order P-86787871",
    "order 867878711",
    "order 8678787",
    "part 86787871-02",
    "3.14159265",
    "at 12345678",
    "it costs 1,299.00 kr",
    "DK50 0040 0440 1162 44",
    "XX00 1234 5678 9012",
    "4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "4111 1111 1111 1112 is wrong",
    "booking 2345 6789 0123",
    "320190-1234",
    "011390-1234",
    "300290-1234",
    "x010190-1234",
    "256.1.1.1",
    "version 1.2.3",
    "version 1.2.3.4.5",
    "std::string a::b",
    "10:30:00",
    "ratio 1:2:3",
    "::",
    "deadbeef",
]


@pytest.mark.parametrize(("text", "term"), FOUND)
def test_the_scan_finds_it_and_nothing_else(text: str, term: str) -> None:
    assert scan(text) == {term}


@pytest.mark.parametrize("text", NOTHING)
def test_the_scan_leaves_it_alone(text: str) -> None:
    assert scan(text) == frozenset()


@pytest.mark.parametrize(
    ("country", "text", "term"),
    [
        ("NL", "my number is 111222333", "national_id"),
        ("NL", "bel 06-12345678 na vieren", "phone"),
        ("NL", "bel (020) 123 45 67", "phone"),
        ("IE", "PPS 1234567T please", "national_id"),
        ("IE", "ring 087 123 4567", "phone"),
        ("DE", "36 574 261 809", "national_id"),
        ("DE", "Tel. 030/1234567", "phone"),
        ("SE", "880320-0016", "national_id"),
        ("NO", "15108695088", "national_id"),
        ("FI", "131052-308T", "national_id"),
        ("FR", "2 95 10 99 126 111 93", "national_id"),
        ("BE", "85.07.30-033.28", "national_id"),
        ("ES", "54362315K", "national_id"),
        ("ES", "llame al 612 34 56 78", "phone"),
        ("IT", "RCCMNL83S18D969H", "national_id"),
        ("PL", "44051401359", "national_id"),
        ("CH", "756.9217.0769.85", "national_id"),
        ("ZZ", "010190-1234", "national_id"),
        (None, "1234567T", "national_id"),
    ],
)
def test_each_country_has_its_own_numbers(country: str | None, text: str, term: str) -> None:
    assert freetext.scan(text, country) == {term}


@pytest.mark.parametrize(
    ("country", "text"),
    [
        ("NL", "311290-1234"),
        ("IE", "86787871"),
        ("NL", "order 111222334"),
        ("IE", "from 01-02-2024 on"),
        ("IE", "1234567A"),
        ("DK", "1234567T"),
        ("DK", "ring 087 123 4567"),
    ],
)
def test_what_is_a_number_elsewhere_is_none_here(country: str, text: str) -> None:
    assert freetext.scan(text, country) == frozenset()


def test_several_kinds_in_one_text_are_all_found() -> None:
    text = "ida@example.org, 86 78 78 71, 010190-1234, 4111 1111 1111 1111, DK50 0040 0440 1162 43 from 192.0.2.7"
    assert scan(text) == {"email", "phone", "national_id", "card_data", "bank_account", "ip_address"}


def test_a_match_that_fails_its_check_does_not_hide_the_next() -> None:
    assert scan("not 010190-1234x nor 320190-1234 but 010190-1234") == {"national_id"}
    assert scan("4111 1111 1111 1112, 4111 1111 1111 1111") == {"card_data"}
    assert scan("999.1.1.1 192.0.2.7") == {"ip_address"}


def test_text_that_cannot_be_written_as_utf_8_is_read_all_the_same() -> None:
    assert scan("\ud800 ida@example.org") == {"email"}


def test_the_end_of_a_hundred_thousand_words_is_reached() -> None:
    assert scan("not yet 12 34 " * 25_000 + "86787871") == {"phone"}


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="0123456789@:+._-/,"), max_size=80)


@given(st.text())
def test_the_scan_never_fails(text: str) -> None:
    assert scan(text) <= {"email", "phone", "national_id", "card_data", "bank_account", "ip_address"}


@given(WORDS, WORDS, st.integers(20_000_000, 99_999_999), st.sampled_from(["", "+45", "+45 ", "0045", "0045 "]))
def test_a_danish_number_is_found_in_any_text(before: str, after: str, number: int, prefix: str) -> None:
    assert "phone" in scan(f"{before} {prefix}{number} {after}")


@given(WORDS, WORDS, st.from_regex(r"[a-z0-9]{1,12}(\.[a-z0-9]{1,8})?", fullmatch=True))
def test_an_address_is_found_in_any_text(before: str, after: str, local: str) -> None:
    assert "email" in scan(f"{before} {local}@example.org {after}")


@given(WORDS, WORDS, st.text("0123456789", min_size=14, max_size=14))
def test_a_card_is_found_in_any_text(before: str, after: str, digits: str) -> None:
    number = f"4{digits}"
    assert "card_data" in scan(f"{before} {number}{stdnum.luhn.calc_check_digit(number)} {after}")


@given(WORDS, WORDS, st.text("0123456789", min_size=14, max_size=14))
def test_an_account_number_is_found_in_any_text(before: str, after: str, digits: str) -> None:
    number = f"DK{stdnum.iban.calc_check_digits(f'DK00{digits}')}{digits}"
    assert "bank_account" in scan(f"{before} {number} {after}")


@given(WORDS, WORDS, st.dates(), st.integers(0, 9999))
def test_a_danish_personal_number_is_found_in_any_text(before: str, after: str, born: object, serial: int) -> None:
    assert "national_id" in scan(f"{before} {born:%d%m%y}-{serial:04} {after}")


@example("", "", "febf:ffff:ffff:ffff:ffff:ffff:ffff:fffa")
@given(WORDS, WORDS, st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda ip: ip.exploded))
def test_a_network_address_is_found_in_any_text(before: str, after: str, address: str) -> None:
    assert "ip_address" in scan(f"{before} {address} {after}")
