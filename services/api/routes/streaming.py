"""Answers that are streamed as CSV."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

CSV_ANSWER: dict[int | str, dict[str, object]] = {
    200: {"description": "CSV with a header", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


async def csv_answer(pieces: AsyncIterator[bytes], file_name: str) -> StreamingResponse:
    """The answer, once its first piece is there: so what fails at once is told with a status."""
    first = await anext(pieces)

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    disposition = {"Content-Disposition": f'attachment; filename="{file_name}"'}
    return StreamingResponse(all_pieces(), headers=disposition, media_type="text/csv")
