"""A loopback HTTP proxy that opens tunnels (CONNECT): whatever host is named, each leads to one port of this machine. It keeps what it was told.

with Server(Answer("hi"), tls=context) as server, Tunnel(server.port) as proxy:
    ...
proxy.heads[0]          # the lines of the first request to it
"""

from __future__ import annotations

import contextlib
import socket
import threading


class Tunnel:
    """`refuses`: the status with which it opens none."""

    def __init__(self, target: int, *, refuses: int | None = None) -> None:
        self.heads: list[list[str]] = []
        self._target = target
        self._refuses = refuses
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Tunnel:
        threading.Thread(target=self._serve, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._door, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._answer(self._door.accept()[0])

    def _answer(self, client: socket.socket) -> None:
        self._open.append(client)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.heads.append(head.decode().strip().split("\r\n"))
        if self._refuses is not None:
            client.sendall(b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % self._refuses)
            return
        inside = socket.create_connection(("127.0.0.1", self._target))
        self._open.append(inside)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for source, sink in ((client, inside), (inside, client)):
            threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
