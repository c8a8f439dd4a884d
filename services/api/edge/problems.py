"""Problem documents (RFC 9457) of refusals and faults. This is the only module that knows their HTTP statuses."""

from collections.abc import Sequence
from http import HTTPStatus

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from services.api.edge import observer
from services.api.edge.refusals import (
    Invalid,
    KeyInFlight,
    KeyReused,
    NotFound,
    NumberTaken,
    Refusal,
    StateForbids,
)
from shared.errors import DatabaseUnavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds
_MAX_ERRORS = 20  # in one answer: a list of a thousand wrong values gets errors for the first of them only

_INVALID = "urn:mailing:problem:invalid"
_TYPES: dict[type[Refusal], tuple[HTTPStatus, str]] = {
    NotFound: (HTTPStatus.NOT_FOUND, "urn:mailing:problem:not-found"),
    NumberTaken: (HTTPStatus.CONFLICT, "urn:mailing:problem:number-taken"),
    StateForbids: (HTTPStatus.CONFLICT, "urn:mailing:problem:state-forbids"),
    KeyInFlight: (HTTPStatus.CONFLICT, "urn:mailing:problem:key-in-flight"),
    KeyReused: (HTTPStatus.UNPROCESSABLE_ENTITY, "urn:mailing:problem:key-reused"),
    Invalid: (HTTPStatus.UNPROCESSABLE_ENTITY, _INVALID),
}
_DESCRIPTIONS = {
    HTTPStatus.NOT_FOUND: "There is no such thing, or no longer.",
    HTTPStatus.REQUEST_TIMEOUT: "The head or the body of the request took too long to arrive. The connection is"
    " closed.",
    HTTPStatus.CONFLICT: "The present state does not allow the request; `detail` says why.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large; `detail` says how large it may be.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is invalid; `errors` names the wrong fields.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database cannot be reached, or all connections to it are in use. Try"
    " again after `Retry-After` seconds.",
}
_RETRY_AFTER_HEADER = {
    "Retry-After": {
        "description": "The number of seconds to wait.",
        "required": True,
        "schema": {"type": "integer"},
        "example": RETRY_AFTER,
    }
}
# Replacements for pydantic's messages that a caller may not understand.
_PLAIN_MESSAGES = {"missing": "is required", "extra_forbidden": "is not a known field"}


class FieldError(BaseModel):
    """An error in one field. `field` is `body` if the whole body is wrong."""

    field: str = Field(examples=["filter.zone.0"])
    message: str


class Problem(BaseModel):
    """The reason why a request failed (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": _INVALID,
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "expired_at must be after starts_at.",
                "request_id": "0f4d7b6c",
                "errors": [{"field": "expired_at", "message": "must be after starts_at"}],
            }
        }
    )

    type: str = Field(description="The kind of problem. It is `about:blank` if the status says everything.")
    title: str
    status: int
    detail: str
    request_id: str | None = Field(default=None, description="The id by which the logs can be searched.")
    errors: list[FieldError] = Field(default_factory=list)


class TooLarge(HTTPException):
    """Raised when the body is larger than allowed.

    The connection stays open. If it were closed while the rest of the body arrives, the caller would see a reset
    connection and not the answer. uvicorn discards the rest.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {limit} bytes.")


class TooSlow(HTTPException):
    """Raised when the head or the body did not arrive in time. The connection ends with the answer."""

    def __init__(self) -> None:
        detail = "The request did not arrive in time."
        super().__init__(HTTPStatus.REQUEST_TIMEOUT, detail, {"Connection": "close"})


class Unreadable(HTTPException):
    """Raised when the bytes of a connection are no HTTP request. The connection ends with the answer."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, detail, {"Connection": "close"})


def answer(
    status: HTTPStatus,
    detail: str,
    *,
    kind: str = "about:blank",
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem document."""
    problem = Problem(
        type=kind,
        title=status.phrase,
        status=status,
        detail=detail,
        request_id=observer.current_request_id(),
        errors=list(errors),
    )
    return Response(orjson.dumps(problem.model_dump()), status, headers, MEDIA_TYPE)


def fault() -> Response:
    """Return 500 for an error that nobody expected."""
    detail = "The service failed. Its logs have the details under this request id."
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def plain(error: HTTPException) -> Response:
    """Return a problem whose status says everything."""
    headers = dict(error.headers) if error.headers else None
    return answer(HTTPStatus(error.status_code), error.detail, headers=headers)


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
    app.add_exception_handler(HTTPException, answer_plain)


def _allowed_methods(routers: Sequence[APIRouter], request: Request) -> set[str]:
    """Return the methods of all routes with the request's path. Starlette returns those of the first route."""
    routes = (route for router in routers for route in router.routes if isinstance(route, Route))
    found = (route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for methods in found for method in methods}


def documented(*refusals: type[Refusal]) -> dict[int | str, dict[str, object]]:
    """Return the answers of a route besides its success, for the OpenAPI document."""
    statuses = {_TYPES[refusal][0] for refusal in refusals} | {
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
    return {int(status): describe(status) for status in sorted(statuses)}


def describe(status: HTTPStatus) -> dict[str, object]:
    """Return the description of an answer with this status, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    description: dict[str, object] = {"description": _DESCRIPTIONS[status], "content": content}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        description["headers"] = _RETRY_AFTER_HEADER
    return description


async def _answer_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    status, kind = _TYPES[type(error)]
    errors = []
    if isinstance(error, Invalid):
        errors = [FieldError(field=error.field, message=error.message)]
    elif isinstance(error, NumberTaken):
        errors = [FieldError(field="number", message="belongs to another client")]
    elif isinstance(error, KeyReused):
        errors = [FieldError(field="Idempotency-Key", message="belongs to another request")]
    return answer(status, str(error), kind=kind, errors=errors)


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # FastAPI parses a body whose header declares JSON, and passes any other as bytes. Such a body is not tried as
    # JSON: that would let any web page that somebody on this host opens post mailings, without the browser asking.
    if isinstance(error.body, bytes):
        errors = [FieldError(field="body", message="must be sent as JSON, with Content-Type: application/json")]
    else:
        errors = [_field_error(**found) for found in error.errors()[:_MAX_ERRORS]]
    detail = "; ".join(f"{one.field}: {one.message}" for one in errors[:3])
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, detail, kind=_INVALID, errors=errors)


def _field_error(type: str, loc: Sequence[str | int], msg: str, **_: object) -> FieldError:  # noqa: A002 - pydantic's names
    """Convert an error of pydantic: `("body", "filter", "zone", 0)` is the field `filter.zone.0`."""
    if type == "json_invalid":
        return FieldError(field="body", message=f"is not valid JSON (at character {loc[-1]})")
    field = ".".join(str(part) for part in loc[1:]) or "body"
    return FieldError(field=field, message=_PLAIN_MESSAGES.get(type, msg.removeprefix("Value error, ")))


async def _answer_unavailable(_request: Request, error: Exception) -> Response:
    observer.database_unavailable(error)
    headers = {"Retry-After": str(RETRY_AFTER)}
    detail = f"{error}; try again in {RETRY_AFTER} seconds."
    return answer(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)
