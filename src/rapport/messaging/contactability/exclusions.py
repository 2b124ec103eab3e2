"""Customers who get no marketing until an instant, or for good: self-exclusions, time-outs, cooling-off periods.

An exclusion is the tenant's duty and no wish about a channel, so nothing that people or providers say takes it away. It
applies to every channel and to whoever has the customer's addresses, and ends by itself. See excluding for the writes.
"""

from sqlalchemy import select

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.messaging.contactability import rules
from rapport.messaging.models import Exclusion
from rapport.stores.parts import Part, part

# The list of the addresses of excluded customers, as outcomes tell it.
EXCLUDED = rules.EXCLUDED.reason
# SQL of whether an exclusion applies at an instant; binds now.
STANDS = "exclusions.lifted_at IS NULL AND (exclusions.ends_at IS NULL OR exclusions.ends_at > :now)"


def exclusions(
    scope: Scope, customer_id: str | None = None, limit: int = 100, offset: int = 0, *, standing: bool = False
) -> Part[Exclusion]:
    """Exclusions, the newest first: of one customer when asked for, also after an erasure; standing: only those that
    apply now.
    """
    statement = select(Exclusion).where(Exclusion.tenant_id == scope.tenant_id)
    if customer_id is not None:
        statement = statement.where(Exclusion.customer_key.in_(keys_of(scope, customer_id)))
    if standing:
        not_ended = Exclusion.ends_at.is_(None) | (Exclusion.ends_at > scope.clock.now())
        statement = statement.where(Exclusion.lifted_at.is_(None), not_ended)
    newest = statement.order_by(Exclusion.begins_at.desc(), Exclusion.customer_key)
    with scope.reads() as session:
        return part(session, newest, limit, offset)


def stands(scope: Scope, exclusion: Exclusion) -> bool:
    """Whether an exclusion applies now."""
    return exclusion.lifted_at is None and (exclusion.ends_at is None or exclusion.ends_at > scope.clock.now())


def keys_of(scope: Scope, customer_id: str) -> list[str]:
    """The keys under which a person may be excluded: the id and, after an erasure, the pseudonym."""
    return [customer_id.lower(), pseudonym(scope, customer_id)]
