"""Commands of a cluster: `topics`, `worker`, `serve`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from types import FrameType

import click

from streams.cli_words import echo_json, json_option

_BACKOFF_SECONDS_MAX = 30.0
_STEADY_SECONDS = 60.0
_LOOK_SECONDS = 0.2


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit code 1 if something is missing.")
@json_option
@click.pass_context
def topics(ctx: click.Context, *, only_check: bool, as_json: bool) -> None:
    """Make the cluster's topics: events by stream, requests, receipts, alerts, dead letters, commands by target."""
    from streams import kafka, settings, wiring  # noqa: PLC0415 - only the commands of a cluster need Kafka's client
    from streams.topics import Topics  # noqa: PLC0415
    from streams.topics_admin import admin, look, make  # noqa: PLC0415

    kafka.quiet_clients()
    told = settings.load()
    own = kafka.told(told)
    wanted = Topics(own.prefix).all(wiring.load_policies(told).values(), own.partitions)
    with admin(own) as client:
        found = look(client, wanted)
        lacking = [f for f in found if f.lacks]
        made = [] if only_check else make(client, lacking, own.replicas)
    other = [
        {"topic": f.topic.name, "setting": k, "is": v, "recommended": f.topic.config[k]} for f in found for k, v in f.other.items()
    ]
    if as_json:
        echo_json({"topics": len(found), "made": made, "missing": [f.topic.name for f in lacking] if only_check else [],
                   "other": other})  # fmt: skip
    else:
        if only_check:
            for f in lacking:
                click.echo(f"{f.topic.name} {f.lacks}")
        click.echo(f"{len(found)} topics, {len(lacking) if only_check else len(made)} {'lacking' if only_check else 'made'}")
        for line in other:
            click.echo(f"{line['topic']}: {line['setting']} is {line['is']}, {line['recommended']} is recommended")
    ctx.exit(1 if only_check and lacking else 0)


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="So many processes.")
@click.pass_context
def worker(ctx: click.Context, workers: int) -> None:
    """Work on the cluster's topics: Faust agents fed by Kafka, over the graph in Neo4j (or one file, for one worker)."""
    if workers > 1:
        ctx.exit(Crew(workers).run())
    from streams import settings, worker  # noqa: PLC0415 - Faust takes its time to load

    ctx.exit(worker.run(settings.load()))


@click.command()
@click.pass_context
def serve(ctx: click.Context) -> None:
    """Serve the HTTP API of a cluster: events go onto the topics, the rest is asked of the graph."""
    from streams import cluster_api, settings  # noqa: PLC0415 - as above

    ctx.exit(cluster_api.run(settings.load()))


class Crew:
    """Several workers on one machine, each a process of its own; one that ends by itself is started again."""

    def __init__(self, size: int) -> None:
        """Take how many."""
        self._size = size
        self._members: dict[int, subprocess.Popen[bytes]] = {}
        self._since: dict[int, float] = {}
        self._pause: dict[int, float] = dict.fromkeys(range(size), 1.0)
        self._again: dict[int, float] = dict.fromkeys(range(size), 0.0)
        self._stopping = False

    def run(self) -> int:
        """Run until a signal comes, and until all have ended in order; exit code 2 if a worker never got to work."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        while not self._stopping:
            self._fill()
            time.sleep(_LOOK_SECONDS)
            for number, member in list(self._members.items()):
                code = member.poll()
                if code is not None:
                    del self._members[number]
                    if self._stopping:
                        continue
                    if code == 2:  # noqa: PLR2004 - what is wrong it has said itself, and starting again does not mend it
                        self._end()
                        return 2
                    self._put_off(number, code)
        self._end()
        return 0

    def _fill(self) -> None:
        for number in range(self._size):
            if number not in self._members and time.monotonic() >= self._again[number] and not self._stopping:
                self._members[number] = subprocess.Popen([sys.executable, "-m", "streams.worker"])
                self._since[number] = time.monotonic()

    def _put_off(self, number: int, code: int) -> None:
        """Start a worker that has ended again, at once if it had worked for a while, else after a growing pause."""
        if time.monotonic() - self._since[number] > _STEADY_SECONDS:
            self._pause[number] = 1.0
        click.echo(f"lineage: worker {number + 1} ended ({code}): started again in {self._pause[number]:.0f} s", err=True)
        self._again[number] = time.monotonic() + self._pause[number]
        self._pause[number] = min(_BACKOFF_SECONDS_MAX, self._pause[number] * 2)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        for member in self._members.values():
            member.terminate()
        for member in self._members.values():
            member.wait()


COMMANDS = (topics, worker, serve)
