"""/messages/results/: the results of all attempts across mailings, newest first."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.rendering import render
from services.console.rest.answers import AttemptPage
from services.console.rest.errors import Invalid
from services.console.session import api_for
from services.console.words import OUTCOMES

PAGE = 50
FILTERS = ("outcome", "provider_status", "mailing", "sender")


async def show(request: Request) -> Response:
    """Show a page of the list; only its rows if htmx asks for them."""
    wanted = {name: request.query_params.get(name, "").strip()[:200] for name in FILTERS}
    after = request.query_params.get("after", "")
    errors: Mapping[str, str] = {}
    try:
        page = await api_for(request).attempts({**wanted, "after": after, "limit": PAGE})
    except Invalid as error:
        page, errors = AttemptPage(items=(), next=None), error.by_field
    return render(
        request,
        "messages/_results.html" if request.headers.get("hx-target") == "rows" else "messages/results.html",
        page=page,
        wanted=wanted,
        after=after,
        errors=errors,
        outcomes=OUTCOMES,
    )


ROUTES = [Route("/messages/results/", show)]
