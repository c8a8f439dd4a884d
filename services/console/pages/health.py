"""/healthz and /readyz: for whatever starts, watches and balances the console."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console.rest.errors import ApiError
from services.console.session import api_for


async def healthz(_: Request) -> JSONResponse:
    """Answer whatever else is away."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> JSONResponse:
    """Answer whether the API works. A console without its API still shows pages that say so."""
    try:
        await api_for(request).readiness()
    except ApiError:
        return JSONResponse({"status": "unavailable", "api": "unavailable"}, 503)
    return JSONResponse({"status": "ok", "api": "ok"})


ROUTES = [Route("/healthz", healthz), Route("/readyz", readyz)]
