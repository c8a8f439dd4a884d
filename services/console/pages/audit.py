"""/access/audit/: who did what, and the history of one mailing or client."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from services.console.rendering import render
from services.console.rest.access_answers import AuditEntry
from services.console.rest.answers import Page
from services.console.rest.errors import Forbidden, Invalid
from services.console.session import api_for

PAGE = 50
HISTORY = 10
FILTERS = ("actor", "operation", "noun", "noun_id")


async def index(request: Request) -> Response:
    """List the entries that match."""
    wanted = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    after = request.query_params.get("after", "")
    problem, page = "", Page[AuditEntry](items=[], next=None)
    try:
        page = await api_for(request).audit({**wanted, "limit": PAGE, "after": after})
    except Invalid as error:
        problem = error.problem.detail
    return render(request, "access/audit.html", page=page, wanted=wanted, after=after, problem=problem)


async def history(request: Request) -> Response:
    """Return the newest entries about one thing, for its page; nothing for people who may not see them."""
    wanted = {"noun": request.path_params["noun"], "noun_id": request.path_params["noun_id"]}
    try:
        page = await api_for(request).audit({**wanted, "limit": HISTORY})
    except Forbidden:
        return HTMLResponse("")
    return render(request, "access/_history.html", page=page, wanted=wanted)


ROUTES = [
    Route("/access/audit/", index),
    Route("/access/audit/{noun:str}/{noun_id:int}/", history),
]
