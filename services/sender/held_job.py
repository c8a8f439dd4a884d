"""A job that this sender holds, from its arrival to its acknowledgement."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import repeat

from aio_pika.abc import AbstractIncomingMessage

from services.sender.gating import JobDeadlines
from shared.contracts import Job, JobMessage
from shared.telemetry.tracing import Span


@dataclass(slots=True, eq=False)
class HeldJob:
    """A job, and how far this sender has come with it."""

    job: Job
    amqp_message: AbstractIncomingMessage
    deadlines: JobDeadlines
    unreported: int  # messages whose result the broker has not confirmed yet
    is_single: bool = False
    is_lost: bool = False  # its connection is gone, so the broker delivers the job to somebody again
    is_refused: bool = False  # it is among the dead letters, and nothing is reported of it
    begun_to: int = 0  # messages up to this id may begin, because the broker has confirmed a note of that
    span: Span | None = None  # if the job is traced

    @classmethod
    def of(cls, job: Job, amqp_message: AbstractIncomingMessage, *, is_single: bool) -> "HeldJob":
        """Return the job as it has arrived."""
        return cls(job, amqp_message, JobDeadlines.of(job), len(job.messages), is_single)

    def may_begin(self, message: JobMessage) -> bool:
        """Return True if no note is needed before the message is POSTed, or the broker has it."""
        return not self.job.must_note or message.id <= self.begun_to

    @property
    def ids(self) -> dict[str, object]:
        """Return the log fields of the job."""
        job = self.job
        return {"mailing_id": job.mailing_id, "job_id": job.job_id, "request_id": job.request_id}

    def ids_of(self, message: JobMessage) -> dict[str, object]:
        """Return the log fields of one of its messages."""
        client_id = self.clients_of({message.id})[message.id]
        return {**self.ids, "message_id": message.id, **({"client_id": client_id} if client_id else {})}

    def clients_of(self, message_ids: Collection[int]) -> dict[int, int]:
        """Return the clients of some of its messages, by message; 0 for a message without a known client."""
        clients = self.job.client_ids or repeat(0)
        pairs = zip(self.job.messages, clients, strict=False)
        return {message.id: client_id for message, client_id in pairs if message.id in message_ids}
