"""Customers whom a restore brought back as they were: removed again, with what they said of consent since."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.customers.privacy import anonymisation, scrubbing, tasks
from rapport.customers.privacy.personal_values import PersonalTexts
from rapport.customers.writes import locks
from rapport.customers.writes.attribute_writes import CustomerValues, overwrite
from rapport.stores.workflows import work


def ids_of(scope: Scope, marks: list[str], tables: Iterable[str]) -> list[str]:
    """The CustomerIDs that tables of the warehouse have of persons by pseudonyms."""
    with locks.writing(scope):
        return anonymisation.ids_of(scope, marks, tables)


def remember_erased(scope: Scope, marks: list[str]) -> None:
    """Keep persons, by pseudonyms, anonymous should they come back."""
    anonymisation.note(scope, marks, "erase again")


def remove_pii_again(scope: Scope, marks: list[str], elsewhere: Callable[[list[str], PersonalTexts], None]) -> None:
    """Take away what identifies persons, by pseudonyms. The disk is rewritten by durable work.

    elsewhere takes it out of what is held besides, by their CustomerIDs and what identified them.
    """
    with locks.writing(scope):
        ids = anonymisation.ids_of(scope, marks, [*anonymisation.WIDE, *scrubbing.PROPERTIED])
        anonymisation.note(scope, marks, "remove identifying data again")
        if ids:
            anonymisation.hide(scope, ids)
        own = scrubbing.own_texts(scope, ids)
    elsewhere(ids, own)
    work.enqueue(work.Queue.JOBS, f"erase-{uuid.uuid4()}", tasks.erase, scope.tenant_id)


def consent_again(scope: Scope, entry: dict[str, Any]) -> None:
    """Write values of consent as they were noted when they were written first."""
    with locks.writing(scope):
        customer_ids = anonymisation.ids_of(scope, [mark for mark, _ in entry["of"]], ["customers"])
        ids = dict(zip(pseudonyms(scope, customer_ids), customer_ids, strict=True))
        overwrite(scope, [CustomerValues(ids[mark], values) for mark, values in entry["of"] if mark in ids])
