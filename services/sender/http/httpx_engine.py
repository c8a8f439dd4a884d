"""The second engine: httpx with its own transport, for HTTP/2 and proxies.

It shares no code with the first one below `Worker`, so it is the reference in the conformance suite.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any

import httpx

from services.sender.http.dialing import describe_failure
from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import BODY_LIMIT, Answer, NoAnswer, Reply, Request, Worker

IDLE_LIMIT = 30.0  # seconds


class _Trace:
    """Listens to httpcore, which announces each step before it takes it."""

    __slots__ = ("is_sent",)

    def __init__(self) -> None:
        self.is_sent = False

    async def __call__(self, step: str, details: dict[str, Any]) -> None:
        # A proxy is asked with a CONNECT request first, which carries nothing of the message.
        if step.endswith(".send_request_headers.started") and details["request"].method != b"CONNECT":
            self.is_sent = True


class HttpxEngine:
    """An `Engine`: a task and a connection for each worker (httpx's own pool slows down with their number)."""

    def __init__(
        self,
        endpoint: Endpoint,
        workers: Iterable[Worker],
        *,
        connect_timeout: float,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._origin = f"{endpoint.scheme}://{endpoint.authority}"
        self._connect_timeout = connect_timeout
        self._resting: deque[asyncio.Future[None]] = deque()
        self._tls = ssl.create_default_context() if tls is None else tls
        self._proxy = proxy
        self._tasks = [asyncio.ensure_future(self._serve(worker)) for worker in workers]

    def wake(self, count: int = 1) -> None:
        """Let up to `count` more workers look for requests."""
        while self._resting and count > 0:
            future = self._resting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    async def close(self) -> None:
        """Close all connections. What is under way ends as `NoAnswer(sent=True)`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, worker: Worker) -> None:
        async with httpx.AsyncHTTPTransport(
            verify=self._tls,
            trust_env=False,
            http2=True,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_LIMIT),
            proxy=self._proxy,
        ) as transport:
            while True:
                order = worker.take()
                if order is None:
                    future = asyncio.get_running_loop().create_future()
                    self._resting.append(future)
                    await future
                else:
                    await self._exchange(transport, worker, *order)

    async def _exchange(
        self, transport: httpx.AsyncHTTPTransport, worker: Worker, request: Request, timeout: float
    ) -> None:
        trace = _Trace()
        reply: Reply = NoAnswer(True, "no valid answer: the sender is stopping")
        try:
            reply = await self._post(transport, request, timeout, trace)
        except TimeoutError:
            reply = _no_answer(trace, "no complete answer in time" if trace.is_sent else "not connected in time")
        except (httpx.HTTPError, OSError, ValueError) as error:
            reply = _no_answer(trace, self._describe(error))
        finally:
            worker.finish(reply)

    async def _post(
        self, transport: httpx.AsyncHTTPTransport, request: Request, timeout: float, trace: _Trace
    ) -> Answer:
        async with asyncio.timeout(timeout):
            sent = httpx.Request(
                request.head.method,
                self._origin + request.target,
                headers=list(request.head.headers),
                content=request.body,
                extensions={
                    "timeout": {"connect": self._connect_timeout, "read": None, "write": None, "pool": None},
                    "trace": trace,
                },
            )
            response = await transport.handle_async_request(sent)
            try:
                body = await _beginning(response)
            finally:
                await response.aclose()
        return Answer(response.status_code, body, response.headers.get("retry-after"))

    def _describe(self, error: Exception) -> str:
        deepest: BaseException = error
        while (cause := deepest.__cause__ or deepest.__context__) is not None:
            deepest = cause
        if isinstance(deepest, OSError):
            return describe_failure(deepest, self._connect_timeout)
        return str(deepest) or type(deepest).__name__


def _no_answer(trace: _Trace, reason: str) -> NoAnswer:
    return NoAnswer(trace.is_sent, f"{'no valid answer' if trace.is_sent else 'no connection'}: {reason}")


async def _beginning(response: httpx.Response) -> bytes:
    """Return the body, or as much of it as anybody reads."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= BODY_LIMIT:
            break
    return body[:BODY_LIMIT]
