"""The ids of messages."""

import hashlib

from rapport.delivery.models import Source


def message_id(tenant_id: int, source: Source, source_id: int, channel_id: int, customer_id: str) -> str:
    """The id of a message of a run (its CampaignID) or a firing to a customer, 40 hexadecimal digits.

    It is constant, so that a receiver can tell a repetition. What is under way keeps the id that it was entered with.
    """
    identity = f"{tenant_id}/{source}/{source_id}/{channel_id}/{customer_id}"
    return hashlib.sha256(identity.encode()).hexdigest()[:40]


def message_id_sql(tenant_id: str, source: Source, source_id: str, channel_id: str, customer_id: str) -> str:
    """The same in SQL of the records, of expressions."""
    identity = f"concat_ws('/', {tenant_id}, '{source}', {source_id}, {channel_id}, {customer_id})"
    return f"left(encode(sha256(convert_to({identity}, 'UTF8')), 'hex'), 40)"
