"""Database access of a request: with a deadline, and repeated after a deadlock.

The deadline holds even if PostgreSQL is frozen. To give up a statement means to ask the server to cancel it, which
then takes as long as the statement. So the work runs in a task of its own, which is left behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.transactions import autocommitted, transaction
from shared.deadlines import DeadlineExceeded, finish_within
from shared.errors import DatabaseUnavailable, TransactionConflict
from shared.ledger.migrations import ensure_current_schema

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_TRIES = 3
_PING_TIMEOUT = timedelta(seconds=2)


class Database:
    """Runs functions whose first argument is a connection: `await database.transaction(commands.delete, 5)`.

    The engine for single statements has `autocommit`.
    """

    def __init__(
        self,
        statements: AsyncEngine,
        transactions: AsyncEngine,
        patience: timedelta,
        outbox_filled: asyncio.Event,
    ) -> None:
        self._statements = statements
        self._transactions = transactions
        self._patience = patience
        self._outbox_filled = outbox_filled

    async def statement(
        self,
        work: Callable[Concatenate[AsyncConnection, Arguments], Awaitable[Answer]],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Answer:
        """Run one statement, or several that need not see the same state."""

        async def once() -> Answer:
            async with autocommitted(self._statements) as connection:
                return await work(connection, *arguments, **named)

        return await self._within(self._patience, _with_retries(once))

    async def transaction(
        self,
        work: Callable[Concatenate[AsyncConnection, Arguments], Awaitable[Answer]],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Answer:
        """Run several changes as one, and wake the relay, because they may have filled the outbox."""

        async def once() -> Answer:
            async with transaction(self._transactions) as connection:
                return await work(connection, *arguments, **named)

        answer = await self._within(self._patience, _with_retries(once))
        self._outbox_filled.set()
        return answer

    async def ensure_ready(self) -> None:
        """Raise DatabaseUnavailable unless the database answers soon and has our schema."""

        async def check() -> None:
            async with autocommitted(self._statements) as connection:
                await ensure_current_schema(connection)

        await self._within(_PING_TIMEOUT, check())

    async def _within(self, patience: timedelta, work: Coroutine[object, object, Answer]) -> Answer:
        try:
            return await finish_within(patience.total_seconds(), work)
        except DeadlineExceeded as error:
            raise DatabaseUnavailable("PostgreSQL did not answer in time") from error


async def _with_retries(once: Callable[[], Awaitable[Answer]]) -> Answer:
    for _ in range(_TRIES - 1):
        with suppress(TransactionConflict):
            return await once()
    return await once()
