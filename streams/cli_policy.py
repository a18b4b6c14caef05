"""Commands about policies: `register` shows the record of processing, `policy new` starts a policy."""

from __future__ import annotations

import os
import re
from importlib.resources import files as resources
from pathlib import Path

import click

from lineage import policy_file
from lineage.countries import zones
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
@click.option("--country", help="Whose law holds: two letters (ISO 3166), such as IE.")
@json_option
def new(name: str, country: str | None, *, as_json: bool) -> None:
    """Write policies/NAME.yaml, a commented starting point; a file that is there stays as it is.

    Where the law of the country is not known here, statutory.yaml is written beside it, for its numbers to be filled in.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name) or name in ("statutory", "settings"):
        msg = "a policy's name has small letters, digits and underscores, and begins with a letter"
        raise BadCall(msg)
    known = zones()
    place = country.upper() if country else None
    if place is not None and place not in known:
        msg = f"{country!r} is no country: write its two letters (ISO 3166), such as IE"
        raise BadCall(msg)
    text = resources("streams").joinpath("starting_point.yaml").read_text("utf-8")
    for word, value in (("COUNTRY", place or "null"), ("ZONE", known[place][0] if place else "UTC"), ("NAME", name),
                        ("KEY", re.sub(r"[^a-z]", "", name)[:3].upper())):  # fmt: skip
        text = text.replace(word, value)
    told = settings.load()
    folder = Path("policies") if told.policies == policy_file.POLICIES else told.policies
    file = folder / f"{name}.yaml"
    folder.mkdir(exist_ok=True)
    if not _write_new(file, text):
        msg = f"{file}: there is such a file already; it stays as it is"
        raise BadCall(msg)
    written, law = [file], folder / "statutory.yaml"
    lacking = [n for n in PARAMETERS if place and n not in policy_file.parameters(folder, place)]
    if lacking and _write_new(law, _law_to_fill_in(place or "", lacking)):
        written.append(law)
    if as_json:
        echo_json({"written": str(file), "files": [str(f) for f in written], "lacking": lacking})
        return
    click.echo(f"{file} is written: fill it in, then run `lineage check {file}`")
    if lacking:
        click.echo(f"what the law of {place} says of {', '.join(lacking)} is not known here: write its numbers into {law}")


PARAMETERS = ("bookkeeping",)
"""The statutory parameters that the starting point names."""


def _law_to_fill_in(country: str, names: list[str]) -> str:
    rows = "".join(f"- name: {n}\n  jurisdiction: {country}\n  # years_after_financial_year: 6\n  source: null\n" for n in names)
    return (
        f"# What the law of {country} says in numbers: fill in each, with the statute as its source. The numbers in the comments\n"
        "# only show the form: years_after_financial_year, or a duration such as P2Y. A rule of a policy may name others, too\n"
        "# (legal_warranty, right_of_withdrawal, aml): add a row for each. What is not here holds as the package has it.\n"
        f"format: 1\nparameters:\n{rows}"
    )


def _write_new(file: Path, text: str) -> bool:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    return True


COMMANDS = (register, policy)
