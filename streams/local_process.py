"""Run one real server for development or a test: the words of a Java program in, a process that answers on a port out.

Each is a child process that listens on 127.0.0.1 only and keeps its data in its folder. It never outlives the process that
started it, however that one ends: a guard beside it holds the other end of a pipe, and kills it when the pipe closes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from lineage.errors import WorldError
from streams.server_files import Sources

HOST = "127.0.0.1"
START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 30
_LOG_LINES_SHOWN = 15
_POLL_SECONDS = 0.05
QUICKLY = ("-XX:TieredStopAtLevel=1",)  # the second compiler of Java pays after a minute, not before
# Below the range from which the system gives ports to outgoing connections, so that none of those takes it meanwhile.
_PORTS = range(10_000, 32_000)
# Nothing is there to be left behind before the guard watches: only then is the line written that lets the shell become Java.
_BECOME = 'read -r go && exec "$@" < /dev/null'
# Argument 1 is a handle of the server's process, which stays exact even if its number is given to another one.
_GUARD = "import os,signal,sys\nos.read(0,1)\ntry: signal.pidfd_send_signal(int(sys.argv[1]),9)\nexcept ProcessLookupError: pass"


class ServerFailed(WorldError):
    """A server did not start or has ended by itself; the message has the last lines of its log and where that is."""


def free_port() -> int:
    """Give a port on which nothing listens; raise `ServerFailed` if a hundred tries find none."""
    for _ in range(100):
        port = random.SystemRandom().choice(_PORTS)
        if is_free(port):
            return port
    msg = "no free port was found"
    raise ServerFailed(msg)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class LocalServer(ABC):
    """A server as a child process; data and ports stay the same over any number of starts.

    `start` fetches the program the first time, which raises `ProgramMissing` where that is not possible. A `quick` one
    starts in half the processor time and stays slower: right for a test, wrong for a measurement.
    """

    name: ClassVar[str]
    java_least: ClassVar[int] = 17

    def __init__(self, folder: Path, sources: Sources | None = None, port: int | None = None, *, quick: bool = False) -> None:
        """Take the folder for data and log, and the port to listen on (default: a free one)."""
        self.quick = quick
        self.folder = folder.resolve()
        self.port = port or free_port()
        self.log = self.folder / "server.log"
        self._sources = sources or Sources()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    @property
    def pid(self) -> int:
        """Give the number of the server's process, which must have been started."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Tell whether the process is there; a paused one is."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and come back when the server answers; raise `ServerFailed` if it does not within `START_SECONDS_MAX`."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start without waiting, so that several can do so at once."""
        assert not self.running, f"{self.name} is running"
        self._release()
        home = self._sources.java(self.java_least)
        program = self._sources.server(self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        java = home / "bin" / "java"
        self._prepare(java, program)
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        words = (java, *(QUICKLY if self.quick else ()), *self._words(program))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program from the pinned list
                ("/bin/sh", "-c", _BECOME, "sh", *words), cwd=self.folder, stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        atexit.register(self.kill)
        handle = os.pidfd_open(self._process.pid)
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - the guard above
                (sys.executable, "-I", "-S", "-c", _GUARD, str(handle)), stdin=subprocess.PIPE, pass_fds=(handle,),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(handle)
        assert self._process.stdin is not None
        with self._process.stdin as go:
            go.write(b"\n")

    def wait(self, seconds_max: float = START_SECONDS_MAX) -> None:
        """Wait until the server answers; raise `ServerFailed`, and kill it, if it ends or takes longer than that."""
        until = time.monotonic() + seconds_max
        while not self._ready():
            if not self.running:
                self._fail(f"{self.name} ended with code {self._process.returncode if self._process else None}")
            if time.monotonic() > until:
                self._fail(f"{self.name} did not answer within {seconds_max:.0f} s")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End the server in order, or by force after `STOP_SECONDS_MAX`; one that is not running stays as it is."""
        if self.running:
            assert self._process is not None
            self._process.send_signal(signal.SIGCONT)  # a paused one would not hear the other
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS_MAX)
        self.kill()

    def kill(self) -> None:
        """End the server as a power cut would end it (SIGKILL); one that is not running stays as it is."""
        if self.running:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
        self._release()

    def pause(self) -> None:
        """Let the server hang with its connections open (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop in order, and start with the same data on the same ports."""
        self.stop()
        self.start()

    def log_text(self) -> str:
        """Give what the server has written since it was last started."""
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode("utf-8", "replace")

    def _signal(self, number: signal.Signals) -> None:
        assert self.running, f"{self.name} is not running"
        assert self._process is not None
        self._process.send_signal(number)

    def _release(self) -> None:
        if self._guard is not None:
            self._guard.communicate()  # its pipe closes, and it ends
            self._guard = None
        atexit.unregister(self.kill)

    def _fail(self, what: str) -> None:
        self.kill()
        lines = self.log_text().splitlines()[-_LOG_LINES_SHOWN:]
        msg = "\n".join((f"{what}; its log is {self.log} and ends:", *lines))
        raise ServerFailed(msg)

    def _once(self, *words: str | Path, env: dict[str, str] | None = None) -> None:
        """Run a tool of the server to its end, its output in the log."""
        with self.log.open("ab") as log:
            done = subprocess.run(words, cwd=self.folder, env=env, stdout=log, stderr=log, check=False)  # noqa: S603 - of the pinned list
        if done.returncode:
            self._fail(f"{self.name} could not be set up")

    @abstractmethod
    def _prepare(self, java: Path, program: Path) -> None:
        """Write the configuration, and what must be there before the first start."""

    @abstractmethod
    def _words(self, program: Path) -> tuple[str | Path, ...]:
        """Give the arguments for Java."""

    @abstractmethod
    def _ready(self) -> bool:
        """Tell whether the server answers."""
