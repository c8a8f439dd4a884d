"""Random requests: no fault, and no answer that the OpenAPI document does not know."""

import asyncio
from contextlib import nullcontext, suppress

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from tests.e2e.system import System
from tests.tokens import bearer, create_api_token

# A schema cannot say that an end must come after its start, or that a time zone must exist: a request that fits it
# may so be refused with 422.
# And the lists of a filter have room for more than a body has: 413.
ACCEPTANCE = {"expected-statuses": ["2xx", "404", "409", "413", "422"]}
REJECTION = {"expected-statuses": ["401", "404", "405", "409", "413", "415", "422"]}
RULES = {"checks": {"positive_data_acceptance": ACCEPTANCE, "negative_data_rejection": REJECTION}}
EXAMPLES = 10  # of each operation and way to make them


def test_every_answer_is_documented_and_none_is_a_fault(system: System, database_url: str) -> None:
    """Carry out all of schemathesis' checks, over valid and invalid requests to every operation."""
    config = schemathesis.Config.from_dict(RULES)
    headers = bearer(asyncio.run(create_api_token(database_url)))
    document = schemathesis.openapi.from_url(f"{system.api.base_url}/openapi.json", config=config)
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 15
    for operation in operations:
        # These answer 401 by their nature, or may revoke the token of this test.
        if operation.path.startswith("/api/session/") or operation.path == "/api/token/{token_id}/":
            continue
        for mode in GenerationMode:

            @settings(
                max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: schemathesis.Case) -> None:  # type: ignore[type-arg]  # four of its own
                case.call_and_validate(headers=headers)

            # An operation that takes nothing cannot be asked wrongly.
            with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
                check()
