"""Preview of a mailing: its audience and a forecast, before it is created."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.clients.schemas import ClientOut
from services.api.edge.transactions import Database
from services.api.mailings import rules
from services.api.mailings.filters import Filter
from services.api.mailings.forecast import forecast
from services.api.mailings.schemas import MailingIn, Preview
from shared.contracts import utc_now
from shared.ledger.tables import Client

_SAMPLE = 5


class _Group(NamedTuple):
    """Number of clients with the same zone and code, and the lowest of their ids."""

    zone: str
    code: int
    clients: int
    first_id: int


async def preview(database: Database, new: MailingIn, provider_rate: float | None) -> Preview:
    """Count the audience and forecast the mailing. Raises Invalid."""
    now = utc_now()
    rules.check_times(new.starts_at, new.expired_at, now)
    groups, sample = await database.statement(_count_audience, new.filter)
    by_zone, by_code = Counter[str](), Counter[int]()
    for group in groups:
        by_zone[group.zone] += group.clients
        by_code[group.code] += group.clients
    window = None if new.window is None else new.window.as_window()
    rate = min((rate for rate in (new.rate, provider_rate) if rate is not None), default=None)
    begins = max(now, new.starts_at)
    # In a thread, because a year with clients all over the world takes long.
    expected = await asyncio.to_thread(forecast, by_zone, window, rate, begins, new.expired_at)
    return Preview(
        recipients=by_zone.total(),
        by_zone=by_zone,
        by_code=by_code,
        unknown_zones=expected.unknown_zones,
        late=expected.late,
        finish=expected.finish,
        rate=rate,
        sample=sample,
    )


async def _count_audience(connection: AsyncConnection, audience: Filter) -> tuple[list[_Group], list[ClientOut]]:
    """Return the audience's size by zone and code, and a sample."""
    query = select(
        Client.zone, Client.code, func.count().label("clients"), func.min(Client.id).label("first_id")
    ).where(*_conditions(audience))
    rows = (await connection.execute(query.group_by(Client.zone, Client.code))).all()
    groups = sorted(_Group(row.zone, row.code, row.clients, row.first_id) for row in rows)
    return groups, await _sample(connection, audience, groups)


async def _sample(connection: AsyncConnection, audience: Filter, groups: Sequence[_Group]) -> list[ClientOut]:
    """Return one client of each of some distant groups, or the first clients if there are few groups."""
    query = select(Client.id, Client.number, Client.code, Client.tag, Client.zone).order_by(Client.id)
    if len(groups) < _SAMPLE:
        query = query.where(*_conditions(audience)).limit(_SAMPLE)
    else:
        picked = (groups[i * len(groups) // _SAMPLE] for i in range(_SAMPLE))
        query = query.where(Client.id.in_([group.first_id for group in picked]))
    return [ClientOut.model_validate(dict(row)) for row in (await connection.execute(query)).mappings()]


def _conditions(audience: Filter) -> list[ColumnElement[bool]]:
    wanted = ((Client.code, audience.code), (Client.tag, audience.tag), (Client.zone, audience.zone))
    return [column.in_(values) for column, values in wanted if values]
