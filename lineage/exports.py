"""Hand over what the systems have sent for an access or portability request (GDPR art. 15 and 20).

The values lie sealed in the graph until they are taken; taking them destroys the copies.
"""

from __future__ import annotations

from base64 import b64decode

import orjson

from lineage.errors import NotFound
from lineage.identity import KeyRing
from lineage.store import Batch, CaseRow, Entry, GraphStore


def export(store: GraphStore, keys: KeyRing, case: str) -> dict[str, dict[str, object]]:
    """Give the values that the systems have sent for an access or portability request: target -> category -> value."""
    row = store.case(case)
    if row is None:
        msg = f"there is no case {case!r}"
        raise NotFound(msg)
    found: dict[str, dict[str, object]] = {}
    for line in _lines(store, row):
        content = orjson.loads(keys.open_payload(b64decode(line.body)))
        allowed = orjson.loads(row.body)["answer"]
        values = {c: v for c, v in content["data"].items() if content["target"] in allowed.get(c, ())}
        found.setdefault(content["target"], {}).update(values)
    return found


def take_export(store: GraphStore, keys: KeyRing, case: str) -> dict[str, dict[str, object]]:
    """Give the export of a case and destroy the sealed copies: the answer has been handed over."""
    found = export(store, keys, case)
    row = store.case(case)
    if row is not None:
        store.write(Batch(forget_entries=[line.id for line in _lines(store, row)]))
    return found


def _lines(store: GraphStore, row: CaseRow) -> list[Entry]:
    facts = store.facts((row.key,))
    own = {c.id for c in facts.commands if c.case == row.id}
    return [e for e in facts.entries if e.kind == "export" and e.id.removesuffix("-export") in own]
