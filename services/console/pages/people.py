"""/access/people/: who may sign in, with which role."""

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import first, read_form
from services.console.rendering import render
from services.console.rest.access_answers import User
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from services.console.words import ROLES

PAGE = 50


async def index(request: Request) -> Response:
    """List the people."""
    after = request.query_params.get("after", "")
    page = await api_for(request).users(limit=PAGE, after=int(after) if after.isdecimal() else None)
    return render(request, "access/people.html", page=page, after=after, roles=ROLES)


async def new(request: Request) -> Response:
    """Show the form of a new user."""
    return _form(request, None, {"login": "", "name": "", "role": "viewer"})


async def create(request: Request) -> Response:
    """Create a user, and go on to their page, where a one-time link is made."""
    form = await read_form(request)
    typed: dict[str, JsonValue] = {name: first(form, name) for name in ("login", "name", "role")}
    try:
        user = await api_for(request).create_user(typed)
    except SignInNeeded:
        raise
    except Refused as error:
        return _form(request, None, typed, error)
    return RedirectResponse(f"/access/people/{user.id}/", 303)


async def show(request: Request) -> Response:
    """Show a user, with the form that changes them."""
    user = await api_for(request).user(request.path_params["user_id"])
    return _form(request, user, {"name": user.name, "role": user.role})


async def change(request: Request) -> Response:
    """Change name and role, or disable or enable the user."""
    api, form = api_for(request), await read_form(request)
    user = await api.user(request.path_params["user_id"])
    typed: dict[str, JsonValue] = {"name": first(form, "name"), "role": first(form, "role")}
    wanted = typed if first(form, "action") == "save" else {"disabled": first(form, "action") == "disable"}
    try:
        await api.change_user(user.id, wanted)
    except SignInNeeded:
        raise
    except Refused as error:
        return _form(request, user, typed if wanted is typed else {"name": user.name, "role": user.role}, error)
    return RedirectResponse(f"/access/people/{user.id}/", 303)


async def link(request: Request) -> Response:
    """Make a one-time link and show it once."""
    api = api_for(request)
    user = await api.user(request.path_params["user_id"])
    made = await api.create_link(user.id)
    base = request.app.state.console_url or f"{request.url.scheme}://{request.url.netloc}"
    return render(
        request,
        "access/secret.html",
        201,
        back=f"/access/people/{user.id}/",
        name=user.name,
        secret=f"{base}/sign-in/link/{made.link}",
        expires_at=made.expires_at,
    )


def _form(
    request: Request, user: User | None, values: dict[str, JsonValue], error: Refused | None = None
) -> Response:
    errors = error.by_field if error else {}
    return render(
        request,
        "access/person.html",
        error.status if error else 200,
        user=user,
        values=values,
        roles=ROLES,
        errors=errors,
        problem=error.problem.detail if error and not errors else "",
    )


ROUTES = [
    Route("/access/people/", index),
    Route("/access/people/new/", new),
    Route("/access/people/new/", create, methods=["POST"]),
    Route("/access/people/{user_id:int}/", show),
    Route("/access/people/{user_id:int}/", change, methods=["POST"]),
    Route("/access/people/{user_id:int}/link/", link, methods=["POST"]),
]
