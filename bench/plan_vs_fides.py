"""Plan the erasure of one person in many systems, here and in Fides, in one run: `python -m bench.plan_vs_fides`.

Fides (Apache-2.0) is installed into an environment of its own under `bench/data`, never into the project's. Both sides
get the same shapes: a star (every system is reached by the e-mail address) and a tree (each system's data were copied
from its parent). Timed are the plans only: there from the identity to the graph of tasks, here from the facts' fold to
the decision, its reasons and the command for every system.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

from lineage import fold, policy_file
from lineage.policy import Policy
from lineage.rights import Request
from lineage.subject import Subject

FIDES = "ethyca-fides==2.78.2"
"""The newest that runs on Python 3.11."""
ROOT = Path(__file__).parent / "data" / "fides"
BRANCHES = 4
FIRST = 1_709_550_000
MONTH = 30 * 86_400


def policy(count: int, shape: str) -> Policy:
    """Make a policy with so many systems: all fed by an order, or the first only and copied on from there."""
    raw = copy.deepcopy(dict(policy_file.read(policy_file.POLICIES / "pompdelux.yaml")))
    systems = [f"s{n}" for n in range(count)]
    raw["systems"] = [{"id": f"P-SYS-{n + 100}", "name": name} for n, name in enumerate(systems)]
    activity = {"id": "P-ACT-1", "name": "everything", "categories": ["name", "email"], "events": ["order"], "systems": systems,
                "recipients": [], "basis": [{"kind": "contract"}], "retention": []}  # fmt: skip
    if shape == "tree":
        activity["feeds"] = {"order": systems[:1]}
    raw["activities"] = [activity]
    raw.update(
        recipients=[], holds=[], rights=[{"id": "P-ERA-1", "right": "erasure"}], links=[], suppression=[], guards=[], retention=[]
    )
    raw["cited_with"] = {}
    return policy_file.build(raw)


def subject(shop: Policy, count: int, shape: str) -> Subject:
    """Fold the events that bring a person's data into all systems."""
    s = Subject(shop, "bench")
    fold.apply(s, fold.Event(FIRST, "order.placed", ("email", "name"), (), "order:1"))
    for n in range(1, count if shape == "tree" else 0):
        fields = (("categories", ("email", "name")), ("from", f"s{(n - 1) // BRANCHES}"), ("to", f"s{n}"))
        fold.apply(s, fold.Event(FIRST + n, "data.copied", (), fields))
    return s


def ours(count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Give the median milliseconds per shape."""
    result = {}
    for shape in ("tree", "star"):
        shop, times = policy(count, shape), []
        for _ in range(rounds):
            s = subject(shop, count, shape)
            start = time.perf_counter()
            fold.apply(s, Request("case", FIRST + MONTH, "erasure"))
            times.append(time.perf_counter() - start)
        result[shape] = {"ms": statistics.median(times) * 1000, "planned": len({c.target for c in s.commands.values()})}
    return result


def fides(count: int, rounds: int, root: Path = ROOT) -> dict[str, dict[str, float]]:
    """Run the other side in its own environment, which is made at first use."""
    python = root / "bin" / "python"
    if not python.exists():
        print(f"installing {FIDES} into {root}: a few minutes", file=sys.stderr)
        venv.create(root, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", FIDES], check=True)
    script = Path(__file__).with_name("plan_fides_side.py")
    run = subprocess.run([python, script, str(count), str(rounds)], check=True, capture_output=True, text=True, env={"PATH": ""})
    return json.loads(run.stdout.strip().splitlines()[-1])


def main() -> None:
    """Print both sides and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--fides", type=Path, default=ROOT, help="folder of the environment that has Fides")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    there, here = fides(args.systems, args.rounds, args.fides), ours(args.systems, args.rounds)
    result = {"systems": args.systems, "ours_ms": {}, "fides_ms": {}, "ratio": {}}
    for shape in ("tree", "star"):
        assert here[shape]["planned"] == there[shape]["planned"] == args.systems
        result["ours_ms"][shape] = round(here[shape]["ms"], 3)
        result["fides_ms"][shape] = round(there[shape]["ms"], 3)
        result["ratio"][shape] = round(here[shape]["ms"] / there[shape]["ms"], 4)
    if args.json:
        print(json.dumps(result))
        return
    for shape in ("tree", "star"):
        print(f"{shape}: {result['ours_ms'][shape]} ms against {result['fides_ms'][shape]} ms: ratio {result['ratio'][shape]}")


if __name__ == "__main__":
    main()
