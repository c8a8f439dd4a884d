"""Texts with placeholders, held against the clients: unknown attributes, and what an audience would get."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, case, false, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.clients.schemas import ClientOut
from services.api.edge.refusals import Invalid
from services.api.mailings.audience_queries import audience_conditions
from services.api.mailings.filters import Filter
from services.api.mailings.schemas import RenderedText
from shared.attributes import Attributes
from shared.ledger.tables import Client
from shared.placeholders import LONGEST_VALUE, Placeholder, Template, has_braces, parse_template
from shared.sms_parts import EXTENDED_CHARACTERS, GSM_CHARACTERS, parts

_UNKNOWN_ATTRIBUTES = text("""
    -- find_unknown_attributes --
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
    WHERE NOT EXISTS (SELECT FROM clients WHERE attributes ? name)
""")


_LONGEST = 3  # more than one, as a character that is not split may make a shorter text one part longer
# A character that no text in the GSM alphabet has, and any character but those of two UTF-16 code units.
_FOREIGN = "[^" + re.escape(GSM_CHARACTERS) + "]"
_NOT_ASTRAL = "[\u0001-\uffff]"


@dataclass(frozen=True, slots=True)
class PersonalTexts:
    """Texts that an audience would get. `most_parts` is 0 if the text has no placeholders."""

    texts: list[RenderedText] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)
    most_parts: int = 0


async def check_attributes(connection: AsyncConnection, given: str) -> None:
    """Raise Invalid for a placeholder that would show nothing to anybody: without a fallback, for an attribute
    that no client has.
    """
    bare = [one for one in _template(given).placeholders if one.fallback is None]
    if not bare:
        return
    found = await connection.execute(_UNKNOWN_ATTRIBUTES, {"names": sorted({one.name for one in bare})})
    unknown = set(found.scalars())
    for one in bare:
        if one.name in unknown:
            raise Invalid(
                "text",
                f"has a placeholder at position {one.position} for {one.name}, which no client has: correct the"
                f" name, or give a text for everybody, such as {{{one.name}|friend}}",
            )


async def describe_texts(
    connection: AsyncConnection, given: str, audience: Filter, sample: Sequence[ClientOut]
) -> PersonalTexts:
    """Render the text for the sample, and measure it over the audience. Raises Invalid."""
    await check_attributes(connection, given)
    template = _template(given)
    if not template.placeholders:
        return PersonalTexts()
    names = list(dict.fromkeys(one.name for one in template.placeholders))
    counts = [func.count().filter(~Client.attributes.has_key(name)) for name in names]
    lacking = (await connection.execute(select(*counts).where(*audience_conditions(audience)))).one()
    longest: Iterable[Attributes] = (await connection.execute(_longest(template, audience))).scalars()
    rendered = [(client.id, template.render(client.attributes)) for client in sample]
    return PersonalTexts(
        [RenderedText(client_id=client_id, text=text, parts=parts(text).count) for client_id, text in rendered],
        {name: count for name, count in zip(names, lacking, strict=True) if count},
        max((parts(template.render(attributes)).count for attributes in longest), default=0),
    )


def _template(given: str) -> Template:
    return parse_template(given) if has_braces(given) else Template([given])


def _longest(template: Template, audience: Filter) -> Select[Any]:
    """Return the query of the attributes that make the longest texts, in each of the two encodings."""
    values = [_value(one) for one in template.placeholders]
    shown = func.concat(*values)
    written = "".join(piece for piece in template.pieces if isinstance(piece, str))
    is_plain = shown.op("!~")(_FOREIGN) if parts(written).encoding == "GSM-7" else false()
    twice = func.length(shown) - func.length(func.translate(shown, EXTENDED_CHARACTERS, ""))
    astral = func.length(func.regexp_replace(shown, _NOT_ASTRAL, "", "g"))
    units = func.length(shown) + case((is_plain, twice), else_=astral)
    rank = func.row_number().over(partition_by=is_plain, order_by=units.desc())
    ranked = select(Client.attributes, rank.label("rank")).where(*audience_conditions(audience)).subquery()
    return select(ranked.c.attributes).where(ranked.c.rank <= _LONGEST)


def _value(placeholder: Placeholder) -> ColumnElement[str]:
    """Return the SQL of what a placeholder shows."""
    value = func.left(Client.attributes[placeholder.name].astext, LONGEST_VALUE)
    return func.coalesce(value, placeholder.fallback or "")
