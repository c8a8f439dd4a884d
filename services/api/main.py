"""Wiring of the API: the application with its connections, and the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import uvicorn
from fastapi import FastAPI

from services.api.access.authentication import Authenticator
from services.api.access.middleware import AccessMiddleware
from services.api.application import create_application
from services.api.clients.routes import IMPORT
from services.api.edge import observer
from services.api.edge.body_limits import BodyLimits
from services.api.edge.copying import STATEMENT_TIMEOUT
from services.api.edge.http_protocol import protocol_with_timeout
from services.api.edge.middleware import EdgeMiddleware
from services.api.edge.outbox_relay import relaying
from services.api.edge.transactions import Database
from services.api.settings import ApiSettings
from shared.broker.publisher import Publisher
from shared.database.engine import open_engine
from shared.http_server import Server, serve_until
from shared.telemetry.metrics import measure_process

# Seconds that an idle connection is kept. Clients and proxies keep it for less (5 to 60 seconds), so that they
# close it, and no request goes into a connection that is being closed.
KEEP_ALIVE = 75


def create_app(settings: ApiSettings) -> FastAPI:
    """Create the application; it opens its connections when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        name = f"api@{settings.host_name}"
        url, patience = settings.database_url, settings.api_patience
        # The server gives up a statement just after we do.
        timeout = patience + timedelta(seconds=1)
        statements = open_engine(
            url, name, connections=settings.api_connections, statement_timeout=timeout, autocommit=True
        )
        transactions = open_engine(url, name, connections=settings.api_connections, statement_timeout=timeout)
        transfers = open_engine(
            url, f"{name} transfers", connections=settings.api_transfers, statement_timeout=STATEMENT_TIMEOUT
        )
        publisher = Publisher(settings.broker_url, f"{name} publisher")
        outbox_filled = asyncio.Event()
        app.state.database = Database(statements, transactions, patience, outbox_filled)
        app.state.authenticator = Authenticator()
        app.state.transfers = transfers
        app.state.publisher = publisher
        app.state.provider_rate = settings.provider_rate
        try:
            async with measure_process("api"), relaying(transactions, publisher, outbox_filled):
                yield
        finally:
            await publisher.close()
            for engine in (statements, transactions, transfers):
                await engine.dispose()

    app = create_application(lifespan)
    app.add_middleware(AccessMiddleware, rules=settings.access_rules())
    pause = settings.api_read_timeout
    app.add_middleware(
        EdgeMiddleware,
        limits=BodyLimits(settings.api_body_limit, settings.api_read_timeout, pause),
        upload_limits={IMPORT: BodyLimits(settings.api_upload_limit, settings.api_upload_timeout, pause)},
    )
    return app


async def run_api(settings: ApiSettings, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set; then take no more requests and finish those under way."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        http=protocol_with_timeout(settings.api_read_timeout),
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE,
        server_header=False,
        timeout_graceful_shutdown=int(settings.api_grace.total_seconds()),
    )
    try:
        await serve_until(stopping, Server(config, started="api_started"))
    finally:
        observer.api_stopped()
