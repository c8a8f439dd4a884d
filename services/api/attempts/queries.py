"""Reads of attempts across mailings, newest first.

The table `attempts` has no acceptance at the first POST: the message and its job hold its facts. So the list is
merged from two sources. An acceptance stands in it at the time of its answer, anything else at the time of its
POST.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.attempts.cursor import Cursor
from services.api.attempts.schemas import AttemptItem, AttemptPage
from services.api.edge.rows import to_dicts
from shared.contracts import Outcome

_FIRST_WINDOW, _GROWTH = timedelta(milliseconds=100), 8
_LONGEST_DELAY = timedelta(hours=1)

_RECORDED = """
    -- page_of_attempts --
    SELECT a.at, a.at AS sorted_at, a.sender, a.outcome, a.provider_status, a.provider_text, a.duration_ms,
        a.message_id
    FROM attempts a {join} WHERE (a.at, a.message_id) < (:at, :message_id) AND a.at >= :since {conditions}
    ORDER BY a.at DESC, a.message_id DESC LIMIT :limit
"""

# The index of `settled_at` (BRIN) finds the pages of the table with messages of a time. It does not keep settling
# from staying on the page.
_ACCEPTED = """
    -- page_of_acceptances --
    SELECT m.settled_at - m.duration_ms * interval '1 ms' AS at, m.settled_at AS sorted_at, jobs.sender,
        'accepted' AS outcome, 200::smallint AS provider_status, NULL AS provider_text, m.duration_ms,
        m.id AS message_id
    FROM messages m LEFT JOIN jobs ON jobs.id = m.job_id
    WHERE m.settled_at >= :begin AND m.settled_at <= :at AND (m.settled_at, m.id) < (:at, :message_id)
      AND m.status = 'sent' AND m.tries = 0 {conditions}
    ORDER BY m.settled_at DESC, m.id DESC LIMIT :limit
"""

# Between which steps there are acceptances: steps of ten seconds, of a quarter of an hour when they are old.
_STEPS = """
    -- steps_of_acceptances --
    SELECT min(at) AS first, max(at) AS last FROM progress WHERE status = 'sent' AND at <= :at {conditions}
"""

_MESSAGES = text("""
    -- messages_of_attempts --
    SELECT m.id AS message_id, CASE WHEN NOT mailings.express THEN m.mailing_id END AS mailing_id,
        nullif(m.client_id, 0) AS client_id, coalesce(mailings.number, clients.number) AS number,
        CASE WHEN m.status = 'new' AND jobs.state = 'released' THEN 'active' ELSE m.status END AS status
    FROM messages m JOIN mailings ON mailings.id = m.mailing_id AND mailings.state <> 'deleted'
    LEFT JOIN jobs ON jobs.id = m.job_id LEFT JOIN clients ON clients.id = m.client_id
    WHERE m.id = ANY(CAST(:ids AS bigint[]))
""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions of the list. None: any value. `since` bounds how far back the list goes."""

    since: datetime
    outcome: Outcome | None = None
    provider_status: int | None = None
    mailing_id: int | None = None
    sender: str | None = None

    @property
    def includes_acceptances(self) -> bool:
        """Return True if acceptances at the first POST can be in the list."""
        return self.outcome in {None, Outcome.ACCEPTED} and self.provider_status in {None, 200}


async def page(connection: AsyncConnection, wanted: Wanted, cursor: Cursor, limit: int) -> AttemptPage:
    """Return up to `limit` attempts after the cursor, newest first."""
    rows = await _recorded(connection, wanted, cursor, limit + 1)
    if wanted.includes_acceptances:
        rows = [*rows, *await _accepted(connection, wanted, cursor, limit + 1)]
        rows = sorted(rows, key=lambda row: (row["sorted_at"], row["message_id"]), reverse=True)
    shown = rows[:limit]
    messages = await connection.execute(_MESSAGES, {"ids": [row["message_id"] for row in shown]})
    by_id = {message["message_id"]: message for message in to_dicts(messages)}
    items = [
        AttemptItem.model_validate(row | by_id[row["message_id"]]) for row in shown if row["message_id"] in by_id
    ]
    following = Cursor(shown[-1]["sorted_at"], shown[-1]["message_id"]) if len(rows) > limit else None
    return AttemptPage(items=items, next=following and str(following))


async def _recorded(
    connection: AsyncConnection, wanted: Wanted, cursor: Cursor, limit: int
) -> list[dict[str, Any]]:
    join = "" if wanted.mailing_id is None else "JOIN messages m ON m.id = a.message_id"
    conditions = _conditions(
        wanted,
        mailing_id="m.mailing_id",
        outcome="a.outcome",
        provider_status="a.provider_status",
        sender="a.sender",
    )
    statement = text(_RECORDED.format(join=join, conditions=conditions))
    return to_dicts(await connection.execute(statement, _parameters(wanted, cursor, limit)))


async def _accepted(
    connection: AsyncConnection, wanted: Wanted, cursor: Cursor, limit: int
) -> list[dict[str, Any]]:
    """Look through windows of time that grow, from the newest acceptance on, until there are enough."""
    parameters = _parameters(wanted, cursor, limit)
    steps_wanted = text(_STEPS.format(conditions=_conditions(wanted, mailing_id="mailing_id")))
    steps = (await connection.execute(steps_wanted, parameters)).one()
    if steps.last is None:
        return []
    # A message is counted when its report is recorded, which can be long after the answer.
    longest = cursor.at - max(wanted.since, steps.first - _LONGEST_DELAY)
    window = max(_FIRST_WINDOW, cursor.at - steps.last)
    conditions = _conditions(wanted, mailing_id="m.mailing_id", sender="jobs.sender")
    statement = text(_ACCEPTED.format(conditions=conditions))
    while True:
        window = min(window, longest)
        rows = to_dicts(await connection.execute(statement, {**parameters, "begin": cursor.at - window}))
        if len(rows) >= limit or window == longest:
            return rows
        window *= _GROWTH


def _conditions(wanted: Wanted, **columns: str) -> str:
    """Return the conditions on these columns, by the names of the values that are wanted."""
    return "".join(
        f" AND {column} = :{name}" for name, column in columns.items() if getattr(wanted, name) is not None
    )


def _parameters(wanted: Wanted, cursor: Cursor, limit: int) -> dict[str, object]:
    return {
        "since": wanted.since,
        "outcome": wanted.outcome and wanted.outcome.value,
        "provider_status": wanted.provider_status,
        "mailing_id": wanted.mailing_id,
        "sender": wanted.sender,
        "at": cursor.at,
        "message_id": cursor.message_id,
        "limit": limit,
    }
