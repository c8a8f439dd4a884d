"""The reference engine: httpx, over reqwest's connections (httpx's own pool slows down with their number)."""

from datetime import timedelta

import httpx
from pydantic import SecretStr
from pyreqwest.compatibility.httpx import HttpxTransport
from pyreqwest.exceptions import RequestError

from services.sender.replies import BODY_LIMIT, Answer, NoAnswer
from services.sender.wire import encode, no_answer, open_client, send_url


class HttpxProvider:
    """A `Provider`."""

    def __init__(self, base_url: str, token: SecretStr, connections: int, connect_timeout: timedelta) -> None:
        self._client = httpx.AsyncClient(
            transport=HttpxTransport(open_client(token, connections, connect_timeout)),
            trust_env=False,
            # httpx's own would be sent besides the transport's, and ask for compressed answers.
            headers=...
        )
        self._url = send_url(base_url)

    async def send(self, message_id: int, number: int, text: str, *, timeout: float) -> Answer | NoAnswer:
        try:
            async with self._client.stream(
                "POST",
                f"{self._url}{message_id}",
                content=encode(message_id, number, text),
                # The transport adds up the four time-outs of httpx into a total one.
                timeout=httpx.Timeout(None, read=timeout),
            ) as response:
                return Answer(response.status_code, await _beginning(response), response.headers.get("retry-after"))
        except httpx.HTTPError as error:
            cause = error.__cause__
            ...
