"""Cutting: how a batch of clients becomes jobs, of one zone each if there is a local window."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import text

from services.planner.planning import plan
from shared.windows import Window

# Rows are dealt out to the chunks like cards. So messages that are settled together stand on many pages, a few on
# each, and there is room for their second version beside the first: cut in slices, two thirds would have none.
# `batch` numbers the chunks over all zones, and `numbered` has the job of each: jobs get ascending ids, so the
# n-th of the inserted ids is the job of the n-th chunk. Without a local window there is one zone, the empty one. A
# client whose zone has changed since the plans were made finds none: its job is over at once, and planned anew.
_CUT = """
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


def cut(source: str, order: str) -> str:
    """The parts `batch` and `numbered` of a statement that cuts the rows of the query `source` into jobs.

    Each row has a `zone`; those of a zone are dealt out by ascending `order`, to as few jobs as can be.
    """
    return _CUT.format(source=source, order=order)


# PostgreSQL can only guess how many rows there are between the parts of such a statement, and on a young
# database it guesses few: a nested loop then takes many times as long.
WITHOUT_NESTED_LOOPS = text("SET LOCAL enable_nestloop = off")


def plans_for(window: Window | None, zones: Iterable[str], now: datetime) -> dict[str, list[object]]:
    """The parameters of such a statement that tell when the jobs of each zone are due."""
    plans = [(zone, plan(window, zone, now)) for zone in (zones if window else [""])]
    return {
        "zones": [zone for zone, _ in plans],
        "due_ats": [planned.due_at for _, planned in plans],
        "send_befores": [planned.send_before for _, planned in plans],
    }
