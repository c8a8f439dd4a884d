"""Errors of the local runner. Each message says what to do."""


class LocalStackError(Exception):
    """Base class. `python -m deploy.local` prints the message and ends with status 1."""


class NotInstalledError(LocalStackError):
    """Raised when a program is missing and cannot be installed."""


class StartError(LocalStackError):
    """Raised when a server or a service did not start; the message ends with the last lines of its log."""


class StoppedError(LocalStackError):
    """Raised when a service has ended that should run."""


class InUseError(LocalStackError):
    """Raised when another run uses the state folder or the port."""


class CommandError(LocalStackError):
    """Raised when a step of the set-up failed, as the migration."""
