"""Actions after a commit, such as counting for the metrics, run then and only then."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.transactions import after_commit, transaction


async def test_an_action_after_a_commit_waits_for_it(engine: AsyncEngine) -> None:
    done: list[str] = []
    async with transaction(engine) as connection:
        after_commit(connection, lambda: done.append("first"))
        after_commit(connection, lambda: done.append("second"))
        assert not done
    assert done == ["first", "second"]


async def test_the_actions_of_a_transaction_that_is_rolled_back_never_run(engine: AsyncEngine) -> None:
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
