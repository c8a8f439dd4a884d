"""/metrics, /healthz and /readyz of a service that has no API of its own to serve them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.http_server import Server
from shared.settings import MetricsSettings
from shared.telemetry.metrics import CONTENT_TYPE, exposition, measure_process

READY_PATIENCE = 2.0  # seconds
GRACE = 1  # second, for an answer that is on its way at the end

# The names of what the service needs, and whether it is there.
Readiness = Callable[[], Awaitable[dict[str, bool]]]


async def _nothing() -> None:
    pass


@asynccontextmanager
async def serve_health(
    service: str,
    settings: MetricsSettings,
    readiness: Readiness,
    refresh: Callable[[], Awaitable[None]] = _nothing,
) -> AsyncIterator[None]:
    """Lets the service be looked at while the block runs; `refresh` is called before its metrics are read.

    A port that is taken ends the process, with a line that says so.
    """
    if not settings.metrics_port:
        yield
        return
    config = uvicorn.Config(
        create_app(readiness, refresh),
        host=settings.metrics_host,
        port=settings.metrics_port,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    server = Server(config, started="metrics_served")
    serving = asyncio.create_task(server.serve())
    try:
        async with measure_process(service):
            yield
    finally:
        server.should_exit = True
        await serving


def create_app(readiness: Readiness, refresh: Callable[[], Awaitable[None]]) -> Starlette:
    """The application behind it."""

    async def metrics(_: Request) -> Response:
        await refresh()
        return Response(exposition(), media_type=CONTENT_TYPE)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        needs = await _within(READY_PATIENCE, readiness)
        if needs is None:
            return _unavailable({"status": "unavailable"})
        told = {name: "ok" if there else "unavailable" for name, there in needs.items()}
        return JSONResponse({"status": "ok", **told}) if all(needs.values()) else _unavailable(told)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
    )


def _unavailable(told: dict[str, str]) -> Response:
    return JSONResponse({"status": "unavailable", **told}, HTTPStatus.SERVICE_UNAVAILABLE)


async def _within(patience: float, readiness: Readiness) -> dict[str, bool] | None:
    """None when it takes longer: the server that is asked may be frozen, and giving up on it as well."""
    asking = asyncio.ensure_future(readiness())
    await asyncio.wait([asking], timeout=patience)
    if not asking.done():
        asking.cancel()
        return None
    return asking.result()
