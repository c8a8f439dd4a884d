"""/clients/bulk/: several clients given another tag, or deleted, after one question that names all of them."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import Form, collected, first, ids, read_form
from services.console.rendering import encoded_query, render
from services.console.rest.answers import Client
from services.console.rest.calls import Api
from services.console.rest.errors import NotFound, Refused, SignInNeeded
from services.console.session import api_for

ACTIONS = ("tag", "delete")
MOST = 50  # clients at a time: a page of the list


async def ask(request: Request) -> Response:
    """Show which people the action concerns."""
    form = collected(request.query_params.multi_items())
    clients, action = await _chosen(api_for(request), form), first(form, "action")
    if not clients or action not in ACTIONS:
        return RedirectResponse("/clients/", 303)
    return _question(request, action, clients)


async def act(request: Request) -> Response:
    """Do it for each of them. What was refused is shown; the others are done."""
    api, form = api_for(request), await read_form(request)
    clients, action, tag = await _chosen(api, form), first(form, "action"), first(form, "tag")
    if action not in ACTIONS:
        return RedirectResponse("/clients/", 303)
    refusals = await asyncio.gather(*(_act(api, action, client.id, tag) for client in clients))
    if left := [(client, refusal) for client, refusal in zip(clients, refusals, strict=True) if refusal]:
        return _question(request, action, [client for client, _ in left], tag, left[0][1])
    return RedirectResponse(f"/clients/{encoded_query({'tag': tag})}", 303)


async def _act(api: Api, action: str, client_id: int, tag: str) -> str:
    """Return the words of the refusal; empty if it is done."""
    try:
        if action == "tag":
            await api.change_client(client_id, {"tag": tag})
        else:
            await api.delete_client(client_id)
    except (SignInNeeded, NotFound) as error:  # one that is gone needs nothing
        if isinstance(error, SignInNeeded):
            raise
    except Refused as error:
        return next(iter(error.by_field.values()), str(error))
    return ""


async def _chosen(api: Api, form: Form) -> list[Client]:
    """Return the clients that are named; one that is gone is left out."""
    found = await asyncio.gather(*(_find(api, client_id) for client_id in ids(form)[:MOST]))
    return [client for client in found if client is not None]


async def _find(api: Api, client_id: int) -> Client | None:
    try:
        return await api.client(client_id)
    except NotFound:
        return None


def _question(
    request: Request, action: str, clients: Sequence[Client], tag: str = "", problem: str = ""
) -> Response:
    status = 422 if problem else 200
    return render(request, "clients/bulk.html", status, action=action, clients=clients, tag=tag, problem=problem)


ROUTES = [Route("/clients/bulk/", ask), Route("/clients/bulk/", act, methods=["POST"])]
