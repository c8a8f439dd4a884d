"""Phone numbers as people write them, parsed into the integer 7XXXXXXXXXX.

`8 905 …`, the way to dial inside Russia, is refused and not guessed at: +81… and +86… are other countries.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_PUNCTUATION = str.maketrans("", "", " \u00a0\u202f-\u2010\u2011\u2013().")
_FORM = re.compile(r"\+?(7[0-9]{10})")
_LONGEST = 40  # characters; no phone number is longer, however it is punctuated

LOWEST, HIGHEST = 70_000_000_000, 79_999_999_999


def parse_number(given: object) -> int:
    """Parse an integer, or a string with or without `+`, spaces, brackets, hyphens and dots.

    Raises ValueError with a text for the caller.
    """
    if isinstance(given, str) and len(given) <= _LONGEST:
        digits = _FORM.fullmatch(given.strip().translate(_PUNCTUATION))
        if digits:
            return int(digits[1])
    # A bool is an int to Python, but not to the caller.
    elif isinstance(given, int) and not isinstance(given, bool) and LOWEST <= given <= HIGHEST:
        return given
    raise ValueError(
        "must be a phone number 7XXXXXXXXXX, 11 digits that begin with 7:"
        " an integer, or a string like '+7 (905) 700-30-50'"
    )


Number = Annotated[
    int,
    BeforeValidator(parse_number, json_schema_input_type=int | str),
    Field(examples=[79057003050, "+7 (905) 700-30-50"]),
]
