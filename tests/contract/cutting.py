"""A stretch of network between a store and its server that a test can cut at the worst moment."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

COMMIT = b"\x00\x02\xb0\x12\x00\x00"
"""The message of the Bolt protocol that ends a transaction: a structure without fields, 0x12, in a chunk of its own."""


class Cutting:
    """Passes everything on, until told to lose the answer to the next commit: the server commits, nobody hears of it."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._server = (parts.hostname, parts.port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.uri = f"bolt://127.0.0.1:{self._listening.getsockname()[1]}"
        self.lose_next_commit = False
        self.lost = 0
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._server)
                self._ends += [near, far]
                threading.Thread(target=self._pass, args=(near, far), daemon=True).start()
                threading.Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                if self.lose_next_commit and COMMIT in data:
                    self.lose_next_commit = False
                    self.lost += 1
                    self._deaf = far
                far.sendall(data)
        self._cut(near, far)

    _deaf: socket.socket | None = None

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65536):
                if self._deaf is far:
                    break
                near.sendall(data)
        self._cut(near, far)

    def _cut(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listening.close()
        self._cut(*self._ends)
