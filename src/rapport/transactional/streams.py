"""Where transactional mail leaves: the transactional brands, each with the e-mail channels that have its templates."""

from dataclasses import dataclass

from rapport.access.scope import Scope
from rapport.channels.brands import addresses
from rapport.channels.brands.models import AddressRole
from rapport.channels.messages import Sender
from rapport.channels.models import Channel
from rapport.channels.senders import domain_of
from rapport.channels.transactional import transactional_channels
from rapport.errors import Invalid, NotFound


@dataclass(frozen=True)
class Stream:
    """A transactional brand and a channel of it."""

    brand_id: int
    channel: Channel

    def sender(self, scope: Scope) -> list[str]:
        """Whom mail of templates comes from: name and address."""
        return self.channel.behaviour.sending_attributes(scope, self.channel.settings, "", Sender())[:2]

    def require_sender(self, scope: Scope, address: str) -> None:
        """Raises Invalid for a sender's address of another domain than those that the brand sends from."""
        registered = [known.address for known in addresses.addresses(scope, self.brand_id, AddressRole.FROM)]
        domains = sorted(set(map(domain_of, [*registered, self.sender(scope)[1]])) - {""})
        if domain_of(address) not in domains:
            raise Invalid(f"FromEmail must be an address of a domain that the brand sends from: {', '.join(domains)}.")


def streams(scope: Scope) -> list[Stream]:
    """The channels of the tenant's transactional brands, by brand and channel."""
    return [Stream(channel.settings["brand_id"], channel) for channel in transactional_channels(scope)]


def stream(scope: Scope, brand_id: int) -> Stream:
    """The first channel of a transactional brand. Raises NotFound."""
    for candidate in streams(scope):
        if candidate.brand_id == brand_id:
            return candidate
    raise NotFound(f"There is no transactional brand {brand_id}.")
