"""Show results to a person at a terminal: values arrive, text leaves. What programs read is JSON and made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from lineage.rehearsal import Result
from lineage.scenario import Scenario


def console() -> Console:
    """Give a console on stdout as it is now, wide enough for a table where it is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=140, color_system=None)


def print_scenarios(ran: Sequence[tuple[Scenario, Sequence[Result]]], totals: dict[str, Any]) -> None:
    """Print what differs, row by row, and a summary."""
    out = console()
    for s, results in ran:
        failed = [r for r in results if not r.passed]
        if not failed:
            continue
        out.print(Text(f"{s.id}  {s.title}", style="bold"))
        for result in failed:
            row = result.row
            about = row.target or (f"step {row.step}" if row.step else "")
            out.print(f"  [red]row {row.number}[/]  {row.at}  {escape(about)}", soft_wrap=True)
            out.print(Text(f"    expected  {_expected(result)}"), soft_wrap=True)
            out.print(Text(f"    found     {result.found}"), soft_wrap=True)
        out.print()
    style = "red" if totals["failed"] else "green"
    out.print(
        f"[{style}]{totals['passed']} of {totals['rows']} rows hold[/] in {totals['scenarios']} scenarios"
        f" ({totals['passed_scenarios']} whole), {totals['seconds']:.1f} s",
    )


def _expected(result: Result) -> str:
    row = result.row
    parts = [row.outcome, ", ".join(row.categories)]
    if row.until:
        parts.append(f"until {row.until}")
    parts += [f"{k}={v}" for k, v in row.extra.items()]
    parts.append(f"because {' or '.join(row.because)}")
    return "  ".join(p for p in parts if p)


def compact(value: object) -> str:
    """Write canonical JSON in one line."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
