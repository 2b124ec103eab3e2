"""Finding the customers who have an address, in any spelling of it."""

from contextlib import suppress

from rapport.access.scope import Scope
from rapport.channels import addresses
from rapport.customers import attributes as customer_attributes
from rapport.errors import Invalid
from rapport.messaging import queries
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.models import EVERY_CHANNEL

MOST_FOUND = 1000


def customers_at(scope: Scope, address: str) -> list[str]:
    """The customers who have an address in an attribute that some channel writes to, by id: the first 1,000.

    Spellings are one as they are for suppressions. The audit log has that it was looked for, and how many were found.
    Raises Invalid for a text that is no address.
    """
    key = addresses.address_key(address)
    if not key:
        raise Invalid("address is not an address.")
    attributes = suppressed_addresses.address_attributes(scope, EVERY_CHANNEL)
    infos = customer_attributes.find(scope, attributes, "address_attribute") if attributes else []
    customer_ids = queries.at_address(scope, infos, _spellings(key), MOST_FOUND)
    with scope.records() as session:
        scope.audit(session, "find", "customers by address", customers=len(customer_ids))
    return customer_ids


def _spellings(key: str) -> list[str]:
    """The keys that an address may have in the warehouse, which reads no punycode by itself."""
    spellings = {key}
    with suppress(ValueError):
        spellings.add(addresses.recipient(key))
    return sorted(spellings)
