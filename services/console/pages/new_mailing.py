"""/mailings/new/: a mailing in four steps. Each step is a page; the draft is in its address."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.draft import Draft, draft_of, fresh, like
from services.console.foresight import next_hours, previewed_draft, reach
from services.console.forms import first, read_form
from services.console.preferences import preferences_of
from services.console.rendering import render
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from services.console.translation import N_
from shared.contracts import utc_now
from shared.sms_parts import parts
from shared.zones import known_zones

STEPS: Mapping[str, str] = {
    "recipients": N_("Recipients"),
    "text": N_("Text"),
    "time": N_("Time"),
    "check": N_("Check"),
}


async def begin(request: Request) -> Response:
    """Start a draft, from another mailing if the address names one, and go to its first step."""
    zone, now = preferences_of(request).zone, utc_now()
    other = request.query_params.get("like", "")
    if other.isdecimal():
        draft = like(await api_for(request).mailing(int(other)), zone, now)
    else:
        draft = replace(fresh(zone, now), tag=request.query_params.get("tag", ""))
    return _step(request, "recipients", draft)


async def show(request: Request) -> Response:
    """Show a step of the draft."""
    step, draft = request.path_params["step"], draft_of(request.query_params)
    if step != "check":
        return _step(request, step, draft)
    return await _check(request, draft)


async def preview(request: Request) -> Response:
    """Count the people, and foresee the end, while the person types."""
    draft, step = draft_of(request.query_params), request.query_params.get("step", "")
    previewed, errors = await previewed_draft(api_for(request), draft, preferences_of(request))
    return render(
        request,
        "new_mailing/_preview.html",
        step=step,
        preview=previewed,
        errors=errors,
        reach=reach(draft.begin, draft.until, previewed) if step == "time" else (),
        hours=next_hours(preferences_of(request).zone),
    )


async def show_parts(request: Request) -> Response:
    """Count the SMS parts of a text while the person types."""
    return render(request, "new_mailing/_parts.html", parts=parts(request.query_params.get("text", "")))


async def create(request: Request) -> Response:
    """Create the mailing. The key in the form makes a second press of the button create nothing more."""
    form, preferences = await read_form(request), preferences_of(request)
    draft = draft_of({name: values[0] for name, values in form.items() if values})
    api = api_for(request)
    try:
        mailing = await api.create_mailing(
            draft.body(preferences.zone, utc_now()), first(form, "key") or uuid4().hex
        )
    except SignInNeeded:
        raise
    except Refused as error:
        return await _check(request, draft, error)
    return RedirectResponse(f"/mailings/{mailing.id}/", 303)


def _step(request: Request, step: str, draft: Draft) -> Response:
    return render(
        request,
        f"new_mailing/{step}.html",
        step=step,
        steps=STEPS,
        draft=draft,
        values=draft.values(),
        parts=parts(draft.text),
        zones=sorted(known_zones()),
    )


async def _check(request: Request, draft: Draft, error: Refused | None = None) -> Response:
    preferences = preferences_of(request)
    previewed, errors = await previewed_draft(api_for(request), draft, preferences, complete=True)
    body = draft.body(preferences.zone, utc_now())
    return render(
        request,
        "new_mailing/check.html",
        error.status if error else 200,
        step="check",
        steps=STEPS,
        draft=draft,
        values=draft.values(),
        preview=previewed,
        errors=error.problem.errors if error else errors,
        refused=error.problem.detail if error else "",
        starts=_instant(body["starts_at"]),
        ends=_instant(body["expired_at"]),
        parts=parts(draft.text),
        key=uuid4().hex,
    )


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None


class _Step(StringConvertor):
    """One of the steps, so that any other word is no page."""

    regex = "|".join(STEPS)


register_url_convertor("step", _Step())

ROUTES = [
    Route("/mailings/new/", begin),
    Route("/mailings/new/preview/", preview),
    Route("/mailings/new/parts/", show_parts),
    Route("/mailings/new/{step:step}/", show),
    Route("/mailings/new/check/", create, methods=["POST"]),
]
