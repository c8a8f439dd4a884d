"""Redaction: descriptions of errors and messages that hold nothing private. Pure.

They go into logs, headers and terminals, so they hold no phone numbers, no texts and no control characters.
"""

import json
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from shared.masking import masked

REASON_LIMIT = 500  # characters
SUMMARY_LIMIT = 60
MAX_PROBLEMS = 5  # of a validation error, and ids of jobs

# Ten digits or more, together or separated as people write them.
_NUMBER = re.compile(r"\d(?:[ ().+-]{0,3}\d){9,}")
_TOKEN = re.compile(r"mailing_[0-9A-Za-z]{8,}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAME = re.compile(r"\[?\w{1,40}\]?", re.ASCII)
_SHOWN_FIELDS = ("version", "kind", "job_id", "mailing_id")
_IDS = ("mailing_id", "job_id")
_OUR_CODE = tuple(Path(__file__).parents[2] / package for package in ("services", "shared"))


def describe_error(error: BaseException) -> str:
    """Describe the error in one line of at most REASON_LIMIT characters.

    It leaves out the values that a pydantic error carries, the row that PostgreSQL shows, and the quotations
    of other errors.
    """
    if isinstance(error, ValidationError):
        return _redacted(_describe_validation(error), REASON_LIMIT)
    original = getattr(error, "orig", None) or error
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    words = primary or _QUOTED.sub("…", (str(original).splitlines() or [""])[0])
    return _redacted(f"{type(original).__name__}{_place(error)}: {words}", REASON_LIMIT)


def summarize_body(body: bytes) -> str:
    """Summarize a message so that a person recognizes it: ids of a JSON object, else the first bytes."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        return _redacted(_summarize_object(content), 2 * SUMMARY_LIMIT)
    # The text of a job that was cut off is left out.
    beginning, _, _ = body[:1_000].decode(errors="replace").partition('"text"')
    return _redacted(beginning, SUMMARY_LIMIT)


def ids_in_body(body: bytes) -> dict[str, int]:
    """Return the ids by which the logs can be searched for the message, if it is a JSON object that has some."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    given = content if isinstance(content, dict) else {}
    return {name: value for name in _IDS if type(value := given.get(name)) is int}


def without_numbers(text: str) -> str:
    """Return the text with each phone number masked: 79057003050 becomes 7905*****50."""
    return _NUMBER.sub(_mask_match, text)


def without_tokens(text: str) -> str:
    """Return the text with each token of ours hidden, for example in an address that was put together wrongly."""
    return _TOKEN.sub("mailing_***", text)


def printable(text: str) -> str:
    """Return one line that is safe for a terminal."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _redacted(text: str, limit: int) -> str:
    text = printable(without_numbers(text))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _mask_match(found: re.Match[str]) -> str:
    return masked(re.sub(r"\D", "", found.group()))


def _describe_validation(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    shown = [f"{_location(problem['loc'])}{problem['msg']}" for problem in problems[:MAX_PROBLEMS]]
    more = len(problems) - len(shown)
    return f"not a valid {error.title}: " + "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _location(parts: Iterable[int | str]) -> str:
    """Return the place in the message. A key that is not a name is hidden, because it may be a text."""
    names = [str(part) if _NAME.fullmatch(str(part)) else "…" for part in parts]
    return f"{'.'.join(names)}: " if names else ""


def _summarize_object(content: dict[str, object]) -> str:
    shown = [f"{name}={_value(content[name])}" for name in _SHOWN_FIELDS if name in content]
    jobs = content.get("jobs")
    if isinstance(jobs, list):
        ids = [_value(job.get("job_id")) for job in jobs[:MAX_PROBLEMS] if isinstance(job, dict)]
        shown.append(f"jobs={len(jobs)} job_ids={','.join(ids)}{'…' if len(jobs) > len(ids) else ''}")
    return " ".join(shown) or f"fields: {', '.join(_name(name) for name in list(content)[:MAX_PROBLEMS])}"


def _value(value: object) -> str:
    return _name(str(value)) if isinstance(value, int | str) else type(value).__name__


def _name(text: str) -> str:
    return text if re.fullmatch(r"[\w.-]{1,40}", text, re.ASCII) else "…"


def _place(error: BaseException) -> str:
    """Return the place in our code that raised the error, or that called the code that raised it."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if any(Path(frame.filename).is_relative_to(package) for package in _OUR_CODE):
            return f" at {Path(frame.filename).name}:{frame.lineno}"
    return ""
