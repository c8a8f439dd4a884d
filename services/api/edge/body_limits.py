"""Limits of a request's body: its size, and the time that it takes to arrive."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from starlette.types import Message, Receive, Scope

from services.api.edge.problems import TooLarge, TooSlow


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Largest size in bytes, longest time in all, and longest time until the next piece."""

    size: int
    time: timedelta
    pause: timedelta


class LimitedBody:
    """Body of a request, counted as it arrives, whatever its header claims."""

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits) -> None:
        self._receive = receive
        self._size_limit = limits.size
        self._claimed = _content_length(dict(scope["headers"]).get(b"content-length", b""))
        self._received = 0
        self._is_complete = False
        self._now = asyncio.get_running_loop().time
        self._pause = limits.pause.total_seconds()
        self._deadline = self._now() + limits.time.total_seconds()

    async def receive(self) -> Message:
        """Return the next message of the server. Raises TooLarge, TooSlow."""
        # Checked before anything is received, so that a caller who waits for "100 Continue" sends nothing.
        if self._claimed > self._size_limit:
            raise TooLarge(self._size_limit)
        message = await self._next_message()
        self._received += len(message.get("body", b""))
        if self._received > self._size_limit:
            raise TooLarge(self._size_limit)
        return message

    async def _next_message(self) -> Message:
        """Wait for a limited time while the body arrives. Afterwards, only the end of the connection can come."""
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(min(self._now() + self._pause, self._deadline)):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow from None
        self._is_complete = not message.get("more_body", False)
        return message


def _content_length(given: bytes) -> int:
    return int(given) if given.isdigit() and len(given) < 19 else 0
