"""Phone numbers as people write them → the integer 7XXXXXXXXXX.

`8 905 …`, the way to dial inside Russia, is refused rather than guessed at: +81… and +86… are other countries.
"""

import re

_PUNCTUATION = str.maketrans("", "", " \u00a0\u202f-\u2010\u2011\u2013().")
_FORM = re.compile(r"\+?(7[0-9]{10})")
_LONGEST = 40  # characters; more is no phone number, however it is punctuated

LOWEST, HIGHEST = 70_000_000_000, 79_999_999_999


def parse_number(given: object) -> int:
    """The number of an integer, or of a string with or without `+`, spaces, brackets, hyphens and dots.

    Raises ValueError, with a text for the caller.
    """
    if isinstance(given, str) and len(given) <= _LONGEST:
        written = _FORM.fullmatch(given.strip().translate(_PUNCTUATION))
        if written:
            return int(written[1])
    # A bool is an int to Python, but not to the caller.
    elif isinstance(given, int) and not isinstance(given, bool) and LOWEST <= given <= HIGHEST:
        return given
    raise ValueError(
        "must be a phone number 7XXXXXXXXXX, 11 digits that begin with 7:"
        " an integer, or a string like '+7 (905) 700-30-50'"
    )
