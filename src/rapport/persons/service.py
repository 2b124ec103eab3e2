"""One person in every package that holds something of it: erased or anonymised."""

from collections.abc import Iterable
from functools import partial

from rapport.access import kept
from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.customers import service as customers
from rapport.persons.erasing import take_away, take_out
from rapport.persons.restored import Applied, apply

__all__ = ["Applied", "anonymise", "apply", "erase", "note_export"]


def erase(scope: Scope, customer_id: str) -> None:
    """Take a person out of everything but the accounts of campaigns, which follow with the disk. May be repeated.

    It is noted beside the data first, so that a restore does it again. Raises Unavailable when it cannot be.
    """
    kept.keep_removal(scope, kept.ERASE, [pseudonym(scope, customer_id)])
    take_out(scope, customer_id)


def note_export(scope: Scope, customer_id: str) -> None:
    """Leave a row in the audit log that everything held of a person was shown; it does not name the person."""
    with scope.records() as session:
        scope.audit(session, "export", "1 customer", pseudonym=pseudonym(scope, customer_id))


def anonymise(scope: Scope, customer_ids: Iterable[str]) -> list[str]:
    """Take away what identifies persons, who stay; the ids that nobody ever had. Raises Invalid, Unavailable."""
    ids = list(customer_ids)
    return customers.remove_pii(scope, ids, partial(take_away, scope, ids))
