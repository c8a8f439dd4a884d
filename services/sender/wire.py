"""Parts that the two HTTP engines share: the client underneath, the request, and the reading of failures.

Both stand on reqwest (Rust), the httpx engine through `pyreqwest.compatibility.httpx`.
"""

from datetime import timedelta

import orjson
from pydantic import SecretStr
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError

from services.sender.replies import NoAnswer

# Servers keep an idle connection for longer (nginx: 75 s), so they rarely close it first.
IDLE_LIMIT = timedelta(seconds=30)
LEAST_TIMEOUT = 0.001  # seconds; 0 would mean that there is no time-out

# The exception's class does not show whether a request left. A connection that is reset after the POST is a
# `ConnectError`, too, and every time-out is a `ConnectTimeoutError`. The kind of hyper-util's error shows it:
# `Connect` means that there was never a connection, `Canceled` that the request was given back unwritten.
UNSENT = {"client error (Connect)", "client error (Canceled)"}


def open_client(token: SecretStr, connections: int, connect_timeout: timedelta) -> Client:
    """Open a client that sends each request as it is: no redirects, proxies, cookies or decompression."""
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
    """Return the URL to which a message id is appended."""
    return f"{base_url.rstrip('/')}/v1/send/"


def encode(message_id: int, number: int, text: str) -> bytes:
    """Return the body of a request."""
    return orjson.dumps({"id": message_id, "phone": number, "text": text})


def no_answer(error: RequestError) -> NoAnswer:
    """Return the reply that stands for a failed request."""
    causes = [cause["message"] for cause in error.details["causes"] or ()]
    sent = UNSENT.isdisjoint(causes)
    reason = causes[-1] if causes else error.message
    return NoAnswer(sent, f"{'no valid answer' if sent else 'no connection'}: {reason}")
