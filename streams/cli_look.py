"""Commands that ask the graph: `trace`, `plan`, `case`, `impact`, `verify`. They read the file while `lineage up` writes it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from lineage.digest import verify_chain
from lineage.errors import NotFound
from lineage.policy import Policy
from lineage.rights import ARTICLE
from lineage.store import AuditRow, CaseRow
from streams import picture, planning, views
from streams.cli_open import policy_of
from streams.cli_words import DayType, IdentifierType, controller_option, echo_json, json_option, seconds
from streams.render import console, print_case, print_cases, print_impact, print_lineage, print_plan
from streams.wiring import reading

_BLOCK = 1000


@click.command()
@click.argument("identifier", type=IdentifierType())
@controller_option
@click.option("--at", type=DayType(), help="As it was at the end of this day (default: now).")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Draw the picture into this file as well.")
@json_option
def trace(identifier: tuple[str, str], controller: str, at: dt.datetime | None, html: Path | None, *, as_json: bool) -> None:
    """Show where a person's data lie: system, activity, categories, since when, until when, why.

    IDENTIFIER is KIND:VALUE (email, phone, customer_number, account, cookie); the kind may be left out for an e-mail
    address or a customer number.
    """
    with reading() as pipeline:
        policy = policy_of(pipeline, controller)
        found = views.lineage_of(pipeline, controller, identifier, moment(policy, at, end=True))
    if html is not None:
        held = [picture.Held(h.target, h.activity, h.category, h.since.isoformat(), h.until.isoformat() if h.until else None,
                             h.use, h.why) for h in found.holdings]  # fmt: skip
        html.write_text(picture.draw(policy, held, found.day.isoformat(), found.identifiers), encoding="utf-8")
    if as_json:
        echo_json(asdict(found))
        return
    print_lineage(policy, found)
    if html is not None:
        console().print(f"The picture is in {html}")


@click.command()
@click.argument("right", type=click.Choice(list(ARTICLE)))
@click.argument("identifier", type=IdentifierType())
@controller_option
@click.option("--at", type=DayType(), help="If it were asked on this day (default: now).")
@click.option("--via", default="", help="The channel: email, phone, form, link, profile, sms, post, …")
@click.option("--scope", multiple=True, help="An activity, or direct_marketing; may be given again.")
@click.option("--of", multiple=True, help="A category; may be given again.")
@click.option("--channel", help="The channel that a withdrawal is about: email, sms, push, phone, post.")
@json_option
def plan(right: str, identifier: tuple[str, str], controller: str, at: dt.datetime | None, via: str, scope: tuple[str, ...],
         of: tuple[str, ...], channel: str | None, *, as_json: bool) -> None:  # fmt: skip
    """Show what a request would do, item by item, without doing it."""
    with reading() as pipeline:
        policy = policy_of(pipeline, controller)
        found = planning.plan(
            pipeline, controller, identifier, right, moment(policy, at), via=via, scope=scope, of=of, channel=channel
        )
    if as_json:
        echo_json(asdict(found))
    else:
        print_plan(found)


def moment(policy: Policy, at: dt.datetime | None, *, end: bool = False) -> int:
    """Give the second that is meant: now, or a moment of a day on the controller's clock."""
    if at is None:
        return int(time.time())
    return seconds(policy, at, end=end)


@click.command()
@click.argument("case_id", metavar="[ID]", required=False)
@click.option("--controller", "-c", help="Those of one controller only.")
@click.option("--open", "only_open", is_flag=True, help="Those that are open only.")
@json_option
def case(case_id: str | None, controller: str | None, *, only_open: bool, as_json: bool) -> None:
    """List the cases, or show the case with an ID: what was asked, what each target answered, what is kept until when."""
    with reading() as pipeline:
        if case_id is None:
            rows = [case_fields(r) for r in pipeline.store.cases(controller, "open" if only_open else None)]
            if as_json:
                echo_json(rows)
            else:
                print_cases(rows)
            return
        row = pipeline.store.case(case_id)
        if row is None:
            msg = "there is no such case; `lineage case` lists those that there are"
            raise NotFound(msg)
        certificate = pipeline.store.certificate(case_id)
    found = {**case_fields(row), "certificate": orjson.loads(certificate) if certificate else None}
    if as_json:
        echo_json(found)
    else:
        print_case(found)


def case_fields(row: CaseRow) -> dict[str, Any]:
    """Give a case as a mapping, without the person's key."""
    opened = dt.datetime.fromtimestamp(row.opened, dt.UTC).isoformat()
    return {"id": row.id, "controller": row.controller, "right": row.right, "opened": opened, "state": row.state,
            **orjson.loads(row.body)}  # fmt: skip


@click.command()
@click.argument("recipient")
@controller_option
@click.option("--since", type=DayType(), help="The first day of the breach (default: from the beginning).")
@click.option("--until", type=DayType(), help="Its last day (default: today).")
@click.option("--identifiers", is_flag=True, help="Show by what the persons are known, to tell them (art. 34).")
@json_option
def impact(recipient: str, controller: str, since: dt.datetime | None, until: dt.datetime | None, *, identifiers: bool,
           as_json: bool) -> None:  # fmt: skip
    """List whose data a RECIPIENT or system held, and which: the first question after a breach."""
    with reading() as pipeline:
        policy = policy_of(pipeline, controller)
        start = seconds(policy, since) if since else 0
        found = views.impact(pipeline, controller, recipient, start, moment(policy, until, end=True), reveal=identifiers)
    if as_json:
        echo_json({"controller": controller, "recipient": recipient, "persons": [asdict(a) for a in found]})
    else:
        print_impact(recipient, found)


@click.command()
@json_option
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool) -> None:
    """Check the chains of the audit log and of the certificates; exit code 1 if one is broken."""
    with reading() as pipeline:
        store: Any = pipeline.store
        results = []
        for name, read in (("audit", store.audit), ("certificates", store.certificates)):
            lines = Counted(rows_of(read))
            fault = verify_chain(lines)
            results.append({"chain": name, "lines": lines.count, "intact": fault is None, "fault": fault.reason if fault else None})
    if as_json:
        echo_json(results)
    else:
        for r in results:
            state = "[green]intact[/]" if r["intact"] else f"[red]broken[/]: {r['fault']}"
            console().print(f"{r['chain']:<14}{r['lines']:>8} lines  {state}")
    ctx.exit(0 if all(r["intact"] for r in results) else 1)


class Counted:
    """Counts what is taken from an iterator."""

    def __init__(self, rows: Iterator[AuditRow]) -> None:
        """Take the rows."""
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[AuditRow]:
        """Give the rows, counting."""
        for row in self._rows:
            self.count += 1
            yield row


def rows_of(read: Callable[[int, int], Sequence[AuditRow]]) -> Iterator[AuditRow]:
    """Give all lines of a chain, block by block."""
    seq = 0
    while rows := read(seq, _BLOCK):
        yield from rows
        seq = rows[-1].seq


COMMANDS = (trace, plan, case, impact, verify)
