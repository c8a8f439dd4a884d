"""Results of imports from CSV."""

from pydantic import BaseModel, Field


class Rejection(BaseModel):
    """A row of an upload that was not imported."""

    line: int = Field(description="The row's line in the file. The header is line 1.", examples=[17])
    reason: str = Field(examples=["zone: is not a known IANA time zone; they look like 'Europe/Moscow'"])


class Imported(BaseModel):
    """The result of an import. `rows` is the sum of the other numbers."""

    rows: int
    added: int
    changed: int
    unchanged: int
    repeated: int = Field(description="Rows that a later row of the same file with the same number supersedes.")
    rejected: int
    rejections: list[Rejection] = Field(description="The first 1,000 rejected rows.")
