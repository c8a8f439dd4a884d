"""Random requests: no fault, and no answer that the OpenAPI document does not know."""

import asyncio
from contextlib import nullcontext, suppress
from http import HTTPStatus

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from services.api.access.permissions import PERMISSIONS
from shared.access.roles import Role
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


def test_random_requests_get_no_further_than_their_token(system: System, database_url: str) -> None:
    """Without a token, nothing is answered but 401; a viewer reads, and changes nothing."""
    viewer = bearer(asyncio.run(create_api_token(database_url, Role.VIEWER)))
    document = schemathesis.openapi.from_url(f"{system.api.base_url}/openapi.json")
    for operation in [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]:
        permission = PERMISSIONS.get((operation.method.upper(), operation.path))
        # Sessions need no token, or end that of this test.
        if permission is None or permission.role is None or operation.path.startswith("/api/session/"):
            continue

        @settings(max_examples=1, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        def check(case: schemathesis.Case) -> None:  # type: ignore[type-arg]  # four of its own
            may = Role.VIEWER.includes(PERMISSIONS[case.method.upper(), case.operation.path].role or Role.VIEWER)
            assert case.call(headers={"Authorization": ""}).status_code == HTTPStatus.UNAUTHORIZED
            status = case.call(headers=viewer).status_code
            assert (status == HTTPStatus.FORBIDDEN) is not may, (case.method, case.path, status)
            assert status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.INTERNAL_SERVER_ERROR}

        check()
