"""What a mailing would be, before it is made: to whom, and how far it would come in its time."""

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
    """The clients of a zone and a code."""

    zone: str
    code: int
    clients: int
    first_id: int


async def preview(database: Database, new: MailingIn, provider_rate: float | None) -> Preview:
    """Counts and reckons; writes nothing. Raises Invalid."""
    now = utc_now()
    rules.check_times(new.starts_at, new.expired_at, now)
    groups, sample = await database.statement(_audience, new.filter)
    by_zone, by_code = Counter[str](), Counter[int]()
    for group in groups:
        by_zone[group.zone] += group.clients
        by_code[group.code] += group.clients
    window = None if new.window is None else new.window.as_window()
    rate = min((rate for rate in (new.rate, provider_rate) if rate is not None), default=None)
    begins = max(now, new.starts_at)
    # In a thread: for clients all over the world, over a year, it takes a while.
    foreseen = await asyncio.to_thread(forecast, by_zone, window, rate, begins, new.expired_at)
    return Preview(
        recipients=by_zone.total(),
        by_zone=by_zone,
        by_code=by_code,
        unknown_zones=foreseen.unknown_zones,
        late=foreseen.late,
        finish=foreseen.finish,
        rate=rate,
        sample=sample,
    )


async def _audience(connection: AsyncConnection, whom: Filter) -> tuple[list[_Group], list[ClientOut]]:
    """All of them, counted, and some of them."""
    query = select(Client.zone, Client.code, func.count(), func.min(Client.id)).where(*_conditions(whom))
    rows = (await connection.execute(query.group_by(Client.zone, Client.code))).all()
    groups = sorted(_Group(*row) for row in rows)
    return groups, await _sample(connection, whom, groups)


async def _sample(connection: AsyncConnection, whom: Filter, groups: Sequence[_Group]) -> list[ClientOut]:
    """One of each of some groups, far apart; if there are few groups, the first clients."""
    query = select(Client.id, Client.number, Client.code, Client.tag, Client.zone).order_by(Client.id)
    if len(groups) < _SAMPLE:
        query = query.where(*_conditions(whom)).limit(_SAMPLE)
    else:
        picked = (groups[i * len(groups) // _SAMPLE] for i in range(_SAMPLE))
        query = query.where(Client.id.in_([group.first_id for group in picked]))
    return [ClientOut.model_validate(dict(row)) for row in (await connection.execute(query)).mappings()]


def _conditions(whom: Filter) -> list[ColumnElement[bool]]:
    wanted = ((Client.code, whom.code), (Client.tag, whom.tag), (Client.zone, whom.zone))
    return [column.in_(values) for column, values in wanted if values]
