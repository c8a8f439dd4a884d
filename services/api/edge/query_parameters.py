"""Query parameters: a route has those of the OpenAPI document and no others, and each is given once."""

from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute


async def check_parameters(request: Request) -> None:
    """Refuse what would be ignored: `?tga=a`, the first of `?tag=a&tag=b`; and NUL, which PostgreSQL cannot take.

    Raises:
        RequestValidationError: it names each of them.
    """
    if not request.scope["query_string"] or not request.scope["path"].startswith("/api/"):
        return
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = names_of(route.dependant)
    pairs = request.query_params.multi_items()
    given = [name for name, _ in pairs]
    errors = [_error(name, "is not a known parameter") for name in dict.fromkeys(given) if name not in known]
    errors += [_error(name, "must be given once") for name in sorted(known) if given.count(name) > 1]
    errors += [_error(name, "must not contain a NUL character") for name, value in pairs if "\0" in value]
    if errors:
        raise RequestValidationError(errors)


def names_of(dependant: Dependant) -> set[str]:
    """Return the names of the query parameters of a route, and of all that it depends on."""
    names = {parameter.alias for parameter in dependant.query_params}
    return names.union(*map(names_of, dependant.dependencies))


def _error(name: str, message: str) -> dict[str, object]:
    return {"loc": ("query", name[:100]), "msg": message, "type": "value_error"}


def remove_null(parameter: dict[str, Any]) -> None:
    """Remove null from the schema of a parameter. A query has no null: it stands for "may be omitted"."""
    match parameter["schema"]:
        case {"anyOf": [one, {"type": "null"}], **rest}:
            parameter["schema"] = {**one, **rest}
