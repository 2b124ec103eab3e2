"""States of listeners and of what they are told, as records keep them."""

from enum import StrEnum


class ListenerStatus(StrEnum):
    """Whether a listener is told anything."""

    ACTIVE = "active"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """How far a delivery is; a parked one is tried again only when somebody asks for it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    PARKED = "parked"
    CANCELED = "canceled"
