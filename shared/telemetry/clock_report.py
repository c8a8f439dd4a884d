"""Report of a host whose clock is wrong: in the log when it begins and ends, and in a metric."""

import structlog
from prometheus_client import Gauge

from shared.clock import CLOCK

log = structlog.get_logger()

CORRECTION = Gauge(
    "mailing_clock_correction_seconds",
    "Seconds that the host's clock is behind the reference; the service works by the corrected time",
)
CORRECTION.set_function(lambda: CLOCK.correction)


class ClockReport:
    """Logs when the host's clock becomes wrong, and when it is right again. `reference` names the other clock."""

    def __init__(self, reference: str) -> None:
        self._reference = reference
        self._was_wrong = False

    def look(self) -> None:
        """Look at the clock, after a comparison."""
        if CLOCK.is_host_wrong is self._was_wrong:
            return
        self._was_wrong = not self._was_wrong
        fields = {"behind_by": round(CLOCK.correction, 3), "reference": self._reference}
        if self._was_wrong:
            log.error("clock_wrong", **fields, remedy="set the host's clock by NTP; until then it is corrected")
        else:
            log.info("clock_right", **fields)
