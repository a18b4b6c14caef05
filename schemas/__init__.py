"""The contracts: Avro schemas of every topic, event types, names of personal data; bytes to records and back."""

from schemas.catalog import IDENTIFIER_KINDS, UNKNOWN_TERM, EventType, Term
from schemas.errors import DecodeError, InvalidEvent, SchemaError
from schemas.registry import HEADER, Registry, registry

__all__ = [
    "HEADER",
    "IDENTIFIER_KINDS",
    "UNKNOWN_TERM",
    "DecodeError",
    "EventType",
    "InvalidEvent",
    "Registry",
    "SchemaError",
    "Term",
    "registry",
]
