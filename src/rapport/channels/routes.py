"""How a letter leaves, as plain data: what is handed over in this process or in another one."""

from dataclasses import dataclass, fields, replace
from datetime import datetime

from rapport.channels.messages import Message, Sender


@dataclass(frozen=True)
class Route:
    """The settings of a channel, and of the server where it has none, as far as letters need them.

    A host that a tenant chose must be public unless allow_private.
    """

    host: str
    port: int
    security: str
    username: str
    password: str
    timeout_seconds: float
    from_address: str
    from_name: str
    reply_to: str
    provider: str
    allow_private: bool

    def sent_as(self, sender: Sender) -> "Route":
        """The same with what a message itself says of its sender."""
        return replace(
            self,
            from_address=sender.address or self.from_address,
            from_name=sender.name or self.from_name,
            reply_to=sender.reply_to or self.reply_to,
        )


ROUTED = [member.name for member in fields(Route) if member.name != "allow_private"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way: return_path is who hears of its failure, domain in whose name it is signed, at when it is
    written.
    """

    message: Message
    return_path: str
    domain: str
    at: datetime
