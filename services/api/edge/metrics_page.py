"""/metrics for Prometheus. It is not part of the OpenAPI document."""

from fastapi import APIRouter
from starlette.responses import Response

from shared.telemetry.metrics import CONTENT_TYPE, exposition

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
@router.get("/metrics/")
async def metrics() -> Response:
    """Return all metrics of this process."""
    return Response(exposition(), media_type=CONTENT_TYPE)
