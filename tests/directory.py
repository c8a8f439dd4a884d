"""Clients by SQL, for tests that are not about the import."""

from collections.abc import Iterable

import psycopg

ADD = """
    INSERT INTO clients (number, tag, zone)
    SELECT %(first)s + n %% %(codes)s * 10000000 + n, %(tag)s, zone
    FROM (
        SELECT (SELECT coalesce(max(id), 0) FROM clients) + row_number() OVER () AS n, zone
        FROM unnest(%(zones)s::text[]) AS zone CROSS JOIN generate_series(1, %(count)s)
    ) AS numbered
"""


def add_clients(
    database_url: str,
    tag: str,
    count: int,
    *,
    zones: Iterable[str] = ("Europe/Moscow",),
    codes: int = 1,
    first: int = 79_050_000_000,
) -> None:
    """Add `count` clients in each zone, with numbers of so many codes in turn, behind those that exist."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(ADD, {"first": first, "codes": codes, "tag": tag, "zones": list(zones), "count": count})
        connection.execute("ANALYZE clients")
