"""Verdict on a run: conditions at the end, and repeated POSTs that a fault excuses. Pure but for the queries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg

from deploy.sandbox.ledger import Received

# From the arrival of a POST to the broker's confirmation of the report about it, at most, on a busy machine:
# the provider's latency, the interval between reports, and the confirmation.
REPORTED_WITHIN = 0.5  # seconds
RECONNECTED_WITHIN = 2.0  # seconds after the line or the broker is back
CLOCK = 0.05


@dataclass(frozen=True, slots=True)
class Disruption:
    """Something that was done, from `begin` to `end` in seconds since the epoch."""

    kind: str  # "sender killed", "broker unreachable", "provider faulty"
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Numbers from the database at the end."""

    audience: int  # clients that should have a message
    without_message: int
    sent: frozenset[int]
    unsettled: int
    counters_equal_rows: bool
    open_jobs: int
    outbox: int


def read_ledger(database_url: str, mailing_id: int, tag: str) -> Ledger:
    """Counts rows; the mailing's counters are compared with them."""
    with psycopg.connect(database_url) as connection:

        def one(query: str) -> int:
            row = connection.execute(query, {"id": mailing_id, "tag": tag}).fetchone()
            assert row is not None
            return int(row[0])

        rows = connection.execute(
            "SELECT id FROM messages WHERE mailing_id = %s AND status = 'sent'", (mailing_id,)
        )
        return Ledger(
            audience=one("SELECT count(*) FROM clients WHERE tag = %(tag)s"),
            without_message=one(
                "SELECT count(*) FROM clients AS c WHERE tag = %(tag)s AND NOT EXISTS"
                " (SELECT FROM messages WHERE mailing_id = %(id)s AND client_id = c.id)"
            ),
            sent=frozenset(row[0] for row in rows),
            unsettled=one("SELECT count(*) FROM messages WHERE mailing_id = %(id)s AND status = 'new'"),
            counters_equal_rows=one(
                "SELECT count(*) FROM counters, LATERAL ("
                "  SELECT count(*) AS total, count(*) FILTER (WHERE status = 'sent') AS sent,"
                "    count(*) FILTER (WHERE status = 'failed') AS failed,"
                "    count(*) FILTER (WHERE status = 'expired') AS expired,"
                "    count(*) FILTER (WHERE status = 'uncertain') AS uncertain"
                "  FROM messages WHERE mailing_id = %(id)s) AS counted"
                " WHERE mailing_id = %(id)s AND (counters.total, counters.sent, counters.failed, counters.expired,"
                "  counters.uncertain, counters.new, counters.active)"
                "  = (counted.total, counted.sent, counted.failed, counted.expired, counted.uncertain, 0, 0)"
            )
            == 1,
            open_jobs=one("SELECT count(*) FROM jobs WHERE state <> 'done'"),
            outbox=one("SELECT count(*) FROM outbox"),
        )


def unexcused(received: Iterable[Received], disruptions: Sequence[Disruption]) -> list[int]:
    """The ids that arrived again although nothing happened while they were in flight."""
    return [
        message.id
        for message in received
        if not all(is_excused(at, disruptions) for at in (message.first_at, *message.repeated_at)[:-1])
    ]


def is_excused(arrived: float, disruptions: Sequence[Disruption]) -> bool:
    """Return True if a fault excuses another POST of the same message.

    Either the provider was faulty, so that its answer was none; or a sender was killed before the broker had the
    report about it. While the broker cannot be reached, the report waits in the sender.
    """
    if _any("provider faulty", disruptions, arrived - CLOCK, arrived + REPORTED_WITHIN):
        return True
    told = arrived + REPORTED_WITHIN
    for out in sorted((d for d in disruptions if d.kind == "broker unreachable"), key=lambda d: d.begin):
        if out.begin <= told and out.end >= arrived - CLOCK:
            told = max(told, out.end + RECONNECTED_WITHIN)
    return _any("sender killed", disruptions, arrived - CLOCK, told)


def _any(kind: str, disruptions: Sequence[Disruption], begin: float, end: float) -> bool:
    return any(d.kind == kind and d.begin <= end and d.end >= begin for d in disruptions)
