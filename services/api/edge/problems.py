"""Problem documents (RFC 9457) of refusals and faults, with their HTTP statuses."""

from collections.abc import Sequence
from http import HTTPStatus

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.api.edge import observer
from services.api.edge.refusals import (
    IdentityRefused,
    Invalid,
    KeyInFlight,
    KeyReused,
    LastAdmin,
    LoginTaken,
    NoIdentityProvider,
    NotFound,
    NoUser,
    NumberTaken,
    Refusal,
    StateForbids,
    StopExists,
    TooManyLogins,
    WrongCredentials,
)
from shared.issuer import IssuerUnavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds

INVALID = "urn:mailing:problem:invalid"
TYPES: dict[type[Refusal], tuple[HTTPStatus, str]] = {
    NotFound: (HTTPStatus.NOT_FOUND, "urn:mailing:problem:not-found"),
    NumberTaken: (HTTPStatus.CONFLICT, "urn:mailing:problem:number-taken"),
    StopExists: (HTTPStatus.CONFLICT, "urn:mailing:problem:stop-exists"),
    StateForbids: (HTTPStatus.CONFLICT, "urn:mailing:problem:state-forbids"),
    KeyInFlight: (HTTPStatus.CONFLICT, "urn:mailing:problem:key-in-flight"),
    KeyReused: (HTTPStatus.UNPROCESSABLE_ENTITY, "urn:mailing:problem:key-reused"),
    Invalid: (HTTPStatus.UNPROCESSABLE_ENTITY, INVALID),
    WrongCredentials: (HTTPStatus.UNAUTHORIZED, "urn:mailing:problem:wrong-credentials"),
    IdentityRefused: (HTTPStatus.UNAUTHORIZED, "urn:mailing:problem:identity-refused"),
    NoIdentityProvider: (HTTPStatus.CONFLICT, "urn:mailing:problem:no-identity-provider"),
    TooManyLogins: (HTTPStatus.TOO_MANY_REQUESTS, "urn:mailing:problem:too-many-logins"),
    LoginTaken: (HTTPStatus.CONFLICT, "urn:mailing:problem:login-taken"),
    LastAdmin: (HTTPStatus.CONFLICT, "urn:mailing:problem:last-admin"),
    NoUser: (HTTPStatus.CONFLICT, "urn:mailing:problem:no-user"),
}
_DESCRIPTIONS = {
    HTTPStatus.UNAUTHORIZED: "The request has no valid token, or the credentials are wrong.",
    HTTPStatus.FORBIDDEN: "The token's role does not allow the operation; `detail` names the role that does.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many logins have failed. Try again after `Retry-After` seconds.",
    HTTPStatus.NOT_FOUND: "There is no such thing, or no longer.",
    HTTPStatus.REQUEST_TIMEOUT: "The head or the body of the request took too long to arrive. The connection is"
    " closed.",
    HTTPStatus.CONFLICT: "The present state does not allow the request; `detail` says why.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large; `detail` says how large it may be.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is invalid; `errors` names the wrong fields.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database cannot be reached, all connections to it are in use, or it"
    " cannot store the change now, for example because its disk is full; `detail` says which. Try again after"
    " `Retry-After` seconds.",
}
_RETRY_AFTER_HEADER = {
    "Retry-After": {
        "description": "The number of seconds to wait.",
        "required": True,
        "schema": {"type": "integer"},
        "example": RETRY_AFTER,
    }
}


class FieldError(BaseModel):
    """An error in one field. `field` is `body` if the whole body is wrong."""

    field: str = Field(examples=["filter.zone.0"])
    message: str


class Problem(BaseModel):
    """The reason why a request failed (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": INVALID,
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


class HeadTooLarge(HTTPException):
    """Raised when the head of a request is larger than allowed. The connection ends with the answer."""

    def __init__(self, limit: int) -> None:
        detail = f"The request's line and headers are larger than {limit} bytes."
        super().__init__(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail, {"Connection": "close"})


class UnknownHost(HTTPException):
    """Raised when the request names a host that the API is not known as."""

    def __init__(self) -> None:
        detail = "The API is not known under the host that the request names. MAILING_HOSTS lists its names."
        super().__init__(HTTPStatus.MISDIRECTED_REQUEST, detail)


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


def unavailable(error: Exception) -> Response:
    """Return 503 because PostgreSQL or the identity provider did not answer, or cannot do the work now."""
    cause = str(error)
    if isinstance(error, IssuerUnavailable):
        observer.issuer_unavailable(error)
        cause = "The identity provider does not answer"
    else:
        observer.database_unavailable(error)
    headers = {"Retry-After": str(RETRY_AFTER)}
    detail = f"{cause}; try again in {RETRY_AFTER} seconds."
    return answer(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


def plain(error: HTTPException) -> Response:
    """Return a problem whose status says everything."""
    headers = dict(error.headers) if error.headers else None
    return answer(HTTPStatus(error.status_code), error.detail, headers=headers)


def documented(*refusals: type[Refusal]) -> dict[int | str, dict[str, object]]:
    """Return the answers of a route besides its success, for the OpenAPI document."""
    statuses = {TYPES[refusal][0] for refusal in refusals} | {
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
