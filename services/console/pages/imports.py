"""/clients/import/ and /clients/export.csv: a whole directory in, or out, streamed through."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.forms import first, read_form
from services.console.pages.mailing import passed_on
from services.console.rendering import render
from services.console.rest.errors import ApiUnavailable, Refused, SignInNeeded
from services.console.session import api_for


async def show(request: Request) -> Response:
    """Show where a file can be dropped."""
    return render(request, "clients/import.html")


async def upload(request: Request) -> Response:
    """Pass a CSV on to the API as it comes, and show the result as a fragment."""
    try:
        imported = await api_for(request).import_clients(request.stream())
    except SignInNeeded:
        raise
    except (Refused, ApiUnavailable) as error:
        return render(request, "clients/_imported.html", imported=None, problem=str(error))
    return render(request, "clients/_imported.html", imported=imported, problem="")


async def rejected(request: Request) -> Response:
    """Give the rejected rows, which the page holds, back as a file."""
    form = await read_form(request)
    headers = {"Content-Disposition": 'attachment; filename="rejected.csv"'}
    return Response(first(form, "rows") + "\n", headers=headers, media_type="text/csv")


async def export(request: Request) -> Response:
    """Pass the API's CSV of all clients on as it comes."""
    return await passed_on(request, "/api/client/export/", "clients.csv")


ROUTES = [
    Route("/clients/import/", show),
    Route("/clients/import/", upload, methods=["POST"]),
    Route("/clients/import/rejected.csv", rejected, methods=["POST"]),
    Route("/clients/export.csv", export),
]
