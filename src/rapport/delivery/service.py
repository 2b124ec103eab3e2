"""What other packages may ask of delivery: how a message leaves, whatever it is sent for."""

from rapport.delivery.bounces import note_failed
from rapport.delivery.content import Draft, Written, write
from rapport.delivery.ids import message_id
from rapport.delivery.models import Source
from rapport.delivery.once import Going
from rapport.delivery.once import forget as forget_addresses
from rapport.delivery.once import refused as take_addresses
from rapport.delivery.personal import PERSONAL_DATA
from rapport.delivery.transports import Transports, transports
from rapport.delivery.values import attribute_values

__all__ = [
    "PERSONAL_DATA",
    "Draft",
    "Going",
    "Source",
    "Transports",
    "Written",
    "attribute_values",
    "forget_addresses",
    "message_id",
    "note_failed",
    "take_addresses",
    "transports",
    "write",
]
