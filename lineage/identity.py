"""Turn identifiers into keys and sealed values: what arrives is readable, what the graph gets is not.

A key is a keyed hash (HMAC-SHA256, one secret per controller), so that nobody without the secret can tell whether a
given person is in the graph, and two controllers cannot be joined by it. The value itself, which commands to downstream
systems need, is encrypted under a key of its own that is wrapped by the key-encryption key; where the sealed value is
destroyed, nothing readable is left (GDPR art. 17, 25 and 32).
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lineage.countries import COUNTRIES
from lineage.errors import BadCall, NotFound, WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lineage.countries import Country
    from lineage.store import Key

SECRET_BYTES = 32
_CACHE_SIZE = 1 << 15
_NONCE_BYTES = 12
_WRAPPED_BYTES = SECRET_BYTES + 16
_VALUE, _PAYLOAD = b"\x01", b"\x02"
_ONCE = bytes(_NONCE_BYTES)
"""The nonce under a data key: each data key encrypts one value only, so it needs no fresh one."""

_NOT_DIGITS = re.compile(r"[^0-9]+")
_TRUNK = re.compile(r"\(\s*0\s*\)")


def normalise(kind: str, value: str, country: Country | None = None) -> str:
    """Give the form in which two spellings of the same identifier are equal.

    E-mail addresses are compared without case, telephone numbers by their digits as they are dialled from abroad, those
    without a country's code as they are written at home in `country`; everything else without the white space around it.
    """
    if kind == "email":
        return unicodedata.normalize("NFC", value.strip().casefold())
    return _phone(value, country) if kind == "phone" else value.strip()


def _phone(value: str, country: Country | None) -> str:
    text = unicodedata.normalize("NFKC", value).strip()
    digits = _NOT_DIGITS.sub("", _TRUNK.sub("", text))
    if not digits:
        return text
    if text.lstrip("( ").startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:]
    return country.international(digits) if country is not None else digits


class KeyRing:
    """The secrets of one process: a hash key for each controller and the key-encryption key."""

    def __init__(self, hash_keys: Mapping[str, bytes], kek: bytes) -> None:
        """Take the secrets; raise `BadCall` if one is too short to be a secret. `at_home` says whose numbers are whose."""
        short = [controller for controller, secret in hash_keys.items() if len(secret) < SECRET_BYTES]
        if short or len(kek) != SECRET_BYTES:
            which = f"the hash key of {short[0]}" if short else "the key-encryption key"
            msg = f"{which} must have {SECRET_BYTES} bytes"
            raise BadCall(msg)
        self._states = {name: hmac.new(secret, digestmod="sha256") for name, secret in hash_keys.items()}
        self._kek = AESGCM(kek)
        self._countries: dict[str, Country | None] = {}
        # Two generations bound the cache: what the younger lacks is looked up in the older, which is dropped whole.
        self._headers: dict[tuple[str, str], bytes] = {}
        self._young: dict[tuple[str, str, str], tuple[Key, int]] = {}
        self._old: dict[tuple[str, str, str], tuple[Key, int]] = {}

    def __contains__(self, controller: object) -> bool:
        """Tell whether there is a hash key for the controller."""
        return controller in self._states

    def at_home(self, jurisdictions: Mapping[str, str | None]) -> None:
        """Say in which country each controller is at home: there its customers' numbers need no country's code."""
        self._countries = {c: COUNTRIES.get(place or "") for c, place in jurisdictions.items()}
        self.clear()

    def key(self, controller: str, kind: str, value: str) -> tuple[Key, int]:
        """Give the key of an identifier or a matter, and the check; raise `NotFound` for an unknown controller."""
        entry = (controller, kind, value)
        found = self._young.get(entry)
        if found is None:
            found = self._old.get(entry) or self._hash(controller, kind, value)
            if len(self._young) >= _CACHE_SIZE:
                self._old, self._young = self._young, {}
            self._young[entry] = found
        return found

    def successor(self, controller: str, kind: str, value: str, epoch: int) -> tuple[Key, int]:
        """Give the key of the data subject who took over the value after `epoch` erasures of it; 0 is `key`."""
        if epoch == 0:
            return self.key(controller, kind, value)
        return self._hash(controller, kind, value, f"#{epoch}")

    def clear(self) -> None:
        """Drop the cache, and with it the readable values in memory: after an erasure, nothing of them is left."""
        self._young, self._old = {}, {}

    def _hash(self, controller: str, kind: str, value: str, suffix: str = "") -> tuple[Key, int]:
        try:
            state = self._states[controller].copy()
        except KeyError:
            msg = "there is no hash key for this controller"
            raise NotFound(msg) from None
        state.update(f"{kind}{suffix}\0{normalise(kind, value, self._countries.get(controller))}".encode())
        digest = state.digest()
        # 0 means "none" in an observation, so no key is 0.
        return int.from_bytes(digest[:8], "big", signed=True) or 1, int.from_bytes(digest[8:16], "big", signed=True)

    def seal(self, controller: str, kind: str, value: str, random: Callable[[int], bytes]) -> bytes:
        """Encrypt an identifier's value under a fresh key of its own; `random` must be fit for secrets."""
        header = self._headers.get((controller, kind))
        if header is None:
            names = (controller.encode(), kind.encode())
            header = self._headers[controller, kind] = _VALUE + b"".join(bytes((len(name),)) + name for name in names)
        return header + self._encrypt(value.encode(), header, random)

    def open(self, sealed: bytes) -> tuple[str, str]:
        """Give the kind and value of what `seal` made; raise `WorldError` if these secrets do not open it."""
        try:
            kind_at = 2 + sealed[1]
            end = kind_at + 1 + sealed[kind_at]
        except IndexError:
            raise _closed() from None
        header = sealed[:end]
        value = self._decrypt(sealed[end:], header, _VALUE)
        return header[kind_at + 1 :].decode(), value.decode()

    def seal_payload(self, payload: bytes, random: Callable[[int], bytes]) -> bytes:
        """Encrypt the bytes of an event that goes to the dead letters."""
        return _PAYLOAD + self._encrypt(payload, _PAYLOAD, random)

    def open_payload(self, sealed: bytes) -> bytes:
        """Give back what `seal_payload` made; raise `WorldError` if these secrets do not open it."""
        return self._decrypt(sealed[1:], sealed[:1], _PAYLOAD)

    def _encrypt(self, clear: bytes, header: bytes, random: Callable[[int], bytes]) -> bytes:
        data_key, nonce = random(SECRET_BYTES), random(_NONCE_BYTES)
        wrapped = self._kek.encrypt(nonce, data_key, header)
        return nonce + wrapped + AESGCM(data_key).encrypt(_ONCE, clear, header)

    def _decrypt(self, body: bytes, header: bytes, version: bytes) -> bytes:
        if header[:1] != version or len(body) < _NONCE_BYTES + _WRAPPED_BYTES:
            raise _closed()
        wrapped, rest = body[_NONCE_BYTES : _NONCE_BYTES + _WRAPPED_BYTES], body[_NONCE_BYTES + _WRAPPED_BYTES :]
        try:
            data_key = self._kek.decrypt(body[:_NONCE_BYTES], wrapped, header)
            return AESGCM(data_key).decrypt(_ONCE, rest, header)
        except (InvalidTag, ValueError):
            raise _closed() from None


def _closed() -> WorldError:
    return WorldError("a sealed value does not open: it was altered, or the key-encryption key is another one")
