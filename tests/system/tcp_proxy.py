"""A TCP proxy whose links can be cut in every way that a network knows."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal

Cut = Literal["fin", "rst", "silence"]


class _Half:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer


class TcpProxy:
    """Listens on loopback and forwards to one address; `cut` ends what is open, new links pass."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open: list[tuple[_Half, _Half]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: list[_Half] = []
        self.port = 0
        self.links = 0
        self.refusing = False
        self.bytes_down = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut("rst")
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, how: Cut) -> None:
        """End every open link: politely, with a reset, or by never carrying a byte again."""
        for near, far in self._open:
            if how == "silence":
                self._silent.append(near)
                continue
            for half in (near, far):
                if how == "rst":
                    linger = struct.pack("ii", 1, 0)
                    sock = half.writer.get_extra_info("socket")
                    if sock is not None and sock.fileno() >= 0:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    half.writer.transport.abort()
                else:
                    half.writer.close()
        self._open.clear()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refusing:
                writer.transport.abort()
                return
            self.links += 1
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            near, far = _Half(reader, writer), _Half(far_reader, far_writer)
            self._open.append((near, far))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(near, far, near, down=False))
                group.create_task(self._pump(far, near, near, down=True))
        except* OSError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pump(self, source: _Half, sink: _Half, near: _Half, *, down: bool) -> None:
        while data := await source.reader.read(65536):
            if any(near is silent for silent in self._silent):
                continue
            if down:
                self.bytes_down += len(data)
            sink.writer.write(data)
            await sink.writer.drain()
        sink.writer.close()
