"""What follows when an e-mail channel becomes one of a brand, in the transaction in which it does.

Packages above say what: the brand's unsubscribe list, for instance, is no concern of channels.
"""

from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from rapport.access.scope import Scope

# Called with the channel, and with the others of the brand.
JoinHandler = Callable[[Scope, Session, int, Sequence[int]], None]
_HANDLERS: list[JoinHandler] = []


def register_handler(handler: JoinHandler) -> None:
    """Have something done whenever a channel joins a brand that has others. Modules do so when they are imported."""
    _HANDLERS.append(handler)


def joined(scope: Scope, session: Session, channel_id: int, others: Sequence[int]) -> None:
    """Do what follows; nothing where the channel is the first of its brand."""
    if others:
        for handler in _HANDLERS:
            handler(scope, session, channel_id, others)
