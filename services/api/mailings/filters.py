"""Filter of a mailing, which selects its audience.

Callers write a string (digits only: an operator's code; anything else: a tag) or an object of conditions. The
filter is stored and returned in one form: `{"code": [905], "tag": ["#x"]}`. Each list is sorted and has no
duplicates, and fields without values are left out, so equal filters are equal values. `shared.ledger.audience`
makes SQL of this form.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)
from typing_extensions import TypedDict

from services.api.edge.ids import Id
from services.api.edge.instants import Instant
from services.api.edge.numbers import Number
from services.api.edge.principal import ShownNumber
from services.api.edge.texts import Tag
from services.api.edge.zones import Zone
from shared.attributes import Value, parse_attributes
from shared.statuses import MessageStatus

MOST_VALUES = 1000
MOST_PER_ATTRIBUTE = 100
MOST_MAILINGS = 20
MOST_PARTS = 50  # filters within a filter
DEEPEST = 8  # filters within each other
_DIGITS = re.compile(r"[0-9]+")

if TYPE_CHECKING:
    StoredStatus = MessageStatus
else:  # no row has the status `active`
    StoredStatus = Literal[*(status.value for status in MessageStatus if status is not MessageStatus.ACTIVE)]


class MailingStatuses(TypedDict, total=False):
    """A mailing, and the statuses of its messages; without them, any status."""

    id: int
    status: list[str]


if TYPE_CHECKING:
    NormalisedFilter = dict[str, object]
else:  # in this form, as `not` is no name of Python
    NormalisedFilter = TypedDict(
        "NormalisedFilter",
        {
            "code": list[int],
            "tag": list[str],
            "zone": list[str],
            "number": list[ShownNumber],
            "attributes": dict[str, list[StrictBool | StrictInt | StrictFloat | StrictStr]],
            "created_after": str,
            "created_before": str,
            "in_mailing": list[MailingStatuses],
            "not_in_mailing": list[MailingStatuses],
            "all": list["NormalisedFilter"],
            "any": list["NormalisedFilter"],
            "not": "NormalisedFilter",
        },
        total=False,
    )


def parse_code(given: object) -> int:
    """Parse an operator's code, an integer or a string of digits. Raises ValueError."""
    digits = given.strip() if isinstance(given, str) else ""
    code = int(digits) if len(digits) <= 3 and _DIGITS.fullmatch(digits) else given
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 999:
        return code
    raise ValueError("must be an operator's code of three digits, like 905")


def _as_list(given: object) -> object:
    return given if isinstance(given, list) or given is None else [given]


def _as_mailing(given: object) -> object:
    return {"id": given} if isinstance(given, int) else given


def _as_filter(given: object) -> object:
    if isinstance(given, str):
        return {"code": given} if _DIGITS.fullmatch(given.strip()) else {"tag": given}
    return {"code": given} if isinstance(given, int) else given


def _parse_values(given: object) -> object:
    """Parse the values of attributes as those of a client are parsed. Raises ValueError."""
    if not isinstance(given, dict):
        return given
    return {name: _parse_value_list(name, _as_list(values)) for name, values in given.items()}


def _parse_value_list(name: str, values: object) -> object:
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise ValueError(f"{name[:50]} must be a list of texts, numbers and truth values")
    parsed = [parse_attributes({name: value}) for value in values]
    if not all(parsed):
        raise ValueError(f"{name[:50]} must not be empty")
    return [value[name] for value in parsed]


Code = Annotated[int, BeforeValidator(parse_code, json_schema_input_type=int | str)]
_Value = StrictBool | StrictInt | StrictFloat | StrictStr

_Codes = Annotated[list[Code], Field(min_length=1, max_length=MOST_VALUES)]
_Tags = Annotated[list[Tag], Field(min_length=1, max_length=MOST_VALUES)]
_Zones = Annotated[list[Zone], Field(min_length=1, max_length=MOST_VALUES)]
_Numbers = Annotated[list[Number], Field(min_length=1, max_length=MOST_VALUES)]
_Values = Annotated[list[_Value], Field(min_length=1, max_length=MOST_PER_ATTRIBUTE)]
_Attributes = Annotated[dict[str, _Values], Field(min_length=1, max_length=20)]
_Statuses = Annotated[list[StoredStatus], Field(min_length=1)]


class MailingPart(BaseModel):
    """Select those who have a message of a mailing, in one of the statuses. Without statuses: in any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id
    status: Annotated[
        _Statuses | None, BeforeValidator(_as_list, json_schema_input_type=_Statuses | StoredStatus | None)
    ] = None

    def normalised(self, otherwise: Sequence[str] = ()) -> MailingStatuses:
        """Return the form that is stored. `otherwise` are the statuses if none is given."""
        statuses = sorted({str(status) for status in self.status or otherwise})
        return {"id": self.id, "status": statuses} if statuses else {"id": self.id}


_Mailing = Annotated[MailingPart, BeforeValidator(_as_mailing, json_schema_input_type=int | MailingPart)]
_Mailings = Annotated[list[_Mailing], Field(min_length=1, max_length=MOST_MAILINGS)]
_MailingsIn = Annotated[
    _Mailings | None, BeforeValidator(_as_list, json_schema_input_type=_Mailings | MailingPart | int | None)
]


class Filter(BaseModel):
    """Select the clients that match every given field. A client matches a field by any of its values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[_Codes | None, BeforeValidator(_as_list, json_schema_input_type=_Codes | Code | None)] = None
    tag: Annotated[_Tags | None, BeforeValidator(_as_list, json_schema_input_type=_Tags | Tag | None)] = None
    zone: Annotated[_Zones | None, BeforeValidator(_as_list, json_schema_input_type=_Zones | Zone | None)] = None
    number: Annotated[
        _Numbers | None, BeforeValidator(_as_list, json_schema_input_type=_Numbers | Number | None)
    ] = None
    attributes: Annotated[
        _Attributes | None,
        BeforeValidator(_parse_values, json_schema_input_type=dict[str, _Values | _Value] | None),
        Field(
            description='For each attribute, the values that match: `true`, `1` and `"1"` are different values.',
            examples=[{"city": ["Moscow", "Omsk"], "vip": [True]}],
        ),
    ] = None
    created_after: Annotated[
        Instant | None, Field(description="Clients that were added at this instant or later.")
    ] = None
    created_before: Annotated[
        Instant | None, Field(description="Clients that were added before this instant.")
    ] = None
    in_mailing: Annotated[
        _MailingsIn,
        Field(
            description="Clients with a message of one of these mailings. With `status`, only if the message has"
            " one of these statuses at the moment when the audience is fixed.",
            examples=[[{"id": 12, "status": ["failed", "expired"]}]],
        ),
    ] = None
    not_in_mailing: Annotated[
        _MailingsIn,
        Field(
            description="Clients to whom none of these mailings was sent. With `status`, clients without a message"
            " of these statuses; the default is `sent`.",
            examples=[[12, {"id": 13, "status": ["sent", "uncertain"]}]],
        ),
    ] = None
    all_: Annotated[
        "list[FilterPart] | None",
        Field(alias="all", min_length=1, max_length=MOST_PARTS, description="Filters that must all match."),
    ] = None
    any_: Annotated[
        "list[FilterPart] | None",
        Field(alias="any", min_length=1, max_length=MOST_PARTS, description="Filters of which one must match."),
    ] = None
    not_: Annotated["FilterPart | None", Field(alias="not", description="A filter that must not match.")] = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> "Filter":
        if not any(value is not None for _, value in self):
            raise ValueError("must name at least one condition, such as a code, a tag or a zone")
        return self

    def normalised(self) -> NormalisedFilter:
        """Return the form that is stored."""
        numbers = (("code", self.code), ("number", self.number))
        texts = (("tag", self.tag), ("zone", self.zone))
        stored: NormalisedFilter = {name: sorted(set(values)) for name, values in numbers if values}
        stored |= {name: sorted(set(values)) for name, values in texts if values}
        if self.attributes:
            stored["attributes"] = {
                name: _sorted_values(self.attributes[name]) for name in sorted(self.attributes)
            }
        for name, at in (("created_after", self.created_after), ("created_before", self.created_before)):
            if at is not None:
                stored[name] = _format_instant(at)
        if self.in_mailing:
            stored["in_mailing"] = _sorted_mailings(part.normalised() for part in self.in_mailing)
        if self.not_in_mailing:
            sent = (MessageStatus.SENT.value,)
            stored["not_in_mailing"] = _sorted_mailings(part.normalised(sent) for part in self.not_in_mailing)
        for name, parts in (("all", self.all_), ("any", self.any_)):
            if parts:
                stored[name] = [part.normalised() for part in parts]
        if self.not_ is not None:
            stored["not"] = self.not_.normalised()
        return stored


def _sorted_values(values: Iterable[Value]) -> list[Value]:
    different = {(type(value).__name__, value): value for value in values}  # to Python, 1 is True
    return [different[key] for key in sorted(different, key=lambda key: (key[0], key[1]))]


def _sorted_mailings(parts: Iterable[MailingStatuses]) -> list[MailingStatuses]:
    different = {(part["id"], tuple(part.get("status", ()))): part for part in parts}
    return [different[key] for key in sorted(different)]


def _format_instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


FilterPart = Annotated[Filter, BeforeValidator(_as_filter, json_schema_input_type=str | Filter)]
Filter.model_rebuild()


def _check_size(given: object) -> object:
    """Refuse a filter with too many filters in it, before they are parsed. Raises ValueError."""
    level, count = [given], 0
    for _ in range(DEEPEST):
        inner = [part for one in level if isinstance(one, dict) for part in _parts_of(one)]
        if not inner:
            return given
        count += len(inner)
        if count > MOST_PARTS:
            raise ValueError(f"must not contain more than {MOST_PARTS} filters")
        level = inner
    raise ValueError(f"must not have filters within each other more than {DEEPEST} deep")


def _parts_of(given: dict[object, object]) -> Iterable[object]:
    for name in ("all", "any"):
        parts = given.get(name)
        yield from parts if isinstance(parts, list) else ()
    if "not" in given:
        yield given["not"]


FilterIn = Annotated[
    Filter,
    BeforeValidator(_as_filter, json_schema_input_type=str | Filter),
    BeforeValidator(_check_size, json_schema_input_type=str | Filter),
    Field(
        description="A tag, an operator's code (digits only), or an object of conditions.",
        examples=[
            "#AzbukaVkusa",
            "905",
            {"code": [905, 906], "zone": ["Europe/Moscow"]},
            {"any": [{"attributes": {"vip": True}}, {"tag": "#gold"}], "not_in_mailing": [12]},
            {"in_mailing": [{"id": 12, "status": ["failed", "expired"]}], "not": {"tag": "#left"}},
        ],
    ),
]
