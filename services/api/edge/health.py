"""/healthz and /readyz: for whatever starts, watches and balances the service."""

from datetime import timedelta
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from services.api.edge.dependencies import DatabaseDep, PublisherDep
from services.api.edge.problems import documented

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What the service works with."""

    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"
    broker: Literal["ok", "unavailable"]


@router.get("/healthz", summary="Is the process alive?")
@router.get("/healthz/", include_in_schema=False)
async def healthz() -> Health:
    """Answers whatever else is away: restarting the process would not bring it back."""
    return Health()


@router.get("/readyz", summary="Can it do its work?", responses=documented())
@router.get("/readyz/", include_in_schema=False)
async def readyz(database: DatabaseDep, publisher: PublisherDep) -> Readiness:
    """Ready while the database answers.

    RabbitMQ may be away: requests are accepted all the same, and what it is owed is kept until it is back.
    """
    await database.ping()
    return Readiness(broker="ok" if publisher.connected_for() > timedelta(0) else "unavailable")
