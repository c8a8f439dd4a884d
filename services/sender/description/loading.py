"""Reading of a description, with the line of whatever is wrong in it."""

import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from services.sender.description.model import Description

TABLE = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")
KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*(?:=|\.)""")


class DescriptionError(Exception):
    """Raised for a description that cannot be used. Each argument is a line about one mistake in it."""


def load_description(path: Path) -> Description:
    """Read and check a description. Raise DescriptionError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(f"{path}: cannot be read: {error}") from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DescriptionError(f"{path}: this is not TOML: {error}") from None
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{path}, line {find_line(text, problem['loc'])}: {_name(problem['loc'])}{problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise DescriptionError(*dict.fromkeys(problems)) from None


def find_line(text: str, location: tuple[int | str, ...]) -> int:
    """Return the number of the line that defines what is at a location, or else what contains it."""
    best_line, best_depth = 1, 0
    table: tuple[int | str, ...] = ()
    arrays: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        path: tuple[int | str, ...]
        if found := TABLE.match(line):
            names = tuple(part.strip().strip("\"'") for part in found[2].split("."))
            if found[1]:
                arrays[found[2]] = arrays.get(found[2], -1) + 1
                table = (*names, arrays[found[2]])
            else:
                table = names
            path = table
        elif found := KEY.match(line):
            path = (*table, found[1].strip("\"'"))
        else:
            continue
        if len(path) > best_depth and location[: len(path)] == path:
            best_line, best_depth = number, len(path)
    return best_line


def _name(location: tuple[int | str, ...]) -> str:
    name = ".".join(str(part) for part in location if isinstance(part, str) and part != "[key]")
    return f"{name}: " if name else ""
