"""Which mailings a caller wants to see, in which order, and from which place on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, Query
from pydantic import AfterValidator

from services.api.edge.cursors import Cursor, parse_cursor
from services.api.edge.instants import Instant
from services.api.edge.refusals import Invalid
from services.api.edge.texts import refuse_nul
from services.api.mailings.schemas import MailingOut
from shared.contracts import INT64_MAX
from shared.statuses import MailingState
from shared.stop_list import MailingKind

LONGEST_WORDS = 100

if TYPE_CHECKING:
    ListedState = MailingState
else:
    ListedState = Literal[*(state.value for state in MailingState if state is not MailingState.DELETED)]


class Sort(StrEnum):
    """Order of mailings, by a field; with a minus in the reverse order. `-id` is the newest first."""

    NEWEST = "-id"
    OLDEST = "id"
    START = "starts_at"
    LATEST_START = "-starts_at"
    END = "expired_at"
    LATEST_END = "-expired_at"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions of the mailings, as values of the parameters of a query; their order, and the last place seen."""

    conditions: Mapping[str, object]
    sort: Sort
    after: Cursor | None


def place_of(mailing: MailingOut, sort: Sort) -> int | str:
    """Return the place of a mailing in a list, from which the next page goes on."""
    match sort:
        case Sort.NEWEST | Sort.OLDEST:
            return mailing.id
        case Sort.START | Sort.LATEST_START:
            return str(Cursor(mailing.starts_at, mailing.id))
        case Sort.END | Sort.LATEST_END:
            return str(Cursor(mailing.expired_at, mailing.id))


def parse_place(given: str, sort: Sort) -> Cursor:
    """Parse what `place_of` gave. Raises Invalid."""
    try:
        if sort not in {Sort.NEWEST, Sort.OLDEST}:
            return parse_cursor(given)
        if given.isascii() and given.isdecimal() and 1 <= int(given) <= INT64_MAX:
            return Cursor(datetime.now(UTC), int(given))
    except ValueError:
        pass
    raise Invalid("after", "must be the value `next` of the page before, with the same sort")


def words_patterns(words: str) -> list[str]:
    """Return patterns of ILIKE for texts that contain the words.

    With the locale C, ILIKE ignores the case of ASCII letters only. So the usual cases are tried, too.
    """
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return [f"%{case}%" for case in (escaped, escaped.lower(), escaped.upper(), escaped.capitalize())]


async def _wanted(
    state: Annotated[
        list[ListedState] | None, Query(description="Only mailings in this state. It may be given several times.")
    ] = None,
    paused: Annotated[
        bool | None, Query(description="Only mailings that are paused, or only those that are not.")
    ] = None,
    kind: Annotated[MailingKind | None, Query(description="Only mailings of this kind.")] = None,
    words: Annotated[
        str | None,
        Query(
            alias="q",
            max_length=LONGEST_WORDS,
            description="Only mailings whose name or text contains this, in capital or small letters, and the"
            " mailing with this id.",
            examples=["order"],
        ),
        AfterValidator(str.strip),
        AfterValidator(refuse_nul),
    ] = None,
    starts_from: Annotated[
        Instant | None, Query(description="Only mailings that start at this instant or later.")
    ] = None,
    starts_until: Annotated[
        Instant | None, Query(description="Only mailings that start before this instant.")
    ] = None,
    created_from: Annotated[
        Instant | None, Query(description="Only mailings that were created at this instant or later.")
    ] = None,
    created_until: Annotated[
        Instant | None, Query(description="Only mailings that were created before this instant.")
    ] = None,
    sort: Annotated[
        Sort,
        Query(
            description="The field that the list is sorted by; `-` reverses the order. `-id`: the newest first."
        ),
    ] = Sort.NEWEST,
    after: Annotated[
        str | None,
        Query(
            pattern="^[0-9]{1,17}(-[0-9]{1,19})?$|^[0-9]{1,19}$",
            description="The value `next` of the page before, with the same `sort`. Omit it for the first page.",
            examples=["17"],
        ),
    ] = None,
) -> Wanted:
    given: dict[str, object] = {
        "state": state,
        "paused": paused,
        "kind": kind,
        "words": words_patterns(words) if words else None,
        "starts_from": starts_from,
        "starts_until": starts_until,
        "created_from": created_from,
        "created_until": created_until,
    }
    conditions = {name: value for name, value in given.items() if value is not None}
    if words:
        conditions["whole_words"] = words
    return Wanted(conditions, sort, None if after is None else parse_place(after, sort))


WantedDep = Annotated[Wanted, Depends(_wanted)]
