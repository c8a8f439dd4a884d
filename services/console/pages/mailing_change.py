"""/mailings/N/change/: the fields of a mailing that may still be changed."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.draft import number_or_text
from services.console.forms import Form, first, instant, read_form
from services.console.preferences import preferences_of
from services.console.rendering import render, translated
from services.console.rest.answers import Mailing
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from services.console.translation import N_
from shared.sms_parts import parts


async def ask(request: Request) -> Response:
    """Show the fields that may still be changed."""
    mailing = await api_for(request).mailing(request.path_params["mailing_id"])
    return _change_form(request, mailing, _shown(mailing, preferences_of(request).zone))


async def change(request: Request) -> Response:
    """Change what the person has changed. What was typed stays when the API refuses it.

    The form carries the values that it was opened with. A field that somebody else has changed since is not
    overwritten: the person is conflict.
    """
    api, mailing_id = api_for(request), request.path_params["mailing_id"]
    form, zone = await read_form(request), preferences_of(request).zone
    mailing = await api.mailing(mailing_id)
    shown = _shown(mailing, zone)
    opened = {name: _typed(form, f"was-{name}", value) for name, value in shown.items()}
    typed = {name: _typed(form, name, opened[name]) for name in shown}
    changed = {name for name in shown if typed[name] != opened[name]}
    if overtaken := {name for name in changed if shown[name] not in (opened[name], typed[name])}:
        conflict = translated(request, N_("Somebody else has changed this meanwhile. It is now: %(value)s"))
        return _change_form(
            request, mailing, typed, {name: conflict % {"value": shown[name]} for name in overtaken}
        )
    if changes := _changes({name: typed[name] for name in changed}, typed, zone):
        try:
            await api.change_mailing(mailing_id, changes)
        except SignInNeeded:
            raise
        except Refused as error:
            return _change_form(request, mailing, typed, error.by_field, error)
    return RedirectResponse(f"/mailings/{mailing_id}/", 303)


def _typed(form: Form, name: str, otherwise: str) -> str:
    """Return a field of the form. Browsers send each line of a text with CR and LF."""
    return first(form, name).replace("\r\n", "\n") if name in form else otherwise


def _shown(mailing: Mailing, zone: ZoneInfo) -> dict[str, str]:
    """Return the values as the form shows them."""
    return {
        "name": mailing.name or "",
        "text": mailing.text.strip(),
        "starts_at": _local(mailing.starts_at, zone),
        "expired_at": _local(mailing.expired_at, zone),
        "from": mailing.window.begin[:5] if mailing.window else "",
        "until": mailing.window.until[:5] if mailing.window else "",
        "rate": f"{mailing.rate:g}" if mailing.rate else "",
    }


def _changes(changed: Mapping[str, str], typed: Mapping[str, str], zone: ZoneInfo) -> dict[str, JsonValue]:
    """Return the changed fields as the API takes them. The form shows minutes, while the mailing has seconds."""
    changes: dict[str, JsonValue] = {}
    if "name" in changed:
        changes["name"] = changed["name"].strip() or None
    if "text" in changed:
        changes["text"] = changed["text"]
    for name in sorted(changed.keys() & {"starts_at", "expired_at"}):
        at = instant(changed[name], zone)
        changes[name] = at.isoformat() if at else changed[name]
    if changed.keys() & {"from", "until"}:
        begin, until = typed["from"], typed["until"]
        changes["window"] = {"from": begin, "until": until} if begin or until else None
    if "rate" in changed:
        changes["rate"] = number_or_text(changed["rate"])
    return changes


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")


def _change_form(
    request: Request,
    mailing: Mailing,
    values: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    error: Refused | None = None,
) -> Response:
    status = error.status if error else 409 if errors else 200
    return render(
        request,
        "mailing/change.html",
        status,
        mailing=mailing,
        values=values,
        opened=_shown(mailing, preferences_of(request).zone),
        errors=errors or {},
        problem=error.problem.detail if error else "",
        parts=parts(values["text"]),
    )


ROUTES = [
    Route("/mailings/{mailing_id:int}/change/", ask),
    Route("/mailings/{mailing_id:int}/change/", change, methods=["POST"]),
]
