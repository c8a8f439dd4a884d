"""What goes wrong around the private servers, each with a message that says what to do about it."""


class LocalStackError(Exception):
    """Base of all of them; `python -m deploy.local` prints the text and ends with status 1."""


class NotInstalledError(LocalStackError):
    """A program that is needed is neither here nor could be put here."""


class StartError(LocalStackError):
    """A server or a service did not come up; the text ends with the tail of its log."""


class StoppedError(LocalStackError):
    """A service that should run has ended."""


class InUseError(LocalStackError):
    """A state folder or a port belongs to somebody else at the moment."""


class CommandError(LocalStackError):
    """A step of the set-up (the migration, say) ended with an error."""
