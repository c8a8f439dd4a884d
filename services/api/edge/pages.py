"""Pages of a list: how a caller asks for one, and how it gets the next."""

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
