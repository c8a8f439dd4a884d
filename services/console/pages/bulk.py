"""/mailings/bulk/: several mailings canceled or deleted together, after one question that names all of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import Form, collected, first, read_form
from services.console.rendering import render
from services.console.rest.answers import Mailing
from services.console.rest.calls import Api
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for

ACTIONS = ("cancel", "delete")
MOST = 50  # mailings at a time


@dataclass(frozen=True, slots=True)
class Failure:
    """A mailing for which the service refused the action, and its words."""

    mailing_id: int
    detail: str


async def ask(request: Request) -> Response:
    """Show which mailings and how many people the action concerns."""
    form = collected(request.query_params.multi_items())
    mailings = await _chosen(api_for(request), form)
    action = _action(form)
    if not mailings or action is None:
        return RedirectResponse("/mailings/", 303)
    return _question(request, action, mailings)


async def act(request: Request) -> Response:
    """Do it for each of them. What was refused is shown; the others are done."""
    api, form = api_for(request), await read_form(request)
    mailings, action = await _chosen(api, form), _action(form)
    if action is None:
        return RedirectResponse("/mailings/", 303)
    results = await asyncio.gather(*(_act(api, action, mailing.id) for mailing in mailings))
    failures = [result for result in results if result is not None]
    if failures:
        refused = {failure.mailing_id for failure in failures}
        left = [mailing for mailing in mailings if mailing.id in refused]
        return _question(request, action, left, failures)
    return RedirectResponse("/mailings/", 303)


async def _act(api: Api, action: str, mailing_id: int) -> Failure | None:
    try:
        if action == "cancel":
            await api.control_mailing(mailing_id, "cancel")
        else:
            await api.delete_mailing(mailing_id)
    except SignInNeeded:
        raise
    except Refused as error:
        return Failure(mailing_id, str(error))
    return None


async def _chosen(api: Api, form: Form) -> list[Mailing]:
    """Return the mailings that are named; one that is gone is left out."""
    ids = dict.fromkeys(int(text) for text in form.get("id", []) if text.isdecimal() and len(text) < 19)
    found = await asyncio.gather(*(_find(api, mailing_id) for mailing_id in list(ids)[:MOST]))
    return [mailing for mailing in found if mailing is not None]


async def _find(api: Api, mailing_id: int) -> Mailing | None:
    try:
        return await api.mailing(mailing_id)
    except SignInNeeded:
        raise
    except Refused:
        return None


def _action(form: Form) -> str | None:
    wanted = first(form, "action")
    return wanted if wanted in ACTIONS else None


def _question(
    request: Request, action: str, mailings: Sequence[Mailing], failures: Sequence[Failure] = ()
) -> Response:
    return render(
        request,
        "mailings/bulk.html",
        409 if failures else 200,
        action=action,
        mailings=mailings,
        failures={failure.mailing_id: failure.detail for failure in failures},
        people=sum(mailing.open if action == "cancel" else mailing.total for mailing in mailings),
    )


ROUTES = [Route("/mailings/bulk/", ask), Route("/mailings/bulk/", act, methods=["POST"])]
