"""Names for persons who must not be named any more: a keyed hash, by which one who comes back is still told.

Without the tenant's secret nobody can find the CustomerID to a pseudonym. It stands for every
spelling of the CustomerID.
"""

import hashlib
from collections.abc import Iterable

from rapport.access.scope import Scope
from rapport.access.secrets import tenant_secret

# The pseudonym of a row's customer in the warehouse. Bind pseudonym_secret, and only where rows are read
# or added: the engine keeps the text of what changes rows, with its values, in a file.
PSEUDONYM = "lower(hex(SHA256(concat({pseudonym_secret:String}, lowerUTF8(customer_id)))))"


def pseudonym_secret(scope: Scope) -> str:
    """What PSEUDONYM binds."""
    return tenant_secret(scope, "pseudonyms")


def pseudonyms(scope: Scope, customer_ids: Iterable[str]) -> list[str]:
    """The pseudonyms of CustomerIDs, 64 hexadecimal digits each, in the same order."""
    secret = pseudonym_secret(scope)
    return [hashlib.sha256((secret + customer_id.lower()).encode()).hexdigest() for customer_id in customer_ids]


def pseudonym(scope: Scope, customer_id: str) -> str:
    """The pseudonym of one CustomerID."""
    return pseudonyms(scope, [customer_id])[0]
