"""/help/: what the words mean, and where the rest is."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.rendering import render


async def show(request: Request) -> Response:
    """Show the statuses in words, and links to the API's documentation."""
    return render(request, "help.html", api_url=request.app.state.api_url)


ROUTES = [Route("/help/", show)]
