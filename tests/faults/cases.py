"""Registry of the cases, in the order in which they run. A family of cases is a module with a tuple `CASES`."""

from tests.faults import broker, clocks, engine, planners, returns, stops
from tests.faults.ground import Case

CASES: tuple[Case, ...] = (
    *broker.CASES,
    *engine.CASES,
    *clocks.CASES,
    *returns.CASES,
    *stops.CASES,
    *planners.CASES,
)
