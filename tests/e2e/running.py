"""A real running pipeline: a process of its own on a free port, with a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 30


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Running:
    def __init__(self, folder: Path, **env: str) -> None:
        self.folder, self.port = folder, free_port()
        self.env = {**os.environ, "LINEAGE_DATA": str(folder), "LINEAGE_PORT": str(self.port), "LINEAGE_TICK_SECONDS": "1", **env}
        self.process: subprocess.Popen[str] | None = None
        self.printed = ""

    def start(self, limit: Any = None) -> Running:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams.runner"],
            cwd=ROOT,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=limit,
        )
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            line = self.process.stdout.readline()
            self.printed += line
            if line.startswith("taking events"):
                return self
            if self.process.poll() is not None:
                break
        msg = f"the pipeline did not start: {self.process.stderr.read()}"
        raise AssertionError(msg)

    @property
    def token(self) -> str:
        return json.loads((self.folder / "secrets.json").read_text())["token"]

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=20)

    def wait_until_drained(self) -> None:
        until = time.monotonic() + 60
        with self.client() as client:
            while client.get("/health").json()["waiting"]:
                assert time.monotonic() < until, "the journal does not drain"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._close()

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        return code, self._close()

    def _close(self) -> str:
        text = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return text
