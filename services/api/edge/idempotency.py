"""Idempotency keys: a request that is repeated with its key gets the first answer and creates nothing.

The answer is stored in the transaction of the change, so a crash leaves both or neither. Refusals are not stored.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Concatenate, NamedTuple, ParamSpec

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import KeyInFlight, KeyReused
from shared.ledger.idempotency_keys import KEY_LIFETIME, store_answer

Arguments = ParamSpec("Arguments")

_LOCKS = 0x6B657973  # the class of these locks among PostgreSQL's advisory locks

_LOCK_KEY = text("""
    -- lock_key --
    SELECT pg_try_advisory_xact_lock(hashtextextended(:key, :locks))
""")

_FIND_ANSWER = text("""
    -- find_answer --
    SELECT request, answer FROM idempotency_keys
    WHERE key = :key AND created_at > now() - CAST(:lifetime AS interval)
""")


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
    if not (await connection.execute(_LOCK_KEY, {"key": request.key, "locks": _LOCKS})).scalar_one():
        raise KeyInFlight
    found = await connection.execute(_FIND_ANSWER, {"key": request.key, "lifetime": KEY_LIFETIME})
    stored = found.one_or_none()
    if stored is not None:
        if bytes(stored.request) != request.digest:
            raise KeyReused
        return bytes(stored.answer)
    answer = (await create(connection, *arguments, **named)).model_dump_json(by_alias=True).encode()
    await store_answer(connection, request.key, request.digest, answer)
    return answer
