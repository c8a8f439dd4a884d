"""Principal: the person or program behind a request. Pure."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PlainSerializer

from services.api.edge.numbers import HIGHEST, LOWEST
from shared.access.roles import Role
from shared.masking import masked


@dataclass(frozen=True, slots=True)
class Principal:
    """Person or program that a token stands for. `token_id` is None if access is open."""

    actor: str  # login of the user, or name of the token
    role: Role
    token_id: int | None = None
    user_id: int | None = None


ANYBODY = Principal(actor="anybody", role=Role.ADMIN)  # while MAILING_ACCESS is open

# Set for each request; the serializer of numbers has no other way to know who reads them.
numbers_are_masked: ContextVar[bool] = ContextVar("numbers_are_masked", default=False)


_Open = Annotated[int, Field(ge=LOWEST, le=HIGHEST)]
_Masked = Annotated[str, Field(pattern=r"^\d{4}\*{5}\d{2}$")]


def _shown(number: int | None) -> int | str | None:
    return masked(number) if number is not None and numbers_are_masked.get() else number


# A phone number in an answer: an integer; for viewers a masked text.
ShownNumber = Annotated[int, PlainSerializer(_shown, return_type=_Open | _Masked, when_used="json")]
ShownNumberOrNone = Annotated[
    int | None, PlainSerializer(_shown, return_type=_Open | _Masked | None, when_used="json")
]
