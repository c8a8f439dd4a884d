"""Every statement that writes the table `paces`: which slots of each rate limit are used up."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PROVIDER = 0  # stands in the column `mailing_id` for the provider's own limit

_FIND_PROVIDER_PACE = text("""
    -- find_provider_pace --
    SELECT taken_until AS next_slot_at, left_over FROM paces WHERE mailing_id = :provider
""")

_KEEP_PACES = text("""
    -- keep_paces --
    INSERT INTO paces (mailing_id, taken_until, left_over)
    SELECT id, next_slot_at, CASE WHEN id = :provider THEN CAST(:left_over AS double precision[]) END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:next_slots AS double precision[])) AS given(id, next_slot_at)
    ON CONFLICT (mailing_id) DO UPDATE SET taken_until = excluded.taken_until, left_over = excluded.left_over
""")

_DELETE_PACE = text("""
    -- delete_pace_of_mailing --
    DELETE FROM paces WHERE mailing_id = :mailing_id
""")


class ProviderPace(NamedTuple):
    """Next free slot of the provider's limit, and the earlier slots that nobody used; seconds since the epoch."""

    next_slot_at: float
    left_over: tuple[float, ...]


async def find_provider_pace(connection: AsyncConnection) -> ProviderPace | None:
    """Return the provider's pace; None before the first slot was given away."""
    row = (await connection.execute(_FIND_PROVIDER_PACE, {"provider": PROVIDER})).one_or_none()
    return None if row is None else ProviderPace(row.next_slot_at, tuple(row.left_over or ()))


async def keep_paces(
    connection: AsyncConnection, next_slots: Mapping[int, float], provider_left_over: Sequence[float] | None
) -> None:
    """Write down the next free slot of each limit, by mailing; `PROVIDER` stands for the provider."""
    await connection.execute(
        _KEEP_PACES,
        {
            "ids": list(next_slots),
            "next_slots": list(next_slots.values()),
            "provider": PROVIDER,
            "left_over": None if provider_left_over is None else list(provider_left_over),
        },
    )


async def delete_pace_of_mailing(connection: AsyncConnection, mailing_id: int) -> None:
    """Delete the pace of the mailing, if it has one."""
    await connection.execute(_DELETE_PACE, {"mailing_id": mailing_id})
