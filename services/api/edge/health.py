"""/healthz and /readyz, for whatever starts, watches and balances the service."""

from datetime import timedelta
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.api.edge.dependencies import DatabaseDep, PublisherDep
from services.api.edge.problems import documented

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """State of the process."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """State of the servers that the service works with."""

    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"
    broker: Literal["ok", "unavailable"] = Field(
        description="Requests are accepted while RabbitMQ is unavailable; events are kept until it is back."
    )


@router.get("/healthz", summary="Check that the process is alive")
@router.get("/healthz/", include_in_schema=False)
async def healthz() -> Health:
    """Answer at once, even if the servers are unavailable, because a restart of the process would not help."""
    return Health()


@router.get("/readyz", summary="Check that requests can be answered", responses=documented())
@router.get("/readyz/", include_in_schema=False)
async def readyz(database: DatabaseDep, publisher: PublisherDep) -> Readiness:
    """Answer 200 while the database answers, and 503 otherwise."""
    await database.ping()
    return Readiness(broker="ok" if publisher.connected_for() > timedelta(0) else "unavailable")
