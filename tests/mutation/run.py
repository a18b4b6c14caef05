"""Tell how many mistakes in a decision module the tests notice: `make mutants`, or see `--help`.

The tests are collected once by pytest. A first run notes which test reaches which line; then each mistake is made in
a process of its own (a fork, so nothing is imported again), and the tests that reach it run until one fails, those first
that have noticed the most so far. What no test notices is printed: either a test is missing, or the code is not needed,
or the mistake makes no difference, which tests/mutation/equivalent.txt may then say and why.
"""

from __future__ import annotations

import argparse
import ast
import collections
import importlib
import os
import random
import signal
import sys
import time
import traceback
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "lineage/closings.py", "lineage/keeping.py", "lineage/clocks.py", "lineage/ending.py", "lineage/rights.py",
    "lineage/requests.py", "lineage/hindsight.py", "lineage/erasing.py", "lineage/opting_out.py",
    "lineage/restricting.py", "lineage/access.py", "lineage/holding.py", "lineage/passing_on.py", "lineage/guards.py",
    "lineage/events.py",
)  # fmt: skip
UNIT = ("hindsight", "clocks", "due", "rights", "ending", "guards", "holding", "passing_on", "events", "finer_points", "pipeline")
_SURVIVED, _KILLED, _BROKEN = 0, 1, 2


class Runner:
    """A pytest plugin that runs the collected tests once per mistake."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.reach: dict[tuple[str, int], set[int]] = collections.defaultdict(set)
        self.seconds: list[float] = []
        self.kills: collections.Counter[int] = collections.Counter()
        self.ok = True
        self.source = {m: (ROOT / m).read_text("utf-8") for m in options.modules}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = session.items
        self._baseline(items, [str(ROOT / m) for m in self.options.modules])
        for module in self.options.modules:
            self._module(items, module)
        return True

    # -- the first run -----------------------------------------------------------------------------------------

    def _baseline(self, items: Sequence[pytest.Item], files: list[str]) -> None:
        for n, item in enumerate(items):
            began = time.perf_counter()
            sys.settrace(self._tracer(n, frozenset(files)))
            reports = runtestprotocol(item, nextitem=None, log=False)
            sys.settrace(None)
            self.seconds.append(time.perf_counter() - began)
            if any(r.failed for r in reports):
                sys.exit(f"{item.nodeid} fails without any mistake:\n{reports[-1].longreprtext or reports[1].longreprtext}")

    def _tracer(self, n: int, files: frozenset[str]) -> Any:
        reach = self.reach

        def lines(frame: types.FrameType, _event: str, _arg: object) -> Any:
            reach[frame.f_code.co_filename, frame.f_lineno].add(n)
            return lines

        def calls(frame: types.FrameType, _event: str, _arg: object) -> Any:
            return lines if frame.f_code.co_filename in files else None

        return calls

    # -- a module ----------------------------------------------------------------------------------------------

    def _module(self, items: Sequence[pytest.Item], path: str) -> None:
        file = str(ROOT / path)
        found = list(mutants(self.source[path]))
        wanted = [m for m in found if not self.options.only or self.options.only in m.name]
        if self.options.sample and len(wanted) > self.options.sample:
            wanted = random.Random(self.options.seed).sample(wanted, self.options.sample)
        excused = _excused(path)
        tried = sorted((m for m in wanted if m.name not in excused), key=lambda m: m.line)
        survived = self._try(items, file, path, tried)
        for mutant in sorted(survived, key=lambda m: m.line):
            print(f"{path}:{mutant.line}: {mutant.name}")
        share = 100 * (len(tried) - len(survived)) / len(tried) if tried else 100.0
        print(
            f"{path}: {len(tried) - len(survived)} of {len(tried)} noticed ({share:.1f} %), "
            f"{len(wanted) - len(tried)} known to make no difference, {len(found)} possible",
            flush=True,
        )
        self.ok = self.ok and share >= self.options.least

    def _try(self, items: Sequence[pytest.Item], file: str, path: str, tried: Iterable[Mutant]) -> list[Mutant]:
        survived: list[Mutant] = []
        running: dict[int, tuple[Mutant, int]] = {}
        for mutant in tried:
            if len(running) >= self.options.jobs:
                survived += self._wait(running)
            order = self._order(file, mutant)
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(read)
                self._child(items, path, mutant, order, write)
            os.close(write)
            running[pid] = mutant, read
        while running:
            survived += self._wait(running)
        return survived

    def _wait(self, running: dict[int, tuple[Mutant, int]]) -> list[Mutant]:
        pid, status = os.wait()
        mutant, read = running.pop(pid)
        answer = os.read(read, 20)
        os.close(read)
        if answer:
            self.kills[int(answer)] += 1
        outcome = os.waitstatus_to_exitcode(status)
        if outcome == _BROKEN:
            sys.exit(f"cannot make {mutant.name}")
        return [mutant] if outcome == _SURVIVED else []

    def _order(self, file: str, mutant: Mutant) -> list[int]:
        """Give the tests that reach the mistake, the likeliest to notice it first; of the slow ones not all.

        Those come first that reach its very line, not only its function; where it stands outside of functions, those that
        reach a line that names it.
        """
        nearest = self.reach[file, mutant.line]
        if isinstance(mutant.statement, ast.FunctionDef):
            reaching = {n for line in mutant.lines for n in self.reach[file, line]}
        else:
            reaching = set(range(len(self.seconds)))
            for path, text in self.source.items():
                naming = [n for n, line in enumerate(text.splitlines(), 1) if mutant.function in line]
                nearest = nearest.union(*(self.reach[str(ROOT / path), n] for n in naming))
        return sorted(reaching, key=lambda n: (n not in nearest, -self.kills[n], self.seconds[n]))[: self.options.most]

    def _child(self, items: Sequence[pytest.Item], path: str, mutant: Mutant, order: list[int], write: int) -> None:
        """Make the mistake, run the tests, and say by the exit status whether one has noticed; never return."""
        try:
            _make(importlib.import_module(path.removesuffix(".py").replace("/", ".")), mutant)
        except Exception:
            if not isinstance(mutant.statement, ast.FunctionDef):
                os._exit(_KILLED)  # with such a constant the module cannot be imported
            traceback.print_exc()
            os._exit(_BROKEN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a mistake that never comes back is noticed, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        try:
            for n in order:
                signal.alarm(int(10 + 10 * self.seconds[n]))
                if any(r.failed for r in runtestprotocol(items[n], nextitem=None, log=False)):
                    os.write(write, str(n).encode())
                    os._exit(_KILLED)
        except BaseException:
            os._exit(_KILLED)
        os._exit(_SURVIVED)


def _make(module: types.ModuleType, mutant: Mutant) -> None:
    """Put the mistake into the module as it is loaded: into the function that others have imported, or a constant."""
    scope = dict(vars(module))
    future = ast.parse("from __future__ import annotations").body[0]
    exec(compile(ast.Module([future, mutant.statement], []),  # noqa: S102
                 module.__file__ or "", "exec"), scope)  # fmt: skip
    own = vars(module)[mutant.function]
    if isinstance(mutant.statement, ast.FunctionDef):
        own.__code__ = scope[mutant.function].__code__
        return
    for other in list(sys.modules.values()):
        if getattr(other, "__name__", "").startswith("lineage") and vars(other).get(mutant.function) is own:
            setattr(other, mutant.function, scope[mutant.function])


def _excused(path: str) -> set[str]:
    """Give the names of the mistakes in a module that make no difference: the indented lines under its name."""
    found, current = set(), ""
    for line in (Path(__file__).parent / "equivalent.txt").read_text("utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            current = line.strip()
        elif line.strip() and not line.strip().startswith("#") and current == path:
            found.add(line.strip())
    return found


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(MODULES), help="such as lineage/clocks.py")
    parser.add_argument("--only", help="mistakes whose text contains this, such as a function's name")
    parser.add_argument("--sample", type=int, default=0, help="try this many of a module's mistakes, 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--most", type=int, default=240, help="run so many tests per mistake at most")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--least", type=float, default=0.0, help="fail below this percentage")
    parser.add_argument("--tests", nargs="*", help="instead of the unit tests of the modules and the scenarios")
    runner = Runner(parser.parse_args())
    os.chdir(ROOT)
    unit = [p for n in UNIT if (ROOT / (p := f"tests/unit/test_{n}.py")).exists()]
    tests = runner.options.tests or [*unit, "tests/scenarios"]
    status = pytest.main(["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-s", *tests], plugins=[runner])
    return int(status) or not runner.ok


if __name__ == "__main__":
    sys.exit(main())
