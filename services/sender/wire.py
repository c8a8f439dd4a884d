"""What the two HTTP engines share: the client underneath, the request on the wire, and the reading of failures.

Both stand on reqwest (Rust), the httpx engine through `pyreqwest.compatibility.httpx`.
"""

from datetime import timedelta

import orjson
from pydantic import SecretStr
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError

from services.sender.replies import NoAnswer

# Below what servers keep an idle connection for (nginx: 75 s), so that it is rarely they who close it first.
IDLE_LIMIT = timedelta(seconds=30)
LEAST_TIMEOUT = 0.001  # seconds; none at all would be no time-out

# The exception classes do not tell whether a request left: a connection that is reset after the POST is a
# `ConnectError` too, and any time-out a `ConnectTimeoutError`. The kind of hyper-util's error does: `Connect` is
# a connection that never stood, `Canceled` a request that was handed back unwritten.
UNSENT = {"client error (Connect)", "client error (Canceled)"}


def open_client(token: SecretStr, connections: int, connect_timeout: timedelta) -> Client:
    """A client that does what it is told and nothing else: no redirects, proxies, cookies or decompression."""
    return (
        ClientBuilder()
        .default_headers(
            {"Authorization": f"Bearer {token.get_secret_value()}", "Content-Type": "application/json"}
        )
        .user_agent("mailing-sender")
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(connections)
        .pool_idle_timeout(IDLE_LIMIT)
        .http1_only()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .build()
    )


def send_url(base_url: str) -> str:
    """What a message id is appended to."""
    return f"{base_url.rstrip('/')}/v1/send/"


def encode(message_id: int, number: int, text: str) -> bytes:
    """The request's body."""
    return orjson.dumps({"id": message_id, "phone": number, "text": text})


def no_answer(error: RequestError) -> NoAnswer:
    """What a failed request means for its message."""
    causes = [cause["message"] for cause in error.details["causes"] or ()]
    sent = UNSENT.isdisjoint(causes)
    reason = causes[-1] if causes else error.message
    return NoAnswer(sent, f"{'no valid answer' if sent else 'no connection'}: {reason}")
