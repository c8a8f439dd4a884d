"""Texts that PostgreSQL can store: of messages, and tags of clients."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints


def refuse_nul(given: str) -> str:
    """Return the text. Raises ValueError if it has a NUL character, which PostgreSQL cannot store."""
    if "\0" in given:
        raise ValueError("must not contain a NUL character")
    return given


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
# White space around a tag is a typing error, and the tag would match nothing.
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(refuse_nul),
    Field(description="A label by which a mailing's filter finds clients."),
]
