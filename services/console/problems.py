"""Pages for what goes wrong: the API is away, refuses, or knows no such thing."""

from urllib.parse import urlencode

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.console.rendering import render
from services.console.rest.errors import ApiUnavailable, Forbidden, NotFound, Refused, SignInNeeded
from services.console.translation import N_

log = structlog.get_logger()


def install(app: Starlette) -> None:
    """Let every error leave the application as a page."""
    app.add_exception_handler(ApiUnavailable, _unavailable)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _fault)


async def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiUnavailable)
    log.warning("api_unavailable", error=str(error))
    return _page(
        request,
        503,
        N_("The service does not answer"),
        N_("Nothing was lost. This page tries again by itself every few seconds."),
        detail=error.explanation,
        retry=request.method == "GET",
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    match error:
        case SignInNeeded():
            if request.method == "GET" and "hx-request" not in request.headers and not _is_stream(request):
                path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                return RedirectResponse(f"/sign-in/?{urlencode({'back': path})}", 303)
            return _page(
                request, 401, N_("Please sign in"), N_("Your session is over, or you have none."), sign_in=True
            )
        case Forbidden():
            return _page(
                request, 403, N_("You may not do this"), N_("Your role does not allow it."), detail=str(error)
            )
        case NotFound():
            return _page(
                request,
                404,
                N_("There is no such thing"),
                N_("It never existed, or it was deleted."),
                detail=str(error),
            )
        case _:
            return _page(request, error.status, N_("The service refused this"), "", detail=str(error))


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _page(request, 404, N_("There is no such page"), N_("The address may have a typing error."))
    return _page(request, error.status_code, N_("This cannot be done"), "", detail=str(error.detail))


async def _fault(request: Request, error: Exception) -> Response:
    log.error("page_failed", path=request.url.path, exc_info=error)
    return _page(request, 500, N_("Something went wrong here"), N_("The logs say what, under this request id."))


def _is_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _page(
    request: Request,
    status: int,
    title: str,
    text: str,
    *,
    detail: str = "",
    retry: bool = False,
    sign_in: bool = False,
) -> Response:
    return render(
        request,
        "problem.html",
        status,
        status=status,
        title=title,
        text=text,
        detail=detail,
        retry=retry,
        sign_in=sign_in,
    )
