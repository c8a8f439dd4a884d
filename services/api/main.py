"""The API's wiring."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
import uvicorn
from fastapi import FastAPI

from services.api import problems
from services.api.connections import cutting_off_after
from services.api.edge import Bounds, Edge
from services.api.metrics import begin_at_zero
from services.api.relaying import relaying
from services.api.routes import clients, docs, health, mailings, messages, metrics
from services.api.settings import ApiSettings
from services.api.transactions import Database
from services.api.transfers import PATIENCE
from shared import __version__
from shared.broker.publisher import Publisher
from shared.database.engine import open_engine
from shared.http_server import Server
from shared.telemetry.metrics import measure_process

log = structlog.get_logger()

# Seconds that an idle connection is kept: longer than clients and proxies do (5 to 60), so that it is they who
# close it, and no request goes into a connection that is being closed.
KEEP_ALIVE = 75

_DESCRIPTION = """
Clients, mailings to them, and what became of every single message.

Every path works with and without its last slash. Times are ISO 8601; one without an offset is UTC, and answers
are in UTC. Errors are RFC 9457 problems that name the fields at fault. Every answer carries an `X-Request-ID`,
the caller's own if it sent one, under which the logs can be searched. With an `Idempotency-Key`, a POST that
creates can be sent again when its answer was lost. An import needs no key, and none is looked at: it may simply be
repeated, as it changes nothing the second time.
"""


def create_app(settings: ApiSettings) -> FastAPI:
    """The application; opens its connections when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        name = f"api@{settings.host_name}"
        url, patience = settings.database_url, settings.api_patience
        # The server gives up on a statement just after we do.
        timeout = patience + timedelta(seconds=1)
        statements = open_engine(
            url, name, connections=settings.api_connections, statement_timeout=timeout, autocommit=True
        )
        transactions = open_engine(url, name, connections=settings.api_connections, statement_timeout=timeout)
        publisher = Publisher(settings.broker_url, f"{name} publisher")
        outbox_filled = asyncio.Event()
        app.state.database = Database(statements, transactions, patience, outbox_filled)
        app.state.publisher = publisher
        app.state.provider_rate = settings.provider_rate
        transfers = open_engine(
            url, f"{name} transfers", connections=settings.api_transfers, statement_timeout=PATIENCE
        )
        app.state.transfers = transfers
        try:
            async with measure_process("api"), relaying(transactions, publisher, outbox_filled):
                yield
        finally:
            await publisher.close()
            await statements.dispose()
            await transactions.dispose()
            await transfers.dispose()

    app = FastAPI(
        title="Mailing service",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # its files would come from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        # `shared.telemetry.tracing` traces; and what FastAPI would tell of invalid requests holds their values.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    for router in (clients.router, mailings.router, messages.router, health.router, metrics.router, docs.router):
        app.include_router(router)
        begin_at_zero(router)
    app.mount(docs.ASSETS, docs.assets())
    pause = settings.api_read_timeout
    app.add_middleware(
        Edge,
        bounds=Bounds(settings.api_body_limit, settings.api_read_timeout, pause),
        uploads={clients.IMPORT: Bounds(settings.api_upload_limit, settings.api_upload_timeout, pause)},
    )
    problems.install(app)
    docs.complete(app)
    return app


async def run_api(settings: ApiSettings, stopping: asyncio.Event) -> None:
    """Serves until `stopping` is set; then ends the requests under way and takes no more."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        http=cutting_off_after(settings.api_read_timeout),
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE,
        server_header=False,
        timeout_graceful_shutdown=int(settings.api_grace.total_seconds()),
    )
    server = Server(config, started="api_started")

    async def stop() -> None:
        await stopping.wait()
        server.should_exit = True

    stopper = asyncio.create_task(stop())
    try:
        await server.serve()
    finally:
        stopper.cancel()
        log.info("api_stopped")
