"""The demo's questions to both sides: what the database says of a mailing, and what the sandbox received."""

import psycopg
from psycopg.rows import class_row

from deploy.local.reckoning import Arrival, Message, Reckoning, reckon
from deploy.sandbox.client import SandboxControl


async def compare(control_url: str, database_url: str, mailing_id: int, tag: str) -> Reckoning:
    """Compare the only mailing of a database, to all clients with a tag, with what the sandbox received."""
    async with SandboxControl(control_url) as sandbox:
        received = await sandbox.messages()
    with psycopg.connect(database_url) as connection:
        clients = connection.execute("SELECT id, tag FROM clients").fetchall()
        starts = connection.execute("SELECT starts_at FROM mailings WHERE id = %s", (mailing_id,)).fetchall()
        with connection.cursor(row_factory=class_row(Message)) as cursor:
            messages = cursor.execute(
                "SELECT id, client_id, status FROM messages WHERE mailing_id = %s", (mailing_id,)
            ).fetchall()
    return reckon(
        clients=len(clients),
        audience=[client_id for client_id, client_tag in clients if client_tag == tag],
        messages=messages,
        arrivals={item.id: Arrival(item.count, item.first_at, item.last_at) for item in received},
        starts_at=starts[0][0],
    )
