"""Texts that PostgreSQL can store: of messages, and tags of clients."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

LONGEST_TAG = 100
# Control characters, and the two separators of lines and paragraphs.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]")


def refuse_nul(given: str) -> str:
    """Return the text. Raises ValueError if it has a NUL character, which PostgreSQL cannot store."""
    if "\0" in given:
        raise ValueError("must not contain a NUL character")
    return given


def parse_tag(given: str) -> str:
    """Return a tag without the white space around it. Raises ValueError.

    White space around a tag is a typing error, and the tag would match nothing. A control character is one, too; a
    line break would also cut the tag's line in a CSV file in two.
    """
    tag = given.strip()
    if not tag:
        raise ValueError("must not be empty")
    if len(tag) > LONGEST_TAG:
        raise ValueError(f"must have at most {LONGEST_TAG} characters")
    if not tag.isprintable() and _CONTROL.search(tag):
        raise ValueError("must not contain a line break or another control character")
    return tag


def _refuse_blank(given: str) -> str:
    if not given.strip():
        raise ValueError("must not be blank")
    return given


MessageText = Annotated[
    str,
    Field(min_length=1, max_length=500, description="The text of the SMS."),
    AfterValidator(refuse_nul),
    AfterValidator(_refuse_blank),
]
Tag = Annotated[
    str,
    AfterValidator(parse_tag),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_TAG,
            "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$",
            "description": "A label by which a mailing's filter finds clients, without line breaks.",
        }
    ),
]
