"""/clients/stop-list/: the numbers that must not be written to."""

from collections.abc import Mapping

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import first, read_form
from services.console.pages.mailing import passed_on
from services.console.rendering import render
from services.console.rest.answers import Page, Stop
from services.console.rest.errors import ApiUnavailable, Invalid, Refused, SignInNeeded
from services.console.session import api_for

PAGE = 50
FIELDS = ("number", "scope", "source", "note")
ADDRESS = "/clients/stop-list/"


async def index(request: Request) -> Response:
    """List the numbers, newest first; only the rows if htmx asks for them."""
    return await _show(request, dict.fromkeys(FIELDS, ""))


async def add(request: Request) -> Response:
    """Put a number on the list. What was typed stays when the API refuses it."""
    form = await read_form(request)
    typed = {name: first(form, name).strip() for name in FIELDS}
    body: dict[str, JsonValue] = {**typed, "scope": typed["scope"] or "marketing"}
    try:
        await api_for(request).add_stop(body)
    except SignInNeeded:
        raise
    except Refused as error:
        return await _show(request, typed, error)
    return RedirectResponse(ADDRESS, 303)


async def ask_remove(request: Request) -> Response:
    """Say what the removal of a number does."""
    stop = await api_for(request).stop(request.path_params["stop_id"])
    in_dialog = "hx-request" in request.headers
    template = "stop_list/_remove.html" if in_dialog else "stop_list/remove.html"
    return render(request, template, stop=stop, in_dialog=in_dialog)


async def remove(request: Request) -> Response:
    """Take a number off the list."""
    await api_for(request).remove_stop(request.path_params["stop_id"])
    return RedirectResponse(ADDRESS, 303)


async def upload(request: Request) -> Response:
    """Pass a CSV on to the API as it comes, and show the result as a fragment."""
    try:
        imported = await api_for(request).import_stops(request.stream())
    except SignInNeeded:
        raise
    except (Refused, ApiUnavailable) as error:
        return render(request, "clients/_imported.html", imported=None, problem=str(error))
    return render(request, "clients/_imported.html", imported=imported, problem="")


async def export(request: Request) -> Response:
    """Pass the API's CSV of the stop list on as it comes."""
    return await passed_on(request, "/api/stop/export/", "stop-list.csv")


async def _show(request: Request, typed: Mapping[str, str], error: Refused | None = None) -> Response:
    number = request.query_params.get("number", "").strip()
    after = request.query_params.get("after", "")
    page: Page[Stop] = Page(items=[], next=None)
    number_error = ""
    try:
        page = await api_for(request).stops({"number": number, "after": after, "limit": PAGE})
    except Invalid as refused:
        number_error = refused.by_field.get("number", str(refused))
    errors = error.by_field if error else {}
    return render(
        request,
        "stop_list/_rows.html" if request.headers.get("hx-target") == "rows" else "stop_list/index.html",
        error.status if error else 200,
        page=page,
        number=number,
        number_error=number_error,
        after=after,
        values=typed,
        errors=errors,
        problem=error.problem.detail if error and not errors else "",
    )


ROUTES = [
    Route(ADDRESS, index),
    Route(ADDRESS, add, methods=["POST"]),
    Route(f"{ADDRESS}import/", upload, methods=["POST"]),
    Route("/clients/stop-list.csv", export),
    Route(ADDRESS + "{stop_id:int}/remove/", ask_remove),
    Route(ADDRESS + "{stop_id:int}/remove/", remove, methods=["POST"]),
]
