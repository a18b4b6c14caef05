"""The demo from end to end, as `make demo` runs it: real processes, real HTTP, real files."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.process
@pytest.mark.slow
def test_the_demo_erases_a_person_everywhere_and_proves_it(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    ran = subprocess.run(
        [sys.executable, "-m", "demo", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    text = ran.stdout
    assert ran.returncode == 0, text + ran.stderr
    parts = ["What was taken in", "One person's lineage", "What an erasure would do", "The erasure", "The certificate", "The proof"]
    places = [text.index(p) for p in parts]
    assert places == sorted(places)
    assert "the case is closed" in text
    assert '"outcome":"retained","categories":["address","name","purchase"]' in text
    assert "✗" not in text
    assert "Proven" in text
    picture = (folder / "lineage.html").read_text()
    assert "order system" in picture
    assert "shipping agent" in picture
    assert "@example.org" not in picture


def test_the_demo_leaves_a_folder_alone_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    ran = subprocess.run(
        [sys.executable, "-m", "demo", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert "holds something else" in ran.stdout
    assert (tmp_path / "mine.txt").read_text() == "keep me"
