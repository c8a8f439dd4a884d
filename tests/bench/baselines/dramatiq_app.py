"""Baseline with Dramatiq: `dramatiq dramatiq_app` works, `python dramatiq_app.py` enqueues.

Messages are acknowledged once they are done, and repeated with backoff when they fail: that is its default.
"""

import os
from collections.abc import Iterable
from threading import local

import dramatiq
from delivery import deliver, enqueue_on_command, open_connection, open_session
from dramatiq.brokers.rabbitmq import RabbitmqBroker

dramatiq.set_broker(RabbitmqBroker(url=os.environ["BROKER_URL"]))
mine = local()  # a thread's own


@dramatiq.actor
def send(message_id: int, number: int, text: str) -> None:
    if not hasattr(mine, "session"):
        mine.session, mine.connection = open_session(), open_connection()
    deliver(mine.session, mine.connection, message_id, number, text)


def enqueue(messages: Iterable[tuple[int, int, str]]) -> None:
    for message in messages:
        send.send(*message)


if __name__ == "__main__":
    enqueue_on_command(enqueue)
