"""Draw what the policies say of shapes: shape -> activity -> systems and recipients, once per type and never per event.

An edge between types is a fact about a policy, not about a person. `KEPT_FOR` says which categories an activity takes of
such events, and in which systems and at which recipients they land; the two edges behind it are what a person follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import LiteralString

from lineage.landing import Landing
from lineage.neo4j_server import Transaction, ask
from lineage.store import Shape

_ACTIVITY: LiteralString = (
    "UNWIND $rows AS r MERGE (a:Activity {controller: r[0], id: r[1]}) SET a.purpose = r[2], a.legal_basis = r[3]"
)
_SYSTEM: LiteralString = "UNWIND $rows AS r MERGE (t:Target {controller: r[0], id: r[1]}) SET t:System"
_RECIPIENT: LiteralString = "UNWIND $rows AS r MERGE (t:Target {controller: r[0], id: r[1]}) SET t:Recipient, t.role = r[2]"
_KEPT_FOR: LiteralString = (
    "UNWIND $rows AS r MATCH (s:Shape {id: r[0]}) USING INDEX SEEK s:Shape(id)"
    " MATCH (a:Activity {controller: r[1], id: r[2]}) USING INDEX SEEK a:Activity(controller, id)"
    " CREATE (s)-[:KEPT_FOR {categories: r[3], systems: r[4], recipients: r[5]}]->(a)"
)
_ENDS: LiteralString = (
    "UNWIND $rows AS r MATCH (a:Activity {controller: r[0], id: r[1]}) USING INDEX SEEK a:Activity(controller, id)"
    " MATCH (t:Target {controller: r[0], id: r[2]}) USING INDEX SEEK t:Target(controller, id) "
)
_TAKEN: LiteralString = " SET e.categories = coalesce(e.categories, []) + [c IN r[3] WHERE NOT c IN coalesce(e.categories, [])]"
_HELD_IN: LiteralString = _ENDS + "MERGE (a)-[e:HELD_IN]->(t)" + _TAKEN
_DISCLOSED_TO: LiteralString = _ENDS + "MERGE (a)-[e:DISCLOSED_TO]->(t)" + _TAKEN
_ERASE: tuple[LiteralString, ...] = (
    "MATCH (:Shape)-[k:KEPT_FOR]->(:Activity) DELETE k",
    "MATCH (a:Activity)-[e:HELD_IN|DISCLOSED_TO]->() DELETE e",
)


async def draw_shapes(tx: Transaction, drawn: Mapping[Shape, Iterable[Landing]]) -> None:
    """Draw the landings of shapes that have none yet. The caller holds the lock on types."""
    kept: list[list[object]] = []
    activities, systems, recipients = set(), set(), set()
    held: dict[tuple[str, str, str], set[str]] = {}
    told: dict[tuple[str, str, str], set[str]] = {}
    for shape, landings in drawn.items():
        owner = shape.controller
        for x in landings:
            activities.add((owner, x.activity, x.purpose, x.legal_basis))
            lists = [[h.name for h in x.systems], [h.name for h in x.recipients]]
            kept.append([shape.id, owner, x.activity, list(x.categories), *lists])
            for holder in x.systems:
                systems.add((owner, holder.name))
                recipients |= {(owner, holder.name, holder.role)} if holder.role else set()
                held.setdefault((owner, x.activity, holder.name), set()).update(holder.categories)
            for holder in x.recipients:
                recipients.add((owner, holder.name, holder.role))
                told.setdefault((owner, x.activity, holder.name), set()).update(holder.categories)
    for statement, rows in (
        (_ACTIVITY, [[c, a, p, list(basis)] for c, a, p, basis in sorted(activities)]),
        (_SYSTEM, [list(s) for s in sorted(systems)]),
        (_RECIPIENT, [list(r) for r in sorted(recipients)]),
        (_KEPT_FOR, sorted(kept)),
        (_HELD_IN, [[*t, sorted(categories)] for t, categories in sorted(held.items())]),
        (_DISCLOSED_TO, [[*t, sorted(categories)] for t, categories in sorted(told.items())]),
    ):
        if rows:
            await ask(tx, statement, rows=rows)


async def erase_drawing(tx: Transaction) -> None:
    """Take away what was drawn; the nodes stay, since commands point to them. The caller holds the lock on types."""
    for statement in _ERASE:
        await ask(tx, statement)
