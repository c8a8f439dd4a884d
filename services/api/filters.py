"""The filter of a mailing: whom it is for.

Callers write it as the predecessor's string (digits only: an operator's code; anything else: a tag) or as an
object of lists. It is kept, and given back, in one form: `{"code": [905], "tag": ["#x"]}`, each list sorted and
without doubles, absent fields left out, so that equal filters are equal values.
"""

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from services.api.zones import parse_zone

Normalised = dict[str, list[int] | list[str]]

MOST_VALUES = 1000
_DIGITS = re.compile(r"[0-9]+")


def without_nul(given: str) -> str:
    """PostgreSQL's text cannot hold a NUL. Raises ValueError."""
    if "\0" in given:
        raise ValueError("must not contain a NUL character")
    return given


def parse_code(given: object) -> int:
    """An operator's code, of an integer or of digits. Raises ValueError."""
    written = given.strip() if isinstance(given, str) else ""
    code = int(written) if len(written) <= 3 and _DIGITS.fullmatch(written) else given
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 999:
        return code
    raise ValueError("must be an operator's code of three digits, like 905")


def _one_or_many(given: object) -> object:
    return given if isinstance(given, list) or given is None else [given]


Code = Annotated[int, BeforeValidator(parse_code, json_schema_input_type=int | str)]
# White space around a tag is never meant, and would make it match nothing.
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(without_nul),
]
Zone = Annotated[str, AfterValidator(parse_zone)]

_Codes = Annotated[list[Code], Field(min_length=1, max_length=MOST_VALUES)]
_Tags = Annotated[list[Tag], Field(min_length=1, max_length=MOST_VALUES)]
_Zones = Annotated[list[Zone], Field(min_length=1, max_length=MOST_VALUES)]


class Filter(BaseModel):
    """Clients with any of the values within a field, and with all of the fields given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[_Codes | None, BeforeValidator(_one_or_many)] = None
    tag: Annotated[_Tags | None, BeforeValidator(_one_or_many)] = None
    zone: Annotated[_Zones | None, BeforeValidator(_one_or_many)] = None

    @model_validator(mode="after")
    def _names_somebody(self) -> "Filter":
        if not self.normalised():
            raise ValueError("must name at least one code, tag or zone")
        return self

    def normalised(self) -> Normalised:
        """The form that is kept."""
        kept: Normalised = {}
        if self.code:
            kept["code"] = sorted(set(self.code))
        if self.tag:
            kept["tag"] = sorted(set(self.tag))
        if self.zone:
            kept["zone"] = sorted(set(self.zone))
        return kept


def _from_short_form(given: object) -> object:
    if isinstance(given, str):
        return {"code": given} if _DIGITS.fullmatch(given.strip()) else {"tag": given}
    return {"code": given} if isinstance(given, int) else given


FilterIn = Annotated[
    Filter,
    BeforeValidator(_from_short_form, json_schema_input_type=str | Filter),
    Field(examples=["#AzbukaVkusa", "905", {"code": [905, 906], "zone": ["Europe/Moscow"]}]),
]
