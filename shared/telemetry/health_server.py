"""Server of /metrics, /healthz and /readyz, for a service that has no API of its own to serve them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from http import HTTPStatus

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.deadlines import DeadlineExceeded, finish_within
from shared.errors import MailingError
from shared.http_server import Server
from shared.settings import MetricsSettings
from shared.telemetry.metrics import CONTENT_TYPE, exposition, measure_process

READY_TIMEOUT = 2.0  # seconds
GRACE = 1  # second, for answers that are on their way when the server stops

# The parts that the service needs, by name, and True for each that it has.
Readiness = Callable[[], Coroutine[object, object, dict[str, bool]]]


async def succeeds(check: Awaitable[None]) -> bool:
    """Return False if the check raises one of our errors, and True if it ends."""
    try:
        await check
    except MailingError:
        return False
    return True


async def _refresh_nothing() -> None:
    pass


@asynccontextmanager
async def serve_health(
    service: str,
    settings: MetricsSettings,
    readiness: Readiness,
    refresh: Callable[[], Awaitable[None]] = _refresh_nothing,
) -> AsyncIterator[None]:
    """Serve while the block runs. `refresh` is called before the metrics are read."""
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
    """Create the application that the server runs."""

    async def metrics(_: Request) -> Response:
        await refresh()
        return Response(exposition(), media_type=CONTENT_TYPE)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        try:
            parts = await finish_within(READY_TIMEOUT, readiness())
        except DeadlineExceeded:
            return _unavailable({})
        states = {name: "ok" if is_there else "unavailable" for name, is_there in parts.items()}
        return JSONResponse({"status": "ok", **states}) if all(parts.values()) else _unavailable(states)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
    )


def _unavailable(states: dict[str, str]) -> Response:
    return JSONResponse({"status": "unavailable", **states}, HTTPStatus.SERVICE_UNAVAILABLE)
