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
    if not addresses.address_key(address):
        raise Invalid("address is not an address.")
    customer_ids = holders(scope, address, MOST_FOUND)
    with scope.records() as session:
        scope.audit(session, "find", "customers by address", customers=len(customer_ids))
    return customer_ids


def holders(scope: Scope, address: str, most: int) -> list[str]:
    """The same for Rapport's own work: the first customers who have an address, by id; nobody has what is none."""
    key = addresses.address_key(address)
    attributes = suppressed_addresses.address_attributes(scope, EVERY_CHANNEL)
    infos = customer_attributes.find(scope, attributes, "address_attribute") if attributes else []
    return queries.at_address(scope, infos, _spellings(key), most) if key and infos else []


def _spellings(key: str) -> list[str]:
    """The keys that an address may have in the warehouse, which reads no punycode by itself."""
    spellings = {key}
    with suppress(ValueError):
        spellings.add(addresses.recipient(key))
    return sorted(spellings)
