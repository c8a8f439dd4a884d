"""/access/programs/: tokens of programs."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import first, read_form
from services.console.rendering import render
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from services.console.words import ROLES

PAGE = 50


async def index(request: Request) -> Response:
    """List the tokens, with the form of a new one."""
    return await _page(request)


async def create(request: Request) -> Response:
    """Create a token and show it once."""
    form = await read_form(request)
    try:
        made = await api_for(request).create_token({"name": first(form, "name"), "role": first(form, "role")})
    except SignInNeeded:
        raise
    except Refused as error:
        return await _page(request, error, first(form, "name"))
    return render(
        request,
        "access/secret.html",
        201,
        back="/access/programs/",
        name=made.name,
        secret=made.token,
        expires_at=None,
    )


async def revoke(request: Request) -> Response:
    """Revoke a token."""
    await api_for(request).revoke_token(request.path_params["token_id"])
    return RedirectResponse("/access/programs/", 303)


async def _page(request: Request, error: Refused | None = None, name: str = "") -> Response:
    after = request.query_params.get("after", "")
    page = await api_for(request).tokens(limit=PAGE, after=int(after) if after.isdecimal() else None)
    return render(
        request,
        "access/programs.html",
        error.status if error else 200,
        page=page,
        after=after,
        roles=ROLES,
        name=name,
        problem=error.problem.detail if error else "",
    )


ROUTES = [
    Route("/access/programs/", index),
    Route("/access/programs/", create, methods=["POST"]),
    Route("/access/programs/{token_id:int}/revoke/", revoke, methods=["POST"]),
]
