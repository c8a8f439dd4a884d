"""/metrics: for Prometheus, not for callers, so it is in no description."""

from fastapi import APIRouter
from starlette.responses import Response

from shared.telemetry.metrics import CONTENT_TYPE, exposition

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
@router.get("/metrics/")
async def metrics() -> Response:
    return Response(exposition(), media_type=CONTENT_TYPE)
