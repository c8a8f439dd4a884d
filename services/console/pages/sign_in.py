"""/sign-in/ and /sign-out/: a session of the API, whose token is kept in a cookie of the browser."""

from contextlib import suppress

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import first, local_path, read_form
from services.console.rendering import render
from services.console.rest.answers import Session
from services.console.rest.errors import Conflict, Refused
from services.console.session import api_for, forget_token, keep_token
from services.console.translation import N_

WRONG = N_("Login or password is wrong.")
LINK_USED = N_("This link was used, or it is older than 15 minutes. Ask for a new one.")


async def show(request: Request) -> Response:
    """Show the form."""
    return sign_in_page(request, back=local_path(request.query_params.get("back", "/")))


async def sign_in(request: Request) -> Response:
    """Exchange login and password for a session."""
    form = await read_form(request)
    back, login = local_path(first(form, "back")), first(form, "login")
    password = (form.get("password") or [""])[0]
    try:
        session = await api_for(request).sign_in(login, password)
    except Refused as refused:
        if refused.status == 429:
            return sign_in_page(request, refused.status, back=back, login=login, detail=str(refused))
        return sign_in_page(request, 401, back=back, login=login, error=WRONG)
    return begin_session(request, session, back)


async def show_link(request: Request) -> Response:
    """Show a button. A link that signs in by itself would be used up by any program that looks at it."""
    return render(request, "sign_in_link.html", error="")


async def use_link(request: Request) -> Response:
    """Exchange a one-time link for a session."""
    try:
        session = await api_for(request).sign_in_by_link(request.path_params["link"])
    except Refused:
        return render(request, "sign_in_link.html", 401, error=LINK_USED)
    return begin_session(request, session, "/")


async def sign_out(request: Request) -> Response:
    """End the session here and in the API."""
    with suppress(Refused):  # it was over already
        await api_for(request).sign_out()
    answer = RedirectResponse("/sign-in/", 303)
    forget_token(answer)
    return answer


async def sign_out_everywhere(request: Request) -> Response:
    """End all sessions of the person, also those on other devices."""
    try:
        await api_for(request).sign_out_everywhere()
    except Conflict:  # the token is a program's: it has no other sessions
        return await sign_out(request)
    answer = RedirectResponse("/sign-in/", 303)
    forget_token(answer)
    return answer


def begin_session(request: Request, session: Session, back: str) -> Response:
    """Keep the session in the browser, and show the page that the person came for."""
    answer = RedirectResponse(back, 303)
    keep_token(request, answer, session.token, session.expires_at)
    return answer


def sign_in_page(
    request: Request, status: int = 200, *, back: str, login: str = "", error: str = "", detail: str = ""
) -> Response:
    """Return the form, with what went wrong."""
    provider = request.app.state.identity_provider
    return render(
        request,
        "sign_in.html",
        status,
        back=back,
        login=login,
        error=error,
        detail=detail,
        provider=None if provider is None else provider.name,
    )


ROUTES = [
    Route("/sign-in/", show, methods=["GET"]),
    Route("/sign-in/", sign_in, methods=["POST"]),
    Route("/sign-in/link/{link}", show_link, methods=["GET"]),
    Route("/sign-in/link/{link}", use_link, methods=["POST"]),
    Route("/sign-out/", sign_out, methods=["POST"]),
    Route("/sign-out/everywhere/", sign_out_everywhere, methods=["POST"]),
]
