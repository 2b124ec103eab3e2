"""One person in every package that holds something of it: shown, erased or anonymised."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rapport.access import kept
from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.customers.privacy import persons
from rapport.customers.writes import attribute_requests, attribute_writes
from rapport.errors import NotFound
from rapport.persons.declared import DECLARED, tables
from rapport.persons.erasing import take_away, take_out


@dataclass(frozen=True)
class PersonData:
    """All data about a person.

    customer_id is in the spelling of the data; warehouse has rows by table; others has by package what else it holds,
    lists by name.
    """

    customer_id: str
    warehouse: dict[str, list[dict[str, Any]]]
    others: dict[str, dict[str, list[Any]]]

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not any([*self.warehouse.values(), *(rows for lists in self.others.values() for rows in lists.values())])


def export(scope: Scope, customer_id: str) -> PersonData:
    """Everything held of a person; the audit log has a row of it, which does not name the person. Raises NotFound."""
    records = _person_data(scope, customer_id)
    with scope.records() as session:
        scope.audit(session, "export", "1 customer", pseudonym=pseudonym(scope, customer_id))
    return records


def erase(scope: Scope, customer_id: str) -> None:
    """Take a person out of everything but the accounts of campaigns, which follow with the disk. May be repeated.

    It is noted beside the data first, so that a restore does it again. Raises Unavailable when it cannot be, and
    NotFound for somebody of whom nothing was ever held.
    """
    if not persons.is_removed(scope, customer_id):
        _person_data(scope, customer_id)
    kept.keep_removal(scope, kept.ERASE, [pseudonym(scope, customer_id)])
    take_out(scope, customer_id)


def anonymise(scope: Scope, customer_ids: Iterable[str]) -> list[str]:
    """Take away what identifies persons, who stay; the ids that nobody ever had. Raises Invalid, Unavailable."""
    ids = list(customer_ids)
    return attribute_requests.remove_pii(scope, ids, partial(take_away, scope, ids))


def _person_data(scope: Scope, customer_id: str) -> PersonData:
    records = PersonData(
        attribute_writes.spelling(scope, customer_id) or customer_id,
        persons.export(scope, customer_id, tables(scope)),
        {declared.package: declared.export(scope, customer_id) for declared in DECLARED},
    )
    if records.is_empty():
        raise NotFound(f"There are no data about a customer {customer_id!r}.")
    return records
