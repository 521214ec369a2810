"""The streams of a command in a container, over one WebSocket (`v5.channel.k8s.io`).

Every message begins with the number of its channel. The command's end comes as a Status on the error channel; its exit
code is ours. With a terminal, ours is raw while the command runs, and its size is told at the start and on change.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any

import aiohttp

from machinery.client import Client

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOL = "v5.channel.k8s.io"
PIECE = 1 << 15


class CommandFailed(Exception):
    """The command could not be run at all."""


async def run_remote(client: Client, path: str, params: dict[str, Any], *, stdin: bool, terminal: bool) -> int:
    """Returns the exit code."""
    async with client.websocket(path, params, protocols=(PROTOCOL,)) as socket:
        with _raw_terminal() if terminal else contextlib.nullcontext():
            tasks = []
            if stdin:
                tasks.append(asyncio.create_task(_send_stdin(socket), name="stdin"))
            if terminal:
                tasks.append(asyncio.create_task(_send_size(socket), name="size"))
            try:
                return await _receive(socket)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _receive(socket: aiohttp.ClientWebSocketResponse) -> int:
    outputs = {STDOUT: sys.stdout.buffer, STDERR: sys.stderr.buffer}
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel in outputs and data:
            outputs[channel].write(data)
            outputs[channel].flush()
        elif channel == ERROR:
            return exit_code_of(json.loads(data))
    raise CommandFailed("the connection ended before the command did")


def exit_code_of(status: dict[str, Any]) -> int:
    """Pure."""
    if status.get("status") == "Success":
        return 0
    if status.get("reason") == "NonZeroExitCode":
        for cause in (status.get("details") or {}).get("causes") or ():
            if cause.get("reason") == "ExitCode":
                return int(cause["message"])
    raise CommandFailed(status.get("message") or "the command could not be run")


async def _send_stdin(socket: aiohttp.ClientWebSocketResponse) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        read = reader.read
    except ValueError:  # a file: it is never "ready", it just is

        async def read(n: int = -1) -> bytes:
            return await loop.run_in_executor(None, os.read, sys.stdin.fileno(), n)

    while piece := await read(PIECE):
        await socket.send_bytes(bytes([STDIN]) + piece)
    await socket.send_bytes(bytes([CLOSE, STDIN]))


async def _send_size(socket: aiohttp.ClientWebSocketResponse) -> None:
    changed = asyncio.Event()
    changed.set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, changed.set)
    while True:
        await changed.wait()
        changed.clear()
        size = shutil.get_terminal_size()
        message = json.dumps({"Width": size.columns, "Height": size.lines}).encode()
        await socket.send_bytes(bytes([RESIZE]) + message)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
