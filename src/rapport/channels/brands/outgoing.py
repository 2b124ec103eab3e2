"""What a brand gives each of its messages on the way out: where failures are reported to, and signatures."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rapport.access.scope import Scope
from rapport.channels.brands.dkim_keys import signing_keys
from rapport.channels.brands.models import Brand
from rapport.channels.brands.return_path import return_path
from rapport.channels.brands.signing import Signer
from rapport.channels.senders import sender_rule
from rapport.channels.settings import MailSettings

NO_SIGNER = Signer()


def _no_return_path(message_id: str, token: str) -> str:
    return ""


def _any_sender(address: str) -> bool:
    return True


@dataclass(frozen=True)
class Outgoing:
    """return_path answers of a message's id and token where its failures are reported to (empty: to the sender);
    may_send_from tells of an address whether mail may be sent from it.
    """

    signer: Signer = NO_SIGNER
    return_path: Callable[[str, str], str] = _no_return_path
    may_send_from: Callable[[str], bool] = _any_sender


def outgoing(scope: Scope, brand: Brand | None, mail: MailSettings) -> Outgoing:
    """What the messages of a brand get that leave by these settings."""
    rule = _any_sender if mail.host else sender_rule(scope)
    if brand is None:
        return Outgoing(may_send_from=rule)
    return Outgoing(Signer(signing_keys(scope, brand.id)), partial(return_path, scope, brand), rule)
