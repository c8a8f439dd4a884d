"""Pages of a list: how a caller asks for one, and how it gets the next."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.api.edge.ids import Digits
from shared.contracts import INT64_MAX

Limit = Annotated[int, Query(ge=1, le=1000, description="The largest number of items on the page."), Digits]
After = Annotated[
    int | None,
    Query(ge=1, le=INT64_MAX, description="The value `next` of the page before. Omit it to get the first page."),
    Digits,
]
Next = Annotated[
    int | None, Field(description="Send it as `after` to get the next page. It is null on the last page.")
]


def cut_page(rows: Sequence[Mapping[str, object]], limit: int, key: str = "id") -> dict[str, object]:
    """Return a page of up to `limit` rows. The query asks for one more, to know if a page follows."""
    return {"items": rows[:limit], "next": rows[limit - 1][key] if len(rows) > limit else None}
