"""Every whole number and rate of the OpenAPI document, given in a form that is almost one."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from pydantic import JsonValue

from services.api.application import create_application
from tests.integration.api_client import NOWHERE, api_on

DOCUMENT = create_application().openapi()
# As JSON text, because Python would write 1.0 and 1 alike; with its type.
ALMOST_NUMBERS = {
    "true": "boolean",
    '"2"': "string",
    '"1_0"': "string",
    "[[1]]": "lists",
    '{"id": 1}': "object",
    "1.0": "number",
    "1e0": "number",
}
ALMOST_DIGITS = ("true", "1.0", "1_0", "+1", "-1", " 1", "1e0", "٣", "")
MARK = "put here"


class Place(NamedTuple):
    """Place of a number in a body: names of the fields, `[]` for the elements of a list; and the types allowed."""

    operation: str
    path: tuple[str, ...]
    types: set[str]

    def refused(self) -> Iterator[str]:
        """Yield values that are no numbers, and no strings or lists where these are allowed."""
        for given, kind in ALMOST_NUMBERS.items():
            if kind not in self.types:
                yield given


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def places(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every field below a schema, with one of its types."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(choice, ()):
            yield from places(one, path)
    if "type" in schema:
        yield path, schema["type"]
    for name, one in schema.get("properties", {}).items():
        yield from places(one, (*path, name))
    if "items" in schema:
        yield from places(schema["items"], (*path, "[]"))


def bodies() -> Iterator[Place]:
    for name, operation in operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            types: dict[tuple[str, ...], set[str]] = defaultdict(set)
            for path, kind in places(content["schema"]):
                types[path].add(kind)
            yield from (Place(name, path, kinds) for path, kinds in types.items() if kinds & {"integer", "number"})


def parameters(where: str) -> Iterator[tuple[str, str]]:
    """Yield the operations with the names of their whole numbers in a query or a path."""
    for name, operation in operations():
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == where and parameter["schema"].get("type") == "integer":
                yield name, parameter["name"]


def example(operation: str) -> dict[str, JsonValue]:
    method, path = operation.split()
    shown = DOCUMENT["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["examples"]
    return next(iter(shown.values()))["value"] or {}


def put(path: tuple[str, ...]) -> JsonValue:
    """Return the value of the field with the mark at its end."""
    if not path:
        return MARK
    return [put(path[1:])] if path[0] == "[]" else {path[0]: put(path[1:])}


def test_the_document_has_numbers_everywhere() -> None:
    assert len(list(bodies())) > 10
    assert len(list(parameters("query"))) > 20
    assert len(list(parameters("path"))) > 20


@pytest.fixture
async def nowhere() -> AsyncIterator[httpx.AsyncClient]:
    """An API without a database: a valid request is answered with 503."""
    async with api_on(f"postgresql://nobody@{NOWHERE}/nothing", f"amqp://{NOWHERE}/", access="open") as api:
        yield api


async def test_a_number_in_a_body_is_a_number(nowhere: httpx.AsyncClient) -> None:
    accepted = []
    for place in bodies():
        method, path = place.operation.split()
        top, *rest = place.path
        for given in place.refused():
            body = json.dumps({**example(place.operation), top: put(tuple(rest))}).replace(f'"{MARK}"', given)
            answer = await nowhere.request(
                method, digits_in(path), content=body, headers={"Content-Type": "application/json"}
            )
            named = [error["field"].split(".")[0] for error in answer.json().get("errors", ())]
            if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY or top not in named:
                accepted.append(f"{place.operation} {'.'.join(place.path)} {given}: {answer.status_code} {named}")
    assert accepted == []


async def test_a_number_in_a_query_is_written_in_digits(nowhere: httpx.AsyncClient) -> None:
    accepted = []
    for operation, name in parameters("query"):
        method, path = operation.split()
        for given in ALMOST_DIGITS:
            answer = await nowhere.request(method, digits_in(path), params={name: given})
            if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
                accepted.append(f"{operation} ?{name}={given}: {answer.status_code}")
    assert accepted == []


async def test_an_id_in_a_path_is_written_in_digits(nowhere: httpx.AsyncClient) -> None:
    accepted = []
    for operation, name in parameters("path"):
        method, path = operation.split()
        for given in ALMOST_DIGITS:
            answer = await nowhere.request(method, digits_in(path.replace(f"{{{name}}}", given)), json={})
            if answer.status_code not in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:
                accepted.append(f"{operation} {name} = {given!r}: {answer.status_code}")
    assert accepted == []


def digits_in(path: str) -> str:
    """Return the path with an id for each parameter that is left."""
    return "/".join("1" if part.startswith("{") else part for part in path.split("/"))
