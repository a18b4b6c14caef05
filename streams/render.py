"""Show results to a person at a terminal: values arrive, text leaves. What programs read is JSON and made elsewhere."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lineage.policy import Policy
from lineage.policy_check import Finding
from lineage.rehearsal import Result
from lineage.scenario import Scenario
from streams.planning import Plan
from streams.views import Affected, Holding, Lineage

_REASONS_MAX = 4
_COLOURS = {"erase": "red", "notify": "red", "expire cookie": "red", "retain": "yellow", "erased": "green", "retained": "yellow",
            "unconfirmed": "cyan", "failed": "red", "refused": "red", "kept": "yellow", "ending": "red", "open": "cyan",
            "closed": "green", "declined": "red"}  # fmt: skip


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


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def words(name: str) -> str:
    """Write a name of the policy with spaces."""
    return escape(name.replace("_", " "))


def _colour(word: str) -> str:
    colour = _COLOURS.get(word)
    return f"[{colour}]{escape(word)}[/]" if colour else escape(word)


def _because(reasons: Iterable[str]) -> str:
    ids = list(dict.fromkeys(reasons))
    more = f" +{len(ids) - _REASONS_MAX}" if len(ids) > _REASONS_MAX else ""
    return escape(", ".join(ids[:_REASONS_MAX])) + more


def print_lineage(policy: Policy, found: Lineage) -> None:
    """Print who holds what of a person, as a tree."""
    known = ", ".join(k.replace("_", " ") for k in found.identifiers)
    head = f"[bold]one person[/] at {escape(policy.name or policy.id)} on {found.day}, known by {known or 'nothing'}"
    tree = Tree(head, guide_style="dim")
    if not found.holdings:
        tree.add("nothing is held")
    by_target: dict[str, list[Holding]] = {}
    for holding in found.holdings:
        by_target.setdefault(holding.target, []).append(holding)
    for kind, title in ((True, "systems"), (False, "recipients")):
        names = [t for t in by_target if (t in policy.systems) is kind]
        if names:
            branch = tree.add(f"[dim]{title}[/]")
            for name in names:
                _target(branch, name, by_target[name])
    console().print(tree)


def _target(branch: Tree, name: str, holdings: Sequence[Holding]) -> None:
    kind = holdings[0].kind
    node = branch.add(f"[bold]{words(name)}[/]" + ("" if kind == "system" else f" [dim]{kind}[/]"))
    groups: dict[tuple[str, str, dt.date | None], list[Holding]] = {}
    for h in holdings:
        groups.setdefault((h.activity, h.use, h.until), []).append(h)
    for (activity, use, until), rows in groups.items():
        since = min(h.since for h in rows)
        end = f" until {until}" if until else ""
        state = "" if use == "ordinary" else f" {_colour(use)}"
        leaf = node.add(f"{words(activity) or 'disclosed'}: {words(', '.join(h.category for h in rows))}{state}")
        to = sorted({r for h in rows for r in h.recipients})
        leaf.add(f"[dim]since {since}{end}, because {_because(w for h in rows for w in h.why)}[/]")
        if to:
            leaf.add(f"[dim]goes to {words(', '.join(to))}[/]")


def print_plan(found: Plan) -> None:
    """Print what a request would do: a table of decisions with their rules, each in words, and what goes on which day."""
    out = console()
    state = {"open": "would be open until all have answered", "closed": "would be closed at once"}.get(
        found.state, "would be declined"
    )
    out.print(f"[bold]{found.right}[/] on {found.day}: the case {state} ({_because(found.because)})")
    if not found.decisions:
        out.print("Nothing is held that this right would touch.")
        return
    table = _table("target", "decision", "categories", "goes on", "because")
    for column in (0, 1, 3):
        table.columns[column].no_wrap = True
    for d in sorted(found.decisions, key=lambda d: _LAST.index(d.decision) + 1 if d.decision in _LAST else 0):
        about = f"\n[dim]for {words(d.activity)}[/]" if d.activity and d.target and d.decision not in ("retain", "stay") else ""
        goes = d.goes.isoformat() if d.goes else "not known yet" if d.decision in ("retain", "stay") else ""
        table.add_row(
            words(d.target or d.activity) + about, _colour(d.decision), words(", ".join(d.categories)), goes, _because(d.because)
        )
    out.print(table)
    for d in found.decisions:
        if d.decision not in ("erase", "notify"):
            out.print(f"  [dim]·[/] {escape(d.words)}", soft_wrap=True)
    if found.going:
        out.print("\nWhat remains goes by itself, and nobody has to ask again:")
        for day, names in found.going:
            out.print(f"  {day.isoformat() if day else 'no day known yet'}  {escape('; '.join(names))}", soft_wrap=True)


_LAST = ("retain", "stay", "suppress")


def print_cases(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a list of cases."""
    if not rows:
        console().print("There are no cases.")
        return
    table = _table("case", "controller", "right", "opened", "state", "answer by", "open because of")
    for r in rows:
        table.add_row(
            r["id"], r["controller"], r["right"], r["opened"][:10], _colour(r["state"]), r["deadline"], _because(r["pending"])
        )
    console().print(table)


def print_case(row: Mapping[str, Any]) -> None:
    """Print a case: who was told what, who has answered, what is kept."""
    out = console()
    out.print(f"[bold]{row['right']}[/] {escape(row['id'])} at {escape(row['controller'])}: {_colour(row['state'])},"
              f" answer due by {row['deadline']}")  # fmt: skip
    if row["pending"]:
        out.print(f"open because of {_because(row['pending'])}")
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for target in row["targets"]:
        groups.setdefault((target["target"], target["outcome"], str(target.get("until") or "")), []).append(target)
    table = _table("target", "outcome", "categories", "until", "because")
    for (name, outcome, until), found in groups.items():
        categories = ", ".join(dict.fromkeys(t["category"] for t in found))
        because = _because(b for t in found for b in t["because"])
        table.add_row(words(name), _colour(outcome), words(categories), until, because)
    if groups:
        out.print(table)
    if row.get("certificate"):
        out.print("There is a certificate; --json shows it.")


def print_impact(recipient: str, found: Sequence[Affected]) -> None:
    """Print whose data a target held."""
    out = console()
    out.print(f"{words(recipient)} held data of [bold]{len(found)}[/] person{'s' * (len(found) != 1)}")
    if found:
        table = _table("person", "since", "categories", "known by")
        for a in found:
            known = ", ".join(f"{k}: {v}" for k, v in a.known_by.items())
            table.add_row(a.person, a.since.isoformat(), words(", ".join(a.categories)), escape(known))
        out.print(table)


def print_register(controller: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the record of processing activities."""
    out = console()
    out.print(f"[bold]Record of processing activities[/] of {escape(controller)} (GDPR art. 30)")
    table = _table("id", "activity", "legal basis", "categories", "systems", "recipients", "retention")
    for r in rows:
        recipients = ", ".join(_party(x) for x in r["recipients"])
        basis, retention = ", ".join(r["basis"]) or "not stated", "; ".join(r["retention"])
        lists = (", ".join(r["categories"]), ", ".join(r["systems"]), recipients)
        table.add_row(r["id"], words(r["activity"]), words(basis), *map(words, lists), escape(retention))
    out.print(table)


def print_findings(rows: Sequence[tuple[Finding, bool]], errors: int) -> None:
    """Print what a check found: file, line, rule, message; a warning that several rules share, once."""
    out = console()
    alike: dict[tuple[str, str], list[str]] = {}
    for finding, fails in rows:
        if not fails:
            alike.setdefault((finding.file, finding.message), []).append(finding.rule)
    warnings = len(alike)
    for finding, fails in rows:
        rules = [finding.rule] if fails else alike.pop((finding.file, finding.message), None)
        if rules is None:
            continue
        word = "[red]error[/]" if fails else "[yellow]warning[/]"
        rule = f" ({', '.join(rules)})" if any(rules) else ""
        where = os.path.relpath(finding.file) if Path(finding.file).is_relative_to(Path.cwd()) else finding.file
        out.print(f"{escape(where)}:{finding.line}: {word}: {escape(finding.message + rule)}", soft_wrap=True)
    text = f"{errors} error{'s' * (errors != 1)}[/], {warnings} warning{'s' * (warnings != 1)}"
    out.print(
        f"[{'red' if errors else 'green'}]{text}{': what a policy leaves open is no error' if warnings and not errors else ''}"
    )


def _party(recipient: Mapping[str, Any]) -> str:
    return f"{recipient['name']} ({', '.join(filter(None, (recipient['role'], recipient['location'])))})"
