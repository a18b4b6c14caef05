"""`make demo`: five months of five shops, one person's lineage, one erasure through every system, and the proof.

Everything is real but the customers: the pipeline runs as its own process, events go in over HTTP, each system keeps its
data in a file of its own, and the commands shown are those that anybody would type.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.syntax import Syntax

from demo.dispatch import Delivery, deliveries
from demo.people import Customer, Deed, customers, deeds
from demo.proof import Finding, contains, files_of, prove
from demo.services import Service
from lineage import policy_file

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "policies" / "settings.example.yaml"
CONTROLLERS = ("apof", "littlesteps", "pompdelux", "valeur", "webco")
_SLOW = {"shipping_agent": 0.4, "storage_partner": 0.25, "newsletter_system": 0.15}
"""Seconds that some targets take for a command; everybody else is quick."""
_START_SECONDS_MAX = 20
_CASCADE_SECONDS_MAX = 30
_TICK_SECONDS = 1
"""So often the pipeline looks for what is due."""
_BATCH = 500
_TOKEN = "for-this-folder-only"  # noqa: S105 - opens nothing but the demo's own process
out = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


class Failed(Exception):
    """Something is not as the demo says."""


class World:
    """The folder of the demo, the pipeline's process and the door to it."""

    def __init__(self, folder: Path) -> None:
        """Start with an empty folder; only one that an earlier demo has left is emptied."""
        self.folder = folder
        self.data = folder / "pipeline"
        if folder.exists() and any(folder.iterdir()) and not (folder / "systems").is_dir():
            msg = f"{folder} holds something else; name an empty folder"
            raise Failed(msg)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "systems").mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.environment = {
            **os.environ, "LINEAGE_DATA": str(self.data), "LINEAGE_PORT": str(self.port), "LINEAGE_HOST": "127.0.0.1",
            "LINEAGE_SETTINGS": str(SETTINGS), "LINEAGE_TOKEN": _TOKEN, "LINEAGE_TICK_SECONDS": str(_TICK_SECONDS),
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> httpx.AsyncClient:
        """Make a client of the pipeline's API."""
        token = self.environment["LINEAGE_TOKEN"]
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {token}"},
                                 limits=limits, timeout=20)  # fmt: skip

    async def start(self) -> None:
        """Start `lineage up` and wait until it answers."""
        log = self.folder / "pipeline.log"
        with log.open("wb") as lines:
            self.process = subprocess.Popen([*_LINEAGE, "up"], env=self.environment, stdout=lines, stderr=lines, cwd=ROOT)  # noqa: ASYNC220
        async with self.api as api:
            started = time.monotonic()
            while time.monotonic() - started < _START_SECONDS_MAX:
                if self.process.poll() is not None:
                    break
                try:
                    if (await api.get("/health")).is_success:
                        return
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
        msg = f"the pipeline did not start; {log} says why"
        raise Failed(msg)

    def stop(self) -> None:
        """End the pipeline in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    async def command(self, *words: str, show: bool = True) -> str:
        """Run a command of the command line, as a person would, and show it."""
        if show:
            out.print(f"\n[bold cyan]$[/] [bold]lineage {' '.join(words)}[/]")
        environment = {**self.environment, "COLUMNS": str(out.width)}
        if out.is_terminal:
            environment["FORCE_COLOR"] = "1"
        process = await asyncio.create_subprocess_exec(*_LINEAGE, *words, env=environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
                                                       stderr=asyncio.subprocess.PIPE)  # fmt: skip
        text, problem = await process.communicate()
        if process.returncode:
            msg = f"lineage {words[0]}: {problem.decode().strip()}"
            raise Failed(msg)
        if show:
            sys.stdout.write(text.decode())
            sys.stdout.flush()
        return text.decode()


_LINEAGE = (sys.executable, "-m", "streams.cli")


def title(text: str) -> None:
    """Print the heading of a part."""
    out.rule(f"[bold]{text}[/]", align="left", style="dim")


async def take_in(world: World, told: Sequence[Deed]) -> None:
    """Post the events over HTTP, in batches, and wait until their facts are written."""
    started = time.perf_counter()
    async with world.api as api:
        for start in range(0, len(told), _BATCH):
            lines = b"\n".join(orjson.dumps(d.event) for d in told[start : start + _BATCH])
            answer = await api.post("/v1/events", content=lines, headers={"Content-Type": "application/x-ndjson"})
            if not answer.is_success or answer.status_code == httpx.codes.MULTI_STATUS:
                msg = f"events were refused: {answer.text[:300]}"
                raise Failed(msg)
        taken = time.perf_counter() - started
        for _ in range(400):
            if await journal_depth(api) == 0:
                break
            await asyncio.sleep(0.05)
    by_controller = {c: sum(d.event["controller"] == c for d in told) for c in CONTROLLERS}
    out.print(
        f"{len(told)} events over HTTP in {taken:.2f} s, all durable and in the graph after {time.perf_counter() - started:.2f} s:"
    )
    out.print("  " + ", ".join(f"{n} of {c}" for c, n in by_controller.items()))


async def journal_depth(api: httpx.AsyncClient) -> int:
    """Ask how many events wait for their facts."""
    return int((await api.get("/health")).json()["waiting"])


def furnish(world: World, given: Sequence[Delivery]) -> list[Service]:
    """Open a service for every target and let it file what it was given."""
    by_target: dict[tuple[str, str], list[Delivery]] = {}
    for row in given:
        by_target.setdefault((row.controller, row.target), []).append(row)
    services = []
    for (controller, target), rows in sorted(by_target.items()):
        service = Service(controller, target, world.folder / "systems")
        service.keep(rows)
        services.append(service)
    out.print(f"{len(services)} systems and recipients hold the data, each in a file of its own ({world.folder}/systems)")
    return services


async def compare(world: World, services: Sequence[Service]) -> None:
    """Compare what the lineage says of every customer with what the systems have on file, until both say the same.

    Before that, wait until what had run out when it came in is swept: until nobody is told anything for some ticks.
    """
    started = time.monotonic()
    swept, before = sum(s.carried_out for s in services), -1
    while swept != before and time.monotonic() - started < _CASCADE_SECONDS_MAX:
        await asyncio.sleep(2 * _TICK_SECONDS)
        swept, before = sum(s.carried_out for s in services), swept
    async with world.api as api:
        while True:
            pairs, differing = 0, list[str]()
            for customer in customers():
                for controller in CONTROLLERS:
                    said = await _said(api, controller, customer)
                    filed = {
                        (s.target, c)
                        for s in services
                        if s.controller == controller
                        for _, c, _ in s.rows(customer.customer_number)
                    }
                    pairs += len(said)
                    differing += [f"{controller}.{target}: {category}" for target, category in said ^ filed]
            if not differing:
                break
            if time.monotonic() - started > _CASCADE_SECONDS_MAX:
                msg = f"lineage and systems differ: {', '.join(differing[:5])}"
                raise Failed(msg)
            await asyncio.sleep(0.5)
    out.print(f"  [green]✓[/] the lineage knows every copy: {pairs} compared with the files of the systems, customer by customer")


async def _said(api: httpx.AsyncClient, controller: str, customer: Customer) -> set[tuple[str, str]]:
    asked = {"controller": controller, "identifier": {"kind": "customer_number", "value": customer.customer_number}}
    answer = (await api.post("/v1/lineage", json=asked)).json()
    return {(h["target"], h["category"]) for h in answer["holdings"]}


async def watch(world: World, case: str) -> dict[str, Any]:
    """Show the answers as they come in, until the case is closed."""
    started, seen = time.monotonic(), set[tuple[str, str]]()
    async with world.api as api:
        while time.monotonic() - started < _CASCADE_SECONDS_MAX:
            found: dict[str, Any] = (await api.get(f"/v1/cases/{case}")).json()
            told = {(t["target"], t["outcome"]) for t in found["targets"]}
            waiting = {name for name, outcome in told if outcome == "unconfirmed"}
            for name in sorted({n for n, outcome in told if outcome == "erased"} - waiting - {n for n, _ in seen}):
                seen.add((name, "erased"))
                out.print(f"  [green]✓[/] {time.monotonic() - started:5.2f} s  {name.replace('_', ' ')} has erased")
            if found["state"] == "closed" and not waiting:
                out.print(f"  [green]the case is closed[/] after {time.monotonic() - started:.2f} s")
                return found
            await asyncio.sleep(0.05)
    msg = f"the case is still open: {sorted(waiting)} have not answered"
    raise Failed(msg)


def show_proof(found: Sequence[Finding]) -> None:
    """Print what the search of the files found, target by target."""
    by_target: dict[str, list[Finding]] = {}
    for f in found:
        by_target.setdefault(f.target, []).append(f)
    for target, rows in by_target.items():
        gone = [f.category for f in rows if not f.expected]
        kept = [f.category for f in rows if f.expected]
        good = all(f.proven for f in rows)
        mark = "[green]✓[/]" if good else "[red]✗[/]"
        parts = [f"gone: {', '.join(sorted(set(gone)))}"] if gone else []
        parts += [f"[yellow]kept: {', '.join(sorted(set(kept)))}[/]"] if kept else []
        out.print(f"  {mark} {target.replace('_', ' ')}  " + "; ".join(parts).replace("_", " "))
        for f in rows:
            if not f.proven:
                out.print(f"      [red]{f.category} is {'still there' if f.there else 'missing'}[/]")


def show_certificate(certificate: dict[str, Any]) -> None:
    """Print a certificate as JSON, a line for each target and outcome, without the rules, which would fill pages."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for t in certificate["targets"]:
        name, outcome = t["target"], t["outcome"]
        line = lines.setdefault((name, outcome), {"target": name, "outcome": outcome, "categories": []})
        line["categories"] = sorted({*line["categories"], t["category"]})
        if t.get("until"):
            line["until"] = t["until"]
    head = orjson.dumps({k: v for k, v in certificate.items() if k != "targets"}).decode()
    rows = ",\n".join(f"    {orjson.dumps(line).decode()}" for line in lines.values())
    out.print(Syntax(f'{head[:-1]}, "targets": [\n{rows}\n]}}', "json", background_color="default", word_wrap=True))


async def story(world: World) -> bool:
    """Tell it from the first event to the proof; give whether everything is proven."""
    now = int(time.time())
    settings = policy_file.read(SETTINGS)
    policies = {c: policy_file.load(c, settings.get(c)) for c in CONTROLLERS}
    told = deeds(policies, now)
    person = customers()[0]
    given = list(deliveries(policies, told))
    title("What was taken in")
    await world.start()
    await take_in(world, told)
    services = furnish(world, given)
    api = world.api
    tasks = [asyncio.create_task(s.serve(api, _SLOW.get(s.target, 0.0))) for s in services]
    try:
        await compare(world, services)
        swept = sum(s.carried_out for s in services)
        out.print(f"  [green]✓[/] {swept} erase commands carried out already that nobody asked for: their retention had run out")
        closed = await _erase(world, person)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await api.aclose()
        for service in services:
            service.close()
        world.stop()
    title("The proof")
    return _prove(world, services, person, [g for g in given if g.customer_number == person.customer_number], closed)


async def _erase(world: World, person: Customer) -> dict[str, Any]:
    who = (f"email:{person.email}", "--controller", "pompdelux")
    title("One person's lineage")
    await world.command("trace", *who, "--html", str(world.folder / "lineage.html"))
    title("What an erasure would do")
    await world.command("plan", "erasure", *who)
    title("The erasure")
    filed = await world.command("request", "erasure", *who, "--via", "form", "--json")
    case = str(orjson.loads(filed)["case"])
    out.print(f"case {case}, commands are out to every system and recipient:")
    closed = await watch(world, case)
    title("The certificate")
    shown = orjson.loads(await world.command("case", case, "--json", show=False))["certificate"]
    if shown is None:
        msg = "there is no certificate"
        raise Failed(msg)
    show_certificate(shown)
    await world.command("verify")
    await world.command("trace", *who, "--html", str(world.folder / "lineage-after.html"), show=False)
    return closed


def _prove(
    world: World, services: Sequence[Service], person: Customer, given: Sequence[Delivery], closed: dict[str, Any],
) -> bool:  # fmt: skip
    kept = frozenset((t["target"], t["category"]) for t in closed["targets"] if t["outcome"] == "retained")
    mine = [s for s in services if s.controller == "pompdelux"]
    found = prove(mine, given, kept)
    out.print("Searched byte by byte, write-ahead logs included, for each value that a system or recipient was given:")
    show_proof(found)
    graph = [f for f in world.data.rglob("*") if f.is_file()]
    values = [person.name, person.email, person.phone, person.address]
    clear = [f.name for f in graph if any(contains(files_of(f), v) for v in values)]
    mark = "[green]✓[/]" if not clear else "[red]✗[/]"
    out.print(f"  {mark} the pipeline's own files {'hold none of them' if not clear else f'hold some: {clear}'}")
    wrong = [f for f in found if not f.proven]
    gone, stays = sum(not f.expected for f in found), sum(f.expected for f in found)
    good = not wrong and not clear and gone > 0 and stays > 0
    verdict = "[bold green]Proven[/]" if good else "[bold red]Not proven[/]"
    out.print(f"\n{verdict}: {gone} values gone, {stays} kept for the books until their day.")
    out.print(f"The person's lineage as a picture: [bold]{world.folder / 'lineage.html'}[/]; how it is now: lineage-after.html")
    return good


def main() -> int:
    """Run the demo in `demo-out`, or in the folder that was named."""
    started = time.monotonic()
    try:
        world = World(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-out"))
        try:
            good = asyncio.run(story(world))
        finally:
            world.stop()
    except Failed as error:
        out.print(f"[bold red]The demo failed:[/] {error}")
        return 1
    out.print(f"[dim]{time.monotonic() - started:.1f} s in all[/]")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
