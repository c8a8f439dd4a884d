"""The external provider as the sender sees it: one POST, one reply; two HTTP engines that do it alike.

`tests/integration/test_provider_conformance.py` holds both to the same behaviour: no redirect is followed, no
proxy is taken from the environment, a POST that may have left is never repeated, and network trouble is a
`NoAnswer` and never an exception.
"""

from datetime import timedelta
from typing import Literal, Protocol, assert_never

from pydantic import SecretStr

from services.sender.httpx_engine import HttpxProvider
from services.sender.replies import Answer, NoAnswer
from services.sender.reqwest_engine import ReqwestProvider


class Provider(Protocol):
    """Where messages are delivered to."""

    async def send(
        self, message_id: int, number: int, text: str, *, timeout: float, traceparent: str | None = None
    ) -> Answer | NoAnswer:
        """POST one message; everything, connecting and the body included, takes at most `timeout` seconds.

        A `traceparent` goes into the header of that name, so that the provider can continue the trace.

        A request that is still connecting when `timeout` is over counts as sent: it cannot be told apart from
        one that is waiting for its answer. `connect_timeout` can, as long as it is the shorter one.
        """
        ...

    async def close(self) -> None:
        """Close all connections. What is in flight ends as `NoAnswer(sent=True)`."""
        ...


def open_provider(
    engine: Literal["httpx", "reqwest"],
    base_url: str,
    token: SecretStr,
    connections: int,
    connect_timeout: timedelta,
) -> Provider:
    """A provider at `base_url`; up to `connections` idle connections are kept for the next requests.

    Needs a running event loop only when it sends. Nothing is connected yet.
    """
    match engine:
        case "reqwest":
            return ReqwestProvider(base_url, token, connections, connect_timeout)
        case "httpx":
            return HttpxProvider(base_url, token, connections, connect_timeout)
        case _:
            assert_never(engine)
