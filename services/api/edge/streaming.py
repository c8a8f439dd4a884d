"""Answers that are streamed as CSV."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

CSV_RESPONSE: dict[int | str, dict[str, object]] = {
    200: {"description": "A CSV file with a header.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


async def csv_response(pieces: AsyncIterator[bytes], file_name: str) -> StreamingResponse:
    """Return the answer when its first piece is there, so that an early failure still gets its own status."""
    first = await anext(pieces)

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    disposition = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return StreamingResponse(all_pieces(), headers=disposition, media_type="text/csv")
