"""Connections that never finish asking: ended in time, and before those that ask."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from essential.serve import run
from essential.serve.run import BoundedConnection

HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX: "


Send = Callable[[bytes], Awaitable[asyncio.StreamReader]]


@asynccontextmanager
async def _server() -> AsyncIterator[Send]:
    """Serve, and give what opens a connection, sends bytes through it and returns what reads the answer."""
    config = uvicorn.Config(PlainTextResponse("hello"), log_config=None, lifespan="off", ws="none")
    config.load()
    state, clients = ServerState(), []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedConnection(config, state, {}), "127.0.0.1", 0)

    async def send(data: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        clients.append(writer)
        writer.write(data)
        await writer.drain()
        return reader

    async with server:
        yield send
        for client in clients:
            client.close()
            with suppress(ConnectionError):
                await client.wait_closed()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_headers_that_do_not_come_end_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_ASK_SECONDS", 0.01)

    async def ask() -> bytes:
        async with _server() as send:
            return await _rest(await send(HALF))

    assert asyncio.run(ask()) == b""


def test_one_too_many_ends_the_one_that_asks_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "most_connections", lambda: 2)

    async def ask() -> tuple[bytes, bytes]:
        async with _server() as send:
            first = await send(HALF)
            await send(HALF)
            answered = await send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return await _rest(first), await _rest(answered)

    ended, answer = asyncio.run(ask())
    assert ended == b""
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"hello")
