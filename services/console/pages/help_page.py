"""/help/: what the words mean, and where the rest is."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.rendering import render


async def show(request: Request) -> Response:
    """Show the statuses in words, and where the API describes itself.

    The console may know the API by a name that means nothing to the browser, so that is no link then.
    """
    api_url: str = request.app.state.api_url
    is_reachable = urlsplit(api_url).hostname == request.url.hostname
    return render(request, "help.html", docs_url=f"{api_url}/docs/" if is_reachable else None)


ROUTES = [Route("/help/", show)]
