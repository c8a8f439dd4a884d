"""What may be told of a message that could not be handled: why, and how it begins. Pure.

It goes into logs, headers and terminals, so it holds no phone numbers, no texts and no control characters.
"""

import json
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

REASON_LIMIT = 500  # characters
SUMMARY_LIMIT = 60
PROBLEMS_TOLD = 5

# Ten digits or more, together or set apart as people write them.
_NUMBER = re.compile(r"\d(?:[ ().+-]{0,3}\d){9,}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAME = re.compile(r"\[?\w{1,40}\]?", re.ASCII)
_TOLD_FIELDS = ("version", "kind", "job_id", "mailing_id")
_IDS = ("mailing_id", "job_id")
_OUR_CODE = tuple(Path(__file__).parents[2] / package for package in ("services", "shared"))


def describe_error(error: BaseException) -> str:
    """Why, in one line of at most REASON_LIMIT characters.

    The values that a pydantic error carries are left out, and so are the row that PostgreSQL shows and whatever
    other errors quote.
    """
    if isinstance(error, ValidationError):
        return _told(_of_validation(error), REASON_LIMIT)
    original = getattr(error, "orig", None) or error
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    words = primary or _QUOTED.sub("…", (str(original).splitlines() or [""])[0])
    return _told(f"{type(original).__name__}{_place(error)}: {words}", REASON_LIMIT)


def summarize_body(body: bytes) -> str:
    """What a person recognises a message by: the ids of a JSON object, the first bytes of anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        return _told(_of_object(content), 2 * SUMMARY_LIMIT)
    # A job that was cut off: not its text.
    beginning, _, _ = body[:1_000].decode(errors="replace").partition('"text"')
    return _told(beginning, SUMMARY_LIMIT)


def ids_in_body(body: bytes) -> dict[str, int]:
    """The ids by which logs can be searched for it, if it is a JSON object that names some."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    given = content if isinstance(content, dict) else {}
    return {name: value for name in _IDS if type(value := given.get(name)) is int}


def masked(number: int) -> str:
    """Return a phone number as logs may show it: 79057003050 becomes 7905*****50."""
    return _mask(str(number))


def without_numbers(text: str) -> str:
    """The text with each phone number as logs may show it: 79057003050 → 7905*****50."""
    return _NUMBER.sub(_mask_match, text)


def printable(text: str) -> str:
    """One line that a terminal can be given."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _told(text: str, limit: int) -> str:
    text = printable(without_numbers(text))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _mask_match(found: re.Match[str]) -> str:
    return _mask(re.sub(r"\D", "", found.group()))


def _mask(digits: str) -> str:
    return f"{digits[:4]}*****{digits[-2:]}"


def _of_validation(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    told = [f"{_location(problem['loc'])}{problem['msg']}" for problem in problems[:PROBLEMS_TOLD]]
    more = len(problems) - len(told)
    return f"not a valid {error.title}: " + "; ".join([*told, *([f"and {more} more"] if more else [])])


def _location(parts: Iterable[int | str]) -> str:
    """Where in the message. A key that is no name may be anything, a text too."""
    names = [str(part) if _NAME.fullmatch(str(part)) else "…" for part in parts]
    return f"{'.'.join(names)}: " if names else ""


def _of_object(content: dict[str, object]) -> str:
    told = [f"{name}={_value(content[name])}" for name in _TOLD_FIELDS if name in content]
    jobs = content.get("jobs")
    if isinstance(jobs, list):
        ids = [_value(job.get("job_id")) for job in jobs[:PROBLEMS_TOLD] if isinstance(job, dict)]
        told.append(f"jobs={len(jobs)} job_ids={','.join(ids)}{'…' if len(jobs) > len(ids) else ''}")
    return " ".join(told) or f"fields: {', '.join(_name(name) for name in list(content)[:PROBLEMS_TOLD])}"


def _value(value: object) -> str:
    return _name(str(value)) if isinstance(value, int | str) else type(value).__name__


def _name(text: str) -> str:
    return text if re.fullmatch(r"[\w.-]{1,40}", text, re.ASCII) else "…"


def _place(error: BaseException) -> str:
    """Where in our code it was raised, or the call that raised it was made."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if any(Path(frame.filename).is_relative_to(package) for package in _OUR_CODE):
            return f" at {Path(frame.filename).name}:{frame.lineno}"
    return ""
