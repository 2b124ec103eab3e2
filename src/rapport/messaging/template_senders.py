"""As whom a template is sent: its own from name and addresses, which are those of its channel's brand."""

from rapport.access.scope import Scope
from rapport.channels.brands import addresses
from rapport.channels.brands.models import AddressRole
from rapport.channels.messages import Sender
from rapport.channels.models import Channel
from rapport.errors import Invalid, NotFound
from rapport.messaging.models import Template


def sender_of(scope: Scope, channel: Channel, template: Template) -> Sender:
    """The sender that a template names. What it does not name, or is registered no longer, is as the channel has it."""
    return Sender(
        address=_address(scope, channel, AddressRole.FROM, template.from_address_id),
        name=template.from_name,
        reply_to=_address(scope, channel, AddressRole.REPLY_TO, template.reply_to_address_id),
    )


def _address(scope: Scope, channel: Channel, role: AddressRole, address_id: int | None) -> str:
    brand_id = channel.settings.get("brand_id")
    if address_id is None or brand_id is None:
        return ""
    try:
        return addresses.address_at(scope, brand_id, role, address_id).address
    except NotFound:
        return ""


def require_sender(scope: Scope, channel: Channel, template: Template) -> None:
    """Whether the addresses that a template names are such of its channel's brand. Raises Invalid."""
    named = {AddressRole.FROM: template.from_address_id, AddressRole.REPLY_TO: template.reply_to_address_id}
    brand_id = channel.settings.get("brand_id")
    for role, address_id in named.items():
        if address_id is None:
            continue
        if brand_id is None:
            raise Invalid("Only templates of e-mail channels can name addresses.")
        try:
            addresses.address_at(scope, brand_id, role, address_id)
        except NotFound as error:
            raise Invalid(error.message) from error
