"""Answers of the API that several people share for a moment, so that many who look cost no more than one."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Remembered(Generic[Answer]):
    """Keeps each answer for some seconds. Those who ask at the same time wait for one call.

    The key must contain everything that the answer depends on, the token of the person included.
    """

    def __init__(self, seconds: float, most: int = 200) -> None:
        self._seconds, self._most = seconds, most
        self._calls: OrderedDict[Hashable, tuple[float, asyncio.Task[Answer]]] = OrderedDict()

    async def get(self, key: Hashable, ask: Callable[[], Coroutine[None, None, Answer]]) -> Answer:
        """Return the answer that is kept, else ask for a new one. An error is not kept."""
        asked_at, call = self._calls.get(key, (0.0, None))
        if call is None or time.monotonic() - asked_at > self._seconds or (call.done() and not _succeeded(call)):
            return await self.renew(key, ask)
        return await asyncio.shield(call)

    async def renew(self, key: Hashable, ask: Callable[[], Coroutine[None, None, Answer]]) -> Answer:
        """Ask for a new answer, and keep it for the others."""
        call = asyncio.create_task(ask())
        self._calls[key] = time.monotonic(), call
        self._calls.move_to_end(key)
        while len(self._calls) > self._most:
            self._calls.popitem(last=False)
        # One who leaves must not take the answer from the others who wait for it.
        return await asyncio.shield(call)


def _succeeded(call: asyncio.Task[Answer]) -> bool:
    return not call.cancelled() and call.exception() is None
