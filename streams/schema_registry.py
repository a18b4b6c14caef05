"""Keep the schemas in a Confluent-compatible registry: ours go there, and ids on the wire are told apart.

A topic of events carries many types, so a subject cannot be a topic (`<topic>-value`): its one line of versions would
ask every type to be compatible with every other. Subjects are record names (RecordNameStrategy, `lineage.events.OrderPlaced`),
or, where clusters with different versions share a registry, topic and record name (TopicRecordNameStrategy). A schema is
registered with its `confluent:tags` and categories, after it was found compatible both ways, here and by the registry.

Producers in any language then write the registry's ids; `Ids` turns them into those of `schemas/ids.json` and back.
Without a registry both are the same.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import quote

import httpx

import schemas
from lineage.errors import BadCall, Undecodable, WorldError
from schemas.compatibility import incompatibilities
from schemas.files import Schema, fingerprint, load_ids, load_schema, load_shared, plain
from streams.topics import Topics

COMPATIBILITY = "FULL_TRANSITIVE"
"""What the registry shall hold others to: every version reads every other, as services are never deployed at one moment."""
_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_AGAIN_SECONDS = 60.0
_IDS_MAX = 10_000
_WORTH_TRYING = frozenset({429, 500, 502, 503, 504})
_NOT_FOUND = 404
_REFUSED = (401, 403)
_MAGIC_BYTES = schemas.HEADER.size


@dataclass(frozen=True, slots=True)
class Shipped:
    """A schema that comes with the package: its id here, its file, its record name, its text with all annotations."""

    id: int
    path: str
    name: str
    schema: Schema
    current: bool

    @property
    def text(self) -> str:
        """Give the text that is registered."""
        return json.dumps(self.schema, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema under a subject of the registry, and the id that the registry gave it."""

    subject: str
    own_id: int
    id: int
    new: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a schema cannot go under a subject, or is not there."""

    subject: str
    own_id: int
    reason: str
    missing: bool = False


def shipped() -> tuple[Shipped, ...]:
    """List the schemas of the package, old forms before the current ones of the same file."""
    root = resources.files("schemas")
    shared, lines = load_shared(root), load_ids(root)
    current = {line.schema: line.id for line in lines}
    found = []
    for line in lines:
        now = line.id == current[line.schema]
        schema = load_schema(root / f"{line.schema}.avsc" if now else root / "history" / f"{line.id}.avsc", shared)
        found.append(Shipped(line.id, line.schema, f"{schema['namespace']}.{schema['name']}", schema, now))
    return tuple(found)


def subjects(by_topic: Topics | None = None) -> Mapping[str, tuple[Shipped, ...]]:
    """Give the subjects and what belongs under each, oldest first: record names, or topic and record name."""
    found: dict[str, list[Shipped]] = {}
    for schema in shipped():
        folder, _, name = schema.path.partition("/")
        if by_topic is None:
            found.setdefault(schema.name, []).append(schema)
        elif folder != "control":
            found.setdefault(f"{by_topic.event(folder)}-{schema.name}", []).append(schema)
        elif topic := {"rights_request": by_topic.requests, "receipt": by_topic.receipts, "dead_letter": by_topic.dead_letters,
                       "alert": by_topic.alerts}.get(name):  # fmt: skip
            found.setdefault(f"{topic}-{schema.name}", []).append(schema)
        else:
            # A topic of commands per target, and certificates on none: the record name alone.
            found.setdefault(schema.name, []).append(schema)
    return {subject: tuple(line) for subject, line in found.items()}


class SchemaRegistry:
    """A registry over HTTP: Confluent's, Karapace, or Apicurio (`https://host/apis/ccompat/v7`)."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        seconds_max: float = 5.0,
        tries: int = 4,
        pause: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Take the address (user and password may stand in it), how long a call may take, how often it is tried."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            msg = "the schema registry's address must be like https://registry.example.org:8081"
            raise BadCall(msg)
        auth = httpx.BasicAuth(user or parsed.username, (password or parsed.password) or "") if user or parsed.username else None
        base = parsed.copy_with(userinfo=b"", query=None, fragment=None)
        self._where = f"the schema registry at {base.host}"
        self._tries, self._pause = max(1, tries), pause
        self._client = httpx.Client(
            base_url=base, auth=auth, timeout=seconds_max, transport=transport,
            headers={"Accept": f"{_CONTENT_TYPE}, application/json", "Content-Type": _CONTENT_TYPE},
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- what the protocol has ---------------------------------------------------------------------------------------

    def schema(self, id_: int) -> Schema | None:
        """Give the schema of an id, None if the registry has none or it is no Avro."""
        found = self._call("GET", f"/schemas/ids/{id_}")
        if found is None or found.get("schemaType", "AVRO") != "AVRO":
            return None
        return _parsed(found.get("schema"))

    def id_of(self, subject: str, schema: str) -> int | None:
        """Give the id of a schema that stands under a subject, None if it does not."""
        found = self._call("POST", f"/subjects/{quote(subject, safe='')}", {"schema": schema})
        return None if found is None else _number(found, "id", self._where)

    def latest(self, subject: str) -> Schema | None:
        """Give the newest schema under a subject, None if there is none."""
        found = self._call("GET", f"/subjects/{quote(subject, safe='')}/versions/latest")
        return None if found is None else _parsed(found.get("schema"))

    def compatible(self, subject: str, schema: str) -> tuple[str, ...]:
        """Ask the registry what it has against a schema as the next version under a subject; empty: nothing."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        found = self._call("POST", path, {"schema": schema})
        if found is None or found.get("is_compatible"):
            return ()
        reasons = [str(m) for m in found.get("messages") or ()]
        return tuple(reasons) or ("the registry says that it is not compatible",)

    def register(self, subject: str, schema: str) -> int:
        """Put a schema under a subject; one that is there already keeps its id."""
        found = self._call("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": schema})
        return _number(found or {}, "id", self._where)

    def demand(self, subject: str) -> None:
        """Tell the registry how compatible the versions under a subject must be."""
        self._call("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": COMPATIBILITY})

    def _call(self, method: str, path: str, content: object = None) -> Mapping[str, Any] | None:
        """Call, again where that can help; None for what is not there."""
        why = ""
        for n in range(self._tries):
            if n:
                self._pause(min(2.0, 0.1 * 2**n) * (0.5 + random.random() / 2))  # noqa: S311 - spreads retries, hides nothing
            try:
                answer = self._client.request(method, path, json=content)
            except httpx.HTTPError as error:
                why = type(error).__name__
                continue
            if answer.status_code not in _WORTH_TRYING:
                return self._read(answer)
            why = f"status {answer.status_code}"
        msg = f"{self._where} does not answer ({why})"
        raise WorldError(msg)

    def _read(self, answer: httpx.Response) -> Mapping[str, Any] | None:
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.status_code in _REFUSED:
            msg = f"{self._where} does not let us in: status {answer.status_code}; are user and password right?"
            raise BadCall(msg)
        try:
            found = answer.json() if answer.content else {}
        except ValueError:
            found = None
        if answer.is_error:
            detail = found.get("message") if isinstance(found, dict) else None
            msg = f"{self._where} refuses: {detail or f'status {answer.status_code}'}"
            raise BadCall(msg)
        if not isinstance(found, dict):
            msg = f"{self._where} answers with something that is no JSON object; is the address that of its API?"
            raise BadCall(msg)
        return found

    # -- our schemas -------------------------------------------------------------------------------------------------

    def check(self, by_topic: Topics | None = None, *, there: bool = False) -> list[Problem]:
        """Say what stands against registering our schemas; `there` also lists those that are not registered yet."""
        found: list[Problem] = []
        for subject, line in subjects(by_topic).items():
            for schema in line:
                if not schema.current or self.id_of(subject, schema.text) is not None:
                    continue
                against = self._problems(subject, schema)
                if there and not against:
                    against = [Problem(subject, schema.id, "is not registered; `lineage schemas register` does it", missing=True)]
                found += against
        return found

    def _problems(self, subject: str, schema: Shipped) -> list[Problem]:
        latest = self.latest(subject)
        if latest is None:
            return []
        reasons = [*incompatibilities(latest, schema.schema), *self.compatible(subject, schema.text)]
        return [Problem(subject, schema.id, reason) for reason in reasons]

    def register_all(self, by_topic: Topics | None = None) -> list[Registered]:
        """Register our schemas, each under its subject, old forms first; raise `BadCall` before the first if one does not fit."""
        against = self.check(by_topic)
        if against:
            msg = f"nothing was registered: {against[0].subject}: {against[0].reason} ({len(against)} problems in all)"
            raise BadCall(msg)
        found = []
        for subject, line in subjects(by_topic).items():
            for schema in line:
                known = self.id_of(subject, schema.text)
                id_ = known if known is not None else self.register(subject, schema.text)
                found.append(Registered(subject, schema.id, id_, known is None))
            if any(r.new for r in found if r.subject == subject):
                self.demand(subject)
        return found


def _parsed(text: object) -> Schema | None:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _number(found: Mapping[str, Any], field: str, where: str) -> int:
    value = found.get(field)
    if not isinstance(value, int):
        msg = f"{where} gave no {field}"
        raise WorldError(msg)
    return value


class Ids:
    """Which id stands on the wire for which of ours; without a registry, each for itself.

    What was found once is remembered. An id that the registry does not know, or whose schema is none of ours, is
    `Undecodable` and asked for again after a minute at the earliest; a registry that does not answer is `WorldError`.
    """

    def __init__(
        self, registry: SchemaRegistry | None = None, by_topic: Topics | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the registry, how its subjects are named, and a clock."""
        self._registry, self._clock = registry, clock
        self._subjects = {s.id: (subject, s.text) for subject, line in subjects(by_topic).items() for s in line} if registry else {}
        self._own = {_canonical(s.schema): s.id for s in shipped()} if registry else {}
        self._to: dict[int, int] = {}
        self._from: dict[int, int] = {}
        self._unknown: dict[int, float] = {}

    def warm(self) -> None:
        """Ask for all of our ids at once, so that nothing waits for the registry later; raise `BadCall` if one is missing."""
        for own in self._subjects:
            self.to_wire(own)

    def to_wire(self, own_id: int) -> int:
        """Give the id to write for one of ours; raise `BadCall` if the registry does not have the schema."""
        if self._registry is None:
            return own_id
        found = self._to.get(own_id)
        if found is None:
            subject, text = self._subjects.get(own_id, ("", ""))
            found = self._registry.id_of(subject, text) if subject else None
            if found is None:
                msg = f"the schema registry lacks schema {own_id} ({subject or 'unknown'}): run `lineage schemas register`"
                raise BadCall(msg)
            self._to[own_id] = found
            self._from[found] = own_id
        return found

    def from_wire(self, id_: int) -> int:
        """Give our id for one that was read; raise `Undecodable` if it stands for no schema of ours."""
        if self._registry is None:
            return id_
        found = self._from.get(id_)
        if found is None:
            found = self._from[id_] = self._asked(self._registry, id_)
        return found

    def _asked(self, registry: SchemaRegistry, id_: int) -> int:
        until = self._unknown.get(id_)
        if until is None or until <= self._clock():
            schema = registry.schema(id_)
            found = self._own.get(_canonical(schema)) if schema is not None else None
            if found is not None:
                self._unknown.pop(id_, None)
                return found
            if len(self._unknown) >= _IDS_MAX:
                self._unknown.clear()
            self._unknown[id_] = self._clock() + _AGAIN_SECONDS
        msg = f"schema id {id_} of the registry stands for no schema of ours"
        raise Undecodable(msg)

    def outbound(self, value: bytes) -> bytes:
        """Put the id to write into a record in our wire format."""
        if self._registry is None:
            return value
        magic, own = schemas.HEADER.unpack_from(value)
        return schemas.HEADER.pack(magic, self.to_wire(own)) + value[_MAGIC_BYTES:]

    def inbound(self, value: bytes) -> bytes:
        """Put our id into a record that was read; what has no header stays as it is, decoding says what is wrong with it."""
        if self._registry is None or len(value) < _MAGIC_BYTES or value[0]:
            return value
        magic, id_ = schemas.HEADER.unpack_from(value)
        return schemas.HEADER.pack(magic, self.from_wire(id_)) + value[_MAGIC_BYTES:]


def _canonical(schema: Schema) -> str:
    try:
        return fingerprint(plain(schema))
    except Exception:  # noqa: BLE001 - a schema of somebody else, in whatever form
        return ""
