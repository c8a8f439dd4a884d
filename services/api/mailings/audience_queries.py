"""Reads of a mailing's audience before the mailing exists."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.clients.schemas import ClientOut
from services.api.mailings.filters import Filter
from shared.ledger.tables import Client, Stop
from shared.stop_list import MailingKind, StopScope, kinds_held_back

_SAMPLE = 5


class AudienceGroup(NamedTuple):
    """Number of clients with the same zone and code, and the lowest of their ids."""

    zone: str
    code: int
    clients: int
    first_id: int


async def count_audience(
    connection: AsyncConnection, audience: Filter
) -> tuple[list[AudienceGroup], list[ClientOut]]:
    """Return the audience's size by zone and code, and a sample."""
    query = select(
        Client.zone, Client.code, func.count().label("clients"), func.min(Client.id).label("first_id")
    ).where(*_conditions(audience))
    rows = (await connection.execute(query.group_by(Client.zone, Client.code))).all()
    groups = sorted(AudienceGroup(row.zone, row.code, row.clients, row.first_id) for row in rows)
    return groups, await _find_sample(connection, audience, groups)


async def count_stopped(connection: AsyncConnection, audience: Filter, kind: MailingKind) -> int:
    """Return the number of clients in the audience whose numbers are on the stop list for this kind."""
    scopes = [scope for scope in StopScope if kind in kinds_held_back(scope)]
    query = select(func.count()).select_from(Client).join(Stop, Stop.number == Client.number)
    counted = await connection.execute(query.where(Stop.scope.in_(scopes), *_conditions(audience)))
    count: int = counted.scalar_one()
    return count


async def _find_sample(
    connection: AsyncConnection, audience: Filter, groups: Sequence[AudienceGroup]
) -> list[ClientOut]:
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
