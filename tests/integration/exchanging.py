"""Requests sent one by one over an engine, as a test wants them: the sender's side of the transport."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
import trustme

from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import Engine, Reply, Request, RequestHead
from services.sender.http.httpx_engine import HttpxEngine
from services.sender.http.pool import Pool
from services.sender.http.tls import client_context

EngineName = Literal["asyncio", "httpx"]
CONNECT_TIMEOUT = 0.3
HEAD = RequestHead("POST", (("Content-Type", "application/json"), ("User-Agent", "test")))


class _Line:
    """The requests that wait for a worker."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Request, float, asyncio.Future[Reply]]] = deque()


class _Worker:
    def __init__(self, line: _Line) -> None:
        self._line = line
        self._future: asyncio.Future[Reply] | None = None

    def take(self) -> tuple[Request, float] | None:
        assert self._future is None, "the request before has no reply yet"
        if not self._line.waiting:
            return None
        request, timeout, self._future = self._line.waiting.popleft()
        return request, timeout

    def finish(self, reply: Reply) -> None:
        assert self._future is not None, "there is no request, or it has a reply already"
        future, self._future = self._future, None
        if not future.done():
            future.set_result(reply)


class Exchanger:
    """An engine that is open, and the way to use it from a test."""

    def __init__(self, engine: Engine, line: _Line) -> None:
        self.engine = engine
        self._line = line

    async def exchange(self, request: Request, timeout: float = 5) -> Reply:
        """Send one request and return the reply."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._line.waiting.append((request, timeout, future))
        self.engine.wake()
        return await future

    async def post(self, target: str = "/", body: bytes = b"{}", *, timeout: float = 5) -> Reply:
        return await self.exchange(Request(HEAD, target, body), timeout)


@asynccontextmanager
async def opened(
    engine: EngineName,
    url: str,
    *,
    tls: ssl.SSLContext | None = None,
    workers: int = 8,
    connect_timeout: float = CONNECT_TIMEOUT,
) -> AsyncIterator[Exchanger]:
    line = _Line()
    endpoint = Endpoint.parse(url)
    all_workers = [_Worker(line) for _ in range(workers)]
    client: Engine
    if engine == "asyncio":
        client = Pool(endpoint, all_workers, lambda: bool(line.waiting), connect_timeout=connect_timeout, tls=tls)
    else:
        client = HttpxEngine(endpoint, all_workers, connect_timeout=connect_timeout, tls=tls)
    try:
        yield Exchanger(client, line)
    finally:
        await client.close()


class Certificates:
    """An authority of the tests' own, and a certificate for this machine."""

    def __init__(self, folder: pytest.TempPathFactory) -> None:
        authority = trustme.CA()
        self.ca_file = folder.mktemp("certificates") / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.certificate_file = self.ca_file.with_name("server.pem")
        local = authority.issue_cert("localhost", "127.0.0.1")
        local.private_key_and_cert_chain_pem.write_to_path(str(self.certificate_file))
        self.server = self._server(local)
        self.server_of_another_name = self._server(authority.issue_cert("elsewhere.example.org"))
        self.client = client_context(self.ca_file)

    def _server(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory)
