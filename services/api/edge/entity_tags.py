"""Entity tags: callers learn the version of what they read, and change it only if it still has that version.

`ETag` and `If-Match` follow RFC 9110. A tag names the version of what people decide. Statistics do not change it.
"""

import re
from typing import Annotated, NamedTuple, Protocol, TypeVar

from fastapi import Depends, Header
from pydantic import AfterValidator
from starlette.responses import Response

from services.api.edge.refusals import ChangedMeanwhile

_TAG = r'(?:W/)?"[!#-~]*"'
_TAGS = re.compile(r'(W/)?"([!#-~]*)"')
_FORM = rf"^(?:\*|{_TAG}(?:[ \t]*,[ \t]*{_TAG})*)$"
_LONGEST = 1000  # characters


class Tagged(Protocol):
    """Something that has a version."""

    @property
    def entity_tag(self) -> str:
        """The version, as the header has it but without quotation marks."""


Item = TypeVar("Item", bound=Tagged)


class Precondition(NamedTuple):
    """Versions that a thing may have for a change of it. None: any version."""

    tags: frozenset[str] | None = None

    def check(self, noun: str, item: Tagged) -> None:
        """Raise ChangedMeanwhile if the thing has none of the versions."""
        if self.tags is not None and item.entity_tag not in self.tags:
            raise ChangedMeanwhile(noun, item.entity_tag)


ANY_VERSION = Precondition()


def parse_precondition(given: str) -> Precondition:
    """Parse the value of `If-Match`. A weak tag (`W/…`) matches nothing, as RFC 9110 says. Raises ValueError."""
    if len(given) > _LONGEST or not re.fullmatch(_FORM, given):
        raise ValueError('must be * or a list of tags in quotation marks, like "7-scheduled"')
    if given == "*":
        return ANY_VERSION
    return Precondition(frozenset(tag for weak, tag in _TAGS.findall(given) if not weak))


def _check(given: str) -> str:
    parse_precondition(given)
    return given


_IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=_LONGEST,
        pattern=_FORM,
        description="The `ETag` of an earlier answer. If somebody has changed the thing since, nothing is done and"
        " the status is 412.",
        examples=['"7-scheduled"'],
    ),
    AfterValidator(_check),
]


async def _precondition(if_match: _IfMatch = None) -> Precondition:
    return ANY_VERSION if if_match is None else parse_precondition(if_match)


PreconditionDep = Annotated[Precondition, Depends(_precondition)]


def tagged(item: Item, response: Response) -> Item:
    """Return the answer, with its version in the header `ETag`."""
    response.headers["ETag"] = etag(item)
    return item


def etag(item: Tagged) -> str:
    """Return the value of the header `ETag`."""
    return f'"{item.entity_tag}"'


def documented_tag(example: str, status: int = 200) -> dict[int | str, dict[str, object]]:
    """Return the header `ETag` of an answer for the OpenAPI document."""
    header = {
        "description": "The version of what people decide. Send it as `If-Match` with a change.",
        "required": True,
        "schema": {"type": "string"},
        "example": f'"{example}"',
    }
    return {status: {"headers": {"ETag": header}}}
