"""The console's wiring."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from services.console import problems
from services.console.edge import Edge
from services.console.live import LiveMailings
from services.console.oidc import opened_provider
from services.console.pages import routes
from services.console.rendering import prepare
from services.console.rest.calls import open_http
from services.console.settings import ConsoleSettings
from shared.http_server import Server, serve_until

log = structlog.get_logger()

GRACE = 2  # seconds for answers under way at the end


def create_app(settings: ConsoleSettings, live: LiveMailings) -> ASGIApp:
    """Return the application; it opens its connections when it starts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(prepare)
        async with open_http(settings.api_url.rstrip("/")) as http, opened_provider(settings) as provider:
            app.state.http = http
            app.state.identity_provider = provider
            app.state.console_url = settings.base_url()
            app.state.api_url = settings.api_url.rstrip("/")
            yield

    app = Starlette(routes=routes(), lifespan=lifespan)
    app.state.live = live
    problems.install(app)
    return Edge(app, settings.hosts)


async def run_console(settings: ConsoleSettings, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set; then end the live pages and take no more requests."""
    live = LiveMailings()
    config = uvicorn.Config(
        create_app(settings, live),
        host=settings.console_host,
        port=settings.console_port,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.proxies(),
        timeout_graceful_shutdown=GRACE,
    )
    try:
        await serve_until(stopping, Server(config, started="console_started"), on_stop=live.close)
    finally:
        log.info("console_stopped")
