"""Bodies of requests and answers about clients.

A body may hold fields that the service decides (`id`, `code`). They are ignored, so a caller can change an answer
and send it back. Any other unknown field is refused, because it is probably a typing error.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator, with_config
from typing_extensions import TypedDict

from services.api.edge.numbers import HIGHEST, LOWEST, Number
from services.api.edge.pages import Next
from services.api.edge.principal import ShownNumber
from services.api.edge.read_only import without
from services.api.edge.texts import Tag
from services.api.edge.zones import Zone

_READ_ONLY = frozenset({"id", "code"})


class ClientOut(BaseModel):
    """A client of the directory."""

    id: int
    number: ShownNumber = Field(ge=LOWEST, le=HIGHEST, description="Masked for viewers: `7905*****50`.")
    code: int = Field(description="The mobile operator's code. It is always derived from the number.")
    tag: str
    zone: str


class ClientPage(BaseModel):
    """Clients by ascending id."""

    items: list[ClientOut]
    next: Next


def _without_read_only(given: object) -> object:
    return without(_READ_ONLY, given)


class ClientIn(BaseModel):
    """A new client. `id` and `code` are ignored."""

    model_config = ConfigDict(extra="forbid")

    number: Number
    tag: Tag
    zone: Zone

    _ignore_read_only = model_validator(mode="before")(_without_read_only)


# A typed dictionary, because its keys are exactly the fields that the caller sent.
@with_config(ConfigDict(extra="forbid"))
class ClientFields(TypedDict, total=False):
    """New values of a client's fields. Fields that are left out keep their values."""

    number: Number
    tag: Tag
    zone: Zone


ClientChange = Annotated[ClientFields, BeforeValidator(_without_read_only)]
