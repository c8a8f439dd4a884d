"""Examples of an operation for the OpenAPI document. Each noun has its own in a module `examples`.

`services.api.edge.docs` adds them to the document when FastAPI is done, because FastAPI removes every null from an
example.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

Json = dict[str, JsonValue]


class Example(NamedTuple):
    """An example of the answer, and examples of the body by their summaries. `pending` is the answer with 202."""

    answer: JsonValue
    bodies: Mapping[str, JsonValue] = {}
    pending: JsonValue = None


Examples = Mapping[str, Example]  # by operation, such as `GET /api/client/`


def page_of(*items: JsonValue) -> Json:
    """Return the last page of a list."""
    return {"items": [*items], "next": None}
