"""Plain connections to RabbitMQ, and the errors that mean that a connection is lost."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from pydantic import SecretStr

CONNECT_TIMEOUT = 10.0  # seconds
CLOSE_TIMEOUT = 3.0
HEARTBEAT = 10  # seconds

# Raised for a connection that is lost, or cannot be opened. ChannelInvalidStateError is a RuntimeError.
CONNECTION_ERRORS = (AMQPError, ChannelInvalidStateError, OSError, asyncio.TimeoutError)


async def connect(url: SecretStr, name: str, *, heartbeat: int = HEARTBEAT) -> AbstractConnection:
    """Open a plain connection, which RabbitMQ's UI shows as `name`. Raises one of CONNECTION_ERRORS.

    The nodes of a cluster are given as URLs with commas between them. They are tried in turn, from a random
    one on.
    """
    nodes = url.get_secret_value().split(",")
    first = random.randrange(len(nodes))  # noqa: S311 - spreads the connections
    for node in nodes[first:] + nodes[:first]:
        try:
            return await _connect(node, name, heartbeat)
        except CONNECTION_ERRORS as error:
            failure = error
    raise failure


async def _connect(node: str, name: str, heartbeat: int) -> AbstractConnection:
    url = make_url(node, heartbeat=heartbeat)
    connection = aio_pika.Connection(url, client_properties={"connection_name": name})
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT)
    except StopAsyncIteration as error:  # of aiormq, when a server that starts or stops ends the handshake
        await connection.close()
        raise ConnectionResetError("RabbitMQ hung up during the handshake") from error
    except BaseException:
        # Otherwise aio_pika closes it when it is collected. That may be in another thread, where it fails.
        await connection.close()
        raise
    return connection


async def close(connection: AbstractConnection) -> None:
    """Close the connection, in bounded time also if the broker is gone."""
    with suppress(*CONNECTION_ERRORS, asyncio.CancelledError):
        await asyncio.wait_for(connection.close(), CLOSE_TIMEOUT)


@contextmanager
def translate_aiormq_errors() -> Iterator[None]:
    """Translate errors that aiormq raises for a lost connection into ConnectionResetError.

    When it finds a connection stuck, it cancels the tasks that wait for a confirmation. For a connection that
    closes right after its handshake, it raises a plain RuntimeError.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the connection to RabbitMQ was given up") from error
    except RuntimeError as error:
        raise ConnectionResetError(f"the connection to RabbitMQ was lost: {error}") from error
