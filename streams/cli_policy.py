"""Commands about policies: `register` shows the record of processing, `policy new` starts a policy."""

from __future__ import annotations

import os
import re
from importlib.resources import files as resources
from pathlib import Path

import click

from lineage import policy_file
from lineage.errors import BadCall, NotFound
from streams import settings
from streams.cli_words import echo_json, json_option
from streams.render import print_register
from streams.views import register as register_of


@click.command()
@click.argument("controller")
@json_option
def register(controller: str, *, as_json: bool) -> None:
    """Show the record of processing activities of a CONTROLLER (GDPR art. 30)."""
    told = settings.load()
    names = policy_file.controllers(told.policies)
    if controller not in names:
        msg = f"there is no policy for controller {controller!r}: have {', '.join(names)}"
        raise NotFound(msg)
    rows = register_of(policy_file.load(controller, told.per_controller().get(controller), told.policies))
    if as_json:
        echo_json({"controller": controller, "activities": rows})
    else:
        print_register(controller, rows)


@click.group()
def policy() -> None:
    """Write policies."""


@policy.command()
@click.argument("name")
@json_option
def new(name: str, *, as_json: bool) -> None:
    """Write policies/NAME.yaml, a commented starting point; a file that is there stays as it is."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name) or name == "statutory":
        msg = "a policy's name has small letters, digits and underscores, and begins with a letter"
        raise BadCall(msg)
    text = resources("streams").joinpath("starting_point.yaml").read_text("utf-8")
    text = text.replace("NAME", name).replace("KEY", name[:3].upper())
    told = settings.load()
    folder = Path("policies") if told.policies == policy_file.POLICIES else told.policies
    file = folder / f"{name}.yaml"
    folder.mkdir(exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        msg = f"{file}: there is such a file already; it stays as it is"
        raise BadCall(msg) from None
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    if as_json:
        echo_json({"written": str(file)})
    else:
        click.echo(f"{file} is written: fill it in, then run `lineage check {file}`")


COMMANDS = (register, policy)
