"""/mailings/N/pause/, resume/, cancel/, retry/, delete/: each says first how many people it concerns."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import JsonValue
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import first, instant, read_form
from services.console.preferences import preferences_of
from services.console.rendering import render, translated
from services.console.rest.answers import Mailing
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from services.console.translation import N_
from shared.contracts import utc_now
from shared.statuses import RETRYABLE_STATUSES

ACTIONS = ("pause", "resume", "cancel", "delete")
RETRY_LASTS = timedelta(days=1)


async def ask(request: Request) -> Response:
    """Show what an action does, before it is done."""
    mailing = await api_for(request).mailing(request.path_params["mailing_id"])
    return _confirmation(request, request.path_params["action"], mailing)


async def act(request: Request) -> Response:
    """Do it, and return to the mailing. A refusal is shown where the question was."""
    api, action, mailing_id = api_for(request), request.path_params["action"], request.path_params["mailing_id"]
    try:
        if action == "delete":
            await api.delete_mailing(mailing_id)
            return RedirectResponse("/mailings/", 303)
        await api.control_mailing(mailing_id, action)
    except SignInNeeded:
        raise
    except Refused as error:
        mailing = await api.mailing(mailing_id)
        return _confirmation(request, action, mailing, status=error.status, problem=error.problem.detail)
    return RedirectResponse(f"/mailings/{mailing_id}/", 303)


async def ask_retry(request: Request) -> Response:
    """Show whom a retry concerns, and offer an end for it."""
    mailing = await api_for(request).mailing(request.path_params["mailing_id"])
    wanted = set(request.query_params.getlist("status"))
    chosen = wanted or {str(status) for status in ("failed", "expired") if mailing.messages_status.get(status)}
    ends = max(mailing.expired_at, utc_now() + RETRY_LASTS)
    return _retry_form(request, mailing, chosen, ends)


async def retry(request: Request) -> Response:
    """Let the chosen messages be sent after all."""
    api, mailing_id = api_for(request), request.path_params["mailing_id"]
    form, zone = await read_form(request), preferences_of(request).zone
    chosen, ends = form.get("status", []), instant(first(form, "expired_at"), zone)
    mailing = await api.mailing(mailing_id)
    if not chosen or ends is None:
        problem = N_("Choose who is to get it, and a time at which it ends.")
        shown = translated(request, problem)
        return _retry_form(request, mailing, set(chosen), ends or mailing.expired_at, status=422, problem=shown)
    body: Mapping[str, JsonValue] = {"status": [*chosen], "expired_at": ends.isoformat()}
    try:
        await api.control_mailing(mailing_id, "retry", body)
    except SignInNeeded:
        raise
    except Refused as error:
        return _retry_form(request, mailing, set(chosen), ends, status=error.status, problem=error.problem.detail)
    return RedirectResponse(f"/mailings/{mailing_id}/", 303)


def _confirmation(
    request: Request, action: str, mailing: Mailing, status: int = 200, problem: str = ""
) -> Response:
    in_dialog = "hx-request" in request.headers
    template = "mailing/_confirm.html" if in_dialog else "mailing/confirm.html"
    return render(request, template, status, mailing=mailing, action=action, problem=problem, in_dialog=in_dialog)


def _retry_form(
    request: Request, mailing: Mailing, chosen: set[str], ends: datetime, *, status: int = 200, problem: str = ""
) -> Response:
    in_dialog = "hx-request" in request.headers
    return render(
        request,
        "mailing/_retry.html" if in_dialog else "mailing/retry.html",
        status,
        mailing=mailing,
        chosen=chosen,
        ends=ends,
        retryable=[kind for kind in RETRYABLE_STATUSES if mailing.count(kind)],
        problem=problem,
        in_dialog=in_dialog,
    )


class _Action(StringConvertor):
    """One of the actions, so that any other word is no page."""

    regex = "|".join(ACTIONS)


register_url_convertor("action", _Action())

ROUTES = [
    Route("/mailings/{mailing_id:int}/retry/", ask_retry),
    Route("/mailings/{mailing_id:int}/retry/", retry, methods=["POST"]),
    Route("/mailings/{mailing_id:int}/{action:action}/", ask),
    Route("/mailings/{mailing_id:int}/{action:action}/", act, methods=["POST"]),
]
