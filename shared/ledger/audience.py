"""Conditions of an audience: a stored filter as SQL over the table `clients`, with bound parameters only. Pure.

A stored filter has the form that `services.api.mailings.filters` returns. Every text of the SQL stands in this
module; what callers wrote is bound. All fields of a filter must hold; a field holds by any of its values. `all`,
`any` and `not` contain filters.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import orjson

Filter = Mapping[str, object]

_LISTS = {
    "code": "code = ANY(CAST(:{name} AS smallint[]))",
    "tag": "tag = ANY(CAST(:{name} AS text[]))",
    "zone": "zone = ANY(CAST(:{name} AS text[]))",
    "number": "clients.number = ANY(CAST(:{name} AS bigint[]))",
}
_TIMES = {
    "created_after": "clients.created_at >= CAST(:{name} AS timestamptz)",
    "created_before": "clients.created_at < CAST(:{name} AS timestamptz)",
}
# The index of attributes leaves out the clients without any, so the condition names its predicate.
_HAS_ATTRIBUTES = "clients.attributes <> '{}'"
_ATTRIBUTE = "clients.attributes @> CAST(:{name} AS jsonb)"
_IN_MAILING = (
    "EXISTS (SELECT FROM messages WHERE messages.client_id = clients.id"
    " AND messages.mailing_id = CAST(:{mailing} AS bigint){status}{bounds})"
)
_STATUS = " AND messages.status = ANY(CAST(:{name} AS message_status[]))"
# PostgreSQL does not conclude from `clients.id > 5` that the message's client has such an id, too.
_BOUNDS = " AND messages.client_id > :after AND messages.client_id <= :until"

# Mailings whose audience is not fixed, and whose filter refers to the mailing {mailing}.
_DEPENDENT = """
    FROM mailings AS dependent
    WHERE (dependent.state = 'scheduled' OR (dependent.state <> 'scheduled' AND dependent.finished_at IS NULL
            AND dependent.state IN ('waiting', 'running')))
        AND dependent.expanded_at IS NULL AND dependent.id <> {mailing}
        AND jsonb_path_exists(dependent.filter,
            '$.** ? (@.in_mailing[*].id == $id || @.not_in_mailing[*].id == $id)',
            jsonb_build_object('id', {mailing}))
"""


class Conditions(NamedTuple):
    """SQL conditions that a client must meet, all of them, and the values of their parameters."""

    sql: Sequence[str]
    parameters: Mapping[str, object]


def conditions(filter_: Filter, *, bounded: bool = False) -> Conditions:
    """Return the conditions of a filter.

    With `bounded`, the statement looks only at clients with ids above `:after` and up to `:until`.
    """
    builder = _Builder(_BOUNDS if bounded else "")
    return Conditions(list(builder.conditions(filter_)), builder.parameters)


def mailings_named(filter_: Filter) -> set[int]:
    """Return the ids of the mailings that a filter refers to."""
    ids = {entry["id"] for field in ("in_mailing", "not_in_mailing") for entry in _entries(filter_, field)}
    return ids.union(*(mailings_named(part) for part in _parts(filter_)))


def dependent_mailings(mailing: str) -> str:
    """Return the part of a statement, from FROM on, that finds the `dependent` mailings of an id given in SQL.

    Their audience is not fixed, and their filter refers to the mailing: its messages must stay until then.
    """
    return _DEPENDENT.format(mailing=mailing)


def names_numbers(filter_: Filter) -> bool:
    """Return True if a filter has phone numbers."""
    return "number" in filter_ or any(names_numbers(part) for part in _parts(filter_))


class _Builder:
    def __init__(self, bounds: str) -> None:
        self._bounds = bounds
        self.parameters: dict[str, object] = {}

    def conditions(self, filter_: Filter) -> Iterable[str]:
        for field, condition in (_LISTS | _TIMES).items():
            if value := filter_.get(field):
                yield condition.format(name=self._bind(field, value))
        if attributes := cast(Mapping[str, Sequence[object]], filter_.get("attributes")):
            yield _HAS_ATTRIBUTES
            for attribute, values in attributes.items():
                yield _any(self._attribute(attribute, value) for value in values)
        if entries := _entries(filter_, "in_mailing"):
            yield _any(self._in_mailing(entry) for entry in entries)
        yield from (f"NOT {self._in_mailing(entry)}" for entry in _entries(filter_, "not_in_mailing"))
        for part in _filters(filter_, "all"):
            yield from self.conditions(part)
        if parts := _filters(filter_, "any"):
            yield _any(self._joined(part) for part in parts)
        if "not" in filter_:
            yield f"NOT {self._joined(cast(Filter, filter_['not']))}"

    def _joined(self, filter_: Filter) -> str:
        return f"({' AND '.join(self.conditions(filter_))})"

    def _attribute(self, attribute: str, value: object) -> str:
        return _ATTRIBUTE.format(name=self._bind("attribute", orjson.dumps({attribute: value}).decode()))

    def _in_mailing(self, entry: Mapping[str, object]) -> str:
        mailing = self._bind("mailing", entry["id"])
        status = _STATUS.format(name=self._bind("status", entry["status"])) if "status" in entry else ""
        return _IN_MAILING.format(mailing=mailing, status=status, bounds=self._bounds)

    def _bind(self, name: str, value: object) -> str:
        """Return the name of a new parameter with the value: `tag`, then `tag_1`, …"""
        free = name if name not in self.parameters else f"{name}_{len(self.parameters)}"
        self.parameters[free] = value
        return free


def _any(alternatives: Iterable[str]) -> str:
    return f"({' OR '.join(alternatives)})"


def _parts(filter_: Filter) -> Sequence[Filter]:
    negated = [cast(Filter, filter_["not"])] if "not" in filter_ else []
    return [*_filters(filter_, "all"), *_filters(filter_, "any"), *negated]


def _filters(filter_: Filter, field: str) -> Sequence[Filter]:
    return cast(Sequence[Filter], filter_.get(field, ()))


def _entries(filter_: Filter, field: str) -> Sequence[Mapping[str, int]]:
    return cast(Sequence[Mapping[str, int]], filter_.get(field, ()))
