"""What the commands have in common: options, the shorthand for identifiers, days, progress on stderr."""

from __future__ import annotations

import datetime as dt
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import schemas
from lineage.policy import Policy

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
controller_option = click.option("--controller", "-c", required=True, help="Whose data: the id of a policy.")


class IdentifierType(click.ParamType):
    """KIND:VALUE; a value with @ is an e-mail address, any other a customer number. No message shows the value."""

    name = "KIND:VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:  # noqa: ANN401
        """Give kind and value."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        kind, colon, rest = text.partition(":")
        if colon and re.fullmatch(r"[a-z_]+", kind):
            if kind not in schemas.IDENTIFIER_KINDS:
                self.fail(f"{kind!r} is no kind of identifier: have {', '.join(schemas.IDENTIFIER_KINDS)}", param, ctx)
            text = rest
        else:
            kind = "email" if "@" in text else "customer_number"
        if not text.strip():
            self.fail("the identifier's value is missing: write KIND:VALUE, like email:name@example.org", param, ctx)
        return kind, text


class DayType(click.ParamType):
    """A day (2024-10-02) or a moment of it (2024-10-02T14:30)."""

    name = "DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:  # noqa: ANN401
        """Give the moment, without time zone: as the controller's clock shows it."""
        if isinstance(value, dt.datetime):
            return value
        try:
            return dt.datetime.fromisoformat(str(value)).replace(tzinfo=None)
        except ValueError:
            self.fail("a date is written like 2024-10-02, or 2024-10-02T14:30", param, ctx)


def echo_json(value: object) -> None:
    """Print a value as indented JSON."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str))


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr once it has taken a second; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   console=console, transient=True)  # fmt: skip
    task = bar.add_task(what, total=total)
    started, shown = time.monotonic(), False

    def step(count: int) -> None:
        nonlocal shown
        bar.advance(task, count)
        if not shown and sys.stderr.isatty() and time.monotonic() - started > 1:
            shown = True
            bar.start()

    try:
        yield step
    finally:
        if shown:
            bar.stop()


def seconds(policy: Policy, at: dt.datetime, *, end: bool = False) -> int:
    """Give the second of a moment on the controller's clock; of a whole day its beginning, or its last minute."""
    whole = at.time() == dt.time()
    if whole and end:
        return policy.zone.midnight(at.date() + dt.timedelta(days=1)) - 1
    return policy.zone.at(at) + (1 if whole else 0)
