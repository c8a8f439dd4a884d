"""The web application: routes, errors, documentation. It needs no settings and opens no connection."""

from fastapi import Depends, FastAPI
from starlette.types import StatelessLifespan

from services.api.access.examples import EXAMPLES as ACCESS
from services.api.access.permissions import required_role
from services.api.access.routes import router as access
from services.api.alerts.examples import EXAMPLES as ALERTS
from services.api.alerts.routes import router as alerts
from services.api.attempts.examples import EXAMPLES as ATTEMPTS
from services.api.attempts.routes import router as attempts
from services.api.clients.examples import EXAMPLES as CLIENTS
from services.api.clients.routes import router as clients
from services.api.edge import docs, error_handlers, health, metrics_page
from services.api.edge.examples import Examples
from services.api.edge.metrics import begin_at_zero
from services.api.edge.query_parameters import check_parameters
from services.api.mailings.examples import EXAMPLES as MAILINGS
from services.api.mailings.routes import router as mailings
from services.api.messages.examples import EXAMPLES as MESSAGES
from services.api.messages.routes import router as messages
from services.api.single_messages.examples import EXAMPLES as SINGLE_MESSAGES
from services.api.single_messages.routes import of_mailing as tests_of_mailings
from services.api.single_messages.routes import router as single_messages
from services.api.statistics.examples import EXAMPLES as STATISTICS
from services.api.statistics.routes import router as statistics
from services.api.stop_list.examples import EXAMPLES as STOP_LIST
from services.api.stop_list.routes import router as stop_list
from services.api.webhooks.examples import EXAMPLES as WEBHOOKS
from services.api.webhooks.routes import router as webhooks
from shared import __version__

ROUTERS = (
    clients,
    mailings,
    tests_of_mailings,
    single_messages,
    messages,
    attempts,
    statistics,
    webhooks,
    stop_list,
    alerts,
    access,
    health.router,
    metrics_page.router,
    docs.router,
)
EXAMPLES: Examples = {
    **ACCESS,
    **CLIENTS,
    **MAILINGS,
    **SINGLE_MESSAGES,
    **MESSAGES,
    **ATTEMPTS,
    **STATISTICS,
    **WEBHOOKS,
    **STOP_LIST,
    **ALERTS,
}

_DESCRIPTION = """
Manage clients, send mailings to them, and see the status of every single message.

* Every path below `/api/` needs a token: `Authorization: Bearer <token>`. `mailing token create` makes one.
* Every path works with and without its last slash.
* Times are ISO 8601. A time without an offset is in UTC. Answers are in UTC.
* Errors are RFC 9457 problem documents. They name the wrong fields.
* Every answer has an `X-Request-ID` header, by which the logs can be searched. A request may bring its own.
* A POST that creates something can be repeated with the same `Idempotency-Key` when its answer was lost.
"""


def create_application(lifespan: StatelessLifespan[FastAPI] | None = None) -> FastAPI:
    """Create the application with all routes; `lifespan` opens what the routes use."""
    app = FastAPI(
        title="Mailing service",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its files from another host
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(check_parameters)],
        # `shared.telemetry.tracing` traces. FastAPI's own telemetry would contain the values of invalid requests.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    for router in ROUTERS:
        app.include_router(router)
        begin_at_zero(router)
    app.mount(docs.ASSETS, docs.assets())
    error_handlers.install(app, ROUTERS)
    docs.complete(app, EXAMPLES, required_role)
    return app
