"""Errors of the domain. The edge turns them into HTTP or into one line on the command line.

Every message is one plain sentence that a caller may see: it names the parameter and what was
wrong with it, and never holds a secret, a path or a stack trace.
"""


class RapportError(Exception):
    """Anything a caller did or met that has a sentence to explain it."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(RapportError):
    """A parameter, body or file that cannot be accepted (400)."""

    status = 400


class Unauthorized(RapportError):
    """No credential, or one that is unknown, expired or disabled (401)."""

    status = 401


class Forbidden(RapportError):
    """A credential that does not cover what was asked (403)."""

    status = 403


class TokenExpired(Forbidden):
    """A legacy token that was not used for 20 minutes (403); the wire answers its bare text."""


class NotFound(RapportError):
    """A named thing that does not exist for this tenant (404)."""

    status = 404


class WrongMethod(RapportError):
    """A path that is there, asked with a method that it does not take (405); allowed are those that it takes."""

    status = 405

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(RapportError):
    """A request that contradicts the present state (409)."""

    status = 409


class Gone(RapportError):
    """A thing that was there and will not come back (410)."""

    status = 410


class PreconditionFailed(RapportError):
    """A change of something that has changed since the caller read it (412)."""

    status = 412


class TooLarge(RapportError):
    """A body beyond what is accepted (413)."""

    status = 413


class Unprocessable(RapportError):
    """A body of an app's call that does not say what the call needs (422)."""

    status = 422


class TooManyRequests(RapportError):
    """The rate limit is passed (429); retry_after is in whole seconds."""

    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(RapportError):
    """An engine that cannot be used now: held folder, wrong address, full disk, newer schema (503)."""

    status = 503


class Away(Unavailable):
    """An engine, or a server of somebody else, that does not answer now and will again (503).

    retry_after is in whole seconds. Durable work that meets one waits and goes on; nothing has failed by it.
    """

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Withheld(Away):
    """What goes out is held in this installation, until it is told to be the real one (503)."""


class Held(Unavailable):
    """A data folder that another process has open: a server (serving), a command, or who knows what (None)."""

    def __init__(self, process: str, *, serving: bool | None) -> None:
        ways = {True: "stop that server", False: "wait until that command has ended", None: "end it"}
        super().__init__(f"{process} holds this data folder: {ways[serving]}, or give --data-dir another folder.")
        self.process = process
        self.serving = serving
