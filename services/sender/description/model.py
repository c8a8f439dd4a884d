"""The parts of a description, as they stand in the file. docs/providers.md explains each of them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from services.sender.description.template import OF_A_MESSAGE, OF_THE_ACCESS, check, strings_of

EVERYTHING = OF_A_MESSAGE | OF_THE_ACCESS
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
RESERVED_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def _template(text: str) -> str:
    check(text, EVERYTHING)
    return text


def _header(text: str) -> str:
    check(text, EVERYTHING - {"text"})
    if not text.isprintable() or not text.isascii():
        raise ValueError("a header holds printable ASCII only")
    return text


def _header_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError("this is not the name of a header")
    if name.lower() in RESERVED_HEADERS:
        raise ValueError("the sender sets this header itself")
    return name


def _path(text: str) -> str:
    check(text, EVERYTHING)
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise ValueError("a path begins with / and is percent-encoded")
    return text


def _json_template(content: Any) -> Any:
    for text in strings_of(content):
        check(text, EVERYTHING)
    return content


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"this is not a regular expression: {error}") from None
    return text


def _pointer(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("a JSON pointer begins with /")
    return text


def _status(value: int | str) -> int | str:
    if not (100 <= value <= 999 if isinstance(value, int) else re.fullmatch("[1-9]xx", value)):
        raise ValueError('a status is a number such as 200, or a class such as "2xx"')
    return value


def _statuses(value: object) -> object:
    return value if isinstance(value, list) else [value]


Template = Annotated[str, AfterValidator(_template)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Pointer = Annotated[str, AfterValidator(_pointer)]
Status = Annotated[int | str, AfterValidator(_status)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Rule(_Part):
    """Meaning of an answer that meets every condition given here."""

    status: Annotated[list[Status], BeforeValidator(_statuses), Field(min_length=1)] = ["2xx"]
    pointer: Pointer | None = None
    equals: str | int | bool | None = None
    pattern: Pattern | None = None
    verdict: Literal["accepted", "refused", "later", "unknown"]
    outage: bool = False

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.equals is not None and self.pattern is not None:
            raise ValueError("give either equals or pattern")
        if self.equals is not None and self.pointer is None:
            raise ValueError("equals needs a pointer to the value")
        if self.pointer is not None and self.equals is None and self.pattern is None:
            raise ValueError("a pointer needs equals or pattern")
        if self.outage and self.verdict in {"accepted", "refused"}:
            raise ValueError("an outage is later or unknown")
        return self


class MessageId(_Part):
    """Where the provider's id of the message stands in the answer."""

    pointer: Pointer | None = None
    pattern: Pattern | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.pointer is None) == (self.pattern is None):
            raise ValueError("give either pointer or pattern")
        if self.pattern is not None and re.compile(self.pattern).groups != 1:
            raise ValueError("the pattern needs one group, which is the id")
        return self


class Description(_Part):
    """A provider's API."""

    method: Literal["POST", "PUT", "GET"] = "POST"
    path: Annotated[str, AfterValidator(_path)]
    sender: str = ""
    query: dict[str, Template] = {}
    headers: dict[Annotated[str, AfterValidator(_header_name)], Annotated[str, AfterValidator(_header)]] = {}
    form: dict[str, Template] | None = None
    json_body: Annotated[dict[str, JsonValue] | None, BeforeValidator(_json_template), Field(alias="json")] = None
    message_id: MessageId | None = None
    answers: Annotated[list[Rule], Field(min_length=1)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.form is not None and self.json_body is not None:
            raise ValueError("give either form or json")
        if not any(rule.verdict == "accepted" for rule in self.answers):
            raise ValueError("no rule of answers accepts anything")
        texts = [self.path, *self.query.values(), *(self.form or {}).values(), *strings_of(self.json_body)]
        for name in ("{number", "{text"):
            if not any(name in text for text in texts):
                raise ValueError(f"the request does not contain {name}}}")
        return self
