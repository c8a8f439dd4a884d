"""/webhooks/: addresses of programs that events are sent to, and what became of each event. For admins."""

from collections.abc import Mapping

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import Form, first, read_form
from services.console.rendering import render
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from services.console.words import WEBHOOK_EVENTS

PAGE = 50
ADDRESS = "/webhooks/"
_NEW: Mapping[str, JsonValue] = {"name": "", "url": "", "events": ["mailing.finished"], "messages": "singles"}


async def index(request: Request) -> Response:
    """List the webhooks, with a form for a new one."""
    return await _index(request, _NEW)


async def create(request: Request) -> Response:
    """Create a webhook, and show its secret. What was typed stays when the API refuses it."""
    typed = _typed(await read_form(request))
    try:
        created = await api_for(request).create_webhook(typed)
    except SignInNeeded:
        raise
    except Refused as error:
        return await _index(request, typed, error)
    return render(request, "webhooks/secret.html", webhook_id=created.id, secret=created.secret, until=None)


async def show(request: Request) -> Response:
    """Show a webhook with its latest events."""
    api, webhook_id = api_for(request), request.path_params["webhook_id"]
    webhook = await api.webhook(webhook_id)
    page = await api.deliveries(webhook_id, limit=PAGE, after=request.query_params.get("after"))
    return render(request, "webhooks/show.html", webhook=webhook, page=page, event_words=WEBHOOK_EVENTS)


async def control(request: Request) -> Response:
    """Send a test, or switch a webhook on or off."""
    api, webhook_id = api_for(request), request.path_params["webhook_id"]
    match request.path_params["action"]:
        case "test":
            await api.test_webhook(webhook_id)
        case "on" | "off" as state:
            await api.change_webhook(webhook_id, {"enabled": state == "on"})
        case _:
            return Response(status_code=404)
    return RedirectResponse(f"{ADDRESS}{webhook_id}/", 303)


async def rotate(request: Request) -> Response:
    """Make a new secret, and show it."""
    webhook_id = request.path_params["webhook_id"]
    rotated = await api_for(request).rotate_webhook(webhook_id)
    return render(
        request,
        "webhooks/secret.html",
        webhook_id=webhook_id,
        secret=rotated.secret,
        until=rotated.previous_until,
    )


async def send_again(request: Request) -> Response:
    """Send an event once more."""
    webhook_id = request.path_params["webhook_id"]
    await api_for(request).send_delivery_again(webhook_id, request.path_params["delivery_id"])
    return RedirectResponse(f"{ADDRESS}{webhook_id}/", 303)


async def ask_delete(request: Request) -> Response:
    """Say what a deletion does."""
    webhook = await api_for(request).webhook(request.path_params["webhook_id"])
    in_dialog = "hx-request" in request.headers
    template = "webhooks/_delete.html" if in_dialog else "webhooks/delete.html"
    return render(request, template, webhook=webhook, in_dialog=in_dialog)


async def delete(request: Request) -> Response:
    """Delete a webhook."""
    await api_for(request).delete_webhook(request.path_params["webhook_id"])
    return RedirectResponse(ADDRESS, 303)


async def _index(request: Request, values: Mapping[str, JsonValue], error: Refused | None = None) -> Response:
    page = await api_for(request).webhooks()
    errors = error.by_field if error else {}
    return render(
        request,
        "webhooks/index.html",
        error.status if error else 200,
        page=page,
        values=values,
        event_words=WEBHOOK_EVENTS,
        errors=errors,
        problem=error.problem.detail if error and not errors else "",
    )


def _typed(form: Form) -> dict[str, JsonValue]:
    events: list[JsonValue] = [*form.get("events", [])]
    return {
        "name": first(form, "name"),
        "url": first(form, "url"),
        "events": events,
        "messages": first(form, "messages") or "singles",
    }


_ONE = ADDRESS + "{webhook_id:int}/"
ROUTES = [
    Route(ADDRESS, index),
    Route(ADDRESS, create, methods=["POST"]),
    Route(_ONE, show),
    Route(_ONE + "delete/", ask_delete),
    Route(_ONE + "delete/", delete, methods=["POST"]),
    Route(_ONE + "secret/", rotate, methods=["POST"]),
    Route(_ONE + "deliveries/{delivery_id:int}/again/", send_again, methods=["POST"]),
    Route(_ONE + "{action}/", control, methods=["POST"]),
]
