"""How a request uses the database: with a deadline, and again when it was a deadlock's victim.

The deadline is kept even if PostgreSQL is frozen: giving up a statement means asking the server to cancel it,
which then takes as long as the statement. So the work is left behind in a task of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.transactions import autocommitted, ping, transaction
from shared.deadlines import DeadlineExceeded, finish_within
from shared.errors import DatabaseUnavailable, TransactionConflict

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_TRIES = 3
_PING_PATIENCE = timedelta(seconds=2)


class Database:
    """Runs functions that take a connection first: `await database.transaction(mailings.delete, 5)`.

    Takes two engines, the one for statements with `autocommit`.
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
        """For work of one statement, or of several that need not see the same instant."""

        async def once() -> Answer:
            async with autocommitted(self._statements) as connection:
                return await work(connection, *arguments, **named)

        return await self._within(self._patience, _tried(once))

    async def transaction(
        self,
        work: Callable[Concatenate[AsyncConnection, Arguments], Awaitable[Answer]],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Answer:
        """For work that changes several things at once. What it put into the outbox is relayed at once."""

        async def once() -> Answer:
            async with transaction(self._transactions) as connection:
                return await work(connection, *arguments, **named)

        answer = await self._within(self._patience, _tried(once))
        self._outbox_filled.set()
        return answer

    async def ping(self) -> None:
        """Raises DatabaseUnavailable unless the database answers soon."""
        await self._within(_PING_PATIENCE, ping(self._statements))

    async def _within(self, patience: timedelta, work: Coroutine[object, object, Answer]) -> Answer:
        try:
            return await finish_within(patience.total_seconds(), work)
        except DeadlineExceeded as error:
            raise DatabaseUnavailable("PostgreSQL did not answer in time") from error


async def _tried(once: Callable[[], Awaitable[Answer]]) -> Answer:
    for _ in range(_TRIES - 1):
        with suppress(TransactionConflict):
            return await once()
    return await once()
