"""Write what was decided in a transaction of Neo4j: cases, commands, dead letters, tombstones, and the two chains.

The keys that these are about are locked already. Commands hang on what they are about and on whom they go to, so that a
person who looks at the graph can follow them; what the pipeline asks for stands in their properties.
"""

from __future__ import annotations

from typing import Any, LiteralString

from lineage.digest import GENESIS, extend_chain
from lineage.neo4j_server import Transaction, ask, number
from lineage.store import AuditRow, Batch


async def only_new(tx: Transaction, there: LiteralString, rows: dict[str, list[Any]]) -> list[list[Any]]:
    """Give the rows whose ids are not there yet, by id."""
    if not rows:
        return []
    present = set((await ask(tx, there, ids=sorted(rows)))[0][0])
    return [row for id_, row in sorted(rows.items()) if id_ not in present]


_CASE: LiteralString = (
    "UNWIND $rows AS r MERGE (c:Case {id: r[0]}) WITH r, c WHERE c.body IS NULL OR c.body <> r[6] OR c.state <> r[5]"
    " OR c.key <> r[1] OR c.controller <> r[2] OR c.right <> r[3] OR c.opened <> r[4]"
    " SET c.key = r[1], c.controller = r[2], c.right = r[3], c.opened = r[4], c.state = r[5], c.body = r[6]"
    " RETURN collect([r[0], r[1]])"
)
_OF_CASE: LiteralString = "UNWIND $rows AS r MATCH (c:Case {id: r[0]}) USING INDEX SEEK c:Case(id) "
_CASE_OF_ANOTHER: LiteralString = _OF_CASE + "MATCH (c)-[o:ABOUT]->(k:Key) WHERE k.key <> r[1] DELETE o"
_CASE_ABOUT: LiteralString = (
    _OF_CASE + "MATCH (k:Key {key: r[1]}) USING INDEX SEEK k:Key(key)"
    " WHERE NOT EXISTS { (c)-[:ABOUT]->(k) } CREATE (c)-[:ABOUT]->(k)"
)
_OF_COMMAND: LiteralString = "UNWIND $rows AS r MATCH (c:Command {id: r[0]}) USING INDEX SEEK c:Command(id) "
_COMMANDS_THERE: LiteralString = "UNWIND $ids AS id MATCH (c:Command {id: id}) USING INDEX SEEK c:Command(id) RETURN collect(c.id)"
_COMMAND: LiteralString = (
    "UNWIND $rows AS r CREATE (c:Command {id: r[0], key: r[1], controller: r[2], target: r[3], case: r[4], kind: r[5],"
    " body: r[6], issued: r[7], due: r[8], state: r[9], attempts: r[10]})"
    " FOREACH (_ IN CASE WHEN r[9] = 'pending' THEN [1] ELSE [] END | SET c:Pending) RETURN count(*)"
)
_TARGETS: LiteralString = "UNWIND $rows AS r MERGE (:Target {controller: r[0], id: r[1]})"
_COMMAND_TO: LiteralString = _OF_COMMAND + (
    "MATCH (t:Target {controller: r[2], id: r[3]}) USING INDEX SEEK t:Target(controller, id) CREATE (c)-[:TO]->(t)"
)
_COMMAND_ABOUT: LiteralString = _OF_COMMAND + "MATCH (k:Key {key: r[1]}) USING INDEX SEEK k:Key(key) CREATE (c)-[:ABOUT]->(k)"
_COMMAND_OF: LiteralString = _OF_COMMAND + "MATCH (x:Case {id: r[4]}) USING INDEX SEEK x:Case(id) CREATE (c)-[:OF]->(x)"
_STATE: LiteralString = (
    _OF_COMMAND + "WHERE c.state <> r[1] OR c.due <> r[2] OR c.attempts <> r[3]"
    " SET c.state = r[1], c.due = r[2], c.attempts = r[3]"
    " FOREACH (_ IN CASE WHEN r[1] = 'pending' THEN [1] ELSE [] END | SET c:Pending)"
    " FOREACH (_ IN CASE WHEN r[1] = 'pending' THEN [] ELSE [1] END | REMOVE c:Pending) RETURN count(*)"
)
_PAUSE: LiteralString = (
    _OF_COMMAND + "WHERE c.state = 'pending' AND (c.due <> r[1] OR c.attempts <> r[2])"
    " SET c.due = r[1], c.attempts = r[2] RETURN count(*)"
)
_DEAD_LETTER: LiteralString = (
    "UNWIND $rows AS r MERGE (d:DeadLetter {topic: r[0], partition: r[1], offset: r[2]}) WITH r, d WHERE d.at IS NULL"
    " SET d.schema_id = r[3], d.reason = r[4], d.at = r[5], d.sealed = r[6] RETURN count(*)"
)
_TOMBSTONE: LiteralString = (
    "UNWIND $rows AS r MERGE (t:Tombstone {key: r[0]})"
    " WITH r, t WHERE t.at IS NULL OR t.at < r[2] OR (t.at = r[2] AND t.next < r[3])"
    " SET t.controller = r[1], t.at = r[2], t.next = r[3] RETURN count(*)"
)


async def write_cascades(tx: Transaction, batch: Batch) -> int:
    """Write cases, commands and their states, dead letters and tombstones; return how many rows changed."""
    touched = await _write_cases(tx, batch) + await _write_commands(tx, batch)
    letters = {d[:3]: list(d) for d in reversed(batch.dead_letters)}
    states = [[id_, *state] for id_, state in sorted(batch.command_states.items())]
    pauses = [[id_, *pause] for id_, pause in sorted(batch.command_pauses.items())]
    for statement, rows in (
        (_STATE, states),
        (_PAUSE, pauses),
        (_DEAD_LETTER, [letters[at] for at in sorted(letters)]),
        (_TOMBSTONE, [list(t) for t in sorted(batch.tombstones)]),
    ):
        if rows:
            touched += await number(tx, statement, rows=rows)
    return touched


async def _write_cases(tx: Transaction, batch: Batch) -> int:
    rows = {c.id: list(c) for c in batch.cases}
    if not rows:
        return 0
    changed = (await ask(tx, _CASE, rows=[rows[id_] for id_ in sorted(rows)]))[0][0]
    if changed:
        await ask(tx, _CASE_OF_ANOTHER, rows=changed)
        await ask(tx, _CASE_ABOUT, rows=changed)
    return len(changed)


async def _write_commands(tx: Transaction, batch: Batch) -> int:
    rows = await only_new(tx, _COMMANDS_THERE, {c.id: list(c) for c in reversed(batch.commands)})
    if not rows:
        return 0
    await ask(tx, _TARGETS, rows=[list(t) for t in sorted({(r[2], r[3]) for r in rows})])
    await ask(tx, _COMMAND, rows=rows)
    for statement in (_COMMAND_ABOUT, _COMMAND_OF, _COMMAND_TO):
        await ask(tx, statement, rows=sorted(rows, key=lambda r: (r[2], r[3], r[0])))
    return len(rows)


_AUDIT_THERE: LiteralString = "UNWIND $ids AS id MATCH (a:AuditLine {id: id}) USING INDEX SEEK a:AuditLine(id) RETURN collect(a.id)"
_AUDIT: LiteralString = (
    "UNWIND $rows AS r CREATE (:AuditLine {id: r[0], at: r[1], controller: r[2], kind: r[3], body: r[4],"
    " seq: r[5], previous: r[6], hash: r[7]})"
)
_CERTIFICATES_THERE: LiteralString = (
    "UNWIND $ids AS id MATCH (c:Certificate {id: id}) USING INDEX SEEK c:Certificate(id) RETURN collect(c.id)"
)
_CERTIFICATE: LiteralString = (
    "UNWIND $rows AS r CREATE (c:Certificate {id: r[0], body: r[4], seq: r[5], previous: r[6], hash: r[7]})"
    " WITH r, c MATCH (x:Case {id: r[0]}) USING INDEX SEEK x:Case(id) CREATE (x)-[:CERTIFIED_BY]->(c)"
)
_LOCK_HEAD: LiteralString = (
    "MERGE (h:ChainHead {name: $name}) ON CREATE SET h.seq = 0, h.hash = $genesis SET h.locks = coalesce(h.locks, 0) + 1"
)
_HEAD: LiteralString = "MATCH (h:ChainHead {name: $name}) RETURN h.seq, h.hash"
_HEAD_MOVES: LiteralString = "MATCH (h:ChainHead {name: $name}) SET h.seq = $seq, h.hash = $hash"


async def write_chains(tx: Transaction, batch: Batch) -> int:
    """Append to the audit log and to the certificates, in this order; return how many lines are new."""
    certificates = [AuditRow(case, 0, "", "certificate", body) for case, body in batch.certificates]
    touched = await _extend(tx, "audit", batch.audit, _AUDIT_THERE, _AUDIT)
    return touched + await _extend(tx, "certificates", certificates, _CERTIFICATES_THERE, _CERTIFICATE)


async def _extend(tx: Transaction, name: str, lines: list[AuditRow], there: LiteralString, create: LiteralString) -> int:
    """Append the lines that are not there; where all are, the end of the chain is left unlocked for others."""
    ids = sorted({line.id for line in lines})
    if not ids or len((await ask(tx, there, ids=ids))[0][0]) == len(ids):
        return 0
    await ask(tx, _LOCK_HEAD, name=name, genesis=GENESIS)
    [[seq, last]] = await ask(tx, _HEAD, name=name)
    present = set((await ask(tx, there, ids=ids))[0][0])
    new: dict[str, AuditRow] = {}
    for line in lines:
        if line.id not in present:
            new.setdefault(line.id, line)
    chained = list(extend_chain(new.values(), seq, last))
    if chained:
        await ask(tx, create, rows=[list(line) for line in chained])
        await ask(tx, _HEAD_MOVES, name=name, seq=chained[-1].seq, hash=chained[-1].hash)
    return len(chained)
