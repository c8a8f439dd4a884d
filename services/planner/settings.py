"""Settings of the planner."""

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from services.planner.outcomes import Policy
from shared.settings import (
    BrokerSettings,
    DatabaseSettings,
    Duration,
    MetricsSettings,
    PacingSettings,
    PolicySettings,
)


def _kept_for(value: object) -> object:
    return None if value == "never" else value


# How long rows are kept: at least an hour, so that reports about them are recorded. None: for ever.
KeptFor = Annotated[
    Annotated[Duration, Field(ge=timedelta(hours=1))] | None,
    BeforeValidator(_kept_for, json_schema_input_type=str),
]


class PlannerSettings(DatabaseSettings, BrokerSettings, PacingSettings, PolicySettings, MetricsSettings):
    """Settings of the planner. docs/reference.md describes them."""

    chunk_size: int = Field(100, ge=1, le=1000, description="messages in a job")
    expand_batch: int = Field(15_000, ge=1, le=100_000, description="clients expanded in one transaction")
    release_ahead: Duration = Field(timedelta(seconds=2), description="amount of work that is with the senders")
    release_least: int = Field(4, ge=1, description="jobs released while the senders' speed is unknown")
    lease: Duration = Field(timedelta(seconds=60), description="time for which a sender may work on a job")
    lease_margin: Duration = Field(
        timedelta(seconds=15),
        description="allowance for clock skew and one request before a job is released again",
    )
    redelivery_grace: Duration = Field(
        timedelta(seconds=10), description="time allowed for the reports of a sender that lost its connection"
    )
    circuit_pause: Duration = Field(
        timedelta(seconds=1),
        description="pause before messages are released again that came back because the provider is out",
    )
    backoff_first: Duration = timedelta(seconds=5)
    backoff_most: Duration = timedelta(minutes=10)
    provider_idempotent: bool = True
    keep_messages: KeptFor = Field(
        None, description="time after a mailing's end when its messages are removed; `never`: they are kept"
    )
    keep_singles: KeptFor = Field(
        timedelta(days=30), description="time after a single message's end when it is removed, or `never`"
    )
    keep_attempts: KeptFor = Field(None, description="time after an attempt when it is removed, or `never`")

    def policy(self) -> Policy:
        """Return the settings that `outcomes.next_step` needs."""
        return Policy(
            idempotent=self.provider_idempotent,
            backoff_first=self.backoff_first,
            backoff_most=self.backoff_most,
            redelivery_grace=self.redelivery_grace,
            circuit_pause=self.circuit_pause,
            lease_margin=self.lease_margin,
            workspace=self.policy_of_workspace(),
        )
