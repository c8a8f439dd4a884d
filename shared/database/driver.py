"""Access to psycopg below SQLAlchemy, which has no COPY."""

from psycopg import AsyncConnection as DriverConnection
from sqlalchemy.ext.asyncio import AsyncConnection


async def driver_connection(connection: AsyncConnection) -> DriverConnection[object]:
    """Return psycopg's own connection."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, DriverConnection)
    return driver
