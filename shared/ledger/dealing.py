"""Part of a statement that deals the rows of a query out to new jobs, of one zone each if there is a window."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

# Rows are dealt out to the chunks like cards. So messages that are settled together stand on many pages, a few on
# each, and there is room for their second version beside the first: cut in slices, two thirds would have none.
# `batch` numbers the chunks over all zones, and `numbered` has the job of each: jobs get ascending ids, so the
# n-th of the inserted ids is the job of the n-th chunk. Without a local window there is one zone, the empty one. A
# client whose zone has changed since the plans were made finds no plan: its job is over at once, and is planned
# anew.
_DEAL = """
    batch AS MATERIALIZED (
        SELECT *, dense_rank() OVER (ORDER BY zone, part) AS chunk
        FROM (
            SELECT *, (row_number() OVER (PARTITION BY zone ORDER BY {order}) - 1)
                % ((count(*) OVER (PARTITION BY zone) - 1) / :chunk + 1) AS part
            FROM ({source}) AS source
        ) AS parts
    ), plans AS (
        SELECT * FROM unnest(
            CAST(:zones AS text[]), CAST(:due_ats AS timestamptz[]), CAST(:send_befores AS timestamptz[])
        ) AS plans(zone, due_at, send_before)
    ), chunks AS (
        SELECT chunk, zone, count(*) AS size FROM batch GROUP BY chunk, zone
    ), inserted AS (
        INSERT INTO jobs (mailing_id, zone, due_at, send_before, size, open)
        SELECT :mailing_id, nullif(zone, ''), coalesce(due_at, :now),
            CASE WHEN plans.zone IS NULL THEN CAST(:now AS timestamptz) ELSE send_before END, size, size
        FROM chunks LEFT JOIN plans USING (zone) ORDER BY chunk
        RETURNING id
    ), numbered AS (
        SELECT id, row_number() OVER (ORDER BY id) AS chunk FROM inserted
    )
"""


class ZonePlan(NamedTuple):
    """Time at which the jobs of one zone are due, and the end of their local window. No window: zone ''."""

    zone: str
    due_at: datetime
    send_before: datetime | None


def deal_into_jobs(source: str, order: str) -> str:
    """Return the parts `batch` and `numbered` of a statement that deals the rows of the query `source` out to
    jobs.

    Each row has a `zone`. The rows of a zone go, by ascending `order`, to as few jobs as possible.
    """
    return _DEAL.format(source=source, order=order)


def plan_parameters(plans: Iterable[ZonePlan]) -> dict[str, list[object]]:
    """Return the parameters of such a statement that say when the jobs of each zone are due."""
    plans = list(plans)
    return {
        "zones": [plan.zone for plan in plans],
        "due_ats": [plan.due_at for plan in plans],
        "send_befores": [plan.send_before for plan in plans],
    }
