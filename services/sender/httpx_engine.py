"""Reference engine: httpx over reqwest's connections. The pool of httpx is slow with many connections."""

from datetime import timedelta

import httpx
from pydantic import SecretStr
from pyreqwest.compatibility.httpx import HttpxTransport
from pyreqwest.exceptions import RequestError

from services.sender.replies import BODY_LIMIT, Answer, NoAnswer
from services.sender.wire import LEAST_TIMEOUT, encode, no_answer, open_client, send_url


class HttpxProvider:
    """A `Provider` that uses httpx."""

    def __init__(self, base_url: str, token: SecretStr, connections: int, connect_timeout: timedelta) -> None:
        transport = HttpxTransport(open_client(token, connections, connect_timeout))
        self._client = httpx.AsyncClient(transport=transport, trust_env=False)
        del self._client.headers["accept-encoding"]  # bodies are read as they come
        self._url = send_url(base_url)

    async def send(
        self, message_id: int, number: int, text: str, *, timeout: float, traceparent: str | None = None
    ) -> Answer | NoAnswer:
        request = self._client.stream(
            "POST",
            f"{self._url}{message_id}",
            content=encode(message_id, number, text),
            headers={} if traceparent is None else {"traceparent": traceparent},
            # The transport takes the sum of httpx's four time-outs as the total. 0 would mean no time-out.
            timeout=httpx.Timeout(None, read=max(timeout, LEAST_TIMEOUT)),
        )
        try:
            async with request as response:
                body = await _beginning(response)
        except (httpx.HTTPError, RequestError) as error:  # the transport does not translate all of them
            return _no_answer(error)
        except ValueError as error:  # the transport cannot read an answer with a header that is not ASCII
            return NoAnswer(sent=True, reason=f"no valid answer: {error}")
        retry_after = None if response.status_code == 200 else response.headers.get("retry-after")
        return Answer(response.status_code, body, retry_after)

    async def close(self) -> None:
        await self._client.aclose()


async def _beginning(response: httpx.Response) -> bytes:
    """Read the body, at most `BODY_LIMIT` bytes of it."""
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= BODY_LIMIT:
            break
    return body[:BODY_LIMIT]


def _no_answer(error: httpx.HTTPError | RequestError) -> NoAnswer:
    cause = error if isinstance(error, RequestError) else error.__cause__
    if isinstance(cause, RequestError):
        return no_answer(cause)
    return NoAnswer(sent=True, reason=f"no valid answer: {error}")
