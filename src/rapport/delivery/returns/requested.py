"""What a request for the pixel or a link of a message says: of which message it is, where it leads, and who made it.

The routes go by it, and so do the customers of the demo, who fetch what is in their messages without a server between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rapport.access.scope import scope_of
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.events import Happening
from rapport.delivery.returns.machines import is_machine
from rapport.errors import NotFound
from rapport.messaging.tracking import links
from rapport.messaging.tracking.tokens import MessageToken, TokenReader
from rapport.stores import Stores

LARGEST_LINK = 2**31 - 1
NOT_VALID = "This link is not valid"
PIXEL = ".gif"


@dataclass(frozen=True)
class Requested:
    """What was asked for: the pixel of a message, or one of its links and where that leads."""

    message: MessageToken
    kind: MailEventKind
    link_id: int = 0
    destination: str = ""

    def happening(self, at: datetime, method: str, headers: Mapping[str, str]) -> Happening:
        """What that means, by who asked at an instant. headers are by lower-case name."""
        machine = is_machine(headers, method, self.message.written_at, at)
        return Happening(self.message, self.kind, at, self.link_id, machine)


def pixel(reader: TokenReader, name: str) -> Requested:
    """The pixel of this name. Raises NotFound for one that Rapport did not make."""
    return Requested(reader.read(name.removesuffix(PIXEL)), MailEventKind.OPENED)


def link(stores: Stores, reader: TokenReader, token: str, number: str, signed: str = "") -> Requested:
    """The link of these parts of a path, which leads where the template says, or where the message was signed to.

    Raises NotFound for one that Rapport did not make.
    """
    message, link_id = reader.read(token), _link_id(number)
    if signed:
        destination = reader.destination(token, link_id, signed)
    else:
        destination = links.destination(scope_of(stores, message.tenant_id, actor="link"), link_id)
    return Requested(message, MailEventKind.CLICKED, link_id, destination)


def _link_id(number: str) -> int:
    if not (number.isascii() and number.isdigit()) or int(number[:11]) > LARGEST_LINK:
        raise NotFound(f"{NOT_VALID}.")
    return int(number)
