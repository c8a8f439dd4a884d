"""Texts that were sent: every statement that writes `mailing_texts` and `message_texts`, but for their removal.

A job carries the version of its mailing's text. So the text of a message is known, also when the mailing's text
has changed since. Only for a text with placeholders, the text of each message is kept.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_KEEP_REPLACED_TEXT = text("""
    -- keep_replaced_text --
    INSERT INTO mailing_texts (mailing_id, version, text, has_placeholders)
    SELECT id, text_version, text, has_placeholders FROM mailings WHERE id = :mailing_id
""")

# A message keeps the text of its first release in this version: a repeat must not differ from what was sent.
_KEEP_MESSAGE_TEXTS = text("""
    -- keep_message_texts --
    INSERT INTO message_texts (message_id, version, text)
    SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:versions AS integer[]), CAST(:texts AS text[]))
        AS given(message_id, version, text) ORDER BY message_id
    ON CONFLICT (message_id) DO UPDATE SET version = excluded.version,
        text = CASE WHEN message_texts.version = excluded.version THEN message_texts.text ELSE excluded.text END
    RETURNING message_id, text
""")

# Of a message `m` with its `job` and its mailing `mailings`: the text that it was sent with, or would be.
# Jobs that ended before there were versions have none, and mailings of that time have version 1.
SENT_TEXT = """
    coalesce(
        (SELECT text FROM message_texts WHERE message_id = m.id AND version = job.text_version),
        (
            SELECT text FROM mailing_texts
            WHERE mailing_id = m.mailing_id
              AND version = coalesce(job.text_version, CASE WHEN job.state = 'done' THEN 1 END)
        ),
        mailings.text
    )
"""


class MessageText(NamedTuple):
    """Text of one message, rendered from a version of its mailing's text."""

    message_id: int
    version: int
    text: str


async def keep_replaced_text(connection: AsyncConnection, mailing_id: int) -> None:
    """Keep the text of a mailing that is about to get another one. The caller has locked the mailing."""
    await connection.execute(_KEEP_REPLACED_TEXT, {"mailing_id": mailing_id})


async def keep_message_texts(connection: AsyncConnection, texts: Sequence[MessageText]) -> dict[int, str]:
    """Keep the texts of messages that are released now, and return the text to send of each, by message.

    That is the text of an earlier release if it had the same version.
    """
    if not texts:
        return {}
    ids, versions, rendered = (list(column) for column in zip(*texts, strict=True))
    values = {"ids": ids, "versions": versions, "texts": rendered}
    return {row.message_id: row.text for row in await connection.execute(_KEEP_MESSAGE_TEXTS, values)}
