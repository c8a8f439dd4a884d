"""Control port: statistics of the stand-in provider, and its behaviour. `/docs` documents it."""

from dataclasses import dataclass
from typing import Annotated

import orjson
from fastapi import Body, FastAPI, HTTPException, Path, Query, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import Field

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.ledger import Instant, Page, Received, Seconds, Totals
from deploy.sandbox.provider import SandboxProvider
from services.api.edge.docs import ASSETS, assets

DESCRIPTION = """
The stand-in for the external SMS provider. Its own API, `POST /v1/send/{msgId}`, is on another port.

A message id is **accepted** in the modes `ok`, `slow`, `garbage`, `half`, `hang` and `reset`, whatever answer the
sender got. It is not accepted in `reject`, `unauthorized`, `throttle`, `unavailable` and `error`. Requests with a
wrong token, body or path are only counted, as `invalid`. In `down`, nothing arrives.
"""

MessageId = Annotated[int, Path(description="The msgId of the provider's API", examples=[4711])]
After = Annotated[int, Query(description="Only ids above this one: the `next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=100_000)]
BEHAVIOURS = {
    "ok": {"summary": "Accept everything at once", "value": {"mode": "ok"}},
    "slow": {
        "summary": "Answer after 200 to 500 ms",
        "value": {"mode": "slow", "latency_ms": 200, "latency_jitter_ms": 300},
    },
    "throttle": {
        "summary": "Answer a tenth of the requests with 429 and Retry-After: 2",
        "value": {"mode": "throttle", "retry_after": 2, "share": 0.1, "seed": 7},
    },
    "unavailable": {"summary": "Answer 503 for 5 s", "value": {"mode": "unavailable", "for_seconds": 5}},
    "reset": {
        "summary": "Accept half of the messages and reset their connections",
        "value": {"mode": "reset", "share": 0.5},
    },
    "down": {"summary": "Refuse connections for 3 s", "value": {"mode": "down", "for_seconds": 3}},
}


@dataclass(frozen=True, slots=True)
class BehaviourInForce:
    """Behaviour in force, and the instant at which it ends by itself."""

    behaviour: Behaviour
    ends_at: Annotated[Instant | None, Field(description="null: it stays until it is changed")]


def control_app(provider: SandboxProvider) -> FastAPI:
    """Build the application that controls a provider."""
    app = FastAPI(
        title="Sandbox provider",
        description=DESCRIPTION,
        version="1",
        docs_url=None,  # FastAPI's page loads its files from another host
        redoc_url=None,
    )
    app.mount(ASSETS, assets())
    _add_statistics(app, provider)
    _add_behaviour(app, provider)

    @app.get("/docs", include_in_schema=False)
    async def _docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
        )

    @app.get("/", include_in_schema=False)
    async def _front_page() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app


def _add_statistics(app: FastAPI, provider: SandboxProvider) -> None:
    ledger = provider.ledger

    @app.get("/sandbox/totals", tags=["received"], summary="Count all requests")
    async def totals() -> Totals:
        return ledger.totals()

    @app.get("/sandbox/messages", tags=["received"], summary="List what arrived, by id", response_model=Page)
    async def messages(after: After = 0, limit: Limit = 10_000) -> Response:
        return _json(ledger.page(after, limit))

    @app.get("/sandbox/messages/{message_id}", tags=["received"], summary="Show what arrived with an id")
    async def message(message_id: MessageId) -> Received:
        received = ledger.message(message_id)
        if received is None:
            raise HTTPException(404, "nothing arrived with this id")
        return received

    @app.get(
        "/sandbox/duplicates",
        tags=["received"],
        summary="List ids that arrived more than once",
        response_model=Page,
    )
    async def duplicates(after: After = 0, limit: Limit = 10_000) -> Response:
        return _json(ledger.page(after, limit, repeated_only=True))

    @app.get("/sandbox/seconds", tags=["received"], summary="Count requests per second")
    async def seconds() -> Seconds:
        return ledger.seconds()

    @app.delete("/sandbox/received", tags=["received"], summary="Delete all records", status_code=204)
    async def forget() -> None:
        ledger.forget()


def _add_behaviour(app: FastAPI, provider: SandboxProvider) -> None:
    def in_force() -> BehaviourInForce:
        return BehaviourInForce(provider.behaviour, provider.behaviour_ends_at)

    @app.get("/sandbox/behaviour", tags=["behaviour"], summary="Show the behaviour in force")
    async def behaviour() -> BehaviourInForce:
        return in_force()

    @app.put("/sandbox/behaviour", tags=["behaviour"], summary="Put a behaviour in force")
    async def behave(behaviour: Annotated[Behaviour, Body(openapi_examples=BEHAVIOURS)]) -> BehaviourInForce:
        await provider.behave(behaviour)
        return in_force()

    @app.delete("/sandbox/behaviour", tags=["behaviour"], summary="Return to normal")
    async def back_to_normal() -> BehaviourInForce:
        await provider.behave(Behaviour())
        return in_force()


def _json(page: Page) -> Response:
    """Encode by orjson, which is quick: the provider's port waits meanwhile."""
    return Response(orjson.dumps(page), media_type="application/json")
