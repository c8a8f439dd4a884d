"""Search for the rule that applies to an answer. Pure."""

import re
from collections.abc import Iterable

import orjson
from pydantic import JsonValue

from services.sender.description.model import MessageId, Rule
from services.sender.http.exchange import Answer

ID_LIMIT = 200  # characters


def find_rule(rules: Iterable[Rule], answer: Answer) -> Rule | None:
    """Return the first rule that applies, or None."""
    body = _Body(answer.body)
    return next((rule for rule in rules if _applies(rule, answer.status, body)), None)


def find_message_id(where: MessageId, answer: Answer) -> str | None:
    """Return the provider's id of the message, if the answer contains one that can be stored."""
    body = _Body(answer.body)
    if where.pattern is not None:
        found = re.search(where.pattern, body.text)
        value: JsonValue = found[1] if found else None
    else:
        assert where.pointer is not None
        value = body.at(where.pointer)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if 0 < len(text) <= ID_LIMIT and text.isprintable() else None


class _Body:
    """A body, parsed when somebody needs it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._json: JsonValue = None
        self._is_parsed = False

    @property
    def text(self) -> str:
        return self._body.decode(errors="replace")

    def at(self, pointer: str) -> JsonValue:
        """Return the value that a JSON pointer leads to; None if there is none."""
        if not self._is_parsed:
            self._is_parsed = True
            try:
                self._json = orjson.loads(self._body)
            except orjson.JSONDecodeError:
                self._json = None
        value = self._json
        for part in pointer[1:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        return value


def _applies(rule: Rule, status: int, body: _Body) -> bool:
    if status not in rule.status and f"{status // 100}xx" not in rule.status:
        return False
    if rule.pointer is None:
        return rule.pattern is None or re.search(rule.pattern, body.text) is not None
    value = body.at(rule.pointer)
    if rule.pattern is not None:
        is_text = isinstance(value, str | int) and not isinstance(value, bool)
        return is_text and re.search(rule.pattern, str(value)) is not None
    return type(value) is type(rule.equals) and value == rule.equals
