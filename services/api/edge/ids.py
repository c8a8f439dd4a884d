"""Ids and other whole numbers, parsed strictly: `true`, `1.0` and `1_0` are none.

In a path, `{client_id:id}` matches digits only, so `/api/client/import/` is never taken for the client `import`.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field
from starlette.convertors import Convertor, register_url_convertor

from shared.contracts import INT64_MAX

_DIGITS = re.compile(r"[0-9]{1,19}")


def parse_digits(given: object) -> object:
    """Return the number of a string of digits. Raises ValueError for any other string."""
    if not isinstance(given, str):
        return given
    if not _DIGITS.fullmatch(given):
        raise ValueError("must be a whole number, written in digits")
    return int(given)


# In a query, where every value is a string. Python's own conversion also accepts `1_0`, `1.0` and `+1`.
Digits = BeforeValidator(parse_digits)
# In a JSON body. Without `strict`, pydantic also accepts `true`, `1.0` and `"1"`.
Id = Annotated[int, Field(strict=True, ge=1, le=INT64_MAX)]


class _IdConvertor(Convertor[int]):
    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _IdConvertor())
