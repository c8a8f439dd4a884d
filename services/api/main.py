"""Wiring of the API: the application with its connections, and the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from services.api.access.authentication import Authenticator
from services.api.access.middleware import AccessMiddleware
from services.api.access.oidc.wiring import opened_provider
from services.api.application import create_application
from services.api.clients.routes import IMPORT
from services.api.edge import observer
from services.api.edge.body_limits import BodyLimits
from services.api.edge.copying import STATEMENT_TIMEOUT
from services.api.edge.http_protocol import protocol_with_timeouts
from services.api.edge.middleware import EdgeMiddleware
from services.api.edge.outbox_relay import relaying
from services.api.edge.transactions import Database
from services.api.settings import ApiSettings
from services.api.stop_list.routes import IMPORT as STOP_LIST_IMPORT
from shared.broker.publisher import Publisher
from shared.database.clock import following_clock
from shared.database.engine import Timeouts, open_engine
from shared.http_server import Server, serve_until
from shared.telemetry.metrics import measure_process

STOP_LIST_LIMIT = 10 * 2**20  # bytes; about 300,000 numbers
# Seconds that an idle connection is kept. Clients and proxies keep it for less (5 to 60 seconds), so that they
# close it, and no request goes into a connection that is being closed.
KEEP_ALIVE = 75
# All logins of an address wait for one row. Each holds a connection to PostgreSQL meanwhile, which others need.
LOGINS_COUNTED_AT_A_TIME = 4


def create_app(settings: ApiSettings) -> FastAPI:
    """Create the application; it opens its connections when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        name = f"api@{settings.host_name}"
        url, patience = settings.database_url, settings.api_patience
        # The server gives up a statement just after we do. If this process is frozen, its locks are free soon.
        timeouts = Timeouts(statement=patience + timedelta(seconds=1), idle=timedelta(seconds=3))
        connections = settings.api_connections
        statements = open_engine(url, name, connections=connections, timeouts=timeouts, autocommit=True)
        transactions = open_engine(url, name, connections=connections, timeouts=timeouts)
        transfers = open_engine(
            url,
            f"{name} transfers",
            connections=settings.api_transfers,
            timeouts=Timeouts(statement=STATEMENT_TIMEOUT),
        )
        publisher = Publisher(settings.broker_url, f"{name} publisher")
        outbox_filled = asyncio.Event()
        app.state.database = Database(statements, transactions, patience, outbox_filled)
        app.state.session_terms = settings.session_terms()
        app.state.login_turns = asyncio.Semaphore(LOGINS_COUNTED_AT_A_TIME)
        app.state.access = settings.access
        if settings.access == "open":
            observer.access_opened(settings.api_host)
        app.state.transfers = transfers
        app.state.publisher = publisher
        app.state.provider_rate = settings.provider_rate
        app.state.webhook_allow = settings.webhook_allow
        try:
            async with (
                measure_process("api"),
                opened_provider(settings.oidc_rules()) as provider,
                relaying(transactions, publisher, outbox_filled),
                following_clock(transactions),
            ):
                app.state.identity_provider = provider
                app.state.authenticator = Authenticator(provider)
                yield
        finally:
            await publisher.close()
            for engine in (statements, transactions, transfers):
                await engine.dispose()

    app = create_application(lifespan)
    app.add_middleware(AccessMiddleware, rules=settings.access_rules())
    if settings.api_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(settings.api_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    pause = settings.api_read_timeout
    app.add_middleware(
        EdgeMiddleware,
        hosts=settings.hosts,
        limits=BodyLimits(settings.api_body_limit, settings.api_read_timeout, pause),
        upload_limits={
            IMPORT: BodyLimits(settings.api_upload_limit, settings.api_upload_timeout, pause),
            STOP_LIST_IMPORT: BodyLimits(STOP_LIST_LIMIT, settings.api_upload_timeout, pause),
        },
    )
    return app


async def run_api(settings: ApiSettings, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set; then take no more requests and finish those under way."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        http=protocol_with_timeouts(settings.api_read_timeout, settings.api_write_timeout),
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.proxies(),
        ssl_certfile=settings.api_tls_certificate,
        ssl_keyfile=settings.api_tls_key,
        timeout_graceful_shutdown=int(settings.api_grace.total_seconds()),
    )
    try:
        await serve_until(stopping, Server(config, started="api_started"))
    finally:
        observer.api_stopped()
