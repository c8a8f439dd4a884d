"""Metrics of the API. docs/metrics.md lists them."""

from fastapi import APIRouter
from fastapi.routing import APIRoute
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import Scope

OTHER = "other"  # stands for everything that callers make up, so that a label has only values of ours
METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
STATUS_CLASSES = ("2xx", "4xx", "5xx")

REQUESTS = Histogram(
    "mailing_api_request_duration_seconds",
    "Duration of answered requests without probes, by method, path of the documentation, and class of status",
    ["method", "route", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 6),
)
IN_FLIGHT = Gauge("mailing_api_requests_in_flight", "Requests that are being answered")
PUBLISHED = Counter("mailing_outbox_published_total", "Entries of the outbox that RabbitMQ has taken")


def begin_at_zero(router: APIRouter) -> None:
    """Create the series of every documented path."""
    for route in router.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                for status in STATUS_CLASSES:
                    REQUESTS.labels(method, route.path_format, status)


def route_of(scope: Scope) -> str:
    """Return the pattern of the path, which contains no ids."""
    path: str = getattr(scope.get("route"), "path_format", OTHER)
    return path


def count_request(scope: Scope, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    method = scope["method"] if scope["method"] in METHODS else OTHER
    REQUESTS.labels(method, route_of(scope), f"{status // 100}xx").observe(seconds)
