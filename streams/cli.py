"""Take commands from a terminal: what arrives are words, what leaves is text or JSON, and an exit code.

0: done. 1: the answer is no (a row failed, a chain is broken, a policy has errors). 2: the call, a file or the world is
wrong: one line on stderr that says what. Nothing ends in a traceback, and no personal value that was typed comes back.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

import click

from lineage.errors import LineageError
from schemas.errors import SchemaError
from streams import cli_act, cli_check, cli_cluster, cli_dev, cli_look, cli_policy, cli_schemas, cli_test

WRONG = 2
_INTERRUPTED = 130


class Commands(click.Group):
    """The group of all commands; it turns every error into one line and exit code 2."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> NoReturn:  # noqa: ANN401
        """Run a command line and exit."""
        words = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in words
        words = [w for w in words if w != "--debug"]
        extra["standalone_mode"] = False
        try:
            code = super().main(words, prog_name or "lineage", *rest, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (`head`, a pager) has seen enough; nothing may be written to it while Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(_INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the last line of defence: a person reads what comes out here
            if debug:
                traceback.print_exc()
            elif isinstance(error, click.exceptions.NoArgsIsHelpError):
                error.show()
            else:
                click.echo(f"lineage: {one_line(error, words)}", err=True)
            sys.exit(WRONG)
        sys.exit(code if isinstance(code, int) else 0)


def one_line(error: Exception, words: Sequence[str] = ()) -> str:
    """Say what went wrong in one line, without the values that were typed."""
    match error:
        case click.ClickException():
            text = error.format_message()
        case LineageError() | SchemaError():
            text = str(error)
        case OSError() if error.strerror:
            text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        case _:
            text = f"internal error ({type(error).__name__}): please report it with the output of --debug"
    for word in words:
        value = word.partition(":")[2] or word
        if "@" in value or re.search(r"\d{4}", value):
            text = text.replace(word, "…").replace(value, "…")
    return " ".join(text.split())


def version() -> str:
    """Give the version that is installed; a checkout that is not has none."""
    try:
        return metadata.version("personal-data-lineage")
    except metadata.PackageNotFoundError:
        return "not installed"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version(), prog_name="lineage")
def cli() -> None:
    """Know where personal data went, and prove that it is gone.

    Every command has --json. --debug shows where an internal error came from.
    """


for _command in (
    *cli_act.COMMANDS,
    *cli_check.COMMANDS,
    *cli_cluster.COMMANDS,
    *cli_dev.COMMANDS,
    *cli_look.COMMANDS,
    *cli_policy.COMMANDS,
    *cli_schemas.COMMANDS,
    *cli_test.COMMANDS,
):
    cli.add_command(_command)


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL, to be sourced by it."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    found = get_completion_class(shell)
    assert found is not None  # the three shells are those that click knows
    click.echo(found(cli, {}, "lineage", "_LINEAGE_COMPLETE").source())


def main() -> None:
    """Run `lineage` as it was called."""
    cli()


if __name__ == "__main__":
    main()
