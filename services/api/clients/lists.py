"""Which clients a caller wants to see: the parameters of the list, as conditions in SQL."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import Depends, Query
from pydantic import AfterValidator, Field

from services.api.edge.dependencies import NumberQuery
from services.api.edge.ids import Digits
from services.api.edge.numbers import HIGHEST
from services.api.edge.principal import numbers_are_masked
from services.api.edge.refusals import RoleForbids
from services.api.edge.texts import refuse_nul
from shared.access.roles import Role
from shared.attributes import Value, is_name, parse_cell
from shared.ledger.audience import Conditions, conditions

_MOST_VALUES = 20  # of one parameter
_DIGITS = len(str(HIGHEST))
_SHOWN_FIRST, _SHOWN_LAST = 4, 2  # digits of a number that viewers see


class NumberParts(NamedTuple):
    """Digits with which a number begins and ends; empty for any."""

    begins: str
    ends: str

    @property
    def show_more(self) -> bool:
        """Return True if they tell more of a number than a masked one shows."""
        return len(self.begins) > _SHOWN_FIRST or len(self.ends) > _SHOWN_LAST


class AttributeValue(NamedTuple):
    """Name of an attribute, and the values that it may have."""

    name: str
    values: Sequence[Value]


def parse_attribute(given: str) -> AttributeValue:
    """Parse `city:Moscow`. A number and a truth value may be stored as such or as a text. Raises ValueError."""
    name, colon, text = given.partition(":")
    if not (colon and is_name(name.strip()) and text.strip()):
        raise ValueError("must be the name and the value of an attribute, such as city:Moscow")
    value = parse_cell(text)
    return AttributeValue(name.strip(), [text.strip()] if isinstance(value, str) else [value, text.strip()])


def list_conditions(
    equal: dict[str, int | str | None],
    tags: Sequence[str],
    attributes: Sequence[AttributeValue],
    number: NumberParts,
) -> Conditions:
    """Return the conditions of clients with these columns, any of the tags, and all of the attributes."""
    # With `=`, the index of tags gives the clients in the order of their ids.
    given = {name: value for name, value in equal.items() if value is not None}
    if len(tags) == 1:
        given["tag"] = tags[0]
    parts = [{"attributes": {attribute.name: attribute.values}} for attribute in attributes]
    rest = conditions({"tag": list(tags) if len(tags) > 1 else [], "all": parts})
    sql, parameters = [f"{name} = :{name}" for name in given] + list(rest.sql), {**given, **rest.parameters}
    if number.begins:
        step = 10 ** (_DIGITS - len(number.begins))
        sql.append("number BETWEEN :number_from AND :number_to")
        parameters |= {"number_from": int(number.begins) * step, "number_to": (int(number.begins) + 1) * step - 1}
    if number.ends:
        sql.append("mod(number, :number_step) = :number_ends")
        parameters |= {"number_step": 10 ** len(number.ends), "number_ends": int(number.ends)}
    return Conditions(sql, parameters)


def _check_attribute(given: str) -> str:
    parse_attribute(given)
    return given


_Text = Annotated[str, AfterValidator(str.strip), AfterValidator(refuse_nul)]
_Attribute = Annotated[str, AfterValidator(refuse_nul), AfterValidator(_check_attribute)]


async def _conditions(
    tag: Annotated[
        Annotated[list[_Text], Field(max_length=_MOST_VALUES)] | None,
        Query(
            description="Only clients with this tag. It may be given several times: clients with any of the tags.",
            examples=[["#AzbukaVkusa"]],
        ),
    ] = None,
    code: Annotated[
        int | None,
        Query(ge=0, le=999, description="Only clients of this mobile operator.", examples=[905]),
        Digits,
    ] = None,
    zone: Annotated[
        _Text | None, Query(description="Only clients of this time zone.", examples=["Europe/Moscow"])
    ] = None,
    number: NumberQuery = None,
    number_begins: Annotated[
        str | None,
        Query(
            pattern="^7[0-9]{0,10}$",
            description="Only clients whose number begins with these digits. For viewers at most four digits.",
            examples=["7905"],
        ),
    ] = None,
    number_ends: Annotated[
        str | None,
        Query(
            pattern="^[0-9]{1,10}$",
            description="Only clients whose number ends with these digits. For viewers at most two digits.",
            examples=["3050"],
        ),
    ] = None,
    attribute: Annotated[
        Annotated[list[_Attribute], Field(max_length=_MOST_VALUES)] | None,
        Query(
            description="Only clients with this value of an attribute. It may be given several times: clients with"
            " all of the values.",
            examples=[["city:Moscow"]],
        ),
    ] = None,
) -> Conditions:
    parts = NumberParts(number_begins or "", number_ends or "")
    if parts.show_more and numbers_are_masked.get():
        raise RoleForbids("To search by more of a number than a viewer sees", Role.OPERATOR)
    equal = {"code": code, "zone": zone, "number": number}
    attributes = [parse_attribute(one) for one in attribute or ()]
    return list_conditions(equal, list(dict.fromkeys(tag or ())), attributes, parts)


ConditionsDep = Annotated[Conditions, Depends(_conditions)]
