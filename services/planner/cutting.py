"""Cutting: how a batch of clients becomes jobs, of one zone each if there is a local window."""

from collections.abc import Iterable
from datetime import datetime

from services.planner.windows import plan
from shared.windows import Window

# The part of a statement that makes the jobs: from `batch`, which numbers the chunks of each zone, to `numbered`,
# which has the job of each chunk. The jobs of a zone get ascending ids, so the n-th of the inserted ids is the job
# of the n-th chunk. Without a local window there is one zone, the empty one. A client whose zone has changed since
# the plans were made finds none: its job is over at once, and planned anew.
CUT = """
    plans AS (
        SELECT * FROM unnest(
            CAST(:zones AS text[]), CAST(:due_ats AS timestamptz[]), CAST(:send_befores AS timestamptz[])
        ) AS plans(zone, due_at, send_before)
    ), chunks AS (
        SELECT zone, chunk, count(*) AS size FROM batch GROUP BY zone, chunk
    ), inserted AS (
        INSERT INTO jobs (mailing_id, zone, due_at, send_before, size, open)
        SELECT :mailing_id, nullif(zone, ''), coalesce(due_at, :now),
            CASE WHEN plans.zone IS NULL THEN CAST(:now AS timestamptz) ELSE send_before END, size, size
        FROM chunks LEFT JOIN plans USING (zone) ORDER BY zone, chunk
        RETURNING id, coalesce(zone, '') AS zone
    ), numbered AS (
        SELECT id, zone, row_number() OVER (PARTITION BY zone ORDER BY id) - 1 AS chunk FROM inserted
    )
"""


def plans_for(window: Window | None, zones: Iterable[str], now: datetime) -> dict[str, list[object]]:
    """The parameters of `CUT` that tell when the jobs of each zone are due."""
    plans = [(zone, plan(window, zone, now)) for zone in (zones if window else [""])]
    return {
        "zones": [zone for zone, _ in plans],
        "due_ats": [planned.due_at for _, planned in plans],
        "send_befores": [planned.send_before for _, planned in plans],
    }
