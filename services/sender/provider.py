"""The external provider, as the sender sees it: one POST, one reply. Two HTTP engines implement it.

`tests/integration/test_provider_conformance.py` checks that both behave in the same way: they follow no
redirect, take no proxy from the environment, and never repeat a POST that may have left. A network failure is
a `NoAnswer`, and never an exception.
"""

from datetime import timedelta
from typing import Literal, Protocol, assert_never

from pydantic import SecretStr

from services.sender.httpx_engine import HttpxProvider
from services.sender.replies import Answer, NoAnswer
from services.sender.reqwest_engine import ReqwestProvider


class Provider(Protocol):
    """Service that takes messages and delivers them as SMS."""

    async def send(
        self, message_id: int, number: int, text: str, *, timeout: float, traceparent: str | None = None
    ) -> Answer | NoAnswer:
        """POST one message. All of it, from connecting to the end of the body, takes at most `timeout` seconds.

        A request that is still connecting when `timeout` is over counts as sent, because it cannot be
        distinguished from one that waits for its answer. It can be when `connect_timeout` is over first.

        A `traceparent` becomes the header of that name, so that the provider can continue the trace.
        """
        ...

    async def close(self) -> None:
        """Close all connections. A request in flight ends as `NoAnswer(sent=True)`."""
        ...


def open_provider(
    engine: Literal["httpx", "reqwest"],
    base_url: str,
    token: SecretStr,
    connections: int,
    connect_timeout: timedelta,
) -> Provider:
    """Return the provider at `base_url`. It keeps up to `connections` idle connections for the next requests.

    Nothing is connected yet. Only `send` needs a running event loop.
    """
    match engine:
        case "reqwest":
            return ReqwestProvider(base_url, token, connections, connect_timeout)
        case "httpx":
            return HttpxProvider(base_url, token, connections, connect_timeout)
        case _:
            assert_never(engine)
