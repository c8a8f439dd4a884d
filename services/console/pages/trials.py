"""Tests of a text: of a mailing on its page, and of a draft while it is written. Each is a single message."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console.forms import Form, first, lines, read_form
from services.console.rendering import render
from services.console.rest.answers import MessageDetail
from services.console.rest.errors import Refused, SignInNeeded
from services.console.session import api_for
from services.console.texts import parts_of
from shared.placeholders import BrokenPlaceholder, render_plain

MOST = 10  # numbers of one test


async def ask(request: Request) -> Response:
    """Ask for the numbers that get a test of a mailing."""
    mailing = await api_for(request).mailing(request.path_params["mailing_id"])
    in_dialog = "hx-request" in request.headers
    template = "mailing/_test.html" if in_dialog else "mailing/test.html"
    shown = parts_of(mailing.text)
    return render(request, template, mailing=mailing, numbers="", problem="", parts=shown, in_dialog=in_dialog)


async def send(request: Request) -> Response:
    """Send the test of a mailing, and show what becomes of its messages."""
    api, form = api_for(request), await read_form(request)
    mailing = await api.mailing(request.path_params["mailing_id"])
    in_dialog = "hx-request" in request.headers
    try:
        tested = await api.test_mailing(mailing.id, {"numbers": [*_numbers(form)]})
    except SignInNeeded:
        raise
    except Refused as error:
        return render(
            request,
            "mailing/_test.html" if in_dialog else "mailing/test.html",
            200 if in_dialog else error.status,  # htmx swaps in no error
            mailing=mailing,
            numbers=first(form, "numbers"),
            problem=_words(error),
            parts=parts_of(mailing.text),
            in_dialog=in_dialog,
        )
    template = "mailing/_tested.html" if in_dialog else "mailing/tested.html"
    return render(request, template, mailing=mailing, messages=tested.items, in_dialog=in_dialog)


async def send_draft(request: Request) -> Response:
    """Send the text of a draft to the given numbers. The wizard shows the answer below the button."""
    api, form = api_for(request), await read_form(request)
    text, kind = first(form, "text").replace("\r\n", "\n"), first(form, "kind") or "marketing"
    messages: Sequence[MessageDetail] = ()
    problem = ""
    try:
        shown = render_plain(text)  # for somebody without attributes
        messages = [
            await api.send_message({"number": number, "text": shown, "kind": kind}, uuid4().hex)
            for number in _numbers(form)[:MOST]
        ]
    except SignInNeeded:
        raise
    except Refused as error:
        problem = _words(error)
    except BrokenPlaceholder as error:
        problem = str(error)
    return render(request, "messages/_tests.html", messages=messages, problem=problem)


async def follow(request: Request) -> Response:
    """Show what has become of the messages of a test."""
    ids = [int(text) for text in request.query_params.getlist("id") if text.isdecimal() and len(text) < 19]
    api = api_for(request)
    messages = await asyncio.gather(*(api.message(message_id) for message_id in ids[:MOST]))
    return render(request, "messages/_tests.html", messages=messages, problem="")


def _numbers(form: Form) -> list[JsonValue]:
    return [*lines(first(form, "numbers").replace(",", "\n").replace(";", "\n"))]


def _words(error: Refused) -> str:
    """Return the API's words on the field at fault, else on the request."""
    return next(iter(error.by_field.values()), error.problem.detail)


ROUTES = [
    Route("/mailings/new/test/", send_draft, methods=["POST"]),
    Route("/mailings/tests/", follow),
    Route("/mailings/{mailing_id:int}/test/", ask),
    Route("/mailings/{mailing_id:int}/test/", send, methods=["POST"]),
]
