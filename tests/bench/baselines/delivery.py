"""Delivery of a baseline: a POST and an UPDATE for each message. The baselines have an environment of their own.

Session and connection belong to a process (Celery's prefork) or a thread (Dramatiq), and live as long as it does.
"""

import os
import sys
from collections.abc import Callable, Iterable

import psycopg
import requests

URL = os.environ["PROVIDER_URL"] + "/v1/send/"


def open_session() -> requests.Session:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {os.environ['PROVIDER_TOKEN']}"
    session.trust_env = False  # else it looks for proxies and a .netrc with every request
    return session


def open_connection() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def deliver(
    session: requests.Session, connection: psycopg.Connection, message_id: int, number: int, text: str
) -> None:
    body = {"id": message_id, "phone": number, "text": text}
    session.post(f"{URL}{message_id}", json=body, timeout=5).raise_for_status()
    connection.execute(
        "UPDATE messages SET status = 'sent', sent_at = clock_timestamp() WHERE id = %s", (message_id,)
    )


def enqueue_on_command(enqueue: Callable[[Iterable[tuple[int, int, str]]], None]) -> None:
    """A line `first last` on standard input is a range of messages to enqueue; the answer is `done`."""
    connection = open_connection()
    for line in sys.stdin:
        first_and_last = tuple(map(int, line.split()))
        rows = connection.execute(
            "SELECT id, number, text FROM messages WHERE id BETWEEN %s AND %s ORDER BY id", first_and_last
        )
        enqueue(rows)
        print("done", flush=True)
