"""/mailings/N/extend/: more time for the people who have not got a mailing yet."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import first, instant, read_form
from services.console.live import LiveMailings
from services.console.pace import Pace, ends_on_offer, mean_pace, measured_pace
from services.console.preferences import preferences_of
from services.console.rendering import render
from services.console.rest.answers import Mailing
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from shared.contracts import utc_now


async def ask(request: Request) -> Response:
    """Offer some later ends, and one of the person's own."""
    mailing = await api_for(request).mailing(request.path_params["mailing_id"])
    return _question(request, mailing)


async def extend(request: Request) -> Response:
    """Move the end. A refusal is shown where the question was."""
    api, mailing_id = api_for(request), request.path_params["mailing_id"]
    form = await read_form(request)
    wanted = first(form, "until") or first(form, "expired_at")
    at = instant(wanted, preferences_of(request).zone)
    try:
        await api.change_mailing(mailing_id, {"expired_at": at.isoformat() if at else wanted})
    except SignInNeeded:
        raise
    except Refused as error:
        mailing = await api.mailing(mailing_id)
        problem = next(iter(error.by_field.values()), error.problem.detail)
        return _question(request, mailing, wanted, problem, error.status)
    return RedirectResponse(f"/mailings/{mailing_id}/", 303)


def _question(
    request: Request, mailing: Mailing, wanted: str = "", problem: str = "", status: int = 200
) -> Response:
    now = utc_now()
    pace = _pace(request, mailing, now)
    in_dialog = "hx-request" in request.headers
    offers: Sequence[datetime] = ends_on_offer(mailing, pace, now)
    return render(
        request,
        "mailing/_extend.html" if in_dialog else "mailing/extend.html",
        status,
        mailing=mailing,
        pace=pace,
        offers=offers,
        wanted=wanted,
        default=max(mailing.expired_at, now) + timedelta(hours=1),
        problem=problem,
        in_dialog=in_dialog,
    )


def _pace(request: Request, mailing: Mailing, now: datetime) -> Pace | None:
    live: LiveMailings = request.app.state.live
    return measured_pace(mailing, live.samples(mailing.id), now) or mean_pace(mailing, now)


ROUTES = [
    Route("/mailings/{mailing_id:int}/extend/", ask),
    Route("/mailings/{mailing_id:int}/extend/", extend, methods=["POST"]),
]
