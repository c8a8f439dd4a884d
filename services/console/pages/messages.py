"""/messages/: one message sent now, one message's story, and everything that concerned a number."""

from collections.abc import Mapping
from uuid import uuid4

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.console.forms import first, instant, read_form
from services.console.preferences import preferences_of
from services.console.rendering import render
from services.console.rest.answers import HistoryItem, Page
from services.console.rest.errors import Invalid, Refused, SignInNeeded
from services.console.session import api_for
from shared.sms_parts import parts

HISTORY = 20
FIELDS = ("number", "text", "expired_at")


async def index(request: Request) -> Response:
    """Show a number's history, if one is asked for, beside the form for a single message."""
    number = request.query_params.get("number", "").strip()
    history: Page[HistoryItem] | None = None
    errors: Mapping[str, str] = {}
    if number:
        after = request.query_params.get("after", "")
        try:
            history = await api_for(request).history(
                number=number, limit=HISTORY, after=int(after) if after.isdecimal() else None
            )
        except Invalid as error:
            errors = error.by_field
    return render(
        request,
        "messages/index.html",
        number=number,
        history=history,
        errors=errors,
        **_new(dict.fromkeys(FIELDS, "")),
    )


async def send(request: Request) -> Response:
    """Send one message now, and show its story."""
    form = await read_form(request)
    typed = {name: first(form, name) for name in FIELDS}
    body: dict[str, JsonValue] = {"number": typed["number"], "text": typed["text"].replace("\r\n", "\n")}
    if typed["expired_at"]:
        at = instant(typed["expired_at"], preferences_of(request).zone)
        body["expired_at"] = at.isoformat() if at else typed["expired_at"]
    try:
        message = await api_for(request).send_message(body, first(form, "key") or uuid4().hex)
    except SignInNeeded:
        raise
    except Refused as error:
        return render(
            request,
            "messages/index.html",
            error.status,
            number="",
            history=None,
            errors={},
            **_new(typed, error.by_field, error.problem.detail),
        )
    return RedirectResponse(f"/messages/{message.id}/", 303)


async def show(request: Request) -> Response:
    """Show a message with its attempts as a time line."""
    api = api_for(request)
    message = await api.message(request.path_params["message_id"])
    mailing = await api.mailing(message.mailing_id) if message.mailing_id else None
    return render(request, "messages/show.html", message=message, mailing=mailing)


def _new(
    values: Mapping[str, str], errors: Mapping[str, str] | None = None, problem: str = ""
) -> dict[str, object]:
    """Return what the form for a single message needs."""
    return {
        "values": values,
        "new_errors": errors or {},
        "problem": "" if errors else problem,
        "parts": parts(values["text"]),
        "key": uuid4().hex,
    }


ROUTES = [
    Route("/messages/", index),
    Route("/messages/", send, methods=["POST"]),
    Route("/messages/{message_id:int}/", show),
]
