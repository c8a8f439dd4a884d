"""/clients/: the directory, and /clients/N/: everything that concerned one person."""

import asyncio
from collections.abc import Mapping

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.attributes import attribute_lines, attributes_of
from services.console.forms import Form, first, read_form
from services.console.rendering import render, translated
from services.console.rest.answers import Client, Page
from services.console.rest.calls import Query
from services.console.rest.errors import ChangedMeanwhile, Forbidden, Invalid, NotFound, Refused, SignInNeeded
from services.console.session import api_for
from services.console.translation import N_
from shared.zones import known_zones

PAGE = 50
HISTORY = 20
FIELDS = ("number", "tag", "zone", "attributes")
FILTERS = ("number", "tag", "code", "zone", "attribute")
COMPLETE = 11  # digits


async def index(request: Request) -> Response:
    """List the clients that match; only the rows if htmx asks for them."""
    wanted = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    errors: Mapping[str, str] = {}
    page: Page[Client] = Page(items=[], next=None)
    try:
        page = await api_for(request).clients(
            {**_conditions(wanted), "limit": PAGE, "after": request.query_params.get("after")}
        )
    except Invalid as error:
        errors = error.by_field
    except Forbidden as error:
        errors = {"number": error.problem.detail}
    template = "clients/_rows.html" if request.headers.get("hx-target") == "rows" else "clients/index.html"
    return render(
        request, template, page=page, wanted=wanted, errors=errors, after=request.query_params.get("after")
    )


def _conditions(wanted: Mapping[str, str]) -> Query:
    """Return what is wanted as the API takes it: parts of a number, and any of several tags."""
    number, tag = wanted["number"], wanted["tag"]
    digits = "".join(filter(str.isdecimal, number))
    field = "number_ends" if number.startswith("*") else "number" if len(digits) >= COMPLETE else "number_begins"
    tags = dict.fromkeys([tag, *(part.strip() for part in tag.split(","))])  # a tag may have a comma, too
    return {
        **{name: wanted[name] for name in ("code", "zone", "attribute")},
        field: number if field == "number" else digits or number,
        "tag": [one for one in tags if one],
    }


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
    return _form(request, None, {"number": "", "tag": "", "zone": "Europe/Moscow", "attributes": ""})


async def create(request: Request) -> Response:
    """Create a client. What was typed stays when the API refuses it."""
    typed = _typed(await read_form(request))
    try:
        client = await api_for(request).create_client(_body(typed))
    except SignInNeeded:
        raise
    except Refused as error:
        return _form(request, None, typed, error)
    return RedirectResponse(f"/clients/{client.id}/", 303)


async def edit(request: Request) -> Response:
    """Show a client's fields."""
    client, version = await api_for(request).client_with_version(request.path_params["client_id"])
    return _form(request, client, {**_shown(client), "version": version})


async def change(request: Request) -> Response:
    """Change a client that is as the form showed it.

    If somebody else has changed it, the form shows what is typed beside what is stored. Sent again, it overwrites.
    """
    api, form = api_for(request), await read_form(request)
    typed = _typed(form)
    client, version = await api.client_with_version(request.path_params["client_id"])
    try:
        await api.change_client(client.id, _body(typed), first(form, "version"))
    except SignInNeeded:
        raise
    except ChangedMeanwhile as error:
        if conflicts := _conflicts(request, client, typed):
            return _form(request, client, {**typed, "version": version}, error, conflicts)
    except Refused as error:
        return _form(request, client, {**typed, "version": first(form, "version")}, error)
    return RedirectResponse(f"/clients/{client.id}/", 303)


def _conflicts(request: Request, client: Client, typed: Mapping[str, str]) -> Mapping[str, str]:
    """Return a message for each field that is stored with another value than the typed one."""
    conflict = translated(request, N_("Somebody else has changed this meanwhile. It is now: %(value)s"))
    return {name: conflict % {"value": value} for name, value in _shown(client).items() if typed[name] != value}


def _shown(client: Client) -> dict[str, str]:
    return {
        "number": str(client.number),
        "tag": client.tag,
        "zone": client.zone,
        "attributes": attribute_lines(client.attributes),
    }


def _body(typed: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return the fields as the API takes them."""
    return {**typed, "attributes": {**attributes_of(typed["attributes"])}}


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


def _typed(form: Form) -> dict[str, str]:
    return {name: first(form, name).replace("\r\n", "\n") for name in FIELDS}


def _form(
    request: Request,
    client: Client | None,
    values: Mapping[str, str],
    error: Refused | None = None,
    conflicts: Mapping[str, str] | None = None,
) -> Response:
    errors = conflicts or (error.by_field if error else {})
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
