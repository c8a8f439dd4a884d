"""Reads of a mailing's audience before the mailing exists."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.clients.schemas import ClientOut
from services.api.mailings.filters import Filter, NormalisedFilter
from shared.ledger.audience import conditions
from shared.ledger.tables import Client, Stop
from shared.stop_list import MailingKind, StopScope, kinds_held_back

_SAMPLE = 5


class AudienceGroup(NamedTuple):
    """Number of clients with the same zone and code, the lowest of their ids, and how many of them are stopped."""

    zone: str
    code: int
    clients: int
    first_id: int
    stopped: int


async def count_audience(
    connection: AsyncConnection, audience: Filter, kind: MailingKind
) -> tuple[list[AudienceGroup], list[ClientOut]]:
    """Return the audience's size by zone and code, and a sample.

    Clients are stopped if their numbers are on the stop list for this kind. One statement counts all, because
    conditions on other mailings are slow to look at.
    """
    scopes = [scope for scope in StopScope if kind in kinds_held_back(scope)]
    stopped = func.count(Stop.id).filter(Stop.scope.in_(scopes)).label("stopped")
    counts = (func.count().label("clients"), func.min(Client.id).label("first_id"), stopped)
    query = select(Client.zone, Client.code, *counts).outerjoin(Stop, Stop.number == Client.number)
    query = query.where(*audience_conditions(audience)).group_by(Client.zone, Client.code)
    rows = (await connection.execute(query)).all()
    groups = sorted(AudienceGroup(row.zone, row.code, row.clients, row.first_id, row.stopped) for row in rows)
    return groups, await _find_sample(connection, audience, groups) if groups else []


async def count_recipients(connection: AsyncConnection, normalised: NormalisedFilter) -> int:
    """Return the number of clients whom a stored filter selects."""
    query = select(func.count()).select_from(Client).where(*_stored_conditions(normalised))
    counted = await connection.execute(query)
    count: int = counted.scalar_one()
    return count


async def _find_sample(
    connection: AsyncConnection, audience: Filter, groups: Sequence[AudienceGroup]
) -> list[ClientOut]:
    """Return one client of each of some distant groups, or the first clients if there are few groups."""
    query = select(Client.id, Client.number, Client.code, Client.tag, Client.zone, Client.attributes)
    query = query.order_by(Client.id)
    if len(groups) < _SAMPLE:
        query = query.where(*audience_conditions(audience)).limit(_SAMPLE)
    else:
        picked = (groups[i * len(groups) // _SAMPLE] for i in range(_SAMPLE))
        query = query.where(Client.id.in_([group.first_id for group in picked]))
    return [ClientOut.model_validate(dict(row)) for row in (await connection.execute(query)).mappings()]


def audience_conditions(audience: Filter) -> list[TextClause]:
    """Return the conditions that a client of the audience meets."""
    return _stored_conditions(audience.normalised())


def _stored_conditions(normalised: NormalisedFilter) -> list[TextClause]:
    found = conditions(normalised)
    return [text(" AND ".join(found.sql)).bindparams(**found.parameters)]
