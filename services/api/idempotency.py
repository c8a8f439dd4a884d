"""Idempotency-Key: a request that is sent again, as its answer was lost, gets that answer and creates nothing.

The answer is kept in the transaction of what it tells of: a crash leaves both or neither. Refusals are not kept.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Concatenate, NamedTuple, ParamSpec

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.refusals import KeyInFlight, KeyReused
from shared.ledger.tables import KEY_LIFETIME

Arguments = ParamSpec("Arguments")

_LOCKS = 0x6B657973  # these locks, among PostgreSQL's advisory ones

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, :locks))")

_FIND = text("""
    SELECT request, answer FROM idempotency_keys
    WHERE key = :key AND created_at > now() - CAST(:lifetime AS interval)
""")

# What is there already, if anything, is too old.
_KEEP = text("""
    INSERT INTO idempotency_keys (key, request, answer) VALUES (:key, :request, :answer)
    ON CONFLICT (key) DO UPDATE SET
        request = excluded.request, answer = excluded.answer, created_at = excluded.created_at
""")


class KeyedRequest(NamedTuple):
    """A request that has a key, and the digest by which it is known again."""

    key: str
    digest: bytes


def keyed(key: str, path: str, body: bytes) -> KeyedRequest:
    """The request to a path with a body as it came."""
    return KeyedRequest(key, sha256(path.encode() + b"\0" + body).digest())


async def once(
    connection: AsyncConnection,
    request: KeyedRequest,
    create: Callable[Concatenate[AsyncConnection, Arguments], Awaitable[BaseModel]],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> bytes:
    """The answer to the first request with this key, as JSON; what `create` answers if this is it.

    Needs a transaction. Raises KeyInFlight, KeyReused, and what `create` raises.
    """
    # Apart from the search, which then sees what the holder before us has committed.
    if not (await connection.execute(_LOCK, {"key": request.key, "locks": _LOCKS})).scalar_one():
        raise KeyInFlight
    found = await connection.execute(_FIND, {"key": request.key, "lifetime": KEY_LIFETIME})
    kept = found.one_or_none()
    if kept is not None:
        if bytes(kept.request) != request.digest:
            raise KeyReused
        return bytes(kept.answer)
    answer = (await create(connection, *arguments, **named)).model_dump_json().encode()
    await connection.execute(_KEEP, {"key": request.key, "request": request.digest, "answer": answer})
    return answer
