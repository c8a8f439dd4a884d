"""Ids in bodies and queries."""

from typing import Annotated

from pydantic import Field

from shared.contracts import INT64_MAX

Id = Annotated[int, Field(ge=1, le=INT64_MAX)]
