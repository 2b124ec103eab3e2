"""The relay of letters to one mail server: each is written, signed and handed over on a connection that is reused.

It knows nothing of databases, so that it works in any process.
"""

import time
from dataclasses import replace

from rapport.channels import mime
from rapport.channels.brands.signing import Signer, digest_of_body
from rapport.channels.connection_faults import failure
from rapport.channels.connection_pool import ConnectionPool, Down
from rapport.channels.connections import Broken, Connection
from rapport.channels.messages import Receipt, Sender
from rapport.channels.replies import SERVICE_CLOSING, Refused, Stage, receipt_of
from rapport.channels.routes import Letter, Route

# The sender of messages that say nothing of theirs.
NOBODY = Sender()


class Relay:
    """Opens as many connections as threads deliver by it at once."""

    def __init__(self, route: Route, signer: Signer) -> None:
        self._route, self._signer = route, signer
        self._pool = ConnectionPool(lambda: Connection(route))

    def deliver(self, letter: Letter) -> Receipt:
        """Send a letter; a receipt is owed whatever happens."""
        message_id = letter.message.message_id
        try:
            content = self._written(letter)
        except ValueError as error:  # what cannot be written down now cannot be later
            return Receipt(message_id, "failed", f"not sent: {type(error).__name__}", True)
        try:
            return self._attempt(letter, content)
        except Down as down:
            return Receipt(message_id, "failed", down.reason, away=down.away)
        except Exception as error:
            return Receipt(message_id, "failed", f"not sent: {type(error).__name__}")

    def close(self) -> None:
        """Leave every connection that nobody uses."""
        self._pool.close()

    def _written(self, letter: Letter) -> bytes:
        def sign(headers: mime.Headers, body: bytes) -> mime.Headers:
            return self._signer.signatures(headers, digest_of_body(body), letter.domain, letter.at)

        sender = letter.message.sender
        route = self._route.sent_as(sender) if sender != NOBODY else self._route
        return mime.compose(letter.message, route, letter.at, sign if self._signer.keys else None)

    def _attempt(self, letter: Letter, content: bytes) -> Receipt:
        """Hand a letter over; again, on a new connection if it can be, while a reused one ends before the content left.

        Raises Down.
        """
        message_id = letter.message.message_id
        idle = True
        while True:
            connection, reused = self._pool.take(idle=idle)
            began = time.monotonic()
            try:
                connection.hand_over(letter.return_path, letter.message.to, content)
                return Receipt(message_id, "sent", seconds=time.monotonic() - began)
            except (Refused, Broken) as error:
                if not (reused and _ended_early(error)):
                    return replace(_answered(message_id, error), seconds=time.monotonic() - began)
                connection.usable = idle = False
            finally:
                self._pool.give_back(connection)


def _ended_early(error: Refused | Broken) -> bool:
    """Whether a connection had ended before any content was handed over, as servers do with idle ones."""
    if isinstance(error, Refused):
        return error.code == SERVICE_CLOSING and error.stage is not Stage.CONTENT
    return error.stage is not Stage.CONTENT


def _answered(message_id: str, error: Refused | Broken) -> Receipt:
    """What becomes of a message that a server did not take."""
    if isinstance(error, Refused):
        return receipt_of(message_id, error)
    return Receipt(message_id, "failed", failure(error))
