"""Baseline with Celery: `celery -A celery_app worker` works, `python celery_app.py` enqueues."""

import os
from collections.abc import Iterable

import psycopg
import requests
from celery import Celery
from celery.signals import worker_process_init
from delivery import deliver, enqueue_on_command, open_connection, open_session

app = Celery("celery_app", broker=os.environ["BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=64,  # "Optimizing": 50 to 150 where tasks are short
    broker_connection_retry_on_startup=True,
)

session: requests.Session
connection: psycopg.Connection


@worker_process_init.connect
def open_both(**_: object) -> None:
    global session, connection
    session, connection = open_session(), open_connection()


@app.task(autoretry_for=(requests.RequestException,), retry_backoff=True, max_retries=None)
def send(message_id: int, number: int, text: str) -> None:
    deliver(session, connection, message_id, number, text)


def enqueue(messages: Iterable[tuple[int, int, str]]) -> None:
    with app.producer_or_acquire() as producer:
        for message in messages:
            send.apply_async(message, producer=producer)


if __name__ == "__main__":
    enqueue_on_command(enqueue)
