"""`lineage schemas` and `lineage asyncapi`: the contracts for others. A registry gets them, or a document is printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from lineage.errors import BadCall
from streams import settings as settings_module
from streams.asyncapi import document
from streams.cli_words import F, echo_json, json_option
from streams.schema_registry import SchemaRegistry
from streams.topics import Topics


def _registry_options(command: F) -> F:
    options: tuple[Callable[[F], F], ...] = (
        click.option("--url", help="The registry's address (default: LINEAGE_REGISTRY)."),
        click.option("--user", help="For basic authentication; the password comes from LINEAGE_REGISTRY_PASSWORD."),
        click.option("--password", envvar="LINEAGE_REGISTRY_PASSWORD", hidden=True),
        click.option(
            "--topics", "prefix", metavar="PREFIX", help="Subjects by topic and record name, for topics with this prefix."
        ),
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def _open(url: str | None, user: str | None, password: str | None) -> Iterator[SchemaRegistry]:
    address = url or settings_module.load().registry
    if not address:
        msg = "name the schema registry with --url or LINEAGE_REGISTRY"
        raise BadCall(msg)
    registry = SchemaRegistry(address, user=user, password=password)
    try:
        yield registry
    finally:
        registry.close()


@click.group()
def schemas() -> None:
    """Keep the schemas of events and control records in a schema registry."""


@schemas.command()
@_registry_options
def register(url: str | None, user: str | None, password: str | None, prefix: str | None, *, as_json: bool) -> None:
    """Register every schema that is not there yet, after checking that each is compatible with what is."""
    with _open(url, user, password) as registry:
        found = registry.register_all(Topics(prefix) if prefix else None)
    if as_json:
        echo_json([asdict(r) for r in found])
        return
    for r in found:
        if r.new:
            click.echo(f"{r.subject}: id {r.id}")
    click.echo(f"{sum(r.new for r in found)} registered, {sum(not r.new for r in found)} were there")


@schemas.command()
@_registry_options
@click.pass_context
def check(
    ctx: click.Context, url: str | None, user: str | None, password: str | None, prefix: str | None, *, as_json: bool
) -> None:
    """Say which schemas are not registered, and which cannot be. Exit code 1 if there is one."""
    with _open(url, user, password) as registry:
        found = registry.check(Topics(prefix) if prefix else None, there=True)
    if as_json:
        echo_json([asdict(p) for p in found])
    else:
        for problem in found:
            click.echo(f"{problem.subject}: {problem.reason}")
        click.echo(f"{len(found)} problems")
    ctx.exit(1 if found else 0)


@click.command()
@click.option("--topics", "prefix", default="lineage", show_default=True, metavar="PREFIX", help="How the topics' names begin.")
def asyncapi(prefix: str) -> None:
    """Print the AsyncAPI 3.0 document of the topics: names, layout, keys, headers, schemas."""
    click.echo(json.dumps(document(Topics(prefix)), indent=1, ensure_ascii=False))


COMMANDS = (schemas, asyncapi)
