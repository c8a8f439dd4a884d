"""The OpenAPI document: every operation has examples, and they fit their schemas."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jsonschema_rs
import orjson
import pytest
from fastapi.routing import APIRoute

from services.api.application import EXAMPLES, ROUTERS, create_application
from services.api.edge.query_parameters import names_of

Node = dict[str, Any]
DOCUMENT: Node = create_application().openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if path.startswith("/api/")
}


class Shown(NamedTuple):
    """Example with its schema."""

    schema: Node
    example: object


def shown_at(node: Node) -> Iterator[Shown]:
    """Yield the examples of a media type, a parameter, a header, or a schema."""
    schema, examples = node.get("schema", node), node.get("examples", [])
    if "example" in node:
        yield Shown(schema, node["example"])
    for example in examples.values() if isinstance(examples, dict) else examples:
        yield Shown(schema, example["value"] if isinstance(examples, dict) else example)


def shown_within(node: object) -> Iterator[Shown]:
    """Yield all examples in this part of the document."""
    if isinstance(node, dict):
        yield from shown_at(node)
        for name, inner in node.items():
            if name not in ("example", "examples"):
                yield from shown_within(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from shown_within(inner)


def fits(shown: Shown) -> bool:
    """Return True if the example fits its schema, which may refer to the document."""
    whole = {**shown.schema, "components": DOCUMENT["components"]}
    return jsonschema_rs.validator_for(whole, validate_formats=True).is_valid(shown.example)


def contents(operation: Node) -> Iterator[Node]:
    """Yield the media types of its body, and of its success."""
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from answer.get("content", {}).values()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_examples_of_its_body_and_of_its_answer(operation: str) -> None:
    found = [[*shown_at(content)] for content in contents(OPERATIONS[operation])]
    assert all(found)
    assert found or operation.startswith("DELETE ")


def test_every_example_is_of_an_existing_operation() -> None:
    assert EXAMPLES.keys() <= OPERATIONS.keys()


def test_every_example_fits_its_schema() -> None:
    everything = [*shown_within(DOCUMENT)]
    assert len(everything) > 2 * len(OPERATIONS)
    assert [shown for shown in everything if not fits(shown)] == []


def test_every_operation_has_a_summary_of_its_own() -> None:
    summaries = [operation["summary"] for operation in OPERATIONS.values()]
    assert len(set(summaries)) == len(summaries)


def test_every_parameter_in_a_path_has_an_example() -> None:
    parameters = [one for operation in OPERATIONS.values() for one in operation.get("parameters", ())]
    in_paths = [one for one in parameters if one["in"] == "path"]
    assert in_paths
    assert all([*shown_within(one)] for one in in_paths)


def test_each_field_of_a_filter_may_be_one_value_or_a_list() -> None:
    for name, value in (("tag", "#x"), ("code", 905), ("zone", "Europe/Moscow")):
        schema = DOCUMENT["components"]["schemas"]["Filter"]
        assert fits(Shown(schema, {name: value}))
        assert fits(Shown(schema, {name: [value]}))
        assert not fits(Shown(schema, {name: []}))


def test_the_command_prints_the_document_and_reads_no_settings() -> None:
    printed = subprocess.run(
        (sys.executable, "-m", "services.api", "--openapi"),
        env={**os.environ, "MAILING_DATABASE_URL": "wrong", "MAILING_API_PORT": "wrong"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert orjson.loads(printed.stdout) == DOCUMENT
    assert printed.stderr == b""


def test_an_example_that_does_not_fit_would_be_found() -> None:
    client = OPERATIONS["POST /api/client/"]["responses"]["201"]["content"]["application/json"]
    [shown] = shown_at(client)
    assert isinstance(shown.example, dict)
    assert fits(shown)
    assert not fits(shown._replace(example={**shown.example, "number": 5}))
    assert not fits(shown._replace(example={}))


def test_a_route_takes_the_query_parameters_of_the_document() -> None:
    """Others are refused by the names that the route itself has."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    taken = {
        f"{method} {route.path_format}": names_of(route.dependant)
        for route in routes
        for method in route.methods or ()
        if route.path_format.startswith("/api/")
    }
    assert taken == {
        name: {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
        for name, operation in OPERATIONS.items()
    }
