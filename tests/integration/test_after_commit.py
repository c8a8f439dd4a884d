"""What is done after a commit, such as counting for the metrics, is done then and only then."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.transactions import after_commit, transaction


async def test_what_is_to_be_done_after_a_commit_waits_for_it(engine: AsyncEngine) -> None:
    done: list[str] = []
    async with transaction(engine) as connection:
        after_commit(connection, lambda: done.append("first"))
        after_commit(connection, lambda: done.append("second"))
        assert not done
    assert done == ["first", "second"]


async def test_of_a_transaction_that_is_rolled_back_nothing_is_done_then_or_later(engine: AsyncEngine) -> None:
    done: list[str] = []

    async def fail() -> None:
        async with transaction(engine) as connection:
            after_commit(connection, lambda: done.append("rolled back"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with transaction(engine) as connection:  # on the same connection of the pool
        after_commit(connection, lambda: done.append("committed"))
    assert done == ["committed"]
