"""Reads of the facts of one day."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.report.days import DayBounds, bounds
from services.notifier.report.model import (
    DAYS_SHOWN,
    Counts,
    MailingOfDay,
    ProviderAnswer,
    ReportFacts,
    StartingMailing,
)
from shared.ledger.progress import SINGLE_MESSAGES
from shared.sms_parts import parts
from shared.statuses import MessageStatus
from shared.zones import find_zone

MAILINGS_SHOWN = 50
STARTING_SHOWN = 20
ANSWERS_SHOWN = 8
ANSWERS_READ = 10_000
_TEXT_LENGTH = 500

_DAYS = text("""
    -- read_days --
    SELECT day, status, sum(messages) AS messages
    FROM unnest(
        CAST(:days AS date[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])
    ) AS given(day, starts, ends)
    JOIN progress ON at >= starts AND at < ends
    GROUP BY day, status
""")

_MAILINGS = text("""
    -- read_mailings_of_day --
    WITH counted AS (
        SELECT mailing_id, status, sum(messages) AS messages FROM progress
        WHERE at >= :start AND at < :end GROUP BY mailing_id, status
    )
    SELECT mailing_id, text, state, expired_at, jsonb_object_agg(status, messages) AS counts
    FROM counted LEFT JOIN mailings ON mailings.id = mailing_id
    GROUP BY mailing_id, text, state, expired_at ORDER BY sum(messages) DESC, mailing_id
""")

_REASONS = text("""
    -- read_reasons_of_day --
    SELECT status, reason, sum(messages) AS messages FROM progress
    WHERE at >= :start AND at < :end AND status <> 'sent' GROUP BY status, reason ORDER BY messages DESC
""")

# By the index of unsent messages, and only as many as a person needs to see what is wrong.
_ANSWERS = text("""
    -- read_answers_of_day --
    WITH unsent AS (
        SELECT id FROM messages
        WHERE mailing_id = ANY(CAST(:mailing_ids AS bigint[])) AND reason = 'answer'
          AND settled_at >= :start AND settled_at < :end LIMIT :most
    )
    SELECT provider_status, coalesce(left(provider_text, 80), '') AS answer, count(*) AS messages
    FROM unsent CROSS JOIN LATERAL (
        SELECT provider_status, provider_text FROM attempts WHERE message_id = unsent.id ORDER BY at DESC LIMIT 1
    ) AS last
    GROUP BY provider_status, answer ORDER BY messages DESC LIMIT :shown
""")

_HELD = text("""
    -- read_messages_by_zone --
    SELECT zone, sum(open) AS messages FROM mailings JOIN jobs ON mailing_id = mailings.id
    WHERE mailings.state = 'running' AND finished_at IS NULL AND window_from IS NOT NULL
      AND jobs.state = 'planned' AND zone IS NOT NULL
    GROUP BY zone
""")

_STARTING = text("""
    -- read_starting_mailings --
    SELECT id, text, starts_at FROM mailings
    WHERE state = 'scheduled' AND starts_at >= :start AND starts_at < :end AND NOT express
    ORDER BY starts_at, id LIMIT :most
""")


async def read_report(connection: AsyncConnection, day: date, zone: ZoneInfo) -> ReportFacts:
    """Return the facts of a day of the zone."""
    this = bounds(day, zone)
    parameters: dict[str, object] = {"start": this.start, "end": this.end}
    mailings = await _read_mailings(connection, parameters)
    reasons = (await connection.execute(_REASONS, parameters)).all()
    return ReportFacts(
        day=day,
        zone=zone,
        days=await _read_days(connection, day, zone),
        mailings=mailings[:MAILINGS_SHOWN],
        more_mailings=max(0, len(mailings) - MAILINGS_SHOWN),
        reasons=[(row.status, row.reason, int(row.messages)) for row in reasons],
        answers=await _read_answers(connection, mailings, parameters),
        held=await _count_held(connection),
        parts=sum(_count_parts(mailing) for mailing in mailings),
        starting=await _read_starting(connection, bounds(day + timedelta(days=1), zone)),
    )


async def _read_days(connection: AsyncConnection, last: date, zone: ZoneInfo) -> list[tuple[date, Counts]]:
    days = [last - timedelta(days=ago) for ago in reversed(range(DAYS_SHOWN))]
    each = [bounds(day, zone) for day in days]
    parameters = {"days": days, "starts": [one.start for one in each], "ends": [one.end for one in each]}
    found: dict[date, dict[str, int]] = defaultdict(dict)
    for row in await connection.execute(_DAYS, parameters):
        found[row.day][row.status] = int(row.messages)
    return [(day, found[day]) for day in days]


async def _read_mailings(connection: AsyncConnection, parameters: dict[str, object]) -> list[MailingOfDay]:
    return [
        MailingOfDay(row.mailing_id, (row.text or "")[:_TEXT_LENGTH], row.state or "", row.expired_at, row.counts)
        for row in await connection.execute(_MAILINGS, parameters)
    ]


async def _read_answers(
    connection: AsyncConnection, mailings: Sequence[MailingOfDay], parameters: dict[str, object]
) -> list[ProviderAnswer]:
    ids = [mailing.id for mailing in mailings if mailing.id != SINGLE_MESSAGES]
    limits = {"mailing_ids": ids, "most": ANSWERS_READ, "shown": ANSWERS_SHOWN}
    rows = await connection.execute(_ANSWERS, parameters | limits)
    return [ProviderAnswer(row.provider_status, row.answer, row.messages) for row in rows]


async def _count_held(connection: AsyncConnection) -> int:
    rows = (await connection.execute(_HELD)).all()
    return sum(int(row.messages) for row in rows if find_zone(row.zone) is None)


async def _read_starting(connection: AsyncConnection, today: DayBounds) -> list[StartingMailing]:
    parameters = {"start": today.start, "end": today.end, "most": STARTING_SHOWN}
    rows = await connection.execute(_STARTING, parameters)
    return [StartingMailing(row.id, row.text, row.starts_at) for row in rows]


def _count_parts(mailing: MailingOfDay) -> int:
    """Return the SMS parts that the provider accepted. A single message counts as one part."""
    each = 1 if mailing.id == SINGLE_MESSAGES else max(1, parts(mailing.text).count)
    return mailing.counts.get(MessageStatus.SENT, 0) * each
