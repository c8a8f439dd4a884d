"""/mailings/N/change/: the fields of a mailing that may still be changed."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.draft import cap_of, number_or_text, whole_or_text, window_of
from services.console.forms import Form, first, instant, read_form
from services.console.preferences import preferences_of
from services.console.rendering import render, translated
from services.console.rest.answers import Mailing
from services.console.rest.errors import ChangedMeanwhile, Refused, SignInNeeded
from services.console.session import api_for
from services.console.texts import parts_of
from services.console.translation import N_

_TRIES = 3


async def ask(request: Request) -> Response:
    """Show the fields that may still be changed."""
    mailing = await api_for(request).mailing(request.path_params["mailing_id"])
    return _change_form(request, mailing, _shown(mailing, preferences_of(request).zone))


async def change(request: Request) -> Response:
    """Change what the person has changed. What was typed stays when the API refuses it.

    Between the look at the mailing and the change of it, somebody else may change it: then it is looked at again.
    """
    form = await read_form(request)
    for _ in range(_TRIES - 1):
        with suppress(ChangedMeanwhile):
            return await _change_once(request, form)
    return await _change_once(request, form)


async def _change_once(request: Request, form: Form) -> Response:
    """Change a mailing that stays as it is found. Raises ChangedMeanwhile.

    The form carries the values that it was opened with. A field that somebody else has changed since is not
    overwritten: the form shows the conflict.
    """
    api, mailing_id = api_for(request), request.path_params["mailing_id"]
    zone = preferences_of(request).zone
    mailing, version = await api.mailing_with_version(mailing_id)
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
            await api.change_mailing(mailing_id, changes, version)
        except (SignInNeeded, ChangedMeanwhile):
            raise
        except Refused as error:
            return _change_form(request, mailing, typed, error.by_field, error)
    return RedirectResponse(f"/mailings/{mailing_id}/", 303)


def _typed(form: Form, name: str, otherwise: str) -> str:
    """Return a field of the form. Browsers send each line of a text with CR and LF."""
    if name == "days" and name in form:
        return ",".join(filter(None, form[name]))
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
        "days": ",".join(mailing.window.days) if mailing.window else "",
        "rate": f"{mailing.rate:g}" if mailing.rate else "",
        "sender_name": mailing.sender_name or "",
        "validity": str(mailing.validity or ""),
        "max_parts": str(mailing.max_parts or ""),
        "cap_messages": str(mailing.frequency_cap.messages) if mailing.frequency_cap else "",
        "cap_days": str(mailing.frequency_cap.days) if mailing.frequency_cap else "",
        "no_repeat": str(mailing.no_repeat or ""),
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
    if changed.keys() & {"from", "until", "days"}:
        changes["window"] = window_of(typed["from"], typed["until"], typed["days"])
    if "rate" in changed:
        changes["rate"] = number_or_text(changed["rate"])
    if "sender_name" in changed:
        changes["sender_name"] = changed["sender_name"].strip() or None
    for name in sorted(changed.keys() & {"validity", "max_parts", "no_repeat"}):
        changes[name] = whole_or_text(changed[name])
    if changed.keys() & {"cap_messages", "cap_days"}:
        changes["frequency_cap"] = cap_of(typed["cap_messages"], typed["cap_days"])
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
        parts=parts_of(values["text"]),
    )


ROUTES = [
    Route("/mailings/{mailing_id:int}/change/", ask),
    Route("/mailings/{mailing_id:int}/change/", change, methods=["POST"]),
]
