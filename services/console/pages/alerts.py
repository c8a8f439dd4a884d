"""/alerts/: alerts of the notifier, those that have ended included."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.rendering import render
from services.console.session import api_for

PAGE = 50


async def index(request: Request) -> Response:
    """List the alerts, newest first."""
    after = request.query_params.get("after", "")
    page = await api_for(request).alerts({"limit": PAGE, "after": after})
    return render(request, "alerts/index.html", page=page, after=after, wanted={})


ROUTES = [Route("/alerts/", index)]
