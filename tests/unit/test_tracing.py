"""Ids of traces and spans are computed, so that nothing but the request id need be carried."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry import tracing

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_traceparent_is_continued() -> None:
    request_id = tracing.request_id_of(f"00-{TRACE}-{CALLER}-01".encode())
    assert request_id is not None
    assert tracing.trace_id(request_id) == int(TRACE, 16)
    assert tracing.caller_of(request_id) == int(CALLER, 16)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-abc-def-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
    ],
)
def test_what_is_no_traceparent_is_not(header: str) -> None:
    assert tracing.request_id_of(header.encode()) is None


def test_a_request_id_that_we_made_up_is_the_id_of_its_trace() -> None:
    assert tracing.trace_id(TRACE) == int(TRACE, 16)
    assert tracing.caller_of(TRACE) is None


@given(st.text(min_size=1, max_size=64), st.integers(1, 2**62), st.integers(1, 100))
def test_ids_fit_and_differ_by_what_they_are_of(request_id: str, job: int, release: int) -> None:
    assert 0 < tracing.trace_id(request_id) < 2**128
    ids = [
        tracing.span_id(request_id, key)
        for key in (
            tracing.REQUEST,
            tracing.OUTBOX,
            ("job", job, release),
            ("job", job, release + 1),
            ("release", job, release),
        )
    ]
    assert len(set(ids)) == len(ids)
    assert all(0 < one < 2**64 for one in ids)


@pytest.mark.parametrize("service", ["api", "planner", "sender"])
def test_the_sdk_is_not_loaded_for_nothing(service: str) -> None:
    look = f"import sys, services.{service}.main; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
