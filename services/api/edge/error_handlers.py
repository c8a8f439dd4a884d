"""Handlers of errors: every error leaves the application as a problem document."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from services.api.edge.problems import INVALID, TYPES, FieldError, answer, plain, unavailable
from services.api.edge.refusals import (
    Invalid,
    KeyReused,
    LoginTaken,
    NumberTaken,
    Refusal,
    StopExists,
    TooManyLogins,
)
from shared.errors import DatabaseUnavailable
from shared.issuer import IssuerUnavailable

_MAX_ERRORS = 20  # in one answer: a list of a thousand wrong values gets errors for the first of them only
# Replacements for pydantic's messages that a caller may not understand.
_PLAIN_MESSAGES = {"missing": "is required", "extra_forbidden": "is not a known field"}


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Make the application, which has these routers, answer every error with a problem document."""

    async def answer_plain(request: Request, error: Exception) -> Response:
        """Answer an error that Starlette itself raises: no such path, no such method, …"""
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            error.headers = {"Allow": ", ".join(sorted(_allowed_methods(routers, request)))}
        return plain(error)

    app.add_exception_handler(Refusal, _answer_refusal)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(DatabaseUnavailable, _answer_unavailable)
    app.add_exception_handler(IssuerUnavailable, _answer_unavailable)
    app.add_exception_handler(HTTPException, answer_plain)


def _allowed_methods(routers: Sequence[APIRouter], request: Request) -> set[str]:
    """Return the methods of all routes with the request's path. Starlette returns those of the first route."""
    routes = (route for router in routers for route in router.routes if isinstance(route, Route))
    found = (route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for methods in found for method in methods}


async def _answer_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    status, kind = TYPES[type(error)]
    errors = []
    if isinstance(error, Invalid):
        errors = [FieldError(field=error.field, message=error.message)]
    elif isinstance(error, NumberTaken):
        errors = [FieldError(field="number", message="belongs to another client")]
    elif isinstance(error, StopExists):
        errors = [FieldError(field="number", message="is on the stop list already")]
    elif isinstance(error, KeyReused):
        errors = [FieldError(field="Idempotency-Key", message="belongs to another request")]
    elif isinstance(error, LoginTaken):
        errors = [FieldError(field="login", message="belongs to another user")]
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyLogins) else None
    return answer(status, str(error), kind=kind, errors=errors, headers=headers)


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # FastAPI parses a body whose header declares JSON, and passes any other as bytes. Such a body is not tried as
    # JSON: that would let any web page that somebody on this host opens post mailings, without the browser asking.
    if isinstance(error.body, bytes):
        errors = [FieldError(field="body", message="must be sent as JSON, with Content-Type: application/json")]
    else:
        errors = [_field_error(**found) for found in error.errors()[:_MAX_ERRORS]]
    detail = "; ".join(f"{one.field}: {one.message}" for one in errors[:3])
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, detail, kind=INVALID, errors=errors)


def _field_error(type: str, loc: Sequence[str | int], msg: str, **_: object) -> FieldError:  # noqa: A002 - pydantic's names
    """Convert an error of pydantic: `("body", "filter", "zone", 0)` is the field `filter.zone.0`."""
    if type == "json_invalid":
        return FieldError(field="body", message=f"is not valid JSON (at character {loc[-1]})")
    field = ".".join(str(part) for part in loc[1:]) or "body"
    return FieldError(field=field, message=_PLAIN_MESSAGES.get(type, msg.removeprefix("Value error, ")))


async def _answer_unavailable(_request: Request, error: Exception) -> Response:
    return unavailable(error)
