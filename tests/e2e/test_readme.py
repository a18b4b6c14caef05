"""Every command of the README does what it says there, in the order in which a reader would type them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from running import ROOT, free_port

pytestmark = [pytest.mark.process, pytest.mark.slow]


def commands() -> str:
    text = (ROOT / "README.md").read_text("utf-8")
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def test_the_commands_of_the_readme_work_as_they_stand(tmp_path: Path, needed) -> None:
    if shutil.which("curl") is None:
        needed("curl", "install the Debian package curl")
    script = commands()
    assert script.count("lineage ") > 10
    assert script.startswith("make setup\n"), "the set-up is what made the environment that runs this"
    port = free_port()
    script = script.removeprefix("make setup\n").replace("8787", str(port)).replace("lineage up &", "lineage up & PIPELINE=$!")
    for name in ("policies", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    steps = f"set -euo pipefail\ntrap 'kill $PIPELINE 2>/dev/null || true' EXIT\n{script}"
    done = subprocess.run(
        ["bash", "-c", steps], cwd=tmp_path, capture_output=True, text=True, timeout=240, env={**os.environ, "COLUMNS": "140"}
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"taken":1' in done.stdout
    assert '"allowed":true' in done.stdout
    assert "customer database" in done.stdout
    assert (tmp_path / "lineage.html").read_text().startswith("<!")
    assert "Traceback" not in done.stderr


def test_the_targets_of_make_that_the_readme_names_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    made = (ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"^ *(?:`|    )?make (\w+)", text, re.MULTILINE)):
        assert f"\n{target}:" in made, target
