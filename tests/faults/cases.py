"""Registry of the cases, in the order in which they run. A family of cases is a module with a tuple `CASES`."""

from tests.faults import broker, engine, returns
from tests.faults.ground import Case

CASES: tuple[Case, ...] = (*broker.CASES, *engine.CASES, *returns.CASES)
