"""Durable work after an erasure: what was written meanwhile, accounts, and the disk."""

import uuid
from datetime import timedelta

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope, current_scope
from rapport.campaigns import erasure
from rapport.customers.privacy import persons
from rapport.persons.declared import DECLARED, going
from rapport.stores.workflows import work

ATTEMPTS = 3
LOOK_AGAIN = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=24)


def begin(scope: Scope, customer_id: str) -> None:
    """Have accounts and the disk cleared of an erased person: at once, or when what runs now has ended."""
    work.enqueue(
        work.Queue.ERASURES, f"purge-{uuid.uuid4()}", clear_person, scope.tenant_id, pseudonym(scope, customer_id)
    )


# The names are those under which earlier releases have begun such work, which goes on here.
@work.workflow("campaigns.purge_person")
def clear_person(tenant_id: int, mark: str) -> None:
    """Clear what is there, and again what the day's process and sends that ran meanwhile wrote."""
    waited = timedelta()
    while _busy(tenant_id) and waited < LONGEST_WAIT:
        _clear_rows(tenant_id, mark)
        work.sleep(LOOK_AGAIN.total_seconds())
        waited += LOOK_AGAIN
    _clear_rows(tenant_id, mark)
    _clear_others(tenant_id, mark)


@work.step("campaigns.is_busy", ATTEMPTS)
def _busy(tenant_id: int) -> bool:
    return erasure.is_busy(current_scope(tenant_id))


@work.step("campaigns.purge_customer", ATTEMPTS)
def _clear_rows(tenant_id: int, mark: str) -> None:
    scope = current_scope(tenant_id)
    persons.purge(scope, [mark], going(scope))


@work.step("campaigns.purge_accounts", ATTEMPTS)
def _clear_others(tenant_id: int, mark: str) -> None:
    scope = current_scope(tenant_id)
    for package in DECLARED:
        package.clear(scope, mark)
