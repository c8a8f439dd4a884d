"""/clients/: the directory, and /clients/N/: everything that concerned one person."""

import asyncio
from collections.abc import Mapping

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import Form, first, read_form
from services.console.rendering import render
from services.console.rest.answers import Client, Page
from services.console.rest.errors import Invalid, NotFound, Refused, SignInNeeded
from services.console.session import api_for
from shared.zones import known_zones

PAGE = 50
HISTORY = 20
FIELDS = ("number", "tag", "zone")
FILTERS = ("number", "tag", "code", "zone")


async def index(request: Request) -> Response:
    """List the clients that match; only the rows if htmx asks for them."""
    wanted = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    errors: Mapping[str, str] = {}
    page: Page[Client] = Page(items=[], next=None)
    try:
        page = await api_for(request).clients(
            {**wanted, "limit": PAGE, "after": request.query_params.get("after")}
        )
    except Invalid as error:
        errors = error.by_field
    template = "clients/_rows.html" if request.headers.get("hx-target") == "rows" else "clients/index.html"
    return render(
        request, template, page=page, wanted=wanted, errors=errors, after=request.query_params.get("after")
    )


async def show(request: Request) -> Response:
    """Show a client with everything that was sent, newest first."""
    api, client_id = api_for(request), request.path_params["client_id"]
    after = request.query_params.get("after", "")
    client, history = await asyncio.gather(
        api.client(client_id),
        api.history(client=client_id, limit=HISTORY, after=int(after) if after.isdecimal() else None),
        return_exceptions=True,
    )
    if isinstance(history, BaseException):
        raise history
    if isinstance(client, BaseException) and not isinstance(client, NotFound):
        raise client
    known = client if isinstance(client, Client) else None  # a deleted client still has a history
    return render(request, "clients/show.html", client=known, client_id=client_id, history=history)


async def new(request: Request) -> Response:
    """Show the form of a new client."""
    return _form(request, None, {"number": "", "tag": "", "zone": "Europe/Moscow"})


async def create(request: Request) -> Response:
    """Create a client. What was typed stays when the API refuses it."""
    typed = _typed(await read_form(request))
    try:
        client = await api_for(request).create_client(typed)
    except SignInNeeded:
        raise
    except Refused as error:
        return _form(request, None, typed, error)
    return RedirectResponse(f"/clients/{client.id}/", 303)


async def edit(request: Request) -> Response:
    """Show a client's fields."""
    client = await api_for(request).client(request.path_params["client_id"])
    return _form(request, client, {"number": str(client.number), "tag": client.tag, "zone": client.zone})


async def change(request: Request) -> Response:
    """Change a client."""
    api, typed = api_for(request), _typed(await read_form(request))
    client = await api.client(request.path_params["client_id"])
    try:
        await api.change_client(client.id, typed)
    except SignInNeeded:
        raise
    except Refused as error:
        return _form(request, client, typed, error)
    return RedirectResponse(f"/clients/{client.id}/", 303)


async def ask_delete(request: Request) -> Response:
    """Say what a deletion does."""
    client = await api_for(request).client(request.path_params["client_id"])
    in_dialog = "hx-request" in request.headers
    template = "clients/_delete.html" if in_dialog else "clients/delete.html"
    return render(request, template, client=client, in_dialog=in_dialog)


async def delete(request: Request) -> Response:
    """Delete a client."""
    await api_for(request).delete_client(request.path_params["client_id"])
    return RedirectResponse("/clients/", 303)


def _typed(form: Form) -> dict[str, JsonValue]:
    return {name: first(form, name) for name in FIELDS}


def _form(
    request: Request, client: Client | None, values: Mapping[str, JsonValue], error: Refused | None = None
) -> Response:
    errors = error.by_field if error else {}
    return render(
        request,
        "clients/form.html",
        error.status if error else 200,
        client=client,
        values=values,
        errors=errors,
        problem=error.problem.detail if error and not errors else "",
        zones=sorted(known_zones()),
    )


ROUTES = [
    Route("/clients/", index),
    Route("/clients/new/", new),
    Route("/clients/new/", create, methods=["POST"]),
    Route("/clients/{client_id:int}/", show),
    Route("/clients/{client_id:int}/edit/", edit),
    Route("/clients/{client_id:int}/edit/", change, methods=["POST"]),
    Route("/clients/{client_id:int}/delete/", ask_delete),
    Route("/clients/{client_id:int}/delete/", delete, methods=["POST"]),
]
