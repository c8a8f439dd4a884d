"""Idempotency keys: a request that is repeated with its key gets the first answer and creates nothing.

The answer is stored in the transaction of the change, so a crash leaves both or neither. Refusals are not stored.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Concatenate, NamedTuple, ParamSpec

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import KeyInFlight, KeyReused
from shared.ledger.idempotency_keys import find_answer, store_answer, try_lock_key

Arguments = ParamSpec("Arguments")


class KeyedRequest(NamedTuple):
    """A request with a key, and the digest that identifies its path and body."""

    key: str
    digest: bytes


def keyed_request(key: str, path: str, body: bytes) -> KeyedRequest:
    """Return the request to a path with the body as it arrived."""
    return KeyedRequest(key, sha256(path.encode() + b"\0" + body).digest())


async def create_once(
    connection: AsyncConnection,
    request: KeyedRequest,
    create: Callable[Concatenate[AsyncConnection, Arguments], Awaitable[BaseModel]],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> bytes:
    """Return the answer to the first request with this key as JSON; call `create` if this is the first one.

    Needs a transaction. Raises KeyInFlight, KeyReused, and the errors of `create`.
    """
    # A statement of its own: the search after it then sees what the former holder of the lock has committed.
    if not await try_lock_key(connection, request.key):
        raise KeyInFlight
    stored = await find_answer(connection, request.key)
    if stored is not None:
        if stored.request != request.digest:
            raise KeyReused
        return stored.answer
    answer = (await create(connection, *arguments, **named)).model_dump_json(by_alias=True).encode()
    await store_answer(connection, request.key, request.digest, answer)
    return answer
