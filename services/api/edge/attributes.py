"""Attributes of clients in bodies of requests and answers."""

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, WithJsonSchema

from shared.attributes import LARGEST, MOST, parse_attributes

_DESCRIPTION = (
    "Values for texts, such as `{name}`, and for filters. A name begins with a letter and has at most 50 letters,"
    " digits, `_` and `-`. A value is a text without line breaks, a number, or true or false; an empty text and"
    f" null are no values. At most {MOST} attributes and {LARGEST} bytes as JSON."
)
_SCHEMA: dict[str, object] = {
    "type": "object",
    "maxProperties": MOST,
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    "description": _DESCRIPTION,
    "examples": [{"name": "Anna", "visits": 3}],
}


def _parse(given: object) -> object:
    if not isinstance(given, dict):
        raise ValueError("must be an object of names and values")
    for name, value in given.items():
        if value is not None and not isinstance(value, str | int | float):
            raise ValueError(f"{name[:50]} must be a text, a number, or true or false")
    return parse_attributes(given)


_Value = StrictBool | StrictInt | StrictFloat | StrictStr
ClientAttributes = Annotated[dict[str, _Value], BeforeValidator(_parse), WithJsonSchema(_SCHEMA)]
ShownAttributes = Annotated[
    dict[str, _Value],
    Field(description="Values for texts and filters. Empty if the client has none.", examples=[{"name": "Anna"}]),
]
