"""Shares of a round of the release: how many messages of each mailing the senders should get now."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.capacity import Bounds, Shares, room_without_limit, shares_with_limit
from services.planner.conditions import ReleaseConditions
from services.planner.pacing import AHEAD, LEAD, Limit
from services.planner.release_queries import Outstanding, ReadyMailing, find_done, find_outstanding
from services.planner.settings import PlannerSettings
from services.planner.sharing import share_out

# A round is short, so that single messages need not wait long for the next one.
MAX_JOBS_PER_ROUND = 25
MAX_SLOT_JOBS_PER_ROUND = 200
MARGIN = 1.5  # times the time of a round
# A job that was released so much longer ago may be lost until its lease is over. So it keeps no other job back.
COUNTS_FOR = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class ReleaseRound:
    """Arguments of every step of one round of the release."""

    settings: PlannerSettings
    now: datetime
    conditions: ReleaseConditions
    _began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the round began."""
        return time.perf_counter() - self._began

    @property
    def first_slot_at(self) -> float:
        """First slot that a sender can keep, as far as is known at the beginning of the round."""
        return self.now.timestamp() + self.conditions.delay + LEAD

    @property
    def slots_ahead(self) -> float:
        """Seconds up to which slots are given away: the next round needs as long as this one to follow it."""
        return self.conditions.delay + max(AHEAD, MARGIN * self.conditions.delay)

    def first_slot_after(self, jobs: int) -> float:
        """Return the first slot that a sender can keep when this round publishes so many jobs."""
        return self.now.timestamp() + self.seconds + jobs * self.conditions.job_takes + LEAD


async def find_shares(
    connection: AsyncConnection,
    ready: Sequence[ReadyMailing],
    limits: Mapping[int, Limit],
    this: ReleaseRound,
) -> Shares:
    """Return how many messages of each mailing may be released now.

    Under a limit, these are as many as there are free slots, as long as no more than some seconds' worth are out.
    Without one, they share the senders' free capacity. Single messages always may.
    """
    shares = {mailing.id: 1 for mailing in ready if mailing.is_single}
    settings, now = this.settings, this.now.timestamp()
    if limits:
        outstanding = await find_outstanding(connection, this.now + settings.lease - COUNTS_FOR)
        rooms = {
            mailing_id: min(
                limit.budget(now, this.slots_ahead),
                math.ceil(limit.rate * settings.release_ahead.total_seconds()) - _open(outstanding, mailing_id),
            )
            for mailing_id, limit in limits.items()
        }
        shares |= shares_with_limit(limits, rooms, settings.chunk_size, MAX_SLOT_JOBS_PER_ROUND)
    unlimited = [mailing.id for mailing in ready if not mailing.is_single and mailing.id not in limits]
    if not unlimited:
        return Shares(shares)
    of_unlimited, room = await _shares_without_limit(connection, unlimited, this)
    return Shares(shares | of_unlimited, frozenset(of_unlimited), room)


async def _shares_without_limit(
    connection: AsyncConnection, mailings: Sequence[int], this: ReleaseRound
) -> tuple[dict[int, int], int]:
    """Share the senders' free capacity among the mailings without a limit; return it, too.

    A job counts as lost, and keeps no other back, if one that was released much later is done. While none is done,
    it counts as lost after some seconds.
    """
    settings = this.settings
    done = await find_done(connection, this.now, (settings.release_ahead, COUNTS_FOR))
    newest_lease = done.newest_lease or this.now + settings.lease
    outstanding = await find_outstanding(connection, newest_lease - COUNTS_FOR)
    bounds = Bounds(settings.release_ahead, settings.chunk_size, settings.release_least * settings.chunk_size)
    held = sum(one.open for one in outstanding.values() if one.is_unlimited)
    room = room_without_limit(done, held, bounds, this.conditions.senders)
    room = min(room, MAX_JOBS_PER_ROUND * settings.chunk_size)
    opens = {mailing_id: _open(outstanding, mailing_id) for mailing_id in mailings}
    return share_out(room, opens), room


def _open(outstanding: Mapping[int, Outstanding], mailing_id: int) -> int:
    return outstanding[mailing_id].open if mailing_id in outstanding else 0
