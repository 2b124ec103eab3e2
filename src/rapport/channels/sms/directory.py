"""Which SMS channels a tenant has, by what the SMS API and the functions of the wire call them."""

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.models import Channel
from rapport.channels.sms.sending import NAME
from rapport.channels.sms.settings import SmsChannelSettings, Via
from rapport.errors import NotFound

# The channels of all tenants that are bound to an SMS centre.
BOUND = text(f"""
    SELECT tenant_id, id FROM channels WHERE kind = '{NAME}' AND settings ->> 'via' = '{Via.SMPP}'
    ORDER BY tenant_id, id
""")  # noqa: S608 - constants


def settings_of(channel: Channel) -> SmsChannelSettings:
    """The settings of an SMS channel."""
    return SmsChannelSettings.model_validate(channel.settings)


def sms_channels(scope: Scope) -> list[Channel]:
    """The tenant's SMS channels, by id."""
    return [channel for channel in channels.channels(scope) if channel.kind == NAME]


def brand_name(channel: Channel) -> str:
    """The brand of an SMS channel: as its settings say, else its id."""
    return settings_of(channel).brand or str(channel.id)


def channels_of(scope: Scope, brand: str, sender: str = "") -> list[Channel]:
    """The SMS channels of a brand, by its name or the id of one of them; of a sender only those that have it.

    Raises NotFound where there is none.
    """
    named = [
        channel
        for channel in sms_channels(scope)
        if brand.strip().lower() in (brand_name(channel).lower(), str(channel.id))
    ]
    if not named:
        raise NotFound(f"There is no SMS brand {brand}.")
    of_sender = [channel for channel in named if not sender or settings_of(channel).sender.lower() == sender.lower()]
    if not of_sender:
        raise NotFound(f"SMS brand {brand} has no sender {sender}.")
    return of_sender
