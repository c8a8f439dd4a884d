"""Uploads of CSV files: as the whole body, or as the file of a form."""

import re
from collections.abc import AsyncIterator

from fastapi import Request

from services.api.edge.refusals import Invalid

CSV, FORM = "text/csv", "multipart/form-data"

UPLOAD_BODY: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {
            CSV: {"schema": {"type": "string"}},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary", "description": "A CSV file."}},
                },
                "example": {"file": "number\n79057003050\n"},
            },
        },
    }
}
_LONGEST_PART_HEAD = 16 * 1024
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_FILE_NAME = re.compile(rb"filename\*?=", re.IGNORECASE)


def csv_upload(request: Request) -> AsyncIterator[bytes]:
    """Return the pieces of the uploaded file. Raises Invalid if the body is no CSV."""
    header = request.headers.get("content-type", "")
    media_type = header.partition(";")[0].strip().lower()
    if media_type == CSV:
        return request.stream()
    boundary = _BOUNDARY.search(header) if media_type == FORM else None
    if boundary is None:
        raise Invalid("body", "must be a CSV file: send it with Content-Type: text/csv, or as the file of a form")
    return first_file((boundary[1] or boundary[2]).encode("latin-1"), request.stream())


async def first_file(boundary: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the content of the first file of a form (RFC 7578) while it arrives, and read the rest.

    Raises Invalid.
    """
    end = b"\r\n--" + boundary
    buffer = b"\r\n"  # so that the first boundary looks like the others
    is_file = False
    async for piece in pieces:
        buffer += piece
        while (place := buffer.find(end)) >= 0:
            if is_file:
                yield buffer[:place]
                async for _ in pieces:  # the body ends in good order, or it broke off
                    pass
                return
            rest = buffer[place + len(end) :]
            if rest.startswith(b"--"):
                raise Invalid("body", "is a form without a file")
            head, blank_line, content = rest.partition(b"\r\n\r\n")
            if not blank_line:
                if len(rest) > _LONGEST_PART_HEAD:
                    raise Invalid("body", "is a form with a part whose headers do not end")
                buffer = buffer[place:]
                break
            is_file = _FILE_NAME.search(head) is not None
            buffer = content
        else:
            # A boundary may begin at the end of what is here.
            done = max(0, len(buffer) - len(end) + 1)
            if is_file and done:
                yield buffer[:done]
            buffer = buffer[done:]
    raise Invalid("body", "is a form that ends before its file does")
