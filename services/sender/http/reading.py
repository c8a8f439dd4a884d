"""Reading of answers from the bytes of a connection. No I/O: bytes go in, an answer comes out.

Parsing is the job of httptools (llhttp). This module adds the bounds: whatever a server sends, no more than
`HEAD_LIMIT` bytes of heads and `ANSWER_LIMIT` bytes in all are read before the answer is complete.
"""

import re

import httptools

from services.sender.http.exchange import BODY_LIMIT, Answer

HEAD_LIMIT = 16_384  # bytes of the head, all interim (1xx) answers included
ANSWER_LIMIT = 131_072  # bytes of an answer that is not complete, chunk sizes and trailers included

KEEP_ALIVE_TIMEOUT = re.compile(rb"timeout\s*=\s*([0-9]{1,5})", re.ASCII | re.IGNORECASE)


class BadAnswer(Exception):
    """Raised when the bytes of a connection cannot become an answer any more."""


class _Surplus(Exception):
    """Stops the parser at a second answer to one request."""


class AnswerReader:
    """Reads one answer after another; call `start` before each."""

    __slots__ = (
        "_body",
        "_has_length",
        "_is_head_complete",
        "_parser",
        "_received",
        "_retry_after",
        "is_complete",
        "is_reusable",
        "keep_alive",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.keep_alive: int | None = None  # seconds for which the server keeps an idle connection, if it says so
        self.start()

    def start(self) -> None:
        """Forget the last answer."""
        self.is_complete = self.is_reusable = False
        self.status = self._received = 0
        self._reset_head()

    def _reset_head(self) -> None:
        self._body = b""
        self._retry_after: str | None = None
        self._is_head_complete = self._has_length = False

    @property
    def answer(self) -> Answer:
        """The answer, once it is complete."""
        return Answer(self.status, self._body, self._retry_after)

    def feed(self, data: bytes) -> bool:
        """Read some bytes. Return True once the answer is complete. Raise BadAnswer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise BadAnswer("the server switched protocols") from None
        except httptools.HttpParserError as error:
            if not self.is_complete:
                raise BadAnswer(f"not HTTP: {error}") from None
            self.is_reusable = False  # the answer stands; what came behind it condemns the connection
        if not self.is_complete:
            self._received += len(data)
            self._check_bounds()
        return self.is_complete

    def end(self) -> bool:
        """Take note that the server sent its last byte. Return True if that completes the answer."""
        if self._is_head_complete and not self._has_length:
            self.is_complete = True
        return self.is_complete

    def _check_bounds(self) -> None:
        if not self._is_head_complete and self._received > HEAD_LIMIT:
            raise BadAnswer(f"no complete head within {HEAD_LIMIT} bytes")
        if self._received > ANSWER_LIMIT:
            raise BadAnswer(f"no end of the answer within {ANSWER_LIMIT} bytes")

    # Called by the parser

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        length = len(name)
        if length == 14:
            self._has_length |= name.lower() == b"content-length"
        elif length == 17:
            self._has_length |= name.lower() == b"transfer-encoding" and b"chunked" in value.lower()
        elif length == 11:
            if name.lower() == b"retry-after":
                self._retry_after = value.decode("latin-1")
        elif length == 10 and name.lower() == b"keep-alive":
            found = KEEP_ALIVE_TIMEOUT.search(value)
            self.keep_alive = int(found[1]) if found else None

    def on_headers_complete(self) -> None:
        self._is_head_complete = True
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if self.is_complete:
            return
        if len(self._body) + len(body) <= BODY_LIMIT:
            self._body = self._body + body if self._body else body
        else:
            self._body = (self._body + body)[:BODY_LIMIT]
            self.is_complete = True  # as far as anybody reads it; the connection is not used again

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200:  # an interim answer: the real one follows
            self._reset_head()
        elif not self.is_complete:
            self.is_complete = True
            self.is_reusable = self._parser.should_keep_alive()
