"""Stories: the lines of a log that concern one mailing, message, client or request. Pure.

A line is about the finest thing that it names: a message, else a job, else a mailing, else a request. The
story of a message has the lines about it, about its jobs, about its mailing, and about the requests behind
them. The story of a client has those of its messages, and those that name the client. The story of a mailing
or a request has those that name it, and those that are linked with it by a request or a job.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeGuard

import orjson

Id = int | str
Kind = Literal["request", "mailing", "job", "message", "client"]
Fields = dict[str, object]

KINDS: tuple[Kind, ...] = ("request", "mailing", "job", "message", "client")
COARSE_TO_FINE: tuple[Kind, ...] = ("request", "mailing", "job", "message")
SEVERAL = ("message_ids", "client_ids")  # in the same order


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line of a log that names something. There are many, so it is small, and parses its fields on request."""

    text: str  # JSON
    at: str  # in UTC and ISO 8601, so that it sorts as text
    is_successful_read: bool  # of a request that changed nothing
    named: Mapping[Kind, tuple[Id, ...]]

    @property
    def fields(self) -> Fields:
        """Return all fields of the line."""
        fields: Fields = orjson.loads(self.text)
        return fields

    @property
    def finest(self) -> Kind:
        """Return the kind of the finest thing that the line names."""
        return next((kind for kind in reversed(COARSE_TO_FINE) if kind in self.named), "client")

    def names(self, kind: Kind, ids: Collection[Id]) -> bool:
        """Return True if the line names one of these."""
        return any(one in ids for one in self.named.get(kind, ()))


def parse(text: str) -> Line | None:
    """Parse a line of a log. Return None if it is not JSON, or names nothing.

    Text before the JSON is skipped, because docker compose puts a name there.
    """
    text = text[start:].rstrip() if (start := text.find("{")) >= 0 else ""
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    named = {kind: ids for kind in KINDS if (ids := _ids(fields, kind))}
    return Line(text, str(fields.get("timestamp", "")), _is_successful_read(fields), named) if named else None


def _ids(fields: Fields, kind: Kind) -> tuple[Id, ...]:
    several = fields.get(f"{kind}_ids")
    given = [fields.get(f"{kind}_id"), *(several if isinstance(several, list) else ())]
    no_client = 0 if kind == "client" else None
    return tuple(one for one in given if _is_id(one) and one != no_client)


def _is_id(value: object) -> TypeGuard[Id]:
    return type(value) in {int, str}


def _is_successful_read(fields: Fields) -> bool:
    status = fields.get("status")
    return fields.get("method") in {"GET", "HEAD"} and isinstance(status, int) and status < 400


def story(lines: Iterable[Line], kind: Kind, wanted: Id) -> list[Fields]:
    """Return the lines of the story, in order of time.

    Of a line about several messages, only the ids that belong to the story are kept.
    """
    lines = [line for line in lines if not line.is_successful_read]
    match kind:
        case "message":
            return _in_order(_of_messages(lines, {wanted}), only={wanted})
        case "client":
            naming = [line for line in lines if line.names("client", {wanted})]
            messages = {
                message for line in naming for message, client in _clients(line.fields) if client == wanted
            }
            found = _in_order([*_of_messages(lines, messages), *naming], only=messages)
            return [_narrowed_to_client(fields, wanted) for fields in found]
        case _:
            return _in_order(_linked_with(lines, kind, wanted))


def _of_messages(lines: Iterable[Line], messages: Collection[Id]) -> list[Line]:
    about = [line for line in lines if line.names("message", messages)]
    behind = {kind: _union(about, kind) for kind in COARSE_TO_FINE} | {"message": messages, "client": ()}
    return [line for line in lines if line.names(line.finest, behind[line.finest])]


def _linked_with(lines: Iterable[Line], kind: Kind, wanted: Id) -> list[Line]:
    """Return the lines that name it, and those of the same requests and jobs that name no other of its kind."""
    naming = [line for line in lines if line.names(kind, {wanted})]
    links: dict[Kind, set[Id]] = {"request": _union(naming, "request"), "job": _union(naming, "job")}
    linked = [
        line
        for line in lines
        if kind not in line.named and any(line.names(link, ids) for link, ids in links.items())
    ]
    return naming + linked


def _union(lines: Iterable[Line], kind: Kind) -> set[Id]:
    return {one for line in lines for one in line.named.get(kind, ())}


def _in_order(lines: Iterable[Line], only: Collection[Id] | None = None) -> list[Fields]:
    """Return the fields of each line, once, in order of time, narrowed to the messages `only`."""
    in_order = sorted({id(line): line for line in lines}.values(), key=lambda line: line.at)
    return [line.fields if only is None else _narrowed(line.fields, only) for line in in_order]


def _narrowed(fields: Fields, messages: Collection[Id]) -> Fields:
    pairs = [pair for pair in _clients(fields) if pair[0] in messages] if "message_ids" in fields else []
    lists = (list(ids) for ids in zip(*pairs, strict=True))
    return fields | dict(zip(SEVERAL, lists, strict=False))


def _narrowed_to_client(fields: Fields, client: Id) -> Fields:
    """Keep one id of a line about several clients, such as those of an import."""
    is_list = "message_ids" not in fields and isinstance(fields.get("client_ids"), list)
    return fields | {"client_ids": [client]} if is_list else fields


def _clients(fields: Fields) -> Iterator[tuple[Id, Id]]:
    """Yield the messages that a line names, each with its client."""
    messages = fields.get("message_ids", [fields.get("message_id")])
    clients = fields.get("client_ids", [fields.get("client_id")])
    if isinstance(messages, list) and isinstance(clients, list):
        for message, client in zip(messages, clients, strict=False):
            if _is_id(message) and _is_id(client):
                yield message, client
