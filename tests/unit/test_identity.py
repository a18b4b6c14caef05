"""What keys and sealed values promise: two spellings are one, two controllers are none, nothing opens by itself."""

from __future__ import annotations

import hashlib
import hmac
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage import identity
from lineage.errors import BadCall, NotFound, WorldError
from lineage.identity import KeyRing, normalise

KEYS = {"apof": b"a" * 32, "webco": b"w" * 32}
KEK = b"k" * 32


def ring() -> KeyRing:
    made = KeyRing(KEYS, KEK)
    made.at_home({"apof": "DK", "webco": None})
    return made


@pytest.mark.parametrize(
    ("country", "one", "other"),
    [
        ("NL", "06-12 34 56 78", "+31 6 12345678"),
        ("NL", "(020) 123 45 67", "0031201234567"),
        ("NL", "31612345678", "0612345678"),
        ("IE", "087 123 4567", "+353 (0)87 123 4567"),
        ("IE", "01 234 5678", "00353 1 234 5678"),
        ("DE", "030/1234567", "+49 30 1234567"),
        ("GB", "020 7946 0958", "+44 20 7946 0958"),
        ("ES", "612 34 56 78", "+34612345678"),
        ("IT", "06 1234 5678", "+39 06 12345678"),
        ("HU", "06 1 234 5678", "+36 1 234 5678"),
        (None, "+353 1 234 5678", "00353-1-234-5678"),
        ("ZZ", "+353 1 234 5678", "00353-1-234-5678"),
    ],
)
def test_a_number_without_a_code_is_read_as_they_are_written_at_home(country: str | None, one: str, other: str) -> None:
    keys = KeyRing(KEYS, KEK)
    keys.at_home({"apof": country})
    assert keys.key("apof", "phone", one) == keys.key("apof", "phone", other)


def test_the_same_digits_are_another_number_in_another_country() -> None:
    keys = KeyRing({"a": KEK, "b": KEK, "c": KEK}, KEK)
    keys.at_home({"a": "DK", "b": "NO", "c": None})
    assert len({keys.key(c, "phone", "86 78 78 71") for c in "abc"}) == 3
    assert keys.key("c", "phone", "86787871") != keys.key("c", "phone", "+4586787871")


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("email", " Ida@Example.ORG ", "ida@example.org"),
        ("email", "STRASSE@example.org", "straße@example.org"),
        ("email", "s\u00f8ren\u0065\u0301@example.org", "S\u00d8REN\u00e9@example.org"),
        ("phone", "86 78 78 71", "+4586787871"),
        ("phone", "(+45) 8678 7871", "0045 86-78-78-71"),
        ("phone", "4586787871", "86787871"),
        ("phone", "+44 (0)20 7946 0958", "0044 20 7946 0958"),
        ("customer_number", " 0017 ", "0017"),
        ("cookie", "c1\n", "c1"),
        ("order", "P-1 ", "P-1"),
    ],
)
def test_two_spellings_of_an_identifier_have_one_key(kind: str, one: str, other: str) -> None:
    assert ring().key("apof", kind, one) == ring().key("apof", kind, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("email", "ida@example.org", "ida@example.com"),
        ("phone", "86787871", "+4686787871"),
        ("phone", "unknown", "none"),
        ("customer_number", "0017", "17"),
        ("cookie", "c1", "C1"),
    ],
)
def test_different_identifiers_have_different_keys(kind: str, one: str, other: str) -> None:
    assert ring().key("apof", kind, one)[0] != ring().key("apof", kind, other)[0]


def test_a_key_is_the_keyed_hash_of_kind_and_value() -> None:
    digest = hmac.digest(KEYS["apof"], b"email\0ida@example.org", hashlib.sha256)
    expected = tuple(int.from_bytes(digest[at : at + 8], "big", signed=True) for at in (0, 8))
    assert ring().key("apof", "email", "Ida@example.org") == expected
    assert -(2**63) <= expected[0] < 2**63


def test_controllers_and_kinds_share_no_keys() -> None:
    keys = {ring().key(controller, kind, "17")[0] for controller in KEYS for kind in ("customer_number", "order", "phone")}
    assert len(keys) == 6


def test_a_controller_without_a_hash_key_is_unknown_and_not_named() -> None:
    assert "apof" in ring()
    assert "ida@example.org" not in ring()
    with pytest.raises(NotFound) as caught:
        ring().key("ida@example.org", "email", "x")
    assert "ida" not in str(caught.value)


def test_a_successor_has_a_key_of_its_own() -> None:
    keys = [ring().successor("apof", "email", "Ida@example.org", epoch) for epoch in range(4)]
    assert keys[0] == ring().key("apof", "email", "ida@example.org")
    assert len({key for key, _ in keys}) == 4
    assert ring().successor("apof", "email", "ida@example.org ", 3) == keys[3]


def test_the_cache_forgets_and_the_keys_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_CACHE_SIZE", 3)
    small = ring()
    for _ in range(2):
        for number in range(20):
            assert small.key("apof", "order", str(number)) == ring().key("apof", "order", str(number))
    assert len(small._young) + len(small._old) <= 6
    small.clear()
    assert not small._young
    assert not small._old


def test_short_secrets_are_refused_by_name() -> None:
    with pytest.raises(BadCall, match="hash key of webco"):
        KeyRing({**KEYS, "webco": b"short"}, KEK)
    with pytest.raises(BadCall, match="key-encryption key"):
        KeyRing(KEYS, b"k" * 16)


@given(st.sampled_from(["email", "phone", "ø"]), st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_opens(kind: str, value: str) -> None:
    assert ring().open(ring().seal("apof", kind, value, os.urandom)) == (kind, value)


@given(st.binary())
def test_a_payload_that_was_sealed_opens(payload: bytes) -> None:
    assert ring().open_payload(ring().seal_payload(payload, os.urandom)) == payload


def test_a_sealed_value_shows_nothing_and_is_never_the_same_twice() -> None:
    one, other = (ring().seal("apof", "email", "ida@example.org", os.urandom) for _ in range(2))
    assert b"ida" not in one
    assert one != other


def test_an_altered_sealed_value_does_not_open_whatever_byte_it_is() -> None:
    sealed = ring().seal("apof", "email", "ida@example.org", os.urandom)
    for place in range(len(sealed)):
        altered = sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :]
        with pytest.raises(WorldError, match="does not open"):
            ring().open(altered)
    for size in range(len(sealed)):
        with pytest.raises(WorldError):
            ring().open(sealed[:size])


def test_a_sealed_value_does_not_open_under_another_key_encryption_key() -> None:
    sealed = ring().seal("apof", "email", "ida@example.org", os.urandom)
    with pytest.raises(WorldError) as caught:
        KeyRing(KEYS, b"x" * 32).open(sealed)
    assert "ida" not in repr(caught.value)


def test_values_and_payloads_are_not_taken_for_each_other() -> None:
    with pytest.raises(WorldError):
        ring().open(ring().seal_payload(b"x" * 80, os.urandom))
    with pytest.raises(WorldError):
        ring().open_payload(ring().seal("apof", "email", "ida@example.org", os.urandom))
    for size in (0, 1, 20):
        with pytest.raises(WorldError):
            ring().open_payload(b"\2" * size)


@given(st.sampled_from(["email", "phone", "cookie"]), st.text())
def test_normalising_twice_changes_nothing_more(kind: str, value: str) -> None:
    once = normalise(kind, value)
    assert normalise(kind, once) == once
