"""Settings of the planner."""

from datetime import timedelta

from pydantic import Field

from services.planner.outcomes import Policy
from shared.settings import BrokerSettings, DatabaseSettings, Duration, MetricsSettings, PacingSettings


class PlannerSettings(DatabaseSettings, BrokerSettings, PacingSettings, MetricsSettings):
    """Settings of the planner. docs/reference.md describes them."""

    chunk_size: int = Field(100, ge=1, le=1000, description="messages in a job")
    expand_batch: int = Field(10_000, ge=1, le=100_000, description="clients expanded in one transaction")
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

    def policy(self) -> Policy:
        """Return the settings that `outcomes.next_step` needs."""
        return Policy(
            idempotent=self.provider_idempotent,
            backoff_first=self.backoff_first,
            backoff_most=self.backoff_most,
            redelivery_grace=self.redelivery_grace,
            circuit_pause=self.circuit_pause,
            lease_margin=self.lease_margin,
        )
