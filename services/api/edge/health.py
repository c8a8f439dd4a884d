"""/healthz and /readyz, for whatever starts, watches and balances the service."""

from datetime import timedelta
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from services.api.edge.dependencies import DatabaseDep, PublisherDep
from services.api.edge.problems import documented
from shared.clock import CLOCK

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """State of the process."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """State of the servers that the service works with."""

    status: Literal["ok"] = "ok"
    database: Literal["ok"] = "ok"
    access: Literal["tokens", "open"] = Field(
        description="`open`: every caller may do everything, because MAILING_ACCESS says so."
    )
    broker: Literal["ok", "unavailable"] = Field(
        description="Requests are accepted while RabbitMQ is unavailable; events are kept until it is back."
    )
    clock: Literal["ok", "corrected"] = Field(
        description="`corrected`: the clock of this host is wrong, and the service works by PostgreSQL's."
    )


@router.get("/healthz", summary="Check that the process is alive")
@router.get("/healthz/", include_in_schema=False)
async def healthz() -> Health:
    """Answer at once, even if the servers are unavailable, because a restart of the process would not help."""
    return Health()


@router.get("/readyz", summary="Check that requests can be answered", responses=documented())
@router.get("/readyz/", include_in_schema=False)
async def readyz(request: Request, database: DatabaseDep, publisher: PublisherDep) -> Readiness:
    """Answer 200 while the database answers and has the schema of this version, and 503 otherwise."""
    await database.ensure_ready()
    broker: Literal["ok", "unavailable"] = "ok" if publisher.connected_for() > timedelta(0) else "unavailable"
    clock: Literal["ok", "corrected"] = "corrected" if CLOCK.is_host_wrong else "ok"
    return Readiness(broker=broker, access=request.app.state.access, clock=clock)
