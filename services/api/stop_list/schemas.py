"""Bodies of requests and answers about the stop list."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from services.api.edge.numbers import Number
from services.api.edge.principal import ShownNumber
from services.api.edge.read_only import without
from services.api.edge.texts import refuse_nul
from shared.stop_list import StopScope

_READ_ONLY = frozenset({"id", "number", "since"})
LONGEST_SOURCE, LONGEST_NOTE = 100, 500

Scope = Annotated[
    StopScope,
    Field(description="`marketing` holds back marketing messages, `all` holds back service messages, too."),
]
Source = Annotated[
    str,
    Field(max_length=LONGEST_SOURCE, description="Where the wish came from.", examples=["call center"]),
    AfterValidator(refuse_nul),
]
Note = Annotated[str, Field(max_length=LONGEST_NOTE, description="Any remark."), AfterValidator(refuse_nul)]


class StopOut(BaseModel):
    """A number on the stop list."""

    id: int
    number: ShownNumber = Field(description="Masked for viewers: `7905*****50`.")
    scope: StopScope
    since: datetime
    source: str
    note: str


class StopPage(BaseModel):
    """Entries of the stop list, newest first."""

    items: list[StopOut]
    next: int | None = Field(
        description="Send it as `after` to get the next page. It is null on the last page.", examples=[1]
    )


class StopIn(BaseModel):
    """A number to put on the stop list."""

    model_config = ConfigDict(extra="forbid")

    number: Number
    scope: Scope = StopScope.MARKETING
    source: Source = ""
    note: Note = ""


# A typed dictionary, because its keys are exactly the fields that the caller sent.
@with_config(ConfigDict(extra="forbid"))
class StopFields(TypedDict, total=False):
    """New values of an entry's fields. Fields that are left out keep their values. The number stays as it is."""

    scope: Scope
    source: Source
    note: Note


def _without_read_only(given: object) -> object:
    return without(_READ_ONLY, given)


StopChange = Annotated[StopFields, BeforeValidator(_without_read_only)]
