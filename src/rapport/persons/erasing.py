"""A person erased or anonymised in every package that holds something of it, as the packages declare."""

from functools import partial

from rapport.access.personal_data import Anonymised, Erased, Texts
from rapport.access.scope import Scope
from rapport.messaging.contactability import suppressed_addresses
from rapport.persons.clearing import begin
from rapport.persons.declared import DECLARED, going


def take_out(scope: Scope, customer_id: str) -> None:
    """Take a person out at once of all that is read but the accounts of campaigns, which follow with the disk.

    The audit log tells how many rows went, or are wishes that stay under a pseudonym, by package; not whose.
    """
    marks = suppressed_addresses.marks_of_person(scope, customer_id)
    erased = Erased(customer_id, going(scope), partial(begin, scope), marks)
    rows = {declared.package: declared.erase(scope, erased) for declared in DECLARED}
    with scope.records() as session:
        scope.audit(session, "erase", "1 customers", rows={package: count for package, count in rows.items() if count})


def take_away(scope: Scope, customer_ids: list[str], texts: Texts) -> None:
    """Take what identifies persons out of what is held besides the warehouse, where it is hidden. texts: what did."""
    anonymised = Anonymised(customer_ids, texts)
    for declared in DECLARED:
        declared.anonymise(scope, anonymised)
