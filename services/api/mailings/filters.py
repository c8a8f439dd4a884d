"""Filter of a mailing, which selects its audience.

Callers write a string (digits only: an operator's code; anything else: a tag) or an object of lists. The filter is
stored and returned in one form: `{"code": [905], "tag": ["#x"]}`. Each list is sorted and has no duplicates, and
fields without values are left out, so equal filters are equal values.
"""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.api.edge.texts import Tag
from services.api.edge.zones import Zone

NormalisedFilter = dict[str, list[int] | list[str]]

MOST_VALUES = 1000
_DIGITS = re.compile(r"[0-9]+")


def parse_code(given: object) -> int:
    """Parse an operator's code, an integer or a string of digits. Raises ValueError."""
    digits = given.strip() if isinstance(given, str) else ""
    code = int(digits) if len(digits) <= 3 and _DIGITS.fullmatch(digits) else given
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 999:
        return code
    raise ValueError("must be an operator's code of three digits, like 905")


def _as_list(given: object) -> object:
    return given if isinstance(given, list) or given is None else [given]


Code = Annotated[int, BeforeValidator(parse_code, json_schema_input_type=int | str)]

_Codes = Annotated[list[Code], Field(min_length=1, max_length=MOST_VALUES)]
_Tags = Annotated[list[Tag], Field(min_length=1, max_length=MOST_VALUES)]
_Zones = Annotated[list[Zone], Field(min_length=1, max_length=MOST_VALUES)]


class Filter(BaseModel):
    """Select the clients that match every given field. A client matches a field by any of its values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[_Codes | None, BeforeValidator(_as_list, json_schema_input_type=_Codes | Code | None)] = None
    tag: Annotated[_Tags | None, BeforeValidator(_as_list, json_schema_input_type=_Tags | Tag | None)] = None
    zone: Annotated[_Zones | None, BeforeValidator(_as_list, json_schema_input_type=_Zones | Zone | None)] = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> "Filter":
        if not self.normalised():
            raise ValueError("must name at least one code, tag or zone")
        return self

    def normalised(self) -> NormalisedFilter:
        """Return the form that is stored."""
        stored: NormalisedFilter = {}
        if self.code:
            stored["code"] = sorted(set(self.code))
        if self.tag:
            stored["tag"] = sorted(set(self.tag))
        if self.zone:
            stored["zone"] = sorted(set(self.zone))
        return stored


def _expand_short_form(given: object) -> object:
    if isinstance(given, str):
        return {"code": given} if _DIGITS.fullmatch(given.strip()) else {"tag": given}
    return {"code": given} if isinstance(given, int) else given


FilterIn = Annotated[
    Filter,
    BeforeValidator(_expand_short_form, json_schema_input_type=str | Filter),
    Field(
        description="A tag, an operator's code (digits only), or an object of lists.",
        examples=["#AzbukaVkusa", "905", {"code": [905, 906], "zone": ["Europe/Moscow"]}],
    ),
]
