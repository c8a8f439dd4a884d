"""Errors of calls to the REST API: one class for each thing that a page does differently."""

from collections.abc import Mapping

from services.console.rest.answers import Problem


class ApiError(Exception):
    """Base of all errors of a call."""


class ApiUnavailable(ApiError):
    """The API did not answer, or answered that it cannot work now. The same call may succeed later.

    `explanation` is what the API said, if it said anything.
    """

    def __init__(self, cause: str, explanation: str = "") -> None:
        super().__init__(cause)
        self.explanation = explanation


class Refused(ApiError):
    """The API refused the call. `problem` holds its explanation."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.status = status
        self.problem = problem

    @property
    def by_field(self) -> Mapping[str, str]:
        """Messages by the name of the field at fault; a nested field counts as its outermost one."""
        return {error.field.partition(".")[0]: error.message for error in self.problem.errors}


class SignInNeeded(Refused):
    """There is no token, or it is not valid any more."""


class Forbidden(Refused):
    """The token does not allow the operation."""


class NotFound(Refused):
    """There is no such thing, or no more."""


class Conflict(Refused):
    """The state of things forbids the operation."""


class Invalid(Refused):
    """Some field of the request is wrong."""


REFUSALS: Mapping[int, type[Refused]] = {
    401: SignInNeeded,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
}
