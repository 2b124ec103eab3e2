"""What a package holds of customers and visitors, and what becomes of it: each declares it in its file personal.py.

The package persons has the declarations of all in one list and carries out exports, removals of identifying data and
erasures by it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rapport.access.scope import Scope


class Texts(Protocol):
    """Texts that identified persons, to be found in other texts; addresses are the e-mail addresses among them."""

    @property
    def addresses(self) -> Sequence[str]:
        """E-mail addresses, as they were written."""

    def are_in(self, text: str, /) -> bool:
        """Whether any of them is in a text."""


@dataclass(frozen=True)
class Anonymised:
    """Persons who stay, without what identifies them. texts: what their identifying attributes said."""

    customer_ids: list[str]
    texts: Texts


@dataclass(frozen=True)
class Erased:
    """A person who is taken out.

    tables are those of the warehouse whose rows of a customer go, of all packages. address_marks are the keyed hashes
    of the person's addresses, by which lists of addresses have them. follow begins the durable work that runs the
    declarations' `clear` for an id: the customer's, or another under which accounts have the person.
    """

    customer_id: str
    tables: list[str]
    follow: Callable[[str], None]
    address_marks: Sequence[str] = ()


def _none_made(scope: Scope) -> list[str]:
    return []


def _nothing_held(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {}


def _nothing_erased(scope: Scope, erased: Erased) -> int:
    return 0


def _nothing_to_do(scope: Scope, removed: Any) -> None:
    return


@dataclass(frozen=True)
class PersonalData:
    """What a package holds of persons, and what it does beyond the rows that go by CustomerID.

    records and warehouse are its tables of either engine, each with the columns that hold persons or name them, by
    their ids or pseudonyms. Rows of warehouse tables with a customer_id are exported by it, and an erasure takes them
    out, but for the tables in `kept_tables`. `made_tables` answers the warehouse tables with a customer_id that
    no migration makes and that stay. files are folders of the data folder.

    export answers what else is held of a CustomerID in any spelling, lists by name. anonymise, erase and clear may be
    repeated. erase answers how many rows it took; clear has the pseudonym of an erased person, and is a part of durable
    work.
    """

    package: str
    records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warehouse: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept_tables: frozenset[str] = frozenset()
    made_tables: Callable[[Scope], list[str]] = _none_made
    files: tuple[str, ...] = ()
    export: Callable[[Scope, str], dict[str, list[Any]]] = _nothing_held
    anonymise: Callable[[Scope, Anonymised], None] = _nothing_to_do
    erase: Callable[[Scope, Erased], int] = _nothing_erased
    clear: Callable[[Scope, str], None] = _nothing_to_do
