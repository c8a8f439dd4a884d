"""Default engine: reqwest, natively. Nearly all of a request's work happens outside of Python."""

from datetime import timedelta

from pydantic import SecretStr
from pyreqwest.exceptions import RequestError
from pyreqwest.response import Response

from services.sender.replies import BODY_LIMIT, Answer, NoAnswer
from services.sender.wire import LEAST_TIMEOUT, encode, no_answer, open_client, send_url


class ReqwestProvider:
    """A `Provider` that uses reqwest."""

    def __init__(self, base_url: str, token: SecretStr, connections: int, connect_timeout: timedelta) -> None:
        self._client = open_client(token, connections, connect_timeout)
        self._url = send_url(base_url)

    async def send(
        self, message_id: int, number: int, text: str, *, timeout: float, traceparent: str | None = None
    ) -> Answer | NoAnswer:
        request = (
            self._client.post(f"{self._url}{message_id}")
            .body_bytes(encode(message_id, number, text))
            .timeout(timedelta(seconds=max(timeout, LEAST_TIMEOUT)))
            # Up to this size, the body comes together with the answer's head. The rest is dropped unread.
            .streamed_read_buffer_limit(BODY_LIMIT)
        )
        if traceparent is not None:
            request = request.header("traceparent", traceparent)
        try:
            async with request.build_streamed() as response:
                body = await response.body_reader.read(BODY_LIMIT)
                status = response.status
                retry_after = None if status == 200 else _retry_after(response)
        except RequestError as error:
            return no_answer(error)
        return Answer(status, b"" if body is None else body.to_bytes(), retry_after)

    async def close(self) -> None:
        await self._client.close()


def _retry_after(response: Response) -> str | None:
    try:
        return response.get_header("retry-after")
    except ValueError:  # it is not ASCII
        return None
