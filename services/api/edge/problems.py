"""Refusals and faults in HTTP: the only module that knows their statuses. Bodies are RFC 9457 problems."""

from collections.abc import Sequence
from http import HTTPStatus

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

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

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds
_MOST_ERRORS = 20  # in one answer; a list of a thousand wrong values is told of by its first ones

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
    HTTPStatus.NOT_FOUND: "There is no such thing, or no more.",
    HTTPStatus.REQUEST_TIMEOUT: "The request's head or body took too long to arrive; the connection is closed.",
    HTTPStatus.CONFLICT: "What is there already forbids it; `detail` says what.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than it may be; `detail` says how large.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is wrong; `errors` names the fields at fault.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database cannot be reached, or all connections to it are in use;"
    " try again after `Retry-After` seconds.",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "seconds",
        "required": True,
        "schema": {"type": "integer"},
        "example": RETRY_AFTER,
    }
}
# What pydantic says, where it can be said so that a caller understands it at once.
_PLAINER = {"missing": "is required", "extra_forbidden": "is not a known field"}


class FieldError(BaseModel):
    """What is wrong with one field; `body` when it is all of it."""

    field: str = Field(examples=["filter.zone.0"])
    message: str


class Problem(BaseModel):
    """Why a request was not fulfilled (RFC 9457)."""

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

    type: str = Field(description="which kind of problem; `about:blank` when the status says it all")
    title: str
    status: int
    detail: str
    request_id: str | None = Field(default=None, description="by which the logs can be searched")
    errors: list[FieldError] = Field(default_factory=list)


class TooLarge(HTTPException):
    """The body is larger than it may be.

    The connection stays: were it closed while the rest is still coming, the caller would see a reset
    connection and not our answer. uvicorn throws the rest away as it comes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {limit} bytes.")


class TooSlow(HTTPException):
    """The head or the body has not come in time. The connection ends with the answer."""

    def __init__(self) -> None:
        detail = "The request did not arrive in time."
        super().__init__(HTTPStatus.REQUEST_TIMEOUT, detail, {"Connection": "close"})


def answer(
    status: HTTPStatus,
    detail: str,
    *,
    kind: str = "about:blank",
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """The problem as a response."""
    problem = Problem(
        type=kind,
        title=status.phrase,
        status=status,
        detail=detail,
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
        errors=list(errors),
    )
    return Response(orjson.dumps(problem.model_dump()), status, headers, MEDIA_TYPE)


def fault() -> Response:
    """500: ours, not the caller's."""
    detail = "Something went wrong in the service. The logs say what, under this request id."
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def plain(error: HTTPException) -> Response:
    """What says it all by its status."""
    headers = dict(error.headers) if error.headers else None
    return answer(HTTPStatus(error.status_code), error.detail, headers=headers)


def install(app: FastAPI) -> None:
    """Lets every error leave the application as a problem."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(DatabaseUnavailable, _without_database)
    app.add_exception_handler(HTTPException, _plain)


def documented(*refusals: type[Refusal]) -> dict[int | str, dict[str, object]]:
    """What a route may answer besides its success, for OpenAPI."""
    statuses = {_TYPES[refusal][0] for refusal in refusals} | {
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
    return {int(status): described(status) for status in sorted(statuses)}


def described(status: HTTPStatus) -> dict[str, object]:
    """An answer with this status, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    told: dict[str, object] = {"description": _DESCRIPTIONS[status], "content": content}
    return told | {"headers": _RETRY_AFTER} if status is HTTPStatus.SERVICE_UNAVAILABLE else told


async def _refused(_request: Request, error: Exception) -> Response:
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


async def _not_valid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # FastAPI parses a body that is declared to be JSON; any other arrives as it is. It is not tried as JSON:
    # that would let any web page that somebody on this host opens post mailings, without the browser asking.
    if isinstance(error.body, bytes):
        errors = [FieldError(field="body", message="must be sent as JSON, with Content-Type: application/json")]
    else:
        errors = [_field_error(**found) for found in error.errors()[:_MOST_ERRORS]]
    detail = "; ".join(f"{one.field}: {one.message}" for one in errors[:3])
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, detail, kind=_INVALID, errors=errors)


def _field_error(type: str, loc: Sequence[str | int], msg: str, **_: object) -> FieldError:  # noqa: A002 - pydantic's names
    """`("body", "filter", "zone", 0)` is the field `filter.zone.0`."""
    if type == "json_invalid":
        return FieldError(field="body", message=f"is not valid JSON (at character {loc[-1]})")
    field = ".".join(str(part) for part in loc[1:]) or "body"
    return FieldError(field=field, message=_PLAINER.get(type, msg.removeprefix("Value error, ")))


async def _without_database(_request: Request, error: Exception) -> Response:
    log.warning("database_unavailable", waiting_for="PostgreSQL", error=str(error))
    headers = {"Retry-After": str(RETRY_AFTER)}
    detail = f"{error}; try again in {RETRY_AFTER} seconds."
    return answer(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


async def _plain(_request: Request, error: Exception) -> Response:
    """What Starlette itself raises: no such path, no such method on it, …"""
    assert isinstance(error, HTTPException)
    return plain(error)
