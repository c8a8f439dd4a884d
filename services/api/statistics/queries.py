"""Reads of the table `progress`, which counts messages by the time of their final status."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import NotFound
from services.api.edge.rows import to_dicts
from services.api.statistics.schemas import (
    Answer,
    Counts,
    MailingCounts,
    Period,
    Progress,
    ProgressPoint,
    ReasonCount,
    ReasonDetail,
    Reasons,
    Statistics,
    Step,
    Totals,
)
from shared.ledger.counters import COUNTERS
from shared.ledger.progress import FOLDED_STEPS, STEP
from shared.statuses import MessageStatus, Reason

MOST_POINTS = 400
_LOOKED_AT = 1000  # messages of a reason, of which the provider's answers are counted
_ANSWERS = 5
_MAILINGS = 100
_NONE = "none"  # the database's word for no reason

# The names are ours, not input.
_TOTALS = text(f"""
    -- totals_of_mailings --
    SELECT count(*) AS mailings, {", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in COUNTERS)}
    FROM mailings JOIN counters ON counters.mailing_id = mailings.id WHERE NOT express AND state <> 'deleted'
""")  # noqa: S608

_PERIODS = text("""
    -- progress_by_period --
    SELECT mailing_id = 0 AS is_single, date_trunc(:step, at, :zone) AS at, status, reason,
        sum(messages) AS messages
    FROM progress WHERE at >= :since AND at < :until AND messages > 0 GROUP BY 1, 2, 3, 4
""")

_BY_MAILING = text("""
    -- progress_by_mailing --
    WITH counted AS MATERIALIZED (
        SELECT mailing_id, status, sum(messages) AS messages FROM progress
        WHERE at >= :since AND at < :until AND mailing_id <> 0 AND messages > 0 GROUP BY 1, 2
    ), most AS MATERIALIZED (
        SELECT mailing_id, sum(messages) AS messages FROM counted
        GROUP BY 1 ORDER BY 2 DESC, 1 DESC LIMIT :limit
    )
    SELECT mailing_id, text, status, counted.messages
    FROM most JOIN counted USING (mailing_id) JOIN mailings ON mailings.id = mailing_id AND state <> 'deleted'
    ORDER BY most.messages DESC, mailing_id DESC
""")

_MAILING = text("""
    -- mailing_of_progress --
    SELECT min(at) AS first, max(at) AS last FROM mailings LEFT JOIN progress ON mailing_id = mailings.id
    WHERE mailings.id = :id AND NOT express AND state <> 'deleted' GROUP BY mailings.id
""")

_POINTS = text("""
    -- progress_of_mailing --
    SELECT date_bin(:step, at, 'epoch') AS at, status, sum(messages) AS messages FROM progress
    WHERE mailing_id = :id AND at >= :since AND messages > 0 GROUP BY 1, 2 ORDER BY 1
""")

_REASONS = text("""
    -- reasons_of_mailing --
    SELECT status, reason, (sum(messages) - sum(retried))::bigint AS messages FROM progress
    WHERE mailing_id = :id AND status <> 'sent'
    GROUP BY 1, 2 HAVING sum(messages) > sum(retried) ORDER BY 3 DESC, 1, 2
""")

_ANSWERS_OF_REASON = text("""
    -- answers_of_reason --
    WITH looked_at AS MATERIALIZED (
        SELECT id FROM messages
        WHERE mailing_id = :id AND reason = 'answer' AND status = CAST(:status AS message_status)
        ORDER BY client_id LIMIT :most
    )
    SELECT provider_status, provider_text, count(*) AS messages FROM looked_at CROSS JOIN LATERAL (
        SELECT provider_status, provider_text FROM attempts WHERE message_id = looked_at.id
        ORDER BY at DESC LIMIT 1
    ) AS last
    GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT :limit
""")


async def statistics(
    connection: AsyncConnection, *, since: datetime, until: datetime, zone: str, step: Step
) -> Statistics:
    """Return the messages that got their final status in the time, by period, reason and mailing."""
    time = {"since": since, "until": until}
    totals = (await connection.execute(_TOTALS)).mappings().one()
    rows = to_dicts(await connection.execute(_PERIODS, {**time, "zone": zone, "step": step.value}))
    by_kind: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    periods: dict[datetime, Counter[str]] = defaultdict(Counter)
    reasons: Counter[tuple[str, str]] = Counter()
    for row in rows:
        count = int(row["messages"])
        by_kind[row["is_single"]][row["status"]] += count
        periods[row["at"]][row["status"]] += count
        if row["status"] != MessageStatus.SENT:
            reasons[row["status"], row["reason"]] += count
    by_mailing = to_dicts(await connection.execute(_BY_MAILING, {**time, "limit": _MAILINGS}))
    return Statistics(
        totals=Totals.model_validate(dict(totals)),
        messages=Counts(**by_kind[False]),
        single_messages=Counts(**by_kind[True]),
        periods=[Period(at=at, **counts) for at, counts in sorted(periods.items())],
        reasons=[
            ReasonCount(status=MessageStatus(status), reason=_reason(reason), messages=count)
            for (status, reason), count in reasons.most_common()
        ],
        mailings=_mailings(by_mailing),
    )


async def progress(connection: AsyncConnection, mailing_id: int, since: datetime | None) -> Progress:
    """Return the course of a mailing in at most about MOST_POINTS steps. Raises NotFound."""
    found = (await connection.execute(_MAILING, {"id": mailing_id})).one_or_none()
    if found is None:
        raise NotFound("mailing", mailing_id)
    if found.first is None:
        return Progress(step=int(STEP.total_seconds()), points=[])
    begin = found.first if since is None else max(since, found.first)
    step = step_for(found.last - begin)
    rows = await connection.execute(_POINTS, {"id": mailing_id, "since": begin, "step": step})
    points: dict[datetime, Counter[str]] = defaultdict(Counter)
    for row in rows:
        points[row.at][row.status] += int(row.messages)
    return Progress(
        step=int(step.total_seconds()), points=[ProgressPoint(at=at, **counts) for at, counts in points.items()]
    )


def step_for(length: timedelta) -> timedelta:
    """Return the step in which a course of this length has at most MOST_POINTS points."""
    steps = [STEP, *(step for _, step in FOLDED_STEPS), timedelta(hours=1), timedelta(hours=6)]
    return next((step for step in steps if length <= MOST_POINTS * step), timedelta(days=1))


async def reasons(connection: AsyncConnection, mailing_id: int) -> Reasons:
    """Return why messages of a mailing were not sent. Raises NotFound."""
    if (await connection.execute(_MAILING, {"id": mailing_id})).one_or_none() is None:
        raise NotFound("mailing", mailing_id)
    rows = to_dicts(await connection.execute(_REASONS, {"id": mailing_id}))
    return Reasons(
        items=[
            ReasonDetail(
                status=MessageStatus(row["status"]),
                reason=_reason(row["reason"]),
                messages=row["messages"],
                answers=await _answers(connection, mailing_id, row["status"])
                if row["reason"] == Reason.ANSWER
                else [],
            )
            for row in rows
        ]
    )


async def _answers(connection: AsyncConnection, mailing_id: int, status: str) -> list[Answer]:
    values = {"id": mailing_id, "status": status, "most": _LOOKED_AT, "limit": _ANSWERS}
    return [Answer.model_validate(row) for row in to_dicts(await connection.execute(_ANSWERS_OF_REASON, values))]


def _mailings(rows: Iterable[Mapping[str, object]]) -> list[MailingCounts]:
    counts: dict[object, dict[str, object]] = {}
    for row in rows:
        of_mailing = counts.setdefault(row["mailing_id"], {"mailing_id": row["mailing_id"], "text": row["text"]})
        of_mailing[str(row["status"])] = row["messages"]
    return [MailingCounts.model_validate(one) for one in counts.values()]


def _reason(stored: str) -> Reason | None:
    return None if stored == _NONE else Reason(stored)
