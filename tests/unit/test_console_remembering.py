"""Answers that several people share for a moment."""

import asyncio

import pytest

from services.console.remembering import Remembered


class Source:
    """Counts how often it is asked; fails as long as it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    async def ask(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fails:
            raise ConnectionError
        return self.asked


async def test_those_who_ask_at_the_same_time_or_soon_after_get_one_answer() -> None:
    remembered, source = Remembered[int](seconds=60), Source()
    assert await asyncio.gather(*(remembered.get("key", source.ask) for _ in range(20))) == [1] * 20
    assert await remembered.get("key", source.ask) == 1
    assert await remembered.get("other", source.ask) == 2


async def test_an_old_answer_is_not_given() -> None:
    remembered, source = Remembered[int](seconds=-1), Source()
    assert [await remembered.get("key", source.ask) for _ in range(3)] == [1, 2, 3]


async def test_a_renewed_answer_replaces_the_kept_one() -> None:
    remembered, source = Remembered[int](seconds=60), Source()
    assert await remembered.get("key", source.ask) == 1
    assert await remembered.renew("key", source.ask) == 2
    assert await remembered.get("key", source.ask) == 2


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    remembered, source = Remembered[int](seconds=60), Source()
    source.fails = True
    results = await asyncio.gather(*(remembered.get("key", source.ask) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    source.fails = False
    assert await remembered.get("key", source.ask) == 2


async def test_one_who_leaves_takes_the_answer_from_nobody() -> None:
    remembered, source = Remembered[int](seconds=60), Source()
    leaving = asyncio.create_task(remembered.get("key", source.ask))
    staying = asyncio.create_task(remembered.get("key", source.ask))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_no_more_than_so_many_answers_are_kept() -> None:
    remembered, source = Remembered[int](seconds=60, most=2), Source()
    for key in ("a", "b", "c"):
        await remembered.get(key, source.ask)
    assert await remembered.get("c", source.ask) == 3
    assert await remembered.get("a", source.ask) == 4
