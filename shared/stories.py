"""Stories: which lines of a log tell of one mailing, message, client or request. Pure.

A line is about the finest thing that it names: a message, else a job, else a mailing, else a request. To the story
of a message belong the lines about it, about the jobs it was in, about its mailing, and about the requests behind
them; to that of a client, those of its messages and those that name it; to that of a mailing or a request, those
that name it or hang on it.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeGuard

Id = int | str
Kind = Literal["request", "mailing", "job", "message", "client"]
KINDS: tuple[Kind, ...] = ("request", "mailing", "job", "message", "client")
COARSE_TO_FINE: tuple[Kind, ...] = ("request", "mailing", "job", "message")
NOTHING: frozenset[Id] = frozenset()
SEVERAL = ("message_ids", "client_ids")  # in the same order


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line of a log that names something."""

    fields: Mapping[str, object]
    named: Mapping[Kind, frozenset[Id]]

    @property
    def at(self) -> str:
        """In UTC and ISO 8601, so that it sorts as text."""
        return str(self.fields.get("timestamp", ""))

    @property
    def is_a_look(self) -> bool:
        """Whether it tells of a request that only looked, and was answered well."""
        status = self.fields.get("status")
        return self.fields.get("method") in {"GET", "HEAD"} and isinstance(status, int) and status < 400

    @property
    def finest(self) -> Kind | None:
        """What it is about."""
        return next((kind for kind in reversed(COARSE_TO_FINE) if kind in self.named), None)

    def ids(self, kind: Kind) -> frozenset[Id]:
        """Those of that kind that it names."""
        return self.named.get(kind, NOTHING)

    def clients(self) -> Iterator[tuple[Id, Id]]:
        """Messages that it names, each with its client."""
        fields = self.fields
        messages = fields.get("message_ids", [fields.get("message_id")])
        clients = fields.get("client_ids", [fields.get("client_id")])
        if isinstance(messages, list) and isinstance(clients, list):
            for message, client in zip(messages, clients, strict=False):
                if _is_id(message) and _is_id(client):
                    yield message, client


def parse(text: str) -> Line | None:
    """A line of a log, whatever stands before its JSON (docker compose puts a name there); None if it is none, or
    names nothing."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        fields = json.loads(text[start:])
    except (ValueError, RecursionError):
        return None
    named = {kind: ids for kind in KINDS if (ids := _ids(fields, kind))}
    return Line(fields, named) if named else None


def _ids(fields: Mapping[str, object], kind: Kind) -> frozenset[Id]:
    several = fields.get(f"{kind}_ids")
    given = [fields.get(f"{kind}_id"), *(several if isinstance(several, list) else ())]
    return frozenset(one for one in given if _is_id(one) and one != 0)


def _is_id(value: object) -> TypeGuard[Id]:
    return type(value) in {int, str}


def story(lines: Iterable[Line], kind: Kind, wanted: Id) -> list[Line]:
    """The lines of the story, in order of time; of a line about several messages, only what belongs to it."""
    lines = [line for line in lines if not line.is_a_look]
    match kind:
        case "message":
            chosen = _narrowed(_of_messages(lines, {wanted}), {wanted})
        case "client":
            naming = [line for line in lines if wanted in line.ids("client")]
            messages = {message for line in naming for message, client in line.clients() if client == wanted}
            chosen = _narrowed([*_of_messages(lines, messages), *naming], messages)
        case _:
            chosen = _hanging_on(lines, kind, wanted)
    return sorted(chosen, key=lambda line: line.at)


def _of_messages(lines: Iterable[Line], messages: Collection[Id]) -> list[Line]:
    about = [line for line in lines if not line.ids("message").isdisjoint(messages)]
    behind = {kind: _union(about, kind) for kind in COARSE_TO_FINE} | {"message": frozenset(messages)}
    return [line for line in lines if line.finest and not line.ids(line.finest).isdisjoint(behind[line.finest])]


def _hanging_on(lines: Iterable[Line], kind: Kind, wanted: Id) -> list[Line]:
    """Those that name it, and those of the same requests and jobs that name no other of its kind."""
    naming = [line for line in lines if wanted in line.ids(kind)]
    links: dict[Kind, frozenset[Id]] = {"request": _union(naming, "request"), "job": _union(naming, "job")}
    return [
        line
        for line in lines
        if wanted in line.ids(kind)
        or (not line.ids(kind) and any(line.ids(link) & ids for link, ids in links.items()))
    ]


def _union(lines: Iterable[Line], kind: Kind) -> frozenset[Id]:
    return NOTHING.union(*(line.ids(kind) for line in lines))


def _narrowed(lines: Iterable[Line], messages: Collection[Id]) -> list[Line]:
    """Each line once; of its lists, what belongs to these messages."""
    unique = {id(line): line for line in lines}
    return [replace(line, fields=_about(line, messages)) for line in unique.values()]


def _about(line: Line, messages: Collection[Id]) -> Mapping[str, object]:
    if "message_ids" not in line.fields:
        return line.fields
    pairs = [pair for pair in line.clients() if pair[0] in messages]
    lists = dict(zip(SEVERAL, (list(ids) for ids in zip(*pairs, strict=True)), strict=False))
    return {**line.fields, **lists}
