"""What other packages may ask of delivery: how a message leaves, whatever it is sent for."""

from rapport.delivery.bounces import note_failed
from rapport.delivery.content import Draft, Written, write
from rapport.delivery.ids import message_id
from rapport.delivery.models import OutboxMessage, Source, State
from rapport.delivery.once import Recipient
from rapport.delivery.once import forget as forget_addresses
from rapport.delivery.once import refused as take_addresses
from rapport.delivery.outbox import (
    Claim,
    Entry,
    Mailing,
    Settled,
    claim_again,
    claim_due,
    claim_retries,
    drop_mailing,
    drop_sources,
    enter,
    give_up,
    renew,
    settle,
)
from rapport.delivery.personal import PERSONAL_DATA
from rapport.delivery.reading import batch_size, batches, ended, forget_customers, messages_of, to_retry
from rapport.delivery.sources import MessageSource
from rapport.delivery.transports import Transports, transports
from rapport.delivery.values import attribute_values
from rapport.delivery.worker import Sender

__all__ = [
    "PERSONAL_DATA",
    "Claim",
    "Draft",
    "Entry",
    "Mailing",
    "MessageSource",
    "OutboxMessage",
    "Recipient",
    "Sender",
    "Settled",
    "Source",
    "State",
    "Transports",
    "Written",
    "attribute_values",
    "batch_size",
    "batches",
    "claim_again",
    "claim_due",
    "claim_retries",
    "drop_mailing",
    "drop_sources",
    "ended",
    "enter",
    "forget_addresses",
    "forget_customers",
    "give_up",
    "message_id",
    "messages_of",
    "note_failed",
    "renew",
    "settle",
    "take_addresses",
    "to_retry",
    "transports",
    "write",
]
